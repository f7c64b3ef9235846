//! Appointments: booked, moved, paid for and called off, and their visits with them.

use bedside_protocol::topic;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    common::{Clinic, Person, clinic},
    sockets::Socket,
};

const APPOINTMENTS: &str = "/api/v1/appointments";

async fn ask(clinic: &Clinic, who: &Person, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = clinic.service.send(method, path, Some(&who.token), body).await;
    (status.as_u16(), answer)
}

async fn get(clinic: &Clinic, who: &Person, path: &str) -> Value {
    let (status, answer) = ask(clinic, who, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

async fn post(clinic: &Clinic, who: &Person, path: &str, body: Value) -> Value {
    let (status, answer) = ask(clinic, who, Method::POST, path, body).await;
    assert!((200..300).contains(&status), "{path}: {status} {answer}");
    answer
}

async fn code(clinic: &Clinic, who: &Person, method: Method, path: &str, body: Value) -> String {
    let (status, answer) = ask(clinic, who, method, path, body).await;
    assert!(status >= 400, "{path}: {answer}");
    answer["code"].as_str().unwrap().to_owned()
}

/// What the doctor makes.
fn booking(clinic: &Clinic, in_minutes: i64) -> Value {
    let start = Timestamp::now() + SignedDuration::from_mins(in_minutes);
    json!({ "patientId": clinic.patient.id, "doctorId": clinic.doctor.id, "scheduledStartTime": start,
        "scheduledDurationMinutes": 20, "consultationMode": "VIDEO", "chiefComplaint": "a cough" })
}

fn path(appointment: &Value, rest: &str) -> String {
    format!("{APPOINTMENTS}/{}{rest}", appointment["appointmentId"].as_str().unwrap())
}

fn visit(appointment: &Value, rest: &str) -> String {
    format!("/api/v1/consultations/sessions/{}{rest}", appointment["sessionId"].as_str().unwrap())
}

/// Every day, in slots of twenty minutes.
async fn opens(clinic: &Clinic) {
    let days = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
    let weekly: Vec<Value> =
        days.iter().map(|day| json!({ "day": day, "from": "09:00", "to": "12:00" })).collect();
    let offered = json!({ "timeZone": "Europe/Berlin", "slotMinutes": 20, "consultationModes": ["VIDEO"],
        "weekly": weekly });
    let path = format!("/api/v1/doctors/{}/availability", clinic.doctor.id);
    let (status, answer) = ask(clinic, &clinic.doctor, Method::PUT, &path, offered.clone()).await;
    assert_eq!((status, &answer), (200, &offered));
}

async fn free(clinic: &Clinic) -> Vec<Value> {
    let path = format!("/api/v1/doctors/{}/availability", clinic.doctor.id);
    get(clinic, &clinic.patient, &path).await["slots"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_patient_books_a_free_slot_and_moves_it() {
    let clinic = clinic().await;
    assert!(free(&clinic).await.is_empty(), "nobody said when");
    opens(&clinic).await;
    for days in [
        "?from=9999-12-29&to=9999-12-29",
        "?from=-009999-01-03&to=-009999-01-03",
        "?from=2026-01-01&to=2027-01-01",
    ] {
        let path = format!("/api/v1/doctors/{}/availability{days}", clinic.doctor.id);
        assert_eq!(code(&clinic, &clinic.patient, Method::GET, &path, Value::Null).await, "invalid");
    }
    let before = free(&clinic).await;
    assert!(
        (54..=63).contains(&before.len()),
        "nine a day, of which some of today's are past: {}",
        before.len()
    );
    let book = |slot: &Value, patient: &Person| {
        json!({ "patientId": patient.id, "doctorId": clinic.doctor.id,
            "scheduledStartTime": slot["startTime"], "scheduledDurationMinutes": 20, "consultationMode": "VIDEO" })
    };
    let last = before.last().unwrap();
    let made = post(&clinic, &clinic.patient, APPOINTMENTS, book(last, &clinic.patient)).await;
    assert_eq!((&made["status"], &made["paymentStatus"]), (&json!("BOOKED"), &json!("NOT_REQUIRED")));
    assert!(made["meetingLink"].as_str().unwrap().ends_with(made["sessionId"].as_str().unwrap()));
    assert_eq!(free(&clinic).await, before[..before.len() - 1]);
    let other = book(last, &clinic.other_patient);
    let taken = code(&clinic, &clinic.other_patient, Method::POST, APPOINTMENTS, other).await;
    assert_eq!(taken, "slot-taken");
    // One's own is free for oneself.
    let (status, same) = ask(
        &clinic,
        &clinic.patient,
        Method::PATCH,
        &path(&made, ""),
        json!({ "scheduledStartTime": last["startTime"], "chiefComplaint": "a cough" }),
    )
    .await;
    assert_eq!((status, &same["chiefComplaint"]), (200, &json!("a cough")), "{same}");
    let to = |slot: &Value| json!({ "scheduledStartTime": slot["startTime"] });
    let (_, moved) =
        ask(&clinic, &clinic.patient, Method::PATCH, &path(&made, ""), to(&before[before.len() - 2])).await;
    assert_eq!(moved["scheduledStartTime"], before[before.len() - 2]["startTime"], "{moved}");
    let session = get(&clinic, &clinic.doctor, &visit(&made, "")).await;
    assert_eq!(session["scheduledStartTime"], moved["scheduledStartTime"], "the visit goes with it");
    let between = Timestamp::now() + SignedDuration::from_hours(100);
    let nowhere = json!({ "scheduledStartTime": between });
    assert_eq!(
        code(&clinic, &clinic.patient, Method::PATCH, &path(&made, ""), nowhere.clone()).await,
        "slot-taken"
    );
    // The practice may, whenever it wants.
    let (status, _) = ask(&clinic, &clinic.admin, Method::PATCH, &path(&made, ""), nowhere).await;
    assert_eq!(status, 200);
    let (mut sound, mut slot_less) = (book(last, &clinic.patient), book(last, &clinic.patient));
    sound["consultationMode"] = json!("AUDIO");
    slot_less["scheduledDurationMinutes"] = json!(19);
    assert_eq!(code(&clinic, &clinic.patient, Method::POST, APPOINTMENTS, sound).await, "invalid");
    assert_eq!(code(&clinic, &clinic.patient, Method::POST, APPOINTMENTS, slot_less).await, "slot-taken");
}

#[tokio::test]
async fn of_two_who_book_a_slot_at_once_one_gets_it() {
    let clinic = clinic().await;
    opens(&clinic).await;
    let slot = free(&clinic).await.pop().unwrap();
    let book = async |who: &Person| {
        let body = json!({ "patientId": who.id, "doctorId": clinic.doctor.id,
            "scheduledStartTime": slot["startTime"], "scheduledDurationMinutes": 20, "consultationMode": "VIDEO" });
        ask(&clinic, who, Method::POST, APPOINTMENTS, body).await.0
    };
    let mut got = vec![];
    for _ in 0..4 {
        let (one, other) = tokio::join!(book(&clinic.patient), book(&clinic.other_patient));
        got.extend([one, other]);
    }
    assert_eq!(got.iter().filter(|&&status| status == 201).count(), 1, "{got:?}");
    assert_eq!(got.iter().filter(|&&status| status == 409).count(), 7, "{got:?}");
}

#[tokio::test]
async fn nobody_joins_before_it_is_paid_for() {
    let clinic = clinic().await;
    let mut asked = booking(&clinic, 0);
    asked["paymentRequired"] = json!(true);
    let made = post(&clinic, &clinic.doctor, APPOINTMENTS, asked.clone()).await;
    assert_eq!((&made["paymentStatus"], &made["meetingLink"]), (&json!("PENDING"), &Value::Null));
    let session = json!({ "appointmentId": made["appointmentId"], "consultationMode": "VIDEO" });
    for (path, body) in
        [(path(&made, "/retry-session"), json!({})), ("/api/v1/consultations/sessions".to_owned(), session)]
    {
        assert_eq!(code(&clinic, &clinic.patient, Method::POST, &path, body).await, "payment-required");
    }
    let verify = path(&made, "/verify-payment");
    for who in [&clinic.patient, &clinic.doctor] {
        let code = code(&clinic, who, Method::POST, &verify, json!({ "paymentId": "p-1" })).await;
        assert_eq!(code, "forbidden");
    }
    let paid = post(&clinic, &clinic.admin, &verify, json!({ "paymentId": "p-1" })).await;
    assert_eq!((&paid["paymentStatus"], &paid["paymentId"]), (&json!("COMPLETED"), &json!("p-1")));
    assert_eq!(post(&clinic, &clinic.admin, &verify, json!({ "paymentId": "p-1" })).await, paid);
    let again = code(&clinic, &clinic.admin, Method::POST, &verify, json!({ "paymentId": "p-2" })).await;
    assert_eq!(again, "wrong-state");
    let joined = post(&clinic, &clinic.patient, &visit(&paid, "/join"), json!({ "ready": true })).await;
    assert_eq!(joined["session"]["status"], "WAITING");
    // A patient does not say that something is to be paid.
    let refused = code(&clinic, &clinic.patient, Method::POST, APPOINTMENTS, asked).await;
    assert_eq!(refused, "invalid");
}

#[tokio::test]
async fn an_appointment_goes_with_its_visit() {
    let clinic = clinic().await;
    let made = post(&clinic, &clinic.doctor, APPOINTMENTS, booking(&clinic, 0)).await;
    post(&clinic, &clinic.patient, &visit(&made, "/join"), json!({ "ready": true })).await;
    post(&clinic, &clinic.doctor, &visit(&made, "/admit"), json!({})).await;
    for who in [&clinic.doctor, &clinic.patient] {
        post(&clinic, who, &visit(&made, "/join"), json!({})).await;
    }
    let runs = get(&clinic, &clinic.patient, &path(&made, "")).await;
    assert_eq!(runs["status"], "IN_PROGRESS");
    assert!(runs["actualStartTime"].is_string() && runs["actualEndTime"].is_null(), "{runs}");
    let later = json!({ "scheduledDurationMinutes": 40 });
    assert_eq!(code(&clinic, &clinic.doctor, Method::PATCH, &path(&made, ""), later).await, "wrong-state");

    // Called off while it runs, it is over; for the patient, who can leave, it is not.
    let by_patient = code(&clinic, &clinic.patient, Method::POST, &path(&made, "/cancel"), json!({})).await;
    assert_eq!(by_patient, "wrong-state");
    let cancelled = post(&clinic, &clinic.admin, &path(&made, "/cancel"), json!({})).await;
    assert_eq!(cancelled["status"], "COMPLETED", "{cancelled}");
    let session = get(&clinic, &clinic.doctor, &visit(&made, "")).await;
    assert_eq!((&session["status"], &session["endReason"]), (&json!("COMPLETED"), &json!("cancelled")));

    // Called off before, nobody comes; and the visit's own way of it is the same.
    let mut hears = Socket::signed_in(&clinic, &clinic.patient.token).await;
    hears.subscribe(topic::NOTIFICATIONS).await;
    let second = post(&clinic, &clinic.doctor, APPOINTMENTS, booking(&clinic, 60)).await;
    post(&clinic, &clinic.patient, &path(&second, "/cancel"), json!({})).await;
    hears.until(&["SESSION_STATUS", "CANCELLED"]).await;
    let again = post(&clinic, &clinic.patient, &path(&second, "/cancel"), json!({})).await;
    assert_eq!(again["status"], "CANCELLED", "called off twice is called off");
    let third = post(&clinic, &clinic.doctor, APPOINTMENTS, booking(&clinic, 60)).await;
    post(&clinic, &clinic.patient, &visit(&third, "/cancel"), json!({})).await;
    assert_eq!(get(&clinic, &clinic.patient, &path(&third, "")).await["status"], "CANCELLED");
}

#[tokio::test]
async fn everybody_lists_their_own() {
    let clinic = clinic().await;
    let made = post(&clinic, &clinic.doctor, APPOINTMENTS, booking(&clinic, 90)).await;
    let ids = async |who: &Person, query: &str| -> Vec<String> {
        let list = get(&clinic, who, &format!("{APPOINTMENTS}{query}")).await;
        list.as_array().unwrap().iter().map(|one| one["appointmentId"].as_str().unwrap().to_owned()).collect()
    };
    let id = made["appointmentId"].as_str().unwrap();
    for who in [&clinic.patient, &clinic.doctor, &clinic.admin] {
        assert_eq!(ids(who, "").await.len(), 2, "the fixture's and this");
        assert_eq!(ids(who, &format!("?from={}", made["scheduledStartTime"].as_str().unwrap())).await, [id]);
        assert_eq!(ids(who, "?limit=1").await.len(), 1);
        assert_eq!(ids(who, "?status=CANCELLED").await, Vec::<String>::new());
    }
    let theirs = format!("?patientId={}", clinic.patient.id);
    for stranger in [&clinic.other_patient, &clinic.other_doctor] {
        assert_eq!(ids(stranger, &theirs).await, Vec::<String>::new(), "of others they see nothing");
        let (status, answer) = ask(&clinic, stranger, Method::GET, &path(&made, ""), Value::Null).await;
        assert_eq!((status, &answer["code"]), (403, &json!("not-a-participant")));
        for (method, rest) in
            [(Method::PATCH, ""), (Method::POST, "/cancel"), (Method::POST, "/retry-session")]
        {
            let code = code(&clinic, stranger, method, &path(&made, rest), json!({})).await;
            assert_eq!(code, "not-a-participant");
        }
    }
}

#[tokio::test]
async fn doctors_are_found_and_who_is_open() {
    let clinic = clinic().await;
    opens(&clinic).await;
    let found = async |query: &str| -> Vec<Value> {
        get(&clinic, &clinic.patient, &format!("/api/v1/doctors{query}")).await.as_array().unwrap().clone()
    };
    let all = found("").await;
    assert_eq!(all.len(), 2);
    assert_eq!((&all[0]["isBookable"], &all[1]["isBookable"]), (&json!(true), &json!(false)), "{all:?}");
    assert_eq!(found("?query=OTHER-doc").await.len(), 1);
    assert_eq!(found("?query=%25").await.len(), 0, "a percent sign is one");
    let hours = json!({ "date": "2026-12-01", "startTime": "09:00", "endTime": "12:30" });
    let schedule = post(&clinic, &clinic.other_doctor, "/api/v1/schedules", hours).await;
    let id = schedule["id"].as_str().unwrap();
    post(&clinic, &clinic.other_doctor, &format!("/api/v1/schedules/{id}/start"), json!({})).await;
    assert_eq!(found("?query=other").await[0]["openScheduleId"], id);
}

#[tokio::test]
async fn a_visit_now_is_one() {
    let clinic = clinic().await;
    let asked = json!({ "patientId": clinic.patient.id, "consultationMode": "AUDIO", "scheduledDurationMinutes": 10 });
    let path = "/api/v1/consultations/sessions/instant";
    let session = post(&clinic, &clinic.other_doctor, path, asked.clone()).await;
    assert_eq!((&session["status"], &session["consultationMode"]), (&json!("SCHEDULED"), &json!("AUDIO")));
    let join = format!("/api/v1/consultations/sessions/{}/join", session["sessionId"].as_str().unwrap());
    post(&clinic, &clinic.patient, &join, json!({ "ready": true })).await;
    assert_eq!(code(&clinic, &clinic.admin, Method::POST, path, asked).await, "forbidden");
}
