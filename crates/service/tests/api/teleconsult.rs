//! A client written from teleconsult's document: its example bodies, word for word but for the ids, and every field of
//! its example answers.

use bedside_protocol::topic;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    common::{Clinic, Person, clinic, clinic_with},
    sockets::{Socket, send},
};

async fn ask(clinic: &Clinic, who: &Person, method: Method, path: &str, body: Option<&str>) -> Value {
    let body = body.map(|body| serde_json::from_str(body).unwrap());
    let (status, answer) = clinic.service.send(method, path, Some(&who.token), body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

fn has(answer: &Value, fields: &[&str]) {
    for field in fields {
        assert!(!answer[field].is_null(), "{field} is missing: {answer}");
    }
}

#[tokio::test]
async fn a_visit_from_its_creation_to_its_summary() {
    let clinic = clinic_with(|settings| settings.relay_public_ip = Some("127.0.0.1".parse().unwrap())).await;
    let price = r#"{ "pricingType": "TIERED", "tierConfig": [{"upToMinutes": 15, "price": 500}, {"upToMinutes": 30, "price": 800}] }"#;
    let pricing = format!("/api/v1/doctors/{}/pricing/VIDEO", clinic.doctor.id);
    assert_eq!(ask(&clinic, &clinic.doctor, Method::PUT, &pricing, Some(price)).await["currency"], "INR");
    let create =
        format!(r#"{{ "appointmentId": "{}", "consultationMode": "VIDEO" }}"#, clinic.appointment().await);
    let sessions = "/api/v1/consultations/sessions";
    let made = ask(&clinic, &clinic.doctor, Method::POST, sessions, Some(&create)).await;
    has(
        &made,
        &["sessionId", "appointmentId", "status", "consultationMode", "scheduledStartTime", "roomName"],
    );
    assert_eq!((&made["status"], &made["sessionId"]), (&json!("SCHEDULED"), &json!(clinic.session)));

    ask(&clinic, &clinic.patient, Method::POST, &clinic.path("/join"), None).await;
    ask(&clinic, &clinic.doctor, Method::POST, &clinic.path("/admit"), None).await;
    let joined = ask(&clinic, &clinic.patient, Method::POST, &clinic.path("/join"), None).await;
    has(&joined, &["accessToken", "roomName", "identity", "participantType", "iceServers", "tokenExpiresAt"]);
    assert_eq!(joined["participantType"], "PATIENT");
    has(&joined["iceServers"][1], &["urls", "username", "credential"]);

    let mut doctor = Socket::signed_in(&clinic, &clinic.doctor.token).await;
    doctor.subscribe(&topic::session(clinic.session)).await;
    let mut patient = Socket::signed_in(&clinic, &clinic.patient.token).await;
    let message = r#"{
        "type": "CHAT_MESSAGE",
        "payload": { "sessionId": "session-uuid", "content": "Hello, how are you?", "messageType": "text" }
    }"#
    .replace("session-uuid", &clinic.session.to_string());
    patient.send(&send("/app/chat.send", &serde_json::from_str::<Value>(&message).unwrap())).await;
    let heard = doctor.until(&["Hello, how are you?"]).await;
    let heard: Value = serde_json::from_str(&heard.body).unwrap();
    assert_eq!(heard["type"], "CHAT_MESSAGE");
    has(
        &heard["payload"],
        &[
            "messageId",
            "sessionId",
            "senderId",
            "senderName",
            "senderType",
            "content",
            "messageType",
            "timestamp",
        ],
    );
    assert_eq!(heard["payload"]["senderType"], "patient");
    ask(&clinic, &clinic.doctor, Method::POST, &clinic.path("/pause"), None).await;
    let status: Value =
        serde_json::from_str(&doctor.until(&["SESSION_STATUS", "PAUSED"]).await.body).unwrap();
    has(&status["payload"], &["sessionId", "status", "participants"]);

    ask(&clinic, &clinic.doctor, Method::POST, &clinic.path("/end"), None).await;
    let prescribed = Some(r#"{ "prescriptionId": "rx-uuid-789" }"#);
    ask(&clinic, &clinic.doctor, Method::PUT, &clinic.path("/prescription"), prescribed).await;
    let summary = ask(&clinic, &clinic.patient, Method::GET, &clinic.path("/summary"), None).await;
    let named = [
        "sessionId",
        "appointmentId",
        "doctorName",
        "consultationMode",
        "scheduledDuration",
        "actualDuration",
        "startTime",
        "endTime",
        "status",
        "chatMessageCount",
        "prescriptionId",
        "feedbackSubmitted",
        "amountCharged",
        "currency",
    ];
    has(&summary, &named);
    assert_eq!((&summary["amountCharged"], &summary["currency"]), (&json!(500.0), &json!("INR")));

    let feedback = r#"{
        "overallRating": 5, "audioQuality": 4, "videoQuality": 4, "doctorBehaviour": 5, "reviewText": "Thank you",
        "feedbackTags": ["professional", "helpful", "punctual"], "wouldRecommend": true
    }"#;
    let given = ask(&clinic, &clinic.patient, Method::POST, &clinic.path("/feedback"), Some(feedback)).await;
    assert_eq!(given["feedbackTags"], json!(["Professional", "helpful", "On-time"]));
    let summary = ask(&clinic, &clinic.patient, Method::GET, &clinic.path("/summary"), None).await;
    assert_eq!(summary["feedbackSubmitted"], true);
    let history = "/api/v1/consultations/history";
    assert_eq!(ask(&clinic, &clinic.patient, Method::GET, history, None).await["items"][0], summary);
}

#[tokio::test]
async fn the_tags_that_the_document_offers_are_known() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    let tags = r#"["Professional", "Friendly", "Knowledgeable", "On-time", "Patient", "Clear explanations",
        "Good listener", "Thorough"]"#;
    let body = format!(r#"{{ "overallRating": 1, "feedbackTags": {tags} }}"#);
    let given = ask(&clinic, &clinic.patient, Method::POST, &clinic.path("/feedback"), Some(&body)).await;
    assert_eq!(given["feedbackTags"], serde_json::from_str::<Value>(tags).unwrap());
}
