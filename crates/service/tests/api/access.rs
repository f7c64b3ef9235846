//! Ways in beside a password: links into one visit, codes at a kiosk.

use bedside_protocol::{Role, topic};
use bedside_service::{App, machines};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    common::{Clinic, clinic, clinic_with},
    sockets::Socket,
};

async fn open(clinic: &Clinic, link: &Value, attempt: Option<&str>) -> (u16, Value) {
    let body = json!({ "token": link["token"], "attempt": attempt });
    let (status, answer) = clinic.service.send(Method::POST, "/api/v1/auth/link", None, Some(body)).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn a_link_opens_once_and_for_one_visit() {
    let clinic = clinic_with(|settings| {
        settings.public_url = Some("https://visits.example/bedside/".parse().unwrap());
    })
    .await;
    let appointment = clinic.appointment().await;
    let link = clinic.link(&appointment).await;
    let (url, token) = (link["url"].as_str().unwrap(), link["token"].as_str().unwrap());
    assert_eq!(url, format!("https://visits.example/bedside/visit#{token}"), "no server and no log sees it");
    let (status, pair) = open(&clinic, &link, Some("a secret of this browser")).await;
    assert_eq!((status, &pair["user"]["role"]), (200, &json!("GUEST")), "{pair}");
    let guest = pair["accessToken"].as_str().unwrap();

    // An answer that was lost is asked for again, by whoever knows the secret; the first is out.
    let (status, again) = open(&clinic, &link, Some("a secret of this browser")).await;
    assert_eq!(status, 200);
    let get = async |token: &str, path: &str| clinic.service.send(Method::GET, path, Some(token), None).await;
    assert_eq!(get(guest, "/api/v1/auth/me").await.0, 401);
    for attempt in [None, Some("a secret of another's")] {
        let (status, answer) = open(&clinic, &link, attempt).await;
        assert_eq!((status, &answer["code"]), (401, &json!("link-ended")));
    }
    let guest = again["accessToken"].as_str().unwrap();

    // One visit in their list, although there is another.
    clinic.another_visit().await;
    let (_, visits) = get(guest, "/api/v1/consultations/sessions").await;
    assert_eq!(visits.as_array().unwrap().len(), 1);
    assert_eq!(visits[0]["sessionId"], clinic.session.to_string());
    for path in ["/api/v1/consultations/history", "/api/v1/appointments", "/api/v1/audit", "/api/v1/doctors"]
    {
        assert_eq!(get(guest, path).await.0, 403, "{path}");
    }
    assert_eq!(get(guest, &format!("/api/v1/appointments/{appointment}")).await.0, 403);
    let name = json!({ "name": "Somebody else" });
    let (status, _) = clinic.service.send(Method::PATCH, "/api/v1/users/me", Some(guest), Some(name)).await;
    assert_eq!(status, 403, "it is the patient's name");

    // It is renewed like every sign-in, and stays in its visit.
    let body = json!({ "refreshToken": again["refreshToken"] });
    let (_, renewed) = clinic.service.send(Method::POST, "/api/v1/auth/refresh", None, Some(body)).await;
    assert_eq!(renewed["user"]["role"], "GUEST");
    let renewed = renewed["accessToken"].as_str().unwrap();
    assert_eq!(get(renewed, "/api/v1/audit").await.0, 403);

    // What they do is theirs in the log, not the patient's.
    let path = format!("/api/v1/audit?sessionId={}", clinic.session);
    let (_, log) = get(&clinic.admin.token, &path).await;
    let opened =
        log["items"].as_array().unwrap().iter().find(|line| line["action"] == "LINK_OPENED").unwrap();
    assert!(opened["userRole"] == "GUEST" && opened["guestSignIn"].is_string(), "{opened}");

    // Taken back, whoever came by it is out.
    let path = format!("/api/v1/appointments/{appointment}/links/{}", link["linkId"].as_str().unwrap());
    let by = async |token: &str| clinic.service.send(Method::DELETE, &path, Some(token), None).await;
    assert_eq!(by(&clinic.other_doctor.token).await.0, 403);
    assert_eq!(by(&clinic.doctor.token).await.0, 204);
    assert_eq!(by(&clinic.doctor.token).await.0, 404);
    assert_eq!(get(renewed, "/api/v1/auth/me").await.0, 401);
    let (_, links) = get(&clinic.doctor.token, &format!("/api/v1/appointments/{appointment}/links")).await;
    assert!(
        links[0]["openedAt"].is_string() && links[0]["endedAt"].is_string() && links[0]["token"].is_null()
    );
}

#[tokio::test]
async fn nobody_opens_what_ran_out_or_was_never_made() {
    let clinic = clinic().await;
    let appointment = clinic.appointment().await;
    let made_up = json!({ "token": "x".repeat(43) });
    assert_eq!(open(&clinic, &made_up, None).await.1["code"], "link-ended");
    let path = format!("/api/v1/appointments/{appointment}/links");
    for minutes in [0, 31] {
        let body = Some(json!({ "minutes": minutes }));
        let (status, _) = clinic.service.send(Method::POST, &path, Some(&clinic.doctor.token), body).await;
        assert_eq!(status, 422, "{minutes}");
    }
    let link = clinic.link(&appointment).await;
    clinic.in_the_call().await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    assert_eq!(open(&clinic, &link, None).await.1["code"], "link-ended", "the visit is over");
    let body = Some(json!({ "minutes": 5 }));
    let (_, answer) = clinic.service.send(Method::POST, &path, Some(&clinic.doctor.token), body).await;
    assert_eq!(answer["code"], "session-ended");
}

#[tokio::test]
async fn a_guest_hears_of_no_other_visit() {
    let clinic = clinic().await;
    let guest = clinic.guest().await;
    let (_, other) = clinic.another_visit().await;
    let mut socket = Socket::signed_in(&clinic, &guest).await;
    socket.subscribe(topic::NOTIFICATIONS).await;
    // The patient's own app enters both: the guest hears of theirs.
    for visit in [&other, &clinic.session.to_string()] {
        let path = format!("/api/v1/consultations/sessions/{visit}/join");
        let body = Some(json!({ "ready": true }));
        let (status, answer) =
            clinic.service.send(Method::POST, &path, Some(&clinic.patient.token), body).await;
        assert_eq!(status, 200, "{answer}");
    }
    let heard: Value = serde_json::from_str(&socket.frame().await.body).unwrap();
    assert_eq!(heard["payload"]["sessionId"], clinic.session.to_string());
}

#[tokio::test]
async fn a_patient_checks_in_at_a_kiosk() {
    let clinic = clinic().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let lasts = SignedDuration::from_hours(1);
    let kiosk = machines::add(&app, Role::Kiosk, "At the door", None, lasts).await.unwrap();
    let appointment = clinic.appointment().await;
    let path = format!("/api/v1/appointments/{appointment}");
    let read = async |token: &str| clinic.service.send(Method::GET, &path, Some(token), None).await;
    let (_, before) = read(&clinic.patient.token).await;
    let code = before["checkInCode"].as_str().unwrap().to_owned();
    assert!(before["checkedInAt"].is_null());
    let check_in = async |token: &str, code: &str| {
        let body = Some(json!({ "code": code }));
        clinic.service.send(Method::POST, "/api/v1/kiosk/check-in", Some(token), body).await
    };
    assert_eq!(check_in(&clinic.patient.token, &code).await.0, 403);
    let token = kiosk.token.expose();
    assert_eq!(check_in(token, "AAAAAA").await.0, 404);
    let typed = format!(" {}-{} ", &code[..3].to_lowercase(), &code[3..]);
    let (status, answer) = check_in(token, &typed).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["appointment"]["checkedInAt"].is_string());
    let guest = answer["signIn"]["accessToken"].as_str().unwrap();
    let (status, session) = clinic.service.send(Method::GET, &clinic.path(""), Some(guest), None).await;
    assert_eq!((status.as_u16(), &session["sessionId"]), (200, &json!(clinic.session.to_string())));
    assert!(read(&clinic.admin.token).await.1["checkedInAt"].is_string(), "the desk sees it");

    // Nobody tries codes until one fits.
    let guesses = futures_util::future::join_all((0..20).map(|_| check_in(token, "BBBBBB"))).await;
    assert!(guesses.iter().any(|(status, _)| *status == 429), "{guesses:?}");

    // Who checks in again takes the place of who did before.
    let (_, again) = check_in(token, &code).await;
    let (status, _) = clinic.service.send(Method::GET, &clinic.path(""), Some(guest), None).await;
    assert_eq!((status.as_u16(), again["signIn"].is_object()), (401, true));

    let another = machines::renew(&app, kiosk.id, lasts).await.unwrap();
    app.store.close().await;
    assert_eq!(check_in(token, &code).await.0, 401, "it was given another");
    let me = clinic.service.send(Method::GET, "/api/v1/auth/me", Some(another.token.expose()), None).await;
    assert_eq!(me.1["role"], "KIOSK");
}

