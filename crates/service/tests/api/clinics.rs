//! Two clinics on one service: none sees the other's.

use bedside_protocol::ClinicId;
use bedside_service::{App, accounts};
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Clinic, Person, clinic};

async fn ask(clinic: &Clinic, who: &Person, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = clinic.service.send(method, path, Some(&who.token), body).await;
    (status.as_u16(), answer)
}

async fn get(clinic: &Clinic, who: &Person, path: &str) -> Vec<Value> {
    let (status, list) = ask(clinic, who, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {list}");
    list.as_array().or(list["items"].as_array()).unwrap().clone()
}

/// The doctor, the patient and an administrator in one clinic, the others in another.
async fn two() -> (Clinic, Person) {
    let clinic = clinic().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let mut made: Vec<ClinicId> = vec![];
    for name in ["Riverside", "Hillside"] {
        made.push(accounts::add_clinic(&app, name).await.unwrap().unwrap());
    }
    assert_eq!(accounts::add_clinic(&app, "Riverside").await.unwrap(), None, "there is one");
    for (people, at) in [
        ([&clinic.doctor, &clinic.patient, &clinic.admin].as_slice(), made[0]),
        ([&clinic.other_doctor, &clinic.other_patient].as_slice(), made[1]),
    ] {
        for person in people {
            accounts::set_clinic(&app, person.id, Some(at)).await.unwrap();
        }
    }
    let email = crate::common::email("other-admin");
    let (role, password) = (bedside_protocol::Role::ClinicAdmin, crate::common::PASSWORD);
    accounts::create_by_administrator(&app, role, &email, password, "Other", None, Some(made[1]))
        .await
        .unwrap();
    app.store.close().await;
    let other_admin = clinic.service.sign_in(&email).await;
    (clinic, other_admin)
}

#[tokio::test]
async fn each_sees_its_own_doctors_and_hours() {
    let (clinic, other_admin) = two().await;
    let hours = json!({ "date": "2026-12-01", "startTime": "09:00", "endTime": "12:30" });
    for doctor in [&clinic.doctor, &clinic.other_doctor] {
        let (status, _) = ask(&clinic, doctor, Method::POST, "/api/v1/schedules", hours.clone()).await;
        assert_eq!(status, 201);
    }
    for (who, doctor) in [
        (&clinic.patient, &clinic.doctor),
        (&clinic.admin, &clinic.doctor),
        (&clinic.doctor, &clinic.doctor),
        (&clinic.other_patient, &clinic.other_doctor),
        (&other_admin, &clinic.other_doctor),
    ] {
        let doctors = get(&clinic, who, "/api/v1/doctors").await;
        assert_eq!(doctors.iter().map(|one| one["id"].clone()).collect::<Vec<_>>(), [json!(doctor.id)]);
        let schedules = get(&clinic, who, "/api/v1/schedules").await;
        assert_eq!(schedules.len(), 1);
        assert_eq!(schedules[0]["doctor"]["id"], json!(doctor.id));
    }
    let theirs = get(&clinic, &clinic.other_doctor, "/api/v1/schedules").await;
    let path = format!("/api/v1/schedules/{}", theirs[0]["id"].as_str().unwrap());
    for who in [&clinic.admin, &clinic.patient, &clinic.doctor] {
        for (method, rest) in [(Method::GET, ""), (Method::GET, "/queue")] {
            let (status, _) = ask(&clinic, who, method, &format!("{path}{rest}"), Value::Null).await;
            assert_eq!(status, 404, "it is not there for them");
        }
    }
    for rest in ["/start", "/end"] {
        let (status, _) =
            ask(&clinic, &clinic.admin, Method::POST, &format!("{path}{rest}"), json!({})).await;
        assert_eq!(status, 404);
    }
    let doctor = format!("/api/v1/doctors/{}", clinic.other_doctor.id);
    let price = json!({ "pricingType": "FLAT", "flatFee": 1 });
    let (status, _) =
        ask(&clinic, &clinic.admin, Method::PUT, &format!("{doctor}/pricing/VIDEO"), price).await;
    assert_eq!(status, 404);
    for rest in ["/availability", "/feedback", "/pricing/VIDEO"] {
        let (status, _) =
            ask(&clinic, &clinic.patient, Method::GET, &format!("{doctor}{rest}"), Value::Null).await;
        assert_eq!(status, 404, "{rest}");
    }
}

#[tokio::test]
async fn an_administrator_runs_one_clinic() {
    let (clinic, other_admin) = two().await;
    let booking = |patient: &Person, doctor: &Person| {
        json!({ "patientId": patient.id, "doctorId": doctor.id, "scheduledStartTime": Timestamp::now(),
            "scheduledDurationMinutes": 15, "consultationMode": "VIDEO" })
    };
    let path = "/api/v1/appointments";
    for (patient, doctor, expected) in [
        (&clinic.patient, &clinic.doctor, 201),
        (&clinic.other_patient, &clinic.doctor, 404),
        (&clinic.patient, &clinic.other_doctor, 404),
    ] {
        let (status, answer) =
            ask(&clinic, &clinic.admin, Method::POST, path, booking(patient, doctor)).await;
        assert_eq!(status, expected, "{answer}");
    }
    let own = booking(&clinic.other_patient, &clinic.other_doctor);
    let (_, theirs) = ask(&clinic, &other_admin, Method::POST, path, own).await;
    let id = theirs["appointmentId"].as_str().unwrap();
    // The fixture's is of before there were clinics: of neither.
    assert_eq!(get(&clinic, &clinic.admin, path).await.len(), 1);
    assert_eq!(get(&clinic, &other_admin, path).await.len(), 1);
    for (method, rest) in [(Method::GET, ""), (Method::POST, "/cancel"), (Method::POST, "/retry-session")] {
        let body = if method == Method::GET { Value::Null } else { json!({}) };
        let (status, _) = ask(&clinic, &clinic.admin, method, &format!("{path}/{id}{rest}"), body).await;
        assert_eq!(status, 404, "{rest}");
    }
    let instant = json!({ "patientId": clinic.other_patient.id, "consultationMode": "VIDEO",
        "scheduledDurationMinutes": 15 });
    let now = "/api/v1/consultations/sessions/instant";
    assert_eq!(ask(&clinic, &clinic.doctor, Method::POST, now, instant).await.0, 404);

    // What was done with their people's data only they read.
    let audit = format!("/api/v1/audit?patientId={}", clinic.other_patient.id);
    let by_own = get(&clinic, &clinic.admin, &audit).await;
    let is_own_look =
        |line: &Value| line["action"] == "AUDIT_READ" && line["userId"] == json!(clinic.admin.id);
    assert!(by_own.iter().all(is_own_look), "nothing but that they asked: {by_own:?}");
    assert!(!get(&clinic, &other_admin, &audit).await.is_empty());
}

#[tokio::test]
async fn a_device_check_is_read_by_the_patients_clinic() {
    let (clinic, other_admin) = two().await;
    let check = crate::device_checks::report(1);
    let (status, kept) = ask(&clinic, &clinic.patient, Method::POST, "/api/v1/device-checks", check).await;
    assert_eq!(status, 201, "{kept}");
    let path = format!("/api/v1/device-checks/{}", kept["code"].as_str().unwrap());
    for (who, expected) in [(&clinic.doctor, 200), (&clinic.other_doctor, 404), (&other_admin, 404)] {
        assert_eq!(ask(&clinic, who, Method::GET, &path, Value::Null).await.0, expected);
    }
}

#[tokio::test]
async fn the_practice_finds_its_people_and_patients_of_none() {
    let (clinic, other_admin) = two().await;
    let names = async |who: &Person, query: &str| -> Vec<String> {
        let people = get(&clinic, who, &format!("/api/v1/users{query}")).await;
        people.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        names(&clinic.admin, "").await,
        ["admin Quillfeather", "doctor Quillfeather", "patient Quillfeather"]
    );
    assert_eq!(names(&clinic.doctor, "?role=PATIENT").await, ["patient Quillfeather"]);
    assert_eq!(names(&other_admin, "?role=PATIENT").await, ["other-patient Quillfeather"]);
    assert_eq!(names(&clinic.admin, "?query=PAT").await, ["patient Quillfeather"]);
    assert_eq!(names(&clinic.admin, "?query=patient%40planted.example").await, ["patient Quillfeather"]);
    assert_eq!(names(&clinic.admin, "?query=planted.example").await, Vec::<String>::new(), "the whole of it");
    assert_eq!(names(&clinic.admin, "?limit=1").await, ["admin Quillfeather"]);
    // Somebody who registers is of no clinic until one has made sure of them, and so found by both.
    let new =
        json!({ "email": "new@planted.example", "password": crate::common::PASSWORD, "name": "New One" });
    let path = "/api/v1/auth/register";
    assert_eq!(clinic.service.send(Method::POST, path, None, Some(new)).await.0.as_u16(), 201);
    for who in [&clinic.admin, &other_admin] {
        let found = get(&clinic, who, "/api/v1/users?query=new").await;
        assert_eq!((found.len(), &found[0]["isConfirmed"]), (1, &json!(false)));
    }
    let (status, renamed) =
        ask(&clinic, &clinic.patient, Method::PATCH, "/api/v1/users/me", json!({ "name": " Ada Q " })).await;
    assert_eq!((status, &renamed["name"]), (200, &json!("Ada Q")));
    assert_eq!(names(&clinic.doctor, "?query=ada").await, ["Ada Q"]);
    for bad in ["", "a\u{202e}b", &"x".repeat(101)] {
        let body = json!({ "name": bad });
        assert_eq!(ask(&clinic, &clinic.patient, Method::PATCH, "/api/v1/users/me", body).await.0, 422);
    }
}
