//! Every route by role and by relation: who may, who may not, and that a refusal changes nothing.

use crate::common::{Clinic, Person, clinic, quality_report};
use bedside_authz::{Who, decide};
use bedside_protocol::{Party, Role};
use bedside_service::{App, ROUTES, machines};
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

/// Every route of a visit. What is allowed by role and relation may still be refused by the
/// visit's state (409) or for want of the thing (404): here it is scheduled, and nobody is in it.
fn rules() -> Vec<Rule> {
    let feedback = json!({ "overallRating": 5 });
    let quality = quality_report();
    vec![
        rule(Method::GET, "", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/chat", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/summary", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/feedback", json!(null), [401, 404, 404, 403, 403, 403]),
        rule(Method::GET, "/quality", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::POST, "/quality", quality, [401, 409, 409, 403, 403, 403]),
        rule(Method::POST, "/feedback", feedback, [401, 409, 403, 403, 403, 403]),
        rule(Method::POST, "/feedback/response", json!({ "text": "thanks" }), [401, 403, 404, 403, 403, 403]),
        rule(Method::GET, "/notes", json!(null), [401, 403, 200, 403, 403, 403]),
        rule(Method::PUT, "/notes", json!({ "notes": "a cough" }), [401, 403, 200, 403, 403, 403]),
        rule(
            Method::PUT,
            "/prescription",
            json!({ "prescriptionId": "rx-1" }),
            [401, 403, 200, 403, 403, 403],
        ),
        rule(Method::GET, "/fhir", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/issues", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::POST, "/issues", json!({ "issueType": "audio" }), [401, 201, 201, 403, 403, 403]),
        rule(Method::POST, "/admit", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/pause", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/resume", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/end", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/recall", json!({}), [401, 403, 409, 403, 403, 403]),
        rule(Method::POST, "/leave", json!({}), [401, 200, 200, 403, 403, 403]),
        rule(Method::POST, "/decline", json!({}), [401, 200, 403, 403, 403, 403]),
        rule(Method::POST, "/attachments?name=a.txt", json!("text"), [401, 201, 201, 403, 403, 403]),
        rule(Method::GET, NO_FILE, json!(null), [401, 404, 404, 403, 403, 403]),
        rule(Method::GET, NO_THUMBNAIL, json!(null), [401, 404, 404, 403, 403, 403]),
        rule(Method::POST, "/images?name=a.png", json!("no picture"), [401, 415, 415, 403, 403, 403]),
        rule(Method::GET, "/images", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, NO_IMAGE, json!(null), [401, 404, 404, 403, 403, 403]),
        rule(Method::DELETE, NO_MESSAGE, json!(null), [401, 404, 404, 403, 403, 403]),
        rule(Method::GET, "/participants", json!(null), [401, 200, 200, 403, 403, 403]),
        rule(Method::GET, "/events", json!(null), [401, 200, 200, 403, 403, 403]),
        // Last: these two change it.
        rule(Method::POST, "/join", json!({}), [401, 200, 200, 403, 403, 403]),
        rule(Method::POST, "/cancel", json!({}), [401, 200, 409, 403, 403, 403]),
    ]
}

/// Of a file that nobody sent.
const NO_FILE: &str = "/attachments/01890a5d-ac96-774b-bcce-b302099a8057";
const NO_THUMBNAIL: &str = "/attachments/01890a5d-ac96-774b-bcce-b302099a8057/thumbnail";
const NO_IMAGE: &str = "/images/01890a5d-ac96-774b-bcce-b302099a8057";
/// Of a message that nobody wrote.
const NO_MESSAGE: &str = "/chat/01890a5d-ac96-774b-bcce-b302099a8057";

/// A path as the document has it.
fn template(path: &str) -> &str {
    match path {
        NO_FILE => "/attachments/{attachment}",
        NO_THUMBNAIL => "/attachments/{attachment}/thumbnail",
        NO_IMAGE => "/images/{image}",
        NO_MESSAGE => "/chat/{message}",
        path => path,
    }
}

async fn send(clinic: &Clinic, rule: &Rule, caller: Option<&Person>) -> (u16, Value) {
    let token = caller.map(|person| person.token.as_str());
    let body = (rule.method != Method::GET).then(|| rule.body.clone());
    let path = clinic.path(rule.path);
    let (status, answer) = clinic.service.send(rule.method.clone(), &path, token, body).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn the_matrix() {
    let clinic = clinic().await;
    for rule in &rules() {
        // Those without a right first: what they leave behind would show in the others' answers.
        for at in [0, 3, 4, 5, 1, 2] {
            let (status, answer) = send(&clinic, rule, callers(&clinic)[at]).await;
            assert_eq!(status, rule.expect[at], "{} {} by {}: {answer}", rule.method, rule.path, CALLERS[at]);
            if status >= 400 {
                assert!(answer["code"].is_string(), "a refusal has a code: {answer}");
            }
        }
    }
}

#[tokio::test]
async fn who_has_no_right_has_none_in_any_state() {
    let clinic = clinic().await;
    let state = async || {
        let (_, session) =
            clinic.service.send(Method::GET, &clinic.path(""), Some(&clinic.doctor.token), None).await;
        (session["status"].clone(), session["admitted"].clone(), session["revision"].clone())
    };
    let steps: [(&Person, &str, &str); 6] = [
        (&clinic.patient, "/join", "WAITING"),
        (&clinic.doctor, "/admit", "WAITING"),
        (&clinic.patient, "/join", "IN_PROGRESS"),
        (&clinic.doctor, "/pause", "PAUSED"),
        (&clinic.doctor, "/resume", "IN_PROGRESS"),
        (&clinic.doctor, "/end", "COMPLETED"),
    ];
    for (who, step, expected) in steps {
        let (status, answer) = clinic.post(who, step, json!({})).await;
        assert_eq!(status, 200, "{answer}");
        let before = state().await;
        assert_eq!(before.0, expected);
        for rule in &rules() {
            for (at, caller) in callers(&clinic).into_iter().enumerate() {
                // Refused by who they are while it was scheduled: refused so now.
                if matches!(rule.expect[at], 401 | 403) {
                    let (status, answer) = send(&clinic, rule, caller).await;
                    let what = format!("{} {} by {} while {expected}", rule.method, rule.path, CALLERS[at]);
                    assert_eq!(status, rule.expect[at], "{what}: {answer}");
                }
            }
        }
        assert_eq!(state().await, before, "nothing changed");
    }
}

#[test]
fn every_route_of_a_visit_is_in_the_matrix() {
    const VISIT: &str = "/api/v1/consultations/sessions/{id}";
    let document = serde_json::to_value(bedside_service::openapi()).unwrap();
    let looked_at: Vec<_> = rules()
        .iter()
        .map(|rule| {
            let path = rule.path.split_once('?').map_or(rule.path, |(path, _)| path);
            format!("{} {}", rule.method.as_str().to_lowercase(), template(path))
        })
        .collect();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let Some(rest) = path.strip_prefix(VISIT) else { continue };
        for method in operations.as_object().unwrap().keys() {
            let route = format!("{method} {rest}");
            assert!(looked_at.contains(&route), "{route} is not in the matrix: {looked_at:?}");
        }
    }
}

/// The matrix was written by hand, and the service decides by the table: they say the same.
#[test]
fn the_table_says_what_the_matrix_says() {
    const VISIT: &str = "/api/v1/consultations/sessions/{id}";
    let by = [
        None,
        Some((Role::Patient, Some(Party::Patient))),
        Some((Role::Doctor, Some(Party::Doctor))),
        Some((Role::Patient, None)),
        Some((Role::Doctor, None)),
        Some((Role::ClinicAdmin, None)),
    ];
    for rule in &rules() {
        let path = rule.path.split_once('?').map_or(rule.path, |(path, _)| path);
        let path = format!("{VISIT}{}", template(path));
        let method = rule.method.as_str().to_lowercase();
        let route = ROUTES.iter().find(|route| route.method == method && route.path == path);
        let action = route.unwrap_or_else(|| panic!("{method} {path} asks for nothing")).action;
        for (at, who) in by.into_iter().enumerate() {
            let expected = match who {
                None => u16::from(action.who() != Who::Anybody) * 401,
                Some((role, side)) => u16::from(decide(action, role, side).is_err()) * 403,
            };
            let is_refused = matches!(rule.expect[at], 401 | 403);
            assert_eq!(
                if is_refused { rule.expect[at] } else { 0 },
                expected,
                "{method} {path} by {}",
                CALLERS[at]
            );
        }
    }
}

#[test]
fn every_route_asks_for_something() {
    let document = serde_json::to_value(bedside_service::openapi()).unwrap();
    let mut documented = vec![];
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let route = ROUTES.iter().find(|route| route.method == method && route.path == path);
            let route = route.unwrap_or_else(|| panic!("{method} {path} is in no table"));
            let is_open = route.action.who() == Who::Anybody;
            assert_eq!(operation["security"].is_null(), is_open, "{method} {path}");
            documented.push((method.clone(), path.clone()));
        }
    }
    for route in ROUTES {
        let there = documented.iter().any(|(method, path)| method == route.method && path == route.path);
        assert!(there, "there is no {} {}", route.method, route.path);
    }
}

