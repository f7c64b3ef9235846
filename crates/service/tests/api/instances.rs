//! Several services on one database: what one person does through one of them reaches those of the others.

use std::time::Duration;

use bedside_protocol::{app, topic};
use bedside_servers::Nats;
use futures_util::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    common::{Clinic, Person, Service, clinic_with, shared_database},
    sockets::{Socket, send},
};

/// Two services, the doctor's and the patient's, and their sockets in the visit's topic.
struct Two {
    clinic: Clinic,
    other: Service,
    doctor: Socket,
    patient: Socket,
}

async fn two(absent_minutes: u32) -> Two {
    two_over(absent_minutes, None).await
}

/// The same, who say what they have to say over NATS.
async fn two_over(absent_minutes: u32, nats: Option<&Nats>) -> Two {
    let clinic = clinic_with(|settings| {
        settings.nats = nats.map(|nats| vec![nats.address().parse().unwrap()]);
        settings.database = Some(shared_database().parse().unwrap());
        settings.absent_minutes = Some(absent_minutes);
    })
    .await;
    let other = clinic.service.beside().await;
    let doctor = listens(&clinic.service, &clinic, &clinic.doctor).await;
    let patient = listens(&other, &clinic, &clinic.patient).await;
    Two { clinic, other, doctor, patient }
}

async fn listens(service: &Service, clinic: &Clinic, who: &Person) -> Socket {
    let mut socket = Socket::signed_in_at(service.address, &who.token).await;
    for destination in [&topic::session(clinic.session), topic::NOTIFICATIONS, topic::SIGNALS] {
        socket.subscribe(destination).await;
    }
    socket
}

fn chat(clinic: &Clinic, text: &str) -> bedside_protocol::stomp::Frame {
    let payload = json!({
        "sessionId": clinic.session, "messageType": "text", "content": text,
        "clientMessageId": uuid::Uuid::new_v4(),
    });
    send(app::CHAT_SEND, &json!({ "type": "CHAT_MESSAGE", "payload": payload }))
}

