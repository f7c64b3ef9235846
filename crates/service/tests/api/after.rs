//! What is kept beside a visit: notes, what went wrong, feedback and its answer, prices; and past visits, found again.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    common::{Clinic, Person, clinic},
    database::Outside,
};

async fn ask(clinic: &Clinic, who: &Person, method: Method, path: &str, body: Value) -> (u16, Value) {
    let body = (!body.is_null()).then_some(body);
    let (status, answer) = clinic.service.send(method, path, Some(&who.token), body).await;
    (status.as_u16(), answer)
}

/// A visit that was held.
async fn held() -> Clinic {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    clinic
}

#[tokio::test]
async fn a_doctor_writes_notes_that_nobody_else_reads() {
    let clinic = held().await;
    let notes = clinic.path("/notes");
    let (_, none) = ask(&clinic, &clinic.doctor, Method::GET, &notes, Value::Null).await;
    assert_eq!((&none["notes"], &none["updatedAt"]), (&json!(""), &Value::Null));
    let body = json!({ "notes": "Rest, and tea.\nAgain in a week." });
    let (status, written) = ask(&clinic, &clinic.doctor, Method::PUT, &notes, body.clone()).await;
    assert_eq!((status, &written["notes"]), (200, &body["notes"]));
    let (_, read) = ask(&clinic, &clinic.doctor, Method::GET, &notes, Value::Null).await;
    assert_eq!(read, written);
    let long = json!({ "notes": "ü".repeat(20_001) });
    let (status, refused) = ask(&clinic, &clinic.doctor, Method::PUT, &notes, long).await;
    assert_eq!((status, &refused["code"]), (413, &json!("too-large")));
    let (_, audit) = ask(&clinic, &clinic.patient, Method::GET, "/api/v1/audit", Value::Null).await;
    let actions: Vec<&str> =
        audit["items"].as_array().unwrap().iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert!(actions.contains(&"NOTES_WRITTEN") && actions.contains(&"NOTES_READ"), "{actions:?}");
}

#[tokio::test]
async fn what_went_wrong_is_told_by_either() {
    let clinic = held().await;
    let issue = json!({ "issueType": "audio", "description": "Your voice came late." });
    let (status, told) = clinic.post(&clinic.patient, "/issues", issue).await;
    assert_eq!(status.as_u16(), 201, "{told}");
    let (_, seen) = ask(&clinic, &clinic.doctor, Method::GET, &clinic.path("/issues"), Value::Null).await;
    assert_eq!(seen, json!([told]));
    let (status, _) = clinic.post(&clinic.patient, "/issues", json!({ "issueType": "weather" })).await;
    assert_eq!(status.as_u16(), 422);
}

#[tokio::test]
async fn feedback_is_answered_and_counted() {
    let clinic = held().await;
    let (status, _) =
        clinic.post(&clinic.doctor, "/feedback/response", json!({ "text": "Thank you." })).await;
    assert_eq!(status.as_u16(), 404, "there is none yet");
    let given = json!({ "overallRating": 4, "audioQuality": 3, "feedbackTags": ["Friendly", "quick"],
        "wouldRecommend": true });
    clinic.post(&clinic.patient, "/feedback", given).await;
    let (status, answered) =
        clinic.post(&clinic.doctor, "/feedback/response", json!({ "text": "Thank you." })).await;
    assert_eq!((status.as_u16(), &answered["doctorResponse"]), (200, &json!("Thank you.")));
    let (_, read) = ask(&clinic, &clinic.patient, Method::GET, &clinic.path("/feedback"), Value::Null).await;
    assert_eq!(read, answered);
    assert!(read["doctorRespondedAt"].is_string(), "{read}");

    let path = format!("/api/v1/doctors/{}/feedback", clinic.doctor.id);
    let (_, all) = ask(&clinic, &clinic.other_patient, Method::GET, &path, Value::Null).await;
    assert_eq!((&all["count"], &all["ratings"]), (&json!(1), &json!([0, 0, 0, 1, 0])));
    assert_eq!((&all["averageRating"], &all["averageAudioQuality"]), (&json!(4.0), &json!(3.0)));
    assert_eq!((&all["wouldRecommendPercent"], &all["averageVideoQuality"]), (&json!(100.0), &Value::Null));
    assert_eq!(all["tags"], json!([{ "tag": "Friendly", "count": 1 }, { "tag": "quick", "count": 1 }]));
    let nobody = format!("/api/v1/doctors/{}/feedback", clinic.other_doctor.id);
    let (_, none) = ask(&clinic, &clinic.patient, Method::GET, &nobody, Value::Null).await;
    assert_eq!((&none["count"], &none["averageRating"]), (&json!(0), &Value::Null));
}

