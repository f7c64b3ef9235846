//! The record of a visit: who was in it, what happened, what the chat says of it, and what is forgotten of it.

use std::io::Cursor;

use bedside_protocol::{ClientMessageId, MessageType, OutgoingMessage, topic};
use bedside_service::App;
use image::{ImageFormat, RgbImage};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    common::{Clinic, Person, clinic, folder as files, quality_report},
    sockets::Socket,
};

pub(crate) async fn get(clinic: &Clinic, who: &Person, rest: &str) -> Value {
    let (status, answer) = clinic.service.send(Method::GET, &clinic.path(rest), Some(&who.token), None).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    answer
}

fn texts(items: &Value, name: &str) -> Vec<String> {
    items.as_array().unwrap().iter().map(|item| item[name].as_str().unwrap_or_default().to_owned()).collect()
}

/// Somebody writes this; gives the message as both see it.
pub(crate) async fn write(clinic: &Clinic, who: &Person, words: &str, attachment: Option<&Value>) -> Value {
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let row = app.store.session(clinic.session).await.unwrap().unwrap();
    let outgoing = OutgoingMessage {
        session_id: clinic.session,
        client_message_id: ClientMessageId::generate(),
        message_type: if attachment.is_some() { MessageType::Image } else { MessageType::Text },
        content: words.into(),
        attachment_id: attachment.map(|id| id.as_str().unwrap().parse().unwrap()),
    };
    let mut unit = app.store.begin(Timestamp::now()).await.unwrap();
    let message = unit.add_message(&row, who.id, &outgoing).await.unwrap().unwrap().message;
    unit.commit().await.unwrap();
    app.store.close().await;
    serde_json::to_value(message).unwrap()
}

/// What the next message of a kind says.
async fn heard(socket: &mut Socket, kind: &str) -> Value {
    let frame = socket.until(&[kind]).await;
    serde_json::from_str::<Value>(&frame.body).unwrap()["payload"].clone()
}

