//! What is kept of patients can be read by nobody who has the disk, the bucket or the database alone.

use bedside_servers::Bucket;
use bedside_service::App;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    common::{Clinic, clinic, clinic_with, folder},
    database::Outside,
    keeping::run,
    records::{download, get, picture, upload, write},
};

const WORDS: &str = "a rash on the left forearm";

/// A visit in which something was written, noted and sent; gives the file.
async fn held(clinic: &Clinic) -> Value {
    clinic.in_the_call().await;
    let (status, file) = upload(clinic, &clinic.patient, "/attachments?name=a.txt", WORDS.into()).await;
    assert_eq!(status, 201, "{file}");
    write(clinic, &clinic.patient, WORDS, None).await;
    let body = Some(json!({ "notes": WORDS }));
    let (status, noted) =
        clinic.service.send(Method::PUT, &clinic.path("/notes"), Some(&clinic.doctor.token), body).await;
    assert_eq!(status.as_u16(), 200, "{noted}");
    file
}

/// All of it is read as it was written.
async fn is_read(clinic: &Clinic, file: &Value) {
    let path = clinic.path(&format!("/attachments/{}", file["attachmentId"].as_str().unwrap()));
    assert_eq!(download(clinic, &clinic.doctor, &path).await, (200, WORDS.into()));
    let chat = get(clinic, &clinic.doctor, "/chat").await;
    assert!(chat["items"].as_array().unwrap().iter().any(|message| message["content"] == WORDS), "{chat}");
    assert_eq!(get(clinic, &clinic.doctor, "/notes").await["notes"], WORDS);
}

fn files(of: &std::path::Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_file()).map(|path| std::fs::read(path).unwrap()).collect()
}

fn has(bytes: &[u8], words: &str) -> bool {
    bytes.windows(words.len()).any(|part| part == words.as_bytes())
}

/// Rows in which something of it stands.
const PLAIN: &str = "SELECT (SELECT count(*) FROM chat_messages WHERE content LIKE '%rash%')
    + (SELECT count(*) FROM consultation_sessions WHERE notes LIKE '%rash%')";

#[tokio::test]
async fn nothing_of_it_stands_on_the_disk() {
    let clinic = clinic().await;
    let file = held(&clinic).await;
    is_read(&clinic, &file).await;
    let kept = files(folder(&clinic.service.config.attachments));
    assert!(!kept.is_empty() && kept.iter().all(|bytes| !has(bytes, "rash")));
    // The database's files as well, where it is some: what was written is in them.
    let data = files(&clinic.service.config.data);
    assert!(data.iter().all(|bytes| !has(bytes, "rash")), "it stands in a file of the database");
    let mut outside = Outside::of(&clinic).await;
    assert_eq!(outside.number(PLAIN).await, 0);
    assert!(outside.number("SELECT count(*) FROM chat_messages WHERE sealed_with IS NOT NULL").await >= 3);
}

#[tokio::test]
async fn another_key_takes_the_place_of_the_first() {
    let mut clinic = clinic().await;
    let file = held(&clinic).await;
    // As it was before there were seals.
    let plain = format!("UPDATE consultation_sessions SET notes = '{WORDS}', notes_sealed_with = NULL");
    Outside::of(&clinic).await.run(plain).await;
    let config = clinic.service.config.clone();
    run(&config, &["keys", "add"], None).await.unwrap();
    clinic.service.stop().await;
    clinic.service.start_again().await;
    run(&config, &["keys", "promote"], None).await.unwrap();
    // It has not begun to seal with it, and says so.
    let early = run(&config, &["keys", "seal-anew"], None).await.unwrap_err();
    assert!(early.contains("still seals"), "{early}");
    clinic.service.stop().await;
    clinic.service.start_again().await;
    is_read(&clinic, &file).await;
    run(&config, &["keys", "seal-anew"], None).await.unwrap();
    assert_eq!(Outside::of(&clinic).await.number(PLAIN).await, 0);
    // The old one goes, and nothing is missed.
    let path = config.sealing_keys_path();
    let keys = std::fs::read_to_string(&path).unwrap();
    let (new, old) = keys.split_once('\n').unwrap();
    std::fs::write(&path, new).unwrap();
    clinic.service.stop().await;
    clinic.service.start_again().await;
    is_read(&clinic, &file).await;
    // A service that has not the key says so, and does not begin.
    std::fs::write(&path, old).unwrap();
    let refused = App::open(config, None).await.err().expect("it lacks a key").to_string();
    assert!(refused.contains("which") && refused.contains("sealing-keys-file"), "{refused}");
}