/// What is about no visit, with a body that is refused only after the caller was looked at.
#[tokio::test]
async fn a_role_is_looked_at_before_the_request() {
    let clinic = clinic().await;
    let (kiosk, system) = (machine(&clinic, Role::Kiosk).await, machine(&clinic, Role::Service).await);
    let guest = clinic.guest().await;
    let callers: [(Option<Role>, Option<&str>); 7] = [
        (None, None),
        (Some(Role::Patient), Some(&clinic.patient.token)),
        (Some(Role::Doctor), Some(&clinic.doctor.token)),
        (Some(Role::ClinicAdmin), Some(&clinic.admin.token)),
        (Some(Role::Kiosk), Some(&kiosk)),
        (Some(Role::Service), Some(&system)),
        (Some(Role::Guest), Some(&guest)),
    ];
    for route in ROUTES {
        let Who::These { roles: allowed, sides: [] } = route.action.who() else { continue };
        let path =
            route.path.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057").replace("{code}", "ABCDEF");
        let body = match route.path {
            "/api/v1/appointments" => json!({
                "patientId": clinic.patient.id, "doctorId": clinic.doctor.id, "scheduledDurationMinutes": 0,
                "scheduledStartTime": jiff::Timestamp::now(), "consultationMode": "VIDEO"
            }),
            "/api/v1/schedules" => json!({
                "doctorId": clinic.doctor.id, "date": "2026-12-01", "startTime": "10:00", "endTime": "10:00"
            }),
            "/api/v1/consultations/sessions/instant" => json!({
                "patientId": clinic.patient.id, "consultationMode": "VIDEO", "scheduledDurationMinutes": 0
            }),
            "/api/v1/auth/password" => json!({ "currentPassword": "", "newPassword": "" }),
            "/api/v1/device-checks" => crate::device_checks::report(u64::MAX),
            "/api/v1/users" => json!({ "name": "" }),
            "/api/v1/kiosk/check-in" => json!({ "code": "0" }),
            "/api/v1/appointments/{id}/verify-payment" => json!({ "paymentId": "p-1" }),
            "/api/v1/doctors/{id}/pricing/{mode}" => json!({ "pricingType": "FLAT" }),
            "/api/v1/doctors/{id}/availability" => json!({
                "timeZone": "UTC", "slotMinutes": 0, "consultationModes": [], "weekly": []
            }),
            _ => json!({}),
        };
        let path =
            path.replace("{patient}", "01890a5d-ac96-774b-bcce-b302099a8057").replace("{mode}", "VIDEO");
        for (role, token) in callers {
            let method: Method = route.method.to_uppercase().parse().unwrap();
            let body = (method != Method::GET && method != Method::DELETE).then(|| body.clone());
            let (status, _) = clinic.service.send(method, &path, token, body).await;
            let expected = match role {
                None => 401,
                Some(role) if allowed.contains(&role) => 0,
                Some(_) => 403,
            };
            let status = status.as_u16();
            let refused = if matches!(status, 401 | 403) { status } else { 0 };
            assert_eq!(refused, expected, "{} {path} by {role:?}: {status}", route.method);
        }
    }
}