pub(crate) fn picture() -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    RgbImage::from_pixel(640, 480, image::Rgb([0, 120, 0])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Sends a file; gives what the service says of it.
pub(crate) async fn upload(clinic: &Clinic, who: &Person, rest: &str, bytes: Vec<u8>) -> (u16, Value) {
    let url = format!("http://{}{}", clinic.service.address, clinic.path(rest));
    let sent = clinic.service.http.post(url).bearer_auth(&who.token).body(bytes).send().await.unwrap();
    (sent.status().as_u16(), sent.json().await.unwrap())
}

pub(crate) async fn download(clinic: &Clinic, who: &Person, path: &str) -> (u16, Vec<u8>) {
    let url = format!("http://{}{path}", clinic.service.address);
    let given = clinic.service.http.get(url).bearer_auth(&who.token).send().await.unwrap();
    (given.status().as_u16(), given.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn who_was_in_a_visit_and_what_happened_is_kept() {
    let clinic = clinic().await;
    clinic.post(&clinic.patient, "/join", json!({ "ready": true })).await;
    clinic.post(&clinic.doctor, "/admit", json!({})).await;
    let on = json!({ "deviceType": "kiosk", "browser": "Bedside 9", "os": "linux" });
    clinic.post(&clinic.patient, "/join", on).await;
    clinic.post(&clinic.patient, "/quality", quality_report()).await;
    clinic.post(&clinic.doctor, "/pause", json!({})).await;
    clinic.post(&clinic.doctor, "/resume", json!({})).await;
    clinic.post(&clinic.patient, "/leave", json!({})).await;
    clinic.post(&clinic.patient, "/join", json!({})).await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;

    let all = get(&clinic, &clinic.doctor, "/events").await;
    let order = [
        "patient_waiting",
        "patient_admitted",
        "doctor_joined",
        "patient_joined",
        "hold",
        "resume",
        "patient_left",
        "patient_joined",
        "ended",
    ];
    assert_eq!(texts(&all["items"], "eventType"), order);
    assert!(all["next"].is_null());
    // Page by page it is the same.
    let first = get(&clinic, &clinic.patient, "/events?limit=4").await;
    let rest = get(&clinic, &clinic.patient, &format!("/events?after={}", first["next"])).await;
    let paged = [texts(&first["items"], "eventType"), texts(&rest["items"], "eventType")].concat();
    assert_eq!(paged, order);

    let people = get(&clinic, &clinic.patient, "/participants").await;
    assert_eq!(texts(&people, "party"), ["DOCTOR", "PATIENT"]);
    let patient = &people[1];
    assert_eq!(
        (&patient["deviceType"], &patient["browser"], &patient["os"]),
        (&json!("kiosk"), &json!("Bedside 9"), &json!("linux"))
    );
    assert_eq!((&patient["rejoinCount"], &patient["avgVideoBitrate"]), (&json!(1), &json!(900_000)));
    assert!(patient["leftAt"].is_string() && people[0]["leftAt"].is_string(), "{people}");
    assert!(people[0]["deviceType"].is_null() && people[0]["avgAudioLevel"].is_null(), "{people}");

    // The chat says what changed who hears them, and counts none of it as written.
    let chat = get(&clinic, &clinic.patient, "/chat").await;
    let said =
        ["doctor_joined", "patient_joined", "hold", "resume", "patient_left", "patient_joined", "ended"];
    assert_eq!(texts(&chat["items"], "content"), said);
    assert!(texts(&chat["items"], "messageType").iter().all(|kind| kind == "system"), "{chat}");
    assert_eq!(get(&clinic, &clinic.patient, "/summary").await["chatMessageCount"], 0);
}

#[tokio::test]
async fn links_that_break_are_in_the_record() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(&topic::session(clinic.session)).await;
    drop(socket);
    let events = async || texts(&get(&clinic, &clinic.doctor, "/events").await["items"], "eventType");
    // It is written a moment after the link is lost.
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while events().await.last().unwrap() != "participant.reconnecting" {
        assert!(tokio::time::Instant::now() < until, "{:?}", events().await);
        tokio::task::yield_now().await;
    }
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(&topic::session(clinic.session)).await;
    assert_eq!(events().await.last().unwrap(), "participant.reconnected");
}

#[tokio::test]
async fn what_is_read_has_its_time() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let written = write(&clinic, &clinic.patient, "hello", None).await;
    assert!(written["deliveredAt"].is_null() && written["readAt"].is_null(), "{written}");
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let seq = written["seq"].as_u64().unwrap();
    for (at, status) in [(100, "delivered"), (200, "read"), (300, "read")] {
        let status = serde_json::from_value(json!(status)).unwrap();
        let mut unit = app.store.begin(Timestamp::from_second(at).unwrap()).await.unwrap();
        unit.advance_chat(clinic.session, clinic.doctor.id, seq, status).await.unwrap();
        unit.commit().await.unwrap();
    }
    app.store.close().await;
    let chat = get(&clinic, &clinic.patient, "/chat").await;
    let mine = chat["items"].as_array().unwrap().iter().find(|m| m["content"] == "hello").unwrap();
    assert_eq!(
        (&mine["deliveredAt"], &mine["readAt"]),
        (&json!("1970-01-01T00:01:40Z"), &json!("1970-01-01T00:03:20Z"))
    );
}

#[tokio::test]
async fn a_message_is_taken_back_with_its_file() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let (_, file) = upload(&clinic, &clinic.patient, "/attachments?name=skin.png", picture()).await;
    let written = write(&clinic, &clinic.patient, "look", Some(&file["attachmentId"])).await;
    let small = written["attachment"]["thumbnailUrl"].as_str().unwrap();
    let (status, bytes) = download(&clinic, &clinic.doctor, small).await;
    let shown = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).unwrap();
    assert_eq!((status, shown.width(), shown.height()), (200, 320, 240));

    let path = format!("/chat/{}", written["messageId"].as_str().unwrap());
    let delete = async |who: &Person| {
        clinic.service.send(Method::DELETE, &clinic.path(&path), Some(&who.token), None).await
    };
    assert_eq!(delete(&clinic.doctor).await.0, StatusCode::NOT_FOUND, "another wrote it");
    let mut socket = Socket::signed_in(&clinic, &clinic.doctor.token).await;
    socket.subscribe(&topic::session(clinic.session)).await;
    let (status, gone) = delete(&clinic.patient).await;
    assert_eq!(
        (status, &gone["isDeleted"], &gone["content"]),
        (StatusCode::OK, &json!(true), &json!("")),
        "{gone}"
    );
    let told = heard(&mut socket, "CHAT_MESSAGE").await;
    assert_eq!((&told["seq"], &told["isDeleted"]), (&written["seq"], &json!(true)));
    assert_eq!(delete(&clinic.patient).await.0, StatusCode::OK, "said twice");

    // A client that was away finds it on whichever page.
    let page = get(&clinic, &clinic.doctor, &format!("/chat?after={}", written["seq"])).await;
    assert_eq!(page["deleted"], json!([written["seq"]]));
    let (status, _) = download(&clinic, &clinic.doctor, small).await;
    assert_eq!(status, 404);
    let folder = files(&clinic.service.config.attachments);
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while std::fs::read_dir(folder).unwrap().count() > 0 {
        assert!(tokio::time::Instant::now() < until, "the file is still there");
        tokio::task::yield_now().await;
    }
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    assert_eq!(delete(&clinic.patient).await.0, StatusCode::CONFLICT, "it is part of the record");
}