#[tokio::test]
async fn a_price_is_set_and_charged_while_it_is_active() {
    let clinic = clinic().await;
    let path = format!("/api/v1/doctors/{}/pricing/VIDEO", clinic.doctor.id);
    let (status, _) = ask(&clinic, &clinic.patient, Method::GET, &path, Value::Null).await;
    assert_eq!(status, 404, "nothing is charged");
    for (price, shown) in [
        (
            json!({ "pricingType": "PER_MINUTE", "perMinuteRate": 1.255, "currency": "EUR" }),
            json!({ "pricingType": "PER_MINUTE", "perMinuteRate": 1.255, "minimumMinutes": 5, "currency": "EUR",
                "isActive": true }),
        ),
        (
            json!({ "pricingType": "TIERED", "tierConfig": [{ "upToMinutes": 15, "price": 500 }] }),
            json!({ "pricingType": "TIERED", "tierConfig": [{ "upToMinutes": 15, "price": 500.0 }],
                "currency": "INR", "isActive": true }),
        ),
        (
            json!({ "pricingType": "FLAT", "flatFee": 48.5, "currency": "EUR", "isActive": false }),
            json!({ "pricingType": "FLAT", "flatFee": 48.5, "currency": "EUR", "isActive": false }),
        ),
    ] {
        let (status, set) = ask(&clinic, &clinic.admin, Method::PUT, &path, price).await;
        assert_eq!((status, &set), (200, &shown));
        let (_, read) = ask(&clinic, &clinic.patient, Method::GET, &path, Value::Null).await;
        assert_eq!(read, shown);
    }
    for bad in [
        json!({ "pricingType": "FLAT" }),
        json!({ "pricingType": "FLAT", "flatFee": 500.5, "currency": "JPY" }),
        json!({ "pricingType": "FLAT", "flatFee": -1, "currency": "EUR" }),
        json!({ "pricingType": "FLAT", "flatFee": 1, "perMinuteRate": 1 }),
        json!({ "pricingType": "FLAT", "flatFee": 1, "currency": "euro" }),
        json!({ "pricingType": "TIERED", "tierConfig": [] }),
    ] {
        let (status, answer) = ask(&clinic, &clinic.doctor, Method::PUT, &path, bad).await;
        assert_eq!((status, &answer["code"]), (422, &json!("invalid")));
    }
    let fine = json!({ "pricingType": "FLAT", "flatFee": 1 });
    let (status, _) = ask(&clinic, &clinic.other_doctor, Method::PUT, &path, fine).await;
    assert_eq!(status, 403);
    clinic.in_the_call().await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    let (_, summary) =
        ask(&clinic, &clinic.patient, Method::GET, &clinic.path("/summary"), Value::Null).await;
    assert!(summary["amountCharged"].is_null(), "the price rests: {summary}");
}

#[tokio::test]
async fn past_visits_are_found_by_what_one_knows_of_them() {
    let clinic = held().await;
    let found = async |who: &Person, query: &str| {
        let path = format!("/api/v1/consultations/history{query}");
        let (status, page) = ask(&clinic, who, Method::GET, &path, Value::Null).await;
        assert_eq!(status, 200, "{page}");
        page["items"].as_array().unwrap().len()
    };
    let (patient, doctor) = (&clinic.patient, &clinic.doctor);
    let with_patient = format!("?patientId={}", patient.id);
    let with_other = format!("?patientId={}", clinic.other_patient.id);
    for (who, query, count) in [
        (patient, "", 1),
        (doctor, with_patient.as_str(), 1),
        (doctor, with_other.as_str(), 0),
        (&clinic.other_doctor, with_patient.as_str(), 0),
        (patient, "?query=DOCTOR", 1),
        (patient, "?query=patient", 0),
        (doctor, "?query=patient", 1),
        (patient, "?mode=VIDEO&status=COMPLETED", 1),
        (patient, "?mode=AUDIO", 0),
        (patient, "?status=CANCELLED", 0),
        (patient, "?from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00Z", 0),
        (patient, "?from=2020-01-01T00:00:00Z", 1),
    ] {
        assert_eq!(found(who, query).await, count, "{query}");
    }
    // Nobody finds more of others than they were in.
    Outside::of(&clinic).await.run("UPDATE consultation_sessions SET consultation_mode = 'CHAT'").await;
    assert_eq!(found(&clinic.admin, "?mode=CHAT").await, 0);
    assert_eq!(found(patient, "?mode=CHAT").await, 1);
}