/// Whoever is no person has nothing to do in anybody's visit, whatever its state.
#[tokio::test]
async fn machines_have_no_part_in_a_visit() {
    let clinic = clinic().await;
    let machines = [machine(&clinic, Role::Kiosk).await, machine(&clinic, Role::Service).await];
    for is_running in [false, true] {
        if is_running {
            clinic.in_the_call().await;
        }
        for rule in &rules() {
            for token in &machines {
                let body = (rule.method != Method::GET).then(|| rule.body.clone());
                let path = clinic.path(rule.path);
                let (status, answer) =
                    clinic.service.send(rule.method.clone(), &path, Some(token), body).await;
                assert_eq!(status, 403, "{} {}: {answer}", rule.method, rule.path);
            }
        }
    }
}

/// The token of a kiosk or of another system.
async fn machine(clinic: &Clinic, role: Role) -> String {
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let lasts = jiff::SignedDuration::from_hours(1);
    let made = machines::add(&app, role, "At the door", None, lasts).await.unwrap();
    app.store.close().await;
    made.token.expose().to_owned()
}

/// Somebody who came by a link into a visit may there what its patient may, but for nothing of another.
#[tokio::test]
async fn a_guest_has_the_one_visit() {
    let clinic = clinic().await;
    let guest = clinic.guest().await;
    for rule in &rules() {
        let path = clinic.path(rule.path);
        let body = (rule.method != Method::GET).then(|| rule.body.clone());
        let (status, answer) = clinic.service.send(rule.method.clone(), &path, Some(&guest), body).await;
        assert_eq!(status, rule.expect[1], "{} {}: {answer}", rule.method, rule.path);
    }
    // Another of the same patient's.
    let (_, other) = clinic.another_visit().await;
    for rule in &rules() {
        let path = format!("/api/v1/consultations/sessions/{other}{}", rule.path);
        let body = (rule.method != Method::GET).then(|| rule.body.clone());
        let (status, answer) = clinic.service.send(rule.method.clone(), &path, Some(&guest), body).await;
        assert_eq!((status.as_u16(), &answer["code"]), (403, &json!("not-a-participant")), "{}", rule.path);
    }
}

#[tokio::test]
async fn appointments_are_made_by_the_clinic_or_in_a_free_slot() {
    let clinic = clinic().await;
    let body = json!({
        "patientId": clinic.patient.id, "doctorId": clinic.doctor.id, "scheduledStartTime": jiff::Timestamp::now(),
        "scheduledDurationMinutes": 15, "consultationMode": "VIDEO"
    });
    // The doctor can't be booked by patients; and nobody books for others.
    for (at, expected) in [401, 409, 201, 403, 403, 201].into_iter().enumerate() {
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
    let url = |n: usize| admitted["iceServers"][n]["urls"].as_str().unwrap();
    assert!(url(0).starts_with("stun:") && url(1).starts_with("turn:"), "{admitted}");
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