#[tokio::test]
async fn the_desk_makes_a_patient_who_comes_by_a_link() {
    let clinic = clinic().await;
    let post = async |path: &str, token: &str, body: Value| {
        clinic.service.send(Method::POST, path, Some(token), Some(body)).await
    };
    let desk = clinic.admin.token.as_str();
    assert_eq!(post("/api/v1/users", &clinic.doctor.token, json!({ "name": "Ada Berger" })).await.0, 403);
    let (status, made) = post("/api/v1/users", desk, json!({ "name": "Ada Berger" })).await;
    assert_eq!((status.as_u16(), &made["role"]), (201, &json!("PATIENT")), "{made}");
    let appointment = json!({
        "patientId": made["id"], "doctorId": clinic.doctor.id, "scheduledDurationMinutes": 15,
        "consultationMode": "VIDEO", "scheduledStartTime": jiff::Timestamp::now(),
    });
    let (_, booked) = post("/api/v1/appointments", desk, appointment).await;
    let link = clinic.link(booked["appointmentId"].as_str().unwrap()).await;
    let (_, pair) = open(&clinic, &link, None).await;
    let path = format!("/api/v1/consultations/sessions/{}/join", booked["sessionId"].as_str().unwrap());
    let (status, joined) = post(&path, pair["accessToken"].as_str().unwrap(), json!({ "ready": true })).await;
    assert_eq!((status.as_u16(), &joined["session"]["status"]), (200, &json!("WAITING")), "{joined}");

    // With an address there is one account for it, and no way in without a password.
    let body = json!({ "name": "Ada Berger", "email": "ada@planted.example" });
    assert_eq!(post("/api/v1/users", desk, body.clone()).await.0, 201);
    assert_eq!(post("/api/v1/users", desk, body).await.1["code"], "email-taken");
    let nothing = json!({ "email": "ada@planted.example", "password": "" });
    let (status, _) = clinic.service.send(Method::POST, "/api/v1/auth/login", None, Some(nothing)).await;
    assert_eq!(status, 401);
}