#[tokio::test]
async fn a_picture_is_looked_at_in_full_and_by_whom_is_kept() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(&topic::session(clinic.session)).await;
    // Larger than a chat takes.
    let mut large = picture();
    let end = large.split_off(large.len() - 12);
    large.extend(private_chunk(11 * 1_024 * 1_024));
    large.extend(end);
    let (status, refused) =
        upload(&clinic, &clinic.doctor, "/attachments?name=xray.png", large.clone()).await;
    assert_eq!((status, &refused["code"]), (413, &json!("too-large")));
    let (status, shared) = upload(&clinic, &clinic.doctor, "/images?name=xray.png", large).await;
    assert_eq!((status, &shared["width"], &shared["height"]), (201, &json!(640), &json!(480)), "{shared}");
    assert_eq!(heard(&mut socket, "IMAGE_SHARED").await["imageId"], shared["imageId"]);

    let path = clinic.path(&format!("/images/{}", shared["imageId"].as_str().unwrap()));
    for _ in 0..2 {
        let (status, bytes) = download(&clinic, &clinic.patient, &path).await;
        assert_eq!((status, bytes.len() as u64), (200, shared["fileSize"].as_u64().unwrap()));
    }
    let images = get(&clinic, &clinic.doctor, "/images").await;
    let view = &images[0]["views"][0];
    assert_eq!((&view["userId"], &view["count"]), (&json!(clinic.patient.id), &json!(2)));
    let (status, refused) = upload(&clinic, &clinic.patient, "/images?name=a.txt", b"text".to_vec()).await;
    assert_eq!((status, &refused["code"]), (415, &json!("unsupported-type")));
    assert_eq!(get(&clinic, &clinic.doctor, "/images").await.as_array().unwrap().len(), 1);
}

/// A part of a PNG of so many bytes that is kept, and shows nothing.
fn private_chunk(bytes: usize) -> Vec<u8> {
    let mut chunk = u32::try_from(bytes).unwrap().to_be_bytes().to_vec();
    chunk.extend(b"IDAT");
    chunk.extend(std::iter::repeat_n(0, bytes + 4));
    chunk
}

#[tokio::test]
async fn what_was_written_is_forgotten_after_a_year() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let (_, file) = upload(&clinic, &clinic.patient, "/attachments?name=skin.png", picture()).await;
    write(&clinic, &clinic.patient, "look", Some(&file["attachmentId"])).await;
    write(&clinic, &clinic.doctor, "thank you", None).await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let year = SignedDuration::from_hours(24 * 365);
    assert_eq!(app.store.chats_kept_since(Timestamp::now() - year, 10).await.unwrap(), []);
    let later = Timestamp::now() + SignedDuration::from_secs(1);
    assert_eq!(app.store.chats_kept_since(later, 10).await.unwrap(), [clinic.session]);
    let mut unit = app.store.begin(Timestamp::now()).await.unwrap();
    unit.forget_chat(clinic.session).await.unwrap();
    unit.commit().await.unwrap();
    assert_eq!(app.store.chats_kept_since(later, 10).await.unwrap(), []);
    app.store.close().await;
    assert_eq!(get(&clinic, &clinic.doctor, "/chat").await["items"], json!([]));
    assert_eq!(get(&clinic, &clinic.doctor, "/summary").await["chatMessageCount"], 2, "how many is known");
}