/// The participants as a service tells them.
async fn participants(service: &Service, clinic: &Clinic) -> Vec<String> {
    let (status, session) =
        service.send(Method::GET, &clinic.path(""), Some(&clinic.doctor.token), None).await;
    assert_eq!(status, StatusCode::OK, "{session}");
    let participants = session["participants"].as_array().unwrap();
    participants.iter().map(|one| one["status"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn what_one_does_through_one_service_reaches_those_of_another() {
    a_visit_at_two(two(10).await).await;
}

#[tokio::test]
async fn it_does_over_nats() {
    let nats = Nats::start().unwrap();
    let listener = async_nats::connect(nats.address()).await.unwrap();
    let mut said = listener.subscribe("bedside.>").await.unwrap();
    a_visit_at_two(two_over(10, Some(&nats)).await).await;
    let mut subjects = std::collections::BTreeSet::new();
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_millis(500), said.next()).await {
        subjects.insert(message.subject.to_string());
    }
    let has = |part: &str| subjects.iter().any(|subject| subject.contains(part));
    assert!(has("bedside.topic.session.") && has(".user.queue.signals"), "{subjects:?}");
}

#[tokio::test]
async fn it_does_while_nats_is_away() {
    let mut nats = Nats::start().unwrap();
    let Two { clinic, other, mut doctor, mut patient } = two_over(10, Some(&nats)).await;
    doctor.send(&chat(&clinic, "over NATS")).await;
    patient.until(&["CHAT_MESSAGE", "over NATS"]).await;
    nats.kill().unwrap();
    doctor.send(&chat(&clinic, "over PostgreSQL")).await;
    patient.until(&["CHAT_MESSAGE", "over PostgreSQL"]).await;
    nats.resume().unwrap();
    // What was said meanwhile may have been missed: they come back, and fetch it.
    let ((), _, _) = tokio::join!(async {}, doctor.ends(), patient.ends());
    let mut doctor = listens(&clinic.service, &clinic, &clinic.doctor).await;
    let mut patient = listens(&other, &clinic, &clinic.patient).await;
    doctor.send(&chat(&clinic, "over NATS again")).await;
    patient.until(&["CHAT_MESSAGE", "over NATS again"]).await;
    patient.send(&chat(&clinic, "and back")).await;
    doctor.until(&["CHAT_MESSAGE", "and back"]).await;
}

async fn a_visit_at_two(Two { clinic, other, mut doctor, mut patient }: Two) {
    doctor.until(&["PARTICIPANT_STATUS", &clinic.patient.id.to_string(), "\"connected\""]).await;
    for service in [&clinic.service, &other] {
        assert_eq!(participants(service, &clinic).await, ["connected", "connected"]);
    }

    let waits = json!({ "ready": true });
    other.send(Method::POST, &clinic.path("/join"), Some(&clinic.patient.token), Some(waits)).await;
    doctor.until(&["SESSION_STATUS", "WAITING"]).await;
    clinic.post(&clinic.doctor, "/admit", json!({})).await;
    patient.until(&["SESSION_STATUS", "\"admitted\":true"]).await;
    clinic.post(&clinic.doctor, "/join", json!({})).await;
    let (_, joined) =
        other.send(Method::POST, &clinic.path("/join"), Some(&clinic.patient.token), Some(json!({}))).await;

    // Longer than what the database passes on at once, and of letters of several bytes.
    let long = "🙂🙂\" ".repeat(950);
    patient.send(&chat(&clinic, &long)).await;
    let heard: Value = serde_json::from_str(&doctor.until(&["CHAT_MESSAGE", "\"text\""]).await.body).unwrap();
    assert_eq!(heard["payload"]["content"], long);
    doctor.send(&chat(&clinic, "understood")).await;
    patient.until(&["CHAT_MESSAGE", "understood"]).await;

    let signal = json!({ "type": "SIGNAL", "payload": { "sessionId": clinic.session,
        "from": "01890a5d-ac96-774b-bcce-b302099a8057", "body": { "kind": "hello", "reply": false } } });
    let token = joined["accessToken"].as_str().unwrap();
    patient.send(&send(app::CALL_SIGNAL, &signal).header("media-token", token)).await;
    doctor.until(&["SIGNAL", "hello"]).await;

    // A token of one is one of the other's, and one that has ended has ended for both.
    let (_, left) =
        other.send(Method::POST, &clinic.path("/leave"), Some(&clinic.patient.token), Some(json!({}))).await;
    assert_eq!(left["participants"][0]["status"], "disconnected", "{left}");
    doctor.until(&["PARTICIPANT_STATUS", "\"disconnected\""]).await;
}

#[tokio::test]
async fn a_service_that_stops_leaves_its_people_to_the_other() {
    let Two { clinic, mut other, mut doctor, patient } = two(10).await;
    doctor.until(&["PARTICIPANT_STATUS", &clinic.patient.id.to_string(), "\"connected\""]).await;
    let ((), ended) = tokio::join!(other.stop(), patient.ends());
    assert_eq!(ended.as_deref(), Some("the service is stopping"));
    doctor.until(&["PARTICIPANT_STATUS", "\"reconnecting\""]).await;
    assert_eq!(participants(&clinic.service, &clinic).await, ["reconnecting", "connected"]);
    let _patient = listens(&clinic.service, &clinic, &clinic.patient).await;
    doctor.until(&["PARTICIPANT_STATUS", "\"connected\""]).await;
}

#[tokio::test]
async fn somebody_with_sockets_at_both_is_there_until_the_last_is_gone() {
    let Two { clinic, other, mut doctor, patient } = two(10).await;
    let again = listens(&clinic.service, &clinic, &clinic.patient).await;
    drop(patient);
    let at_other = listens(&other, &clinic, &clinic.patient).await;
    drop(again);
    drop(at_other);
    doctor.until(&["PARTICIPANT_STATUS", "\"reconnecting\""]).await;
    assert_eq!(participants(&other, &clinic).await, ["reconnecting", "connected"]);
}

#[tokio::test]
async fn a_service_without_a_visits_sockets_does_not_end_it() {
    let Two { clinic, other, doctor, patient } = two(0).await;
    clinic.in_the_call().await;
    // Neither of them has a third's sockets.
    let third = clinic.service.beside().await;
    let path = clinic.path("");
    let status = async |service: &Service| {
        let (_, session) = service.send(Method::GET, &path, Some(&clinic.doctor.token), None).await;
        session["status"].as_str().unwrap().to_owned()
    };
    // The timers look every five seconds.
    tokio::time::sleep(Duration::from_secs(11)).await;
    for service in [&clinic.service, &other, &third] {
        assert_eq!(status(service).await, "IN_PROGRESS");
    }
    drop((doctor, patient));
    let mut waits = listens_to_own(&third, &clinic.doctor).await;
    waits.until(&["SESSION_STATUS", "FAILED"]).await;
}

async fn listens_to_own(service: &Service, who: &Person) -> Socket {
    let mut socket = Socket::signed_in_at(service.address, &who.token).await;
    socket.subscribe(topic::NOTIFICATIONS).await;
    socket
}
