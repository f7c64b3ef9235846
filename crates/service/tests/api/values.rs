//! Values that mean something else than they seem to.

use crate::{
    common::{PASSWORD, SURNAME, clinic, email},
    sockets::{Socket, send},
};
use bedside_protocol::{
    ChatStatus, ClientMessageId, MessageStatus, MessageType, OutgoingMessage, Role, ServerMessage,
    stomp::Frame, topic,
};
use bedside_service::App;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn nothing_is_read_before_it_is_written() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let mut patient = Socket::signed_in(&clinic, &clinic.patient.token).await;
    patient.subscribe(&topic::session(clinic.session)).await;
    let say = |text: &str| {
        let payload = json!({ "sessionId": clinic.session, "messageType": "text", "content": text });
        send("/app/chat.send", &json!({ "type": "CHAT_MESSAGE", "payload": payload }))
    };
    // Behind the two that say that both came.
    patient.send(&say("first")).await;
    let next = async |socket: &mut Socket| loop {
        let message = serde_json::from_str(&socket.frame().await.body).unwrap();
        if matches!(message, ServerMessage::ChatMessage(_) | ServerMessage::ChatStatus(_)) {
            break message;
        }
    };
    assert!(matches!(next(&mut patient).await, ServerMessage::ChatMessage(message) if message.seq == 3));
    let mut doctor = Socket::signed_in(&clinic, &clinic.doctor.token).await;
    for far in [u64::MAX, 1 << 63, 7] {
        let payload = json!({ "sessionId": clinic.session, "seq": far, "status": "read" });
        doctor.send(&send("/app/chat.status", &json!({ "type": "CHAT_STATUS", "payload": payload }))).await;
    }
    let ServerMessage::ChatStatus(ChatStatus { seq, .. }) = next(&mut patient).await else { panic!() };
    assert_eq!(seq, 3, "as far as there is something");
    patient.send(&say("second")).await;
    let ServerMessage::ChatMessage(second) = next(&mut patient).await else { panic!() };
    assert_eq!((second.seq, second.status), (4, MessageStatus::Sent));
}

#[tokio::test]
async fn a_topic_is_the_same_however_its_id_is_spelled() {
    let clinic = clinic().await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    let id = clinic.session.to_string();
    for (number, spelled) in
        [id.to_uppercase(), format!("{{{id}}}"), format!("urn:uuid:{id}")].iter().enumerate()
    {
        let subscribe = Frame::new("SUBSCRIBE")
            .header("id", number.to_string())
            .header("destination", format!("/topic/session.{spelled}"))
            .header("receipt", "1");
        socket.send(&subscribe).await;
        while socket.frame().await.command != "RECEIPT" {}
    }
    clinic.post(&clinic.patient, "/join", json!({})).await;
    let mut hears = std::collections::HashSet::new();
    while hears.len() < 3 {
        let frame = socket.frame().await;
        assert_ne!(frame.command, "ERROR", "{}", frame.body);
        if frame.body.contains("SESSION_STATUS") {
            hears.insert(frame.get("subscription").unwrap().to_owned());
        }
    }
}

#[tokio::test]
async fn the_schemes_case_means_nothing() {
    let clinic = clinic().await;
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let request = clinic.service.http.get(format!("http://{}/api/v1/auth/me", clinic.service.address));
        let request = request.header("authorization", format!("{scheme} {}", clinic.patient.token));
        assert_eq!(request.send().await.unwrap().status().as_u16(), 200, "{scheme}");
    }
}

#[tokio::test]
async fn nobody_hides_in_their_name() {
    let clinic = clinic().await;
    for (name, address) in [
        ("\u{202e}relleK airaM", "a@b.example"),
        ("\u{200b}\u{200b}", "a@b.example"),
        ("a\0b", "a@b.example"),
        ("two\nlines", "a@b.example"),
        ("Maria", "ma\u{200b}ria@b.example"),
    ] {
        let body = json!({ "email": address, "password": PASSWORD, "name": name });
        let (status, answer) =
            clinic.service.send(Method::POST, "/api/v1/auth/register", None, Some(body)).await;
        assert_eq!((status.as_u16(), answer["code"].as_str()), (422, Some("invalid")), "{name:?}");
    }
    let body = json!({ "email": email("new"), "password": PASSWORD, "name": format!("Müller-Lüdenscheidt, Zoë {SURNAME}") });
    assert_eq!(
        clinic.service.send(Method::POST, "/api/v1/auth/register", None, Some(body)).await.0.as_u16(),
        201
    );
}

