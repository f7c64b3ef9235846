//! A visit's own data: who came when, what it was like, which are listed and for whom.

use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Clinic, Person, clinic, quality_report};

const SESSIONS: &str = "/api/v1/consultations/sessions";

async fn get(clinic: &Clinic, who: &Person, path: &str) -> Value {
    let (status, answer) = clinic.service.send(Method::GET, path, Some(&who.token), None).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

fn ids(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|one| one["sessionId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_visit_says_who_came_when() {
    let clinic = clinic().await;
    let made = get(&clinic, &clinic.doctor, &clinic.path("")).await;
    assert_eq!(made["createdAt"], made["updatedAt"], "nothing has happened");
    assert!(made.get("doctorJoinedAt").is_none() && made.get("actualEndTime").is_none());
    clinic.in_the_call().await;
    let runs = get(&clinic, &clinic.patient, &clinic.path("")).await;
    let at = |field: &str| runs[field].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(at("doctorJoinedAt") <= at("patientJoinedAt"), "{runs}");
    assert_eq!(runs["patientJoinedAt"], runs["actualStartTime"]);
    assert!(at("updatedAt") > at("createdAt"));
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    let over = get(&clinic, &clinic.patient, &clinic.path("")).await;
    assert_eq!(over["actualEndTime"], over["updatedAt"]);
    assert_eq!(over["patientJoinedAt"], runs["patientJoinedAt"], "it stays");
}

#[tokio::test]
async fn how_it_was_heard_is_kept_in_a_word_with_what_was_prescribed() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let mut report = quality_report();
    clinic.post(&clinic.doctor, "/quality", report.clone()).await;
    report["mos"] = json!(2.5);
    clinic.post(&clinic.patient, "/quality", report).await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    let summary = get(&clinic, &clinic.patient, &clinic.path("/summary")).await;
    assert_eq!(summary["patientConnectionQuality"], "poor");
    assert_eq!(summary["doctorConnectionQuality"], "excellent");
    assert!(summary.get("prescriptionId").is_none());

    let path = clinic.path("/prescription");
    let put = async |body: Value| {
        let sent = clinic.service.send(Method::PUT, &path, Some(&clinic.doctor.token), Some(body)).await;
        (sent.0.as_u16(), sent.1)
    };
    let (status, answer) = put(json!({ "prescriptionId": "rx-uuid-789" })).await;
    assert_eq!((status, &answer["prescriptionId"]), (200, &json!("rx-uuid-789")));
    let read = get(&clinic, &clinic.patient, &clinic.path("/summary")).await;
    assert_eq!(read["prescriptionId"], "rx-uuid-789");
    for wrong in [json!(""), json!("x".repeat(101)), json!(7)] {
        assert_eq!(put(json!({ "prescriptionId": wrong })).await.0, 422);
    }
    assert!(put(json!({ "prescriptionId": null })).await.1.get("prescriptionId").is_none());
}

#[tokio::test]
async fn ready_can_be_taken_back_and_not_now_is_why_nothing_came_of_it() {
    let clinic = clinic().await;
    let join = async |body: Value| clinic.post(&clinic.patient, "/join", body).await.1;
    assert_eq!(join(json!({ "ready": true })).await["session"]["patientReady"], true);
    assert_eq!(join(json!({})).await["session"]["patientReady"], true, "unsaid, it stays");
    assert_eq!(join(json!({ "ready": false })).await["session"]["patientReady"], false);
    clinic.post(&clinic.doctor, "/admit", json!({})).await;
    clinic.post(&clinic.patient, "/decline", json!({})).await;
    let (status, over) = clinic.post(&clinic.doctor, "/cancel", json!({})).await;
    assert_eq!((status.as_u16(), &over["endReason"]), (200, &json!("declined")));
}

#[tokio::test]
async fn whoever_asks_finds_theirs_and_the_desk_the_clinics() {
    let clinic = clinic().await;
    let (first, second) = (clinic.session.to_string(), clinic.another_visit().await.1);
    clinic.in_the_call().await;
    let list = async |who: &Person, query: &str| get(&clinic, who, &format!("{SESSIONS}?{query}")).await;
    let running = list(&clinic.doctor, "status=IN_PROGRESS").await;
    assert_eq!(ids(&running), [&first]);
    let of_patient = format!("patientId={}", clinic.patient.id);
    let at_desk = list(&clinic.admin, &of_patient).await;
    assert!(ids(&at_desk).contains(&first.as_str()), "the desk finds it");
    assert_eq!(list(&clinic.other_patient, &of_patient).await, json!([]), "nobody finds somebody else's");
    assert!(ids(&list(&clinic.admin, &format!("doctorId={}", clinic.doctor.id)).await).len() >= 2);

    // All of one's own, page by page, as one list.
    let all = list(&clinic.doctor, "from=2020-01-01T00:00:00Z").await;
    assert!(ids(&all).contains(&second.as_str()));
    let page = list(&clinic.doctor, "from=2020-01-01T00:00:00Z&limit=1").await;
    let next =
        list(&clinic.doctor, &format!("from=2020-01-01T00:00:00Z&limit=500&after={}", ids(&page)[0])).await;
    assert_eq!([ids(&page), ids(&next)].concat(), ids(&all));
    assert_eq!(list(&clinic.doctor, "to=2020-01-01T00:00:00Z").await, json!([]));
    let (status, _) = clinic
        .service
        .send(Method::GET, &format!("{SESSIONS}?status=AWAY"), Some(&clinic.doctor.token), None)
        .await;
    assert_eq!(status, 422);
}
