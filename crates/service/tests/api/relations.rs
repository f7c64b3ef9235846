//! Appointments, practice hours and invitations in every state, by everybody: whoever the table gives no right has
//! none, whatever the thing is doing, and changes nothing.

use bedside_authz::{Who, decide};
use bedside_protocol::{Party, Role};
use bedside_service::ROUTES;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Clinic, Person, clinic};

/// Somebody who asks, and the side that they are on.
struct Caller<'a> {
    name: &'static str,
    who: Option<(Role, Option<Party>)>,
    token: Option<&'a str>,
}

fn callers(clinic: &Clinic) -> [Caller<'_>; 6] {
    let caller = |name, person: &'static str, role, side| {
        let token = match person {
            "patient" => &clinic.patient.token,
            "doctor" => &clinic.doctor.token,
            "other patient" => &clinic.other_patient.token,
            "other doctor" => &clinic.other_doctor.token,
            _ => &clinic.admin.token,
        };
        Caller { name, who: Some((role, side)), token: Some(token.as_str()) }
    };
    [
        Caller { name: "nobody", who: None, token: None },
        caller("its patient", "patient", Role::Patient, Some(Party::Patient)),
        caller("its doctor", "doctor", Role::Doctor, Some(Party::Doctor)),
        caller("another patient", "other patient", Role::Patient, None),
        caller("another doctor", "other doctor", Role::Doctor, None),
        caller("an administrator", "admin", Role::ClinicAdmin, None),
    ]
}

/// A body that each route would take.
fn body(clinic: &Clinic, path: &str) -> Value {
    match path.rsplit('/').next() {
        Some("verify-payment") => json!({ "paymentId": "p-1" }),
        Some("links") => json!({ "minutes": 5 }),
        Some("ready") => json!({ "ready": true }),
        Some("invitations") => json!({ "patientId": clinic.patient.id }),
        _ => json!({}),
    }
}

async fn ask(clinic: &Clinic, who: &Person, method: Method, path: &str, body: Value) -> Value {
    let body = (method != Method::GET).then_some(body);
    let (status, answer) = clinic.service.send(method, path, Some(&who.token), body).await;
    assert!(status.is_success(), "{path}: {status} {answer}");
    answer
}

async fn post(clinic: &Clinic, who: &Person, path: &str, body: Value) -> Value {
    ask(clinic, who, Method::POST, path, body).await
}

/// Everybody tries what the table does not give them with one thing, and reads it where it does.
async fn try_all(clinic: &Clinic, prefix: &str, id: &str, state: &str) -> usize {
    let own = format!("{prefix}/{id}");
    let read = async || ask(clinic, &clinic.doctor, Method::GET, &own, Value::Null).await;
    let before = read().await;
    assert_eq!(before["status"], state, "{before}");
    let mut tried = 0;
    let routes = ROUTES.iter().filter(|route| route.path.starts_with(&format!("{prefix}/{{id}}")));
    for route in routes {
        let path = route.path.replace("{id}", id).replace("{patient}", &clinic.patient.id.to_string());
        let path = path.replace("{link}", "01890a5d-ac96-774b-bcce-b302099a8057");
        for caller in callers(clinic) {
            let may = match caller.who {
                None => route.action.who() == Who::Anybody,
                Some((role, side)) => decide(route.action, role, side).is_ok(),
            };
            if may && route.method != "get" {
                continue;
            }
            let method: Method = route.method.to_uppercase().parse().unwrap();
            let sent = (method != Method::GET && method != Method::DELETE).then(|| body(clinic, route.path));
            let (status, answer) = clinic.service.send(method, &path, caller.token, sent).await;
            let what = format!("{} {path} by {} while {state}: {answer}", route.method, caller.name);
            let expected = if caller.who.is_none() { 401 } else { 403 };
            if may {
                assert!(!matches!(status.as_u16(), 401 | 403), "{what}");
            } else {
                assert_eq!(status.as_u16(), expected, "{what}");
            }
            tried += 1;
        }
    }
    assert_eq!(read().await, before, "nothing changed while {state}");
    tried
}

#[tokio::test]
async fn of_appointments() {
    const APPOINTMENTS: &str = "/api/v1/appointments";
    let clinic = clinic().await;
    let id = clinic.appointment().await;
    assert!(try_all(&clinic, APPOINTMENTS, &id, "BOOKED").await > 20);
    clinic.in_the_call().await;
    try_all(&clinic, APPOINTMENTS, &id, "IN_PROGRESS").await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    try_all(&clinic, APPOINTMENTS, &id, "COMPLETED").await;
    let (other, _) = clinic.another_visit().await;
    post(&clinic, &clinic.doctor, &format!("{APPOINTMENTS}/{other}/cancel"), json!({})).await;
    try_all(&clinic, APPOINTMENTS, &other, "CANCELLED").await;
}

#[tokio::test]
async fn of_practice_hours_and_invitations() {
    const SCHEDULES: &str = "/api/v1/schedules";
    const INVITATIONS: &str = "/api/v1/invitations";
    let clinic = clinic().await;
    let (doctor, patient) = (&clinic.doctor, &clinic.patient);
    let hours = json!({ "date": "2026-12-01", "startTime": "09:00", "endTime": "12:30" });
    let made = post(&clinic, doctor, SCHEDULES, hours).await;
    let id = made["id"].as_str().unwrap();
    let path = format!("{SCHEDULES}/{id}");
    post(&clinic, doctor, &format!("{path}/start"), json!({})).await;
    post(&clinic, patient, &format!("{path}/queue"), json!({})).await;
    assert!(try_all(&clinic, SCHEDULES, id, "ONLINE").await > 20);
    let invite = async || {
        post(&clinic, patient, &format!("{path}/queue/me/ready"), json!({ "ready": true })).await;
        let body = json!({ "patientId": patient.id });
        let invitation = post(&clinic, doctor, &format!("{path}/invitations"), body).await;
        invitation["id"].as_str().unwrap().to_owned()
    };
    let first = invite().await;
    try_all(&clinic, INVITATIONS, &first, "INVITED").await;
    try_all(&clinic, SCHEDULES, id, "ONLINE").await;
    post(&clinic, patient, &format!("{INVITATIONS}/{first}/decline"), json!({})).await;
    try_all(&clinic, INVITATIONS, &first, "DECLINED").await;
    let second = invite().await;
    let confirmed = post(&clinic, patient, &format!("{INVITATIONS}/{second}/confirm"), json!({})).await;
    try_all(&clinic, INVITATIONS, &second, "CONFIRMED").await;
    let visit = format!("/api/v1/consultations/sessions/{}", confirmed["sessionId"].as_str().unwrap());
    for who in [doctor, patient] {
        post(&clinic, who, &format!("{visit}/join"), json!({})).await;
    }
    try_all(&clinic, INVITATIONS, &second, "ACTIVE").await;
    post(&clinic, doctor, &format!("{INVITATIONS}/{second}/end"), json!({})).await;
    try_all(&clinic, INVITATIONS, &second, "ENDED").await;
    post(&clinic, doctor, &format!("{path}/end"), json!({})).await;
    try_all(&clinic, SCHEDULES, id, "COMPLETED").await;
}
