//! What whoever runs the service does with all that is kept: copies it while people write, brings it back, and has it
//! looked at.

use std::{path::Path, process::Stdio};

use bedside_protocol::{app, topic};
use bedside_service::{App, Config, config::Place, doctor, store::Database};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    common::{Clinic, PASSWORD, Service, clinic, email, folder as files, service_with},
    sockets::{Socket, send},
};

pub(crate) async fn run(config: &Config, args: &[&str], path: Option<&Path>) -> Result<(), String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bedside-service"));
    command.arg("--data").arg(&config.data).arg("--attachments").arg(files(&config.attachments));
    if let Database::Postgres { url, .. } = &config.database {
        command.args(["--database", url.as_str()]);
    }
    let done = command.args(args).args(path).stdin(Stdio::null()).output().await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    if done.status.success() { Ok(()) } else { Err(said) }
}

async fn said(clinic: &Clinic, service: &Service, token: &str) -> Vec<String> {
    let path = clinic.path("/chat?limit=200");
    let (_, page) = service.send(Method::GET, &path, Some(token), None).await;
    let items = page["items"].as_array().unwrap_or_else(|| panic!("{page}"));
    items.iter().map(|item| item["content"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_backup_is_whole_although_people_write() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let upload = format!("http://{}{}", clinic.service.address, clinic.path("/attachments?name=a.txt"));
    let sent: Value = clinic
        .service
        .http
        .post(upload)
        .bearer_auth(&clinic.doctor.token)
        .body("a file")
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let mut socket = Socket::signed_in(&clinic, &clinic.doctor.token).await;
    socket.subscribe(&topic::session(clinic.session)).await;
    let say = |text: &str| {
        let payload = json!({ "sessionId": clinic.session, "messageType": "text", "content": text });
        send(app::CHAT_SEND, &json!({ "type": "CHAT_MESSAGE", "payload": payload }))
    };
    for number in 0..20 {
        socket.send(&say(&format!("before {number}"))).await;
    }
    socket.until(&["before 19"]).await;
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("backup");
    let writes = async {
        for number in 0..60 {
            socket.send(&say(&format!("meanwhile {number}"))).await;
        }
        socket.until(&["meanwhile 59"]).await;
    };
    let (copied, ()) = tokio::join!(run(&clinic.service.config, &["backup", "--to"], Some(&to)), writes);
    copied.unwrap();
    let refused = run(&clinic.service.config, &["backup", "--to"], Some(&to)).await.unwrap_err();
    assert!(refused.contains("folder of its own"), "{refused}");

    // Brought back elsewhere, it has all that was confirmed before, and of what came meanwhile a beginning.
    let mut brought = clinic.service.config.clone();
    brought.data = folder.path().join("data");
    brought.attachments = Place::Folder(brought.data.join("attachments"));
    brought.database = match &clinic.service.config.database {
        Database::Sqlite(_) => Database::Sqlite(brought.data.join("bedside.sqlite")),
        Database::Postgres { .. } => {
            let url = crate::common::shared_database().parse().unwrap();
            Database::Postgres { url, password: None }
        }
    };
    run(&brought, &["restore", "--from"], Some(&to)).await.unwrap();
    assert!(run(&brought, &["restore", "--from"], Some(&to)).await.is_err(), "there is something");
    let other = service_with(|_| ()).await;
    let other = {
        let mut config = other.config.clone();
        (config.data, config.attachments) = (brought.data.clone(), brought.attachments.clone());
        config.database = brought.database.clone();
        Service::start_with(config).await
    };
    let body = json!({ "email": email("doctor"), "password": PASSWORD });
    let (_, pair) = other.send(Method::POST, "/api/v1/auth/login", None, Some(body)).await;
    let token = pair["accessToken"].as_str().unwrap();
    let kept = said(&clinic, &other, token).await;
    let wrote = said(&clinic, &clinic.service, &clinic.doctor.token).await;
    assert!(kept.len() >= 20 && wrote[..kept.len()] == kept[..], "{kept:?}");
    let file = clinic.path(&format!("/attachments/{}", sent["attachmentId"].as_str().unwrap()));
    let file =
        other.http.get(format!("http://{}{file}", other.address)).bearer_auth(token).send().await.unwrap();
    assert_eq!(file.text().await.unwrap(), "a file");
}

#[tokio::test]
async fn the_doctor_finds_what_is_wrong_and_says_what_to_do() {
    let mut clinic = clinic().await;
    let wrong = async |config: &Config| -> Vec<String> {
        let found = doctor::examine(config).await;
        let wrong = found
            .into_iter()
            .filter_map(|finding| finding.found.err().map(|why| format!("{}: {why}", finding.what)));
        wrong.collect()
    };
    let mut config = clinic.service.config.clone();
    config.listen = clinic.service.address;
    assert_eq!(wrong(&config).await, Vec::<String>::new(), "it runs, and its relay answers");
    // As a program of its own, which nobody has prepared for it.
    let relay = config.relay.as_ref().unwrap().listen.to_string();
    let address = config.listen.to_string();
    let new = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_bedside-service"))
        .args(["--listen", &address, "--relay-listen", &relay, "doctor", "--data"])
        .arg(new.path().join("data"))
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && printed.contains("is ready"), "{printed} {done:?}");
    clinic.service.stop().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    config.listen = taken.local_addr().unwrap();
    config.data = "/nowhere/at/all".into();
    config.relay = None;
    config.mail = Some(bedside_service::config::MailConfig {
        server: format!("smtp://{}", config.listen).parse().unwrap(),
        password_file: None,
        from: "The practice <hello@visits.example>".to_owned(),
    });
    let found = wrong(&config).await;
    for what in ["folder: /nowhere", "address: another program", "relay: there is none", "mail: "] {
        assert!(found.iter().any(|line| line.starts_with(what)), "{what}: {found:?}");
    }
    // It changed nothing.
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    assert!(app.store.is_ready().await);
    app.store.close().await;
}
