//! Every route by role and by relation: who may, who may not, and that a refusal changes nothing.

mod common;

use common::{Clinic, Person, clinic};
use reqwest::Method;
use serde_json::{Value, json};

/// What each of the callers gets, in the order of [`CALLERS`].
struct Rule {
    method: Method,
    path: &'static str,
    body: Value,
    expect: [u16; 6],
}

const CALLERS: [&str; 6] = ["nobody", "patient", "doctor", "other patient", "other doctor", "administrator"];

fn rule(method: Method, path: &'static str, body: Value, expect: [u16; 6]) -> Rule {
    Rule { method, path, body, expect }
}

fn callers(clinic: &Clinic) -> [Option<&Person>; 6] {
    [
        None,
        Some(&clinic.patient),
        Some(&clinic.doctor),
        Some(&clinic.other_patient),
        Some(&clinic.other_doctor),
        Some(&clinic.admin),
    ]
}

#[tokio::test]
async fn the_matrix() {
    let feedback = json!({ "overallRating": 5 });
    // The visit is scheduled and nobody is in it: what is allowed by role may still be refused by
    // its state (409), which is not what is looked at here.
    let rules = [
        rule(Method::GET, "", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/chat", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/summary", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/feedback", json!(null), [401, 404, 404, 403, 403, 403]),
        rule(Method::POST, "/feedback", feedback, [401, 409, 403, 403, 403, 403]),
        rule(Method::POST, "/admit", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/pause", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/resume", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/end", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/leave", json!({}), [401, 200, 200, 403, 403, 403]),
        rule(Method::POST, "/attachments?name=a.txt", json!("text"), [401, 201, 201, 403, 403, 403]),
    ];
    let clinic = clinic().await;
    for rule in &rules {
        for (at, caller) in callers(&clinic).into_iter().enumerate() {
            let token = caller.map(|person| person.token.as_str());
            let body = (rule.method == Method::POST).then(|| rule.body.clone());
            let (status, answer) =
                clinic.service.send(rule.method.clone(), &clinic.path(rule.path), token, body).await;
            assert_eq!(status, rule.expect[at], "{} {} by {}: {answer}", rule.method, rule.path, CALLERS[at]);
            if status.is_client_error() {
                assert!(answer["code"].is_string(), "a refusal has a code: {answer}");
            }
        }
    }
    let (_, session) =
        clinic.service.send(Method::GET, &clinic.path(""), Some(&clinic.doctor.token), None).await;
    assert_eq!(session["status"], "SCHEDULED", "nothing changed");
}

#[tokio::test]
async fn appointments_are_made_by_the_clinic() {
    let clinic = clinic().await;
    let body = json!({
        "patientId": clinic.patient.id, "doctorId": clinic.doctor.id, "scheduledStartTime": jiff::Timestamp::now(),
        "scheduledDurationMinutes": 15, "consultationMode": "VIDEO"
    });
    for (at, expected) in [401, 403, 201, 403, 403, 201].into_iter().enumerate() {
        let token = callers(&clinic)[at].map(|person| person.token.as_str());
        let (status, answer) =
            clinic.service.send(Method::POST, "/api/v1/appointments", token, Some(body.clone())).await;
        assert_eq!(status, expected, "by {}: {answer}", CALLERS[at]);
    }
}

#[tokio::test]
async fn media_is_only_for_the_admitted() {
    let clinic = clinic().await;
    let (status, early) = clinic.post(&clinic.doctor, "/join", json!({})).await;
    assert_eq!((status.as_u16(), &early["admitted"]), (200, &json!(false)));
    assert!(early["accessToken"].is_null() && early["iceServers"] == json!([]), "{early}");
    let (_, waiting) = clinic.post(&clinic.patient, "/join", json!({ "ready": true })).await;
    assert!(waiting["accessToken"].is_null() && waiting["iceServers"] == json!([]), "{waiting}");
    assert_eq!(waiting["session"]["status"], "WAITING");

    clinic.post(&clinic.doctor, "/admit", json!({})).await;
    let (_, admitted) = clinic.post(&clinic.patient, "/join", json!({})).await;
    assert!(admitted["accessToken"].is_string(), "{admitted}");
    assert!(admitted["iceServers"][0]["urls"].as_str().unwrap().starts_with("turn:"));
    for stranger in [&clinic.other_patient, &clinic.other_doctor, &clinic.admin] {
        let (status, answer) = clinic.post(stranger, "/join", json!({})).await;
        assert_eq!((status.as_u16(), answer["code"].as_str()), (403, Some("not-a-participant")));
    }
    clinic.post(&clinic.doctor, "/join", json!({})).await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    for person in [&clinic.patient, &clinic.doctor] {
        let (status, answer) = clinic.post(person, "/join", json!({})).await;
        assert_eq!((status.as_u16(), answer["code"].as_str()), (409, Some("session-ended")));
    }
}
