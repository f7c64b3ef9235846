//! Practice hours from their opening to their close: who waits, who is invited, and what each is told.

use bedside_protocol::topic;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    common::{Clinic, Person, clinic},
    database::Outside,
    sockets::Socket,
};

const SCHEDULES: &str = "/api/v1/schedules";

async fn call(clinic: &Clinic, who: &Person, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = (method == Method::POST).then_some(body);
    let (status, answer) = clinic.service.send(method, path, Some(&who.token), body).await;
    (status.as_u16(), answer)
}

async fn post(clinic: &Clinic, who: &Person, path: &str, body: Value) -> Value {
    let (status, answer) = call(clinic, who, Method::POST, path, body).await;
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    answer
}

async fn refused(clinic: &Clinic, who: &Person, path: &str, body: Value) -> String {
    let (status, answer) = call(clinic, who, Method::POST, path, body).await;
    assert!(status >= 400, "{path}: {answer}");
    answer["code"].as_str().unwrap().to_owned()
}

async fn get(clinic: &Clinic, who: &Person, path: &str) -> Value {
    let (status, answer) = call(clinic, who, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Practice hours of the doctor's, open; gives their path.
async fn open(clinic: &Clinic, doctor: &Person) -> String {
    let hours = json!({ "date": "2026-12-01", "startTime": "09:00", "endTime": "12:30" });
    let made = post(clinic, doctor, SCHEDULES, hours).await;
    let path = format!("{SCHEDULES}/{}", made["id"].as_str().unwrap());
    assert_eq!((&made["status"], &made["appointmentType"]), (&json!("UPCOMING"), &json!("VIRTUAL")));
    post(clinic, doctor, &format!("{path}/start"), json!({})).await;
    path
}

/// Somebody who can be invited.
async fn ready(clinic: &Clinic, who: &Person, path: &str) {
    post(clinic, who, &format!("{path}/queue"), json!({})).await;
    post(clinic, who, &format!("{path}/queue/me/ready"), json!({ "ready": true })).await;
}

async fn invite(clinic: &Clinic, path: &str, patient: &Person) -> Value {
    post(clinic, &clinic.doctor, &format!("{path}/invitations"), json!({ "patientId": patient.id })).await
}

fn answer(invitation: &Value, how: &str) -> String {
    format!("/api/v1/invitations/{}/{how}", invitation["id"].as_str().unwrap())
}

#[tokio::test]
async fn somebody_walks_in_is_invited_and_seen() {
    let clinic = clinic().await;
    let path = open(&clinic, &clinic.doctor).await;
    let mut doctor = Socket::signed_in(&clinic, &clinic.doctor.token).await;
    doctor.subscribe(topic::NOTIFICATIONS).await;
    let mut patient = Socket::signed_in(&clinic, &clinic.patient.token).await;
    patient.subscribe(topic::NOTIFICATIONS).await;

    ready(&clinic, &clinic.patient, &path).await;
    doctor.until(&["\"QUEUE\"", "\"READY\"", "patient Quillfeather"]).await;
    let invitation = invite(&clinic, &path, &clinic.patient).await;
    assert_eq!(invitation["status"], "INVITED");
    patient.until(&["\"INVITATION\"", "\"INVITED\"", "expiresAt"]).await;
    let pending = get(&clinic, &clinic.patient, "/api/v1/invitations/pending").await;
    assert_eq!(pending[0]["id"], invitation["id"], "who polls reads the same");

    let confirmed = post(&clinic, &clinic.patient, &answer(&invitation, "confirm"), json!({})).await;
    assert_eq!(confirmed["status"], "CONFIRMED");
    let visit = format!("/api/v1/consultations/sessions/{}", confirmed["sessionId"].as_str().unwrap());
    let again = post(&clinic, &clinic.patient, &answer(&invitation, "confirm"), json!({})).await;
    assert_eq!(again["sessionId"], confirmed["sessionId"], "confirmed twice is confirmed");
    doctor.until(&["INVITATION_STATUS", "CONFIRMED"]).await;
    for who in [&clinic.patient, &clinic.doctor] {
        let joined = post(&clinic, who, &format!("{visit}/join"), json!({})).await;
        assert!(joined["accessToken"].is_string(), "both may enter the call: {joined}");
    }
    patient.until(&["INVITATION_STATUS", "ACTIVE"]).await;
    assert_eq!(
        get(&clinic, &clinic.doctor, &format!("{path}/queue")).await["entries"][0]["status"],
        "IN_CALL"
    );

    post(&clinic, &clinic.doctor, &format!("{visit}/end"), json!({})).await;
    patient.until(&["INVITATION_STATUS", "ENDED"]).await;
    let own = get(&clinic, &clinic.patient, &format!("{path}/queue")).await;
    assert_eq!((&own["total"], &own["entries"][0]["status"]), (&json!(0), &json!("DONE")));
    assert_eq!(get(&clinic, &clinic.patient, "/api/v1/invitations/pending").await, json!([]));
}

#[tokio::test]
async fn a_doctor_who_went_after_inviting_is_not_in_the_call() {
    let clinic = clinic().await;
    let path = open(&clinic, &clinic.doctor).await;
    ready(&clinic, &clinic.patient, &path).await;
    let invitation = invite(&clinic, &path, &clinic.patient).await;
    let confirmed = post(&clinic, &clinic.patient, &answer(&invitation, "confirm"), json!({})).await;
    let visit = format!("/api/v1/consultations/sessions/{}", confirmed["sessionId"].as_str().unwrap());
    let joined = post(&clinic, &clinic.patient, &format!("{visit}/join"), json!({})).await;
    let seen = &joined["session"];
    assert_eq!(
        (&seen["status"], &seen["elapsedSeconds"]),
        (&json!("WAITING"), &json!(0)),
        "nothing is charged yet"
    );
    let joined = post(&clinic, &clinic.doctor, &format!("{visit}/join"), json!({})).await;
    assert_eq!(joined["session"]["status"], "IN_PROGRESS");
    let happened = get(&clinic, &clinic.doctor, &format!("{visit}/events")).await;
    let came = |kind: &str| {
        happened["items"].as_array().unwrap().iter().filter(|one| one["eventType"] == kind).count()
    };
    assert_eq!((came("patient_joined"), came("doctor_joined")), (1, 1), "{happened}");
    let chat = get(&clinic, &clinic.doctor, &format!("{visit}/chat")).await;
    assert!(
        chat.to_string().contains("patient_joined") && chat.to_string().contains("doctor_joined"),
        "{chat}"
    );
}

#[tokio::test]
async fn hours_of_the_clinic_are_in_its_rooms_and_a_doctors_own_in_none() {
    let clinic = clinic().await;
    let app = bedside_service::App::open(clinic.service.config.clone(), None).await.unwrap();
    let here = bedside_service::accounts::add_clinic(&app, "Riverside").await.unwrap().unwrap();
    for person in [&clinic.doctor, &clinic.admin] {
        bedside_service::accounts::set_clinic(&app, person.id, Some(here)).await.unwrap();
    }
    app.store.close().await;
    let mut hours = json!({ "date": "2026-12-01", "startTime": "09:00", "endTime": "12:30" });
    let own = post(&clinic, &clinic.doctor, SCHEDULES, hours.clone()).await;
    assert_eq!((&own["creatorType"], &own["appointmentType"]), (&json!("DOCTOR"), &json!("VIRTUAL")));
    assert!(own.get("clinicId").is_none(), "{own}");
    hours["doctorId"] = json!(clinic.doctor.id);
    let clinics = post(&clinic, &clinic.admin, SCHEDULES, hours).await;
    assert_eq!(
        (&clinics["creatorType"], &clinics["appointmentType"]),
        (&json!("CLINIC_ADMIN"), &json!("IN_PERSON"))
    );
    assert_eq!(clinics["clinicId"], json!(here));
}

#[tokio::test]
async fn patients_read_nobody_elses_name() {
    let clinic = clinic().await;
    let path = open(&clinic, &clinic.doctor).await;
    ready(&clinic, &clinic.patient, &path).await;
    let mut wall = Socket::signed_in(&clinic, &clinic.other_patient.token).await;
    wall.subscribe(&path.replace("/api/v1/schedules/", "/topic/schedule.")).await;
    post(&clinic, &clinic.other_patient, &format!("{path}/queue"), json!({})).await;
    let told = wall.until(&["\"QUEUE\"", "\"queueNumber\":2"]).await;
    assert!(!told.body.contains("Quillfeather"), "{}", told.body);
    let seen = get(&clinic, &clinic.other_patient, &format!("{path}/queue")).await;
    assert!(seen["entries"][0]["patient"].is_null() && seen["entries"][1]["patient"].is_object(), "{seen}");
    assert_eq!((&seen["entries"][1]["place"], &seen["total"]), (&json!(2), &json!(2)));
    let practice = get(&clinic, &clinic.doctor, &format!("{path}/queue")).await;
    assert!(practice["entries"][0]["patient"].is_object(), "{practice}");
    let stranger = get(&clinic, &clinic.other_doctor, &format!("{path}/queue")).await;
    assert!(!stranger.to_string().contains("Quillfeather"), "{stranger}");
}

#[tokio::test]
async fn collisions_are_told_and_nobody_is_stuck() {
    let clinic = clinic().await;
    let path = open(&clinic, &clinic.doctor).await;
    let other = open(&clinic, &clinic.other_doctor).await;
    ready(&clinic, &clinic.patient, &path).await;
    ready(&clinic, &clinic.other_patient, &path).await;
    // Nobody waits for two doctors.
    let join = format!("{other}/queue");
    assert_eq!(refused(&clinic, &clinic.patient, &join, json!({})).await, "in-another-queue");
    // A doctor has one practice open, and one invitation.
    let hours = json!({ "date": "2026-12-01", "startTime": "14:00", "endTime": "15:00" });
    let second = post(&clinic, &clinic.doctor, SCHEDULES, hours).await;
    let start = format!("{SCHEDULES}/{}/start", second["id"].as_str().unwrap());
    assert_eq!(refused(&clinic, &clinic.doctor, &start, json!({})).await, "wrong-state");
    let first = invite(&clinic, &path, &clinic.patient).await;
    let again = invite(&clinic, &path, &clinic.patient).await;
    assert_eq!(first["id"], again["id"], "invited twice is invited");
    let invitations = format!("{path}/invitations");
    let theirs = json!({ "patientId": clinic.other_patient.id });
    assert_eq!(refused(&clinic, &clinic.doctor, &invitations, theirs.clone()).await, "wrong-state");

    // It runs out, as far as the database knows, a minute ago.
    Outside::of(&clinic).await.run("UPDATE invitations SET created_at = created_at - 60000").await;
    let code = refused(&clinic, &clinic.patient, &answer(&first, "confirm"), json!({})).await;
    assert_eq!(code, "invitation-expired");
    let expired = get(&clinic, &clinic.patient, answer(&first, "").trim_end_matches('/')).await;
    assert_eq!(expired["status"], "EXPIRED", "and so it stays");
    assert_eq!(
        refused(&clinic, &clinic.doctor, &invitations, json!({ "patientId": clinic.patient.id })).await,
        "wrong-state"
    );
    post(&clinic, &clinic.patient, &format!("{path}/queue/me/ready"), json!({ "ready": true })).await;

    // Declined, they wait on under their number.
    let second = invite(&clinic, &path, &clinic.other_patient).await;
    post(&clinic, &clinic.other_patient, &answer(&second, "decline"), json!({})).await;
    let queue = get(&clinic, &clinic.doctor, &format!("{path}/queue")).await;
    let state =
        |at: usize| (queue["entries"][at]["queueNumber"].clone(), queue["entries"][at]["status"].clone());
    assert_eq!([state(0), state(1)], [(json!(1), json!("READY")), (json!(2), json!("WAITING"))]);

    // A visit runs while the practice closes: it goes on, and who waits is told.
    let third = invite(&clinic, &path, &clinic.patient).await;
    let confirmed = post(&clinic, &clinic.patient, &answer(&third, "confirm"), json!({})).await;
    let mut waits = Socket::signed_in(&clinic, &clinic.other_patient.token).await;
    waits.subscribe(topic::NOTIFICATIONS).await;
    let closed = post(&clinic, &clinic.doctor, &format!("{path}/end"), json!({})).await;
    assert_eq!((&closed["status"], &closed["waiting"]), (&json!("COMPLETED"), &json!(0)));
    waits.until(&["\"QUEUE\"", "\"DONE\""]).await;
    let visit = format!("/api/v1/consultations/sessions/{}", confirmed["sessionId"].as_str().unwrap());
    assert_eq!(get(&clinic, &clinic.patient, &visit).await["admitted"], true);
    post(&clinic, &clinic.other_patient, &join, json!({})).await;
}

#[tokio::test]
async fn a_reset_ends_what_came_of_the_invitation() {
    let clinic = clinic().await;
    let path = open(&clinic, &clinic.doctor).await;
    ready(&clinic, &clinic.patient, &path).await;
    let invitation = invite(&clinic, &path, &clinic.patient).await;
    let confirmed = post(&clinic, &clinic.patient, &answer(&invitation, "confirm"), json!({})).await;
    let reset = format!("{path}/queue/{}/reset", clinic.patient.id);
    let queue = post(&clinic, &clinic.doctor, &reset, json!({})).await;
    assert_eq!(
        (&queue["entries"][0]["status"], &queue["entries"][0]["place"]),
        (&json!("WAITING"), &json!(1))
    );
    let visit = format!("/api/v1/consultations/sessions/{}", confirmed["sessionId"].as_str().unwrap());
    assert_eq!(get(&clinic, &clinic.patient, &visit).await["status"], "CANCELLED");
    // From the beginning.
    post(&clinic, &clinic.patient, &format!("{path}/queue/me/ready"), json!({ "ready": true })).await;
    let second = invite(&clinic, &path, &clinic.patient).await;
    let ended = post(&clinic, &clinic.doctor, &answer(&second, "end"), json!({})).await;
    assert_eq!(ended["status"], "ENDED", "taken back");
    let queue = get(&clinic, &clinic.doctor, &format!("{path}/queue")).await;
    assert_eq!(queue["entries"][0]["status"], "READY");
}

#[tokio::test]
async fn in_the_clinics_rooms_there_is_no_call() {
    let clinic = clinic().await;
    let hours = json!({ "doctorId": clinic.doctor.id, "date": "2026-12-01", "startTime": "09:00", "endTime": "10:00" });
    let made = post(&clinic, &clinic.admin, SCHEDULES, hours).await;
    assert_eq!(
        (&made["appointmentType"], &made["creatorType"]),
        (&json!("IN_PERSON"), &json!("CLINIC_ADMIN"))
    );
    let path = format!("{SCHEDULES}/{}", made["id"].as_str().unwrap());
    post(&clinic, &clinic.admin, &format!("{path}/start"), json!({})).await;
    ready(&clinic, &clinic.patient, &path).await;
    let called = invite(&clinic, &path, &clinic.patient).await;
    assert_eq!((&called["status"], &called["sessionId"]), (&json!("ACTIVE"), &Value::Null));
    let ended = post(&clinic, &clinic.admin, &answer(&called, "end"), json!({})).await;
    assert_eq!(ended["status"], "ENDED");
}

#[tokio::test]
async fn one_that_ran_out_keeps_nobody_from_the_next() {
    let clinic = clinic().await;
    let path = open(&clinic, &clinic.doctor).await;
    ready(&clinic, &clinic.patient, &path).await;
    ready(&clinic, &clinic.other_patient, &path).await;
    let first = invite(&clinic, &path, &clinic.patient).await;
    // A minute later, before any timer has looked.
    Outside::of(&clinic).await.run("UPDATE invitations SET created_at = created_at - 60000").await;
    let second = invite(&clinic, &path, &clinic.other_patient).await;
    let first = get(&clinic, &clinic.patient, answer(&first, "").trim_end_matches('/')).await;
    assert_eq!(first["status"], "EXPIRED");
    assert_eq!(get(&clinic, &clinic.patient, "/api/v1/invitations/pending").await, json!([]));
    post(&clinic, &clinic.other_patient, &answer(&second, "decline"), json!({})).await;
    post(&clinic, &clinic.patient, &format!("{path}/queue/me/ready"), json!({ "ready": true })).await;
    assert_eq!(invite(&clinic, &path, &clinic.patient).await["status"], "INVITED");
}

#[tokio::test]
async fn each_does_only_what_is_theirs() {
    let clinic = clinic().await;
    let path = open(&clinic, &clinic.doctor).await;
    ready(&clinic, &clinic.patient, &path).await;
    let invitation = invite(&clinic, &path, &clinic.patient).await;
    let Clinic { doctor, patient, other_doctor, other_patient, admin, .. } = &clinic;
    let ready = json!({ "ready": true });
    let invites = json!({ "patientId": patient.id });
    let reset = format!("{path}/queue/{}/reset", patient.id);
    let (start, join, own, invites_to) = (
        format!("{path}/start"),
        format!("{path}/queue"),
        format!("{path}/queue/me/ready"),
        format!("{path}/invitations"),
    );
    let (confirm, decline, end) =
        (answer(&invitation, "confirm"), answer(&invitation, "decline"), answer(&invitation, "end"));
    let hours = json!({ "date": "2026-12-01", "startTime": "09:00", "endTime": "10:00" });
    for (path, body, refused_to) in [
        (SCHEDULES, &hours, vec![patient, other_patient]),
        (&start, &json!({}), vec![patient, other_patient, other_doctor]),
        (&invites_to, &invites, vec![patient, other_patient, other_doctor]),
        (&reset, &json!({}), vec![patient, other_patient, other_doctor]),
        (&join, &json!({}), vec![doctor, other_doctor, admin]),
        (&own, &ready, vec![doctor, other_doctor, other_patient, admin]),
        (&confirm, &json!({}), vec![doctor, other_doctor, other_patient, admin]),
        (&decline, &json!({}), vec![doctor, other_doctor, other_patient, admin]),
        (&end, &json!({}), vec![patient, other_patient, other_doctor]),
    ] {
        for who in refused_to {
            let code = refused(&clinic, who, path, body.clone()).await;
            assert!(["forbidden", "not-a-participant"].contains(&code.as_str()), "{path}: {code}");
        }
        let (status, _) = clinic.service.send(Method::POST, path, None, Some(body.clone())).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for who in [other_doctor, other_patient, admin] {
        let path = answer(&invitation, "");
        let (status, _) = call(&clinic, who, Method::GET, path.trim_end_matches('/'), Value::Null).await;
        assert_eq!(status, 403);
    }
    // Nothing of it has changed anything.
    let pending = get(&clinic, patient, "/api/v1/invitations/pending").await;
    assert_eq!(pending[0]["status"], "INVITED");
}

#[tokio::test]
async fn practice_hours_are_listed_by_their_day() {
    let clinic = clinic().await;
    for date in ["2026-12-03", "2026-12-01", "2026-12-02"] {
        let hours = json!({ "date": date, "startTime": "09:00", "endTime": "10:00" });
        post(&clinic, &clinic.doctor, SCHEDULES, hours).await;
    }
    let dates = async |query: &str| -> Vec<Value> {
        let listed = get(&clinic, &clinic.patient, &format!("{SCHEDULES}{query}")).await;
        listed.as_array().unwrap().iter().map(|one| one["date"].clone()).collect()
    };
    assert_eq!(dates("").await, ["2026-12-01", "2026-12-02", "2026-12-03"]);
    assert_eq!(dates("?from=2026-12-02&to=2026-12-02").await, ["2026-12-02"]);
    assert_eq!(dates("?limit=1").await, ["2026-12-01"]);
    assert_eq!(dates("?status=ONLINE").await, Vec::<Value>::new());
    let other = format!("?doctorId={}", clinic.other_doctor.id);
    assert_eq!(dates(&other).await, Vec::<Value>::new());
    for (bad, why) in [
        (json!({ "date": "2026-12-01", "startTime": "9:00", "endTime": "10:00" }), "a time"),
        (json!({ "date": "2026-12-01", "startTime": "10:00", "endTime": "10:00" }), "end after"),
        (json!({ "date": "2026-13-01", "startTime": "10:00", "endTime": "11:00" }), "JSON"),
    ] {
        let (status, answer) = call(&clinic, &clinic.doctor, Method::POST, SCHEDULES, bad).await;
        assert_eq!(status, 422);
        assert!(answer["detail"].as_str().unwrap().contains(why), "{answer}");
    }
}
