//! Who did or looked at what: everything is there, whoever it concerns can read it, and nobody can change it unseen.

use std::time::{Duration, Instant};

use bedside_protocol::AuditPage;
use bedside_service::{App, store::Chain};
use reqwest::Method;
use serde_json::json;

use crate::{
    common::{Clinic, Person, clinic, email},
    database::Outside,
};

async fn page(clinic: &Clinic, who: &Person, query: &str) -> (u16, AuditPage) {
    let path = format!("/api/v1/audit{query}");
    let (status, body) = clinic.service.send(Method::GET, &path, Some(&who.token), None).await;
    let empty = AuditPage { items: vec![], next: None };
    (status.as_u16(), serde_json::from_value(body).unwrap_or(empty))
}

/// Who did what, and whether it was refused, the oldest first.
fn lines(page: &AuditPage) -> Vec<String> {
    let mut lines: Vec<String> = page
        .items
        .iter()
        .map(|entry| {
            let who = entry.user_name.as_ref().map_or("nobody", |name| name.reveal());
            let refused = entry.refused.map(|code| format!(" {}", code.as_str())).unwrap_or_default();
            format!("{who}: {}{refused}", entry.action)
        })
        .collect();
    lines.reverse();
    lines
}

#[tokio::test]
async fn a_patient_reads_who_looked_at_their_data() {
    let clinic = clinic().await;
    let read = async |who: &Person| {
        clinic.service.send(Method::GET, &clinic.path(""), Some(&who.token), None).await.0.as_u16()
    };
    assert_eq!((read(&clinic.doctor).await, read(&clinic.other_doctor).await), (200, 403));
    clinic.post(&clinic.patient, "/join", json!({})).await;
    clinic.post(&clinic.doctor, "/admit", json!({})).await;
    let (status, mine) = page(&clinic, &clinic.patient, &format!("?sessionId={}", clinic.session)).await;
    assert_eq!(status, 200);
    let expected = [
        "doctor Quillfeather: SESSION_READ",
        "other-doctor Quillfeather: ACCESS_REFUSED not-a-participant",
        "patient Quillfeather: SESSION_WAITING",
        "doctor Quillfeather: SESSION_ADMITTED",
    ];
    assert_eq!(lines(&mine), expected);
    assert!(mine.items.iter().all(|entry| entry.patient_id == Some(clinic.patient.id)));
    assert!(mine.items.iter().all(|entry| entry.origin.is_none()), "where people sit is not for everybody");

    // Of others, whatever one asks for.
    let (_, others) =
        page(&clinic, &clinic.other_patient, &format!("?patientId={}", clinic.patient.id)).await;
    assert_eq!(lines(&others), ["nobody: USER_REGISTERED", "other-patient Quillfeather: AUDIT_READ"]);
    assert_eq!(page(&clinic, &clinic.doctor, "").await.0, 403);
}

/// Of each route that shows something of a visit.
#[tokio::test]
async fn every_look_at_a_visit_is_written_down() {
    const VISIT: &str = "/api/v1/consultations/sessions/{id}";
    let clinic = clinic().await;
    clinic.in_the_call().await;
    clinic.post(&clinic.patient, "/attachments?name=a.txt", json!("text")).await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    clinic.post(&clinic.patient, "/feedback", json!({ "overallRating": 5 })).await;
    let about = format!("?sessionId={}&userId={}&limit=1", clinic.session, clinic.doctor.id);
    let last = async || page(&clinic, &clinic.admin, &about).await.1.items.first().map(|line| line.id);
    let mut looked = 0;
    for route in bedside_service::ROUTES {
        let Some(rest) = route.path.strip_prefix(VISIT).filter(|_| route.method == "get") else { continue };
        if rest.contains('{') {
            // Of one file: they have tests of their own.
            continue;
        }
        let before = last().await;
        let path = clinic.path(rest);
        let (status, _) = clinic.service.send(Method::GET, &path, Some(&clinic.doctor.token), None).await;
        assert_eq!(status, 200, "{path}");
        // A line that takes long comes after the answer.
        let deadline = Instant::now() + Duration::from_secs(10);
        while last().await == before {
            assert!(Instant::now() < deadline, "nobody knows of the look at {path}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        looked += 1;
    }
    assert!(looked >= 9, "{looked}");
}

#[tokio::test]
async fn an_administrator_reads_all_of_it_in_pages() {
    let clinic = clinic().await;
    let wrong = json!({ "email": email("patient"), "password": "not the password" });
    clinic.service.send(Method::POST, "/api/v1/auth/login", None, Some(wrong)).await;
    let (_, all) = page(&clinic, &clinic.admin, "").await;
    let failed = all.items.iter().find(|entry| entry.action == "SIGN_IN_FAILED").unwrap();
    assert_eq!(failed.object.as_deref(), Some(format!("account:{}", clinic.patient.id).as_str()));
    assert_eq!((failed.origin.as_deref(), failed.user_id), (Some("127.0.0.1"), None));
    let mut seen = vec![];
    let mut query = "?limit=3".to_owned();
    loop {
        let (_, page) = page(&clinic, &clinic.admin, &query).await;
        seen.extend(page.items.iter().map(|entry| entry.id));
        let Some(next) = page.next else { break };
        query = format!("?limit=3&before={next}");
    }
    assert!(seen.len() > all.items.len(), "with the looks at it");
    assert!(seen.windows(2).all(|pair| pair[0] > pair[1]), "{seen:?}");
    let of_patient = format!("?userId={}", clinic.patient.id);
    assert_eq!(
        lines(&page(&clinic, &clinic.admin, &of_patient).await.1),
        ["patient Quillfeather: SIGNED_IN"]
    );
}

#[tokio::test]
async fn a_line_that_was_changed_or_taken_is_found() {
    let mut clinic = clinic().await;
    clinic.in_the_call().await;
    let mut outside = Outside::of(&clinic).await;
    // A moment after a line comes its seal.
    let unsealed = "SELECT count(*) FROM audit_log WHERE id NOT IN (SELECT audit_id FROM audit_seals)";
    outside.until(unsealed, |lines| lines == 0).await;
    clinic.service.stop().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let Chain::Whole { lines, last } = app.store.audit_chain().await.unwrap() else {
        panic!("nobody has changed anything");
    };
    assert!(lines > 10 && last.len() == 32, "{lines}");
    let admitted =
        "SELECT number FROM audit_seals JOIN audit_log ON id = audit_id WHERE action = 'SESSION_ADMITTED'";
    let number = outside.number(admitted).await;
    // As whoever has the database's password can.
    outside.unlock_audit_log().await;
    outside.run("UPDATE audit_log SET user_id = NULL WHERE action = 'SESSION_ADMITTED'").await;
    assert_eq!(app.store.audit_chain().await.unwrap(), Chain::Broken { number });
    app.store.close().await;
}

#[tokio::test]
async fn no_statement_of_the_services_changes_a_line() {
    let clinic = clinic().await;
    let mut outside = Outside::of(&clinic).await;
    for statement in [
        "UPDATE audit_log SET action = 'nothing'",
        "DELETE FROM audit_log",
        "UPDATE audit_seals SET number = number + 1000",
        "DELETE FROM audit_seals",
    ] {
        // A trigger speaks only where there is a row.
        outside.until("SELECT count(*) FROM audit_seals", |seals| seals > 0).await;
        let refused = outside.refuses(statement).await;
        assert!(refused.contains("append-only"), "{statement}: {refused}");
    }
}