#[tokio::test]
async fn a_file_that_was_changed_is_not_given() {
    let clinic = clinic().await;
    let file = held(&clinic).await;
    let id = file["attachmentId"].as_str().unwrap();
    let kept = folder(&clinic.service.config.attachments).join(id);
    let mut bytes = std::fs::read(&kept).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&kept, &bytes).unwrap();
    let (status, _) = download(&clinic, &clinic.doctor, &clinic.path(&format!("/attachments/{id}"))).await;
    assert_eq!(status, 500);
}

#[tokio::test]
async fn files_are_kept_in_a_bucket() {
    let bucket = Bucket::start().unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let key_file = secrets.path().join("s3");
    std::fs::write(&key_file, "an-id\na-secret\n").unwrap();
    let clinic = clinic_with(|settings| {
        settings.s3_bucket = Some(Bucket::NAME.into());
        settings.s3_endpoint = Some(bucket.address().parse().unwrap());
        settings.s3_key_file = Some(key_file);
    })
    .await;
    let file = held(&clinic).await;
    is_read(&clinic, &file).await;
    let (_, shared) = upload(&clinic, &clinic.doctor, "/images?name=a.png", picture()).await;
    let (status, small) = download(&clinic, &clinic.patient, shared["thumbnailUrl"].as_str().unwrap()).await;
    assert!(status == 200 && small.starts_with(b"\xff\xd8\xff"), "{shared}");
    let kept = files(&bucket.folder());
    assert_eq!(kept.len(), 3, "the text, the picture, and a small one");
    assert!(kept.iter().all(|bytes| bytes.starts_with(b"BEDSEAL1") && !has(bytes, "rash")));
    let found = bedside_service::doctor::examine(&clinic.service.config).await;
    let found = found.into_iter().find(|finding| finding.what == "attachments").unwrap();
    assert_eq!(found.found.as_deref(), Ok("the bucket files"));
    // It goes away: whoever sends or asks is told to try again.
    drop(bucket);
    let (status, _) = upload(&clinic, &clinic.doctor, "/images?name=b.png", picture()).await;
    let (read, _) = download(&clinic, &clinic.patient, shared["thumbnailUrl"].as_str().unwrap()).await;
    assert_eq!((status, read), (503, 503));
}

/// Bytes of an answer of a bucket that always says the same.
async fn always(status: &'static str) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut asked = vec![0; 64 * 1024];
                // Whoever asks has said all of it, or goes.
                let _ = socket.read(&mut asked).await;
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn a_bucket_that_can_not_now_is_told_from_one_that_never_will() {
    for (says, expected) in [("503 Slow Down", 503), ("400 Bad Request", 500)] {
        let address = always(says).await;
        let secrets = tempfile::tempdir().unwrap();
        let key_file = secrets.path().join("s3");
        std::fs::write(&key_file, "an-id\na-secret\n").unwrap();
        let clinic = clinic_with(|settings| {
            settings.s3_bucket = Some("files".into());
            settings.s3_endpoint = Some(format!("http://{address}").parse().unwrap());
            settings.s3_key_file = Some(key_file);
        })
        .await;
        let (status, _) = upload(&clinic, &clinic.doctor, "/images?name=b.png", picture()).await;
        assert_eq!(status, expected, "{says}");
    }
}