#[tokio::test]
async fn nothing_is_written_into_a_visit_that_has_ended() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let row = app.store.session(clinic.session).await.unwrap().unwrap();
    let message = |content: &str| OutgoingMessage {
        session_id: clinic.session,
        client_message_id: ClientMessageId::generate(),
        message_type: MessageType::Text,
        content: content.into(),
        attachment_id: None,
    };
    let before = message("before");
    let store = async |outgoing: &OutgoingMessage| {
        let mut unit = app.store.begin(Timestamp::now()).await.unwrap();
        let stored = unit.add_message(&row, row.patient.id, outgoing).await.unwrap();
        unit.commit().await.unwrap();
        stored.map(|stored| stored.is_new)
    };
    assert_eq!(store(&before).await, Some(true));
    // Whoever writes has looked, and it ends before they have written.
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    assert_eq!(store(&message("after")).await, None);
    assert_eq!(store(&before).await, Some(false), "what was sent before is confirmed after it");
    app.store.close().await;
}

#[tokio::test]
async fn a_file_is_named_by_what_it_is() {
    let clinic = clinic().await;
    clinic.post(&clinic.patient, "/join", json!({})).await;
    let upload = async |name: &str, bytes: &'static [u8]| {
        let request = clinic.service.http.post(format!(
            "http://{}{}",
            clinic.service.address,
            clinic.path("/attachments")
        ));
        let response = request
            .query(&[("name", name)])
            .bearer_auth(&clinic.patient.token)
            .body(bytes)
            .send()
            .await
            .unwrap();
        response.json::<serde_json::Value>().await.unwrap()
    };
    let script = upload("Befund.pdf.bat", b"@echo off\r\n").await;
    assert_eq!((&script["fileName"], &script["mimeType"]), (&json!("Befund.pdf.txt"), &json!("text/plain")));
    let photo = upload("IMG_0001.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").await;
    assert!(photo["detail"].as_str().unwrap().contains("Most Compatible"), "{photo}");
    // A text is no picture, whoever says so.
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(topic::ERRORS).await;
    let payload = json!({ "sessionId": clinic.session, "messageType": "image", "content": "", "attachmentId": script["attachmentId"] });
    socket.send(&send("/app/chat.send", &json!({ "type": "CHAT_MESSAGE", "payload": payload }))).await;
    assert!(socket.frame().await.body.contains("no image"));
}

#[tokio::test]
async fn nobody_gives_themselves_a_doctors_name() {
    let clinic = clinic().await;
    let register = async |name: &str| {
        let body = json!({ "email": email(&uuid::Uuid::new_v4().simple().to_string()), "password": PASSWORD, "name": name });
        clinic.service.send(Method::POST, "/api/v1/auth/register", None, Some(body)).await.0.as_u16()
    };
    let doctor = format!("doctor {SURNAME}");
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    // Written with combining marks, as some systems do.
    let (jana, role) = ("Jana O\u{308}zdemir, MD", Role::Doctor);
    bedside_service::accounts::create_by_administrator(
        &app,
        role,
        &email("jana"),
        PASSWORD,
        jana,
        None,
        None,
    )
    .await
    .unwrap();
    app.store.close().await;
    let upper = format!("Dr.  {doctor}").to_uppercase();
    let titled = format!("Prof. Dr. med. {SURNAME}");
    for name in [
        &doctor,
        &upper,
        &titled,
        "Dr.Jana Özdemir",
        "ÖZDEMIR, Jana",
        "Jana Özdemir, M.D.",
        "Jana ’Özdemir’ -",
    ] {
        assert_eq!(register(name).await, 422, "{name}");
    }
    assert_eq!(register(&format!("Ada {SURNAME}")).await, 201, "somebody of their name");
    assert_eq!(register("Jana").await, 201, "or of a part of it");
    let rename = async |name: &str| {
        let body = Some(json!({ "name": name }));
        let path = "/api/v1/users/me";
        clinic.service.send(Method::PATCH, path, Some(&clinic.patient.token), body).await.0.as_u16()
    };
    assert_eq!((rename(&doctor).await, rename("Ada Q").await), (422, 200));
}
