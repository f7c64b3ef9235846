//! What bad input gets: a clear error with its code, and nothing changed.

use crate::common::{PASSWORD, clinic, email};
use bedside_protocol::{Attachment, AttachmentId};
use bedside_service::{App, store::NewAttachment};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn rest() {
    let clinic = clinic().await;
    let service = &clinic.service;
    let post = async |path: &str, token: Option<&str>, body: Value| {
        let (status, answer) = service.send(Method::POST, path, token, Some(body)).await;
        (status.as_u16(), answer["code"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |status: u16, code: &str| (status, code.to_owned());
    let login = "/api/v1/auth/login";
    let email = email("patient");
    assert_eq!(
        post(login, None, json!({ "email": email, "password": "wrong" })).await,
        refused(401, "wrong-credentials")
    );
    let unknown = json!({ "email": "nobody@test.example", "password": PASSWORD });
    assert_eq!(post(login, None, unknown).await, refused(401, "wrong-credentials"));
    assert_eq!(post(login, None, json!({ "email": email })).await, refused(422, "invalid"));
    let register = "/api/v1/auth/register";
    let new = |email: &str, password: &str| json!({ "email": email, "password": password, "name": "A" });
    assert_eq!(post(register, None, new(&email, PASSWORD)).await, refused(409, "email-taken"));
    assert_eq!(post(register, None, new("no-at", PASSWORD)).await, refused(422, "invalid"));
    assert_eq!(post(register, None, new("a@b", "short")).await, refused(422, "invalid"));
    let token = Some(clinic.patient.token.as_str());
    let unknown = "/api/v1/consultations/sessions/01890a5d-ac96-774b-bcce-b302099a8057/join";
    assert_eq!(post(unknown, token, json!({})).await, refused(404, "not-found"));
    assert_eq!(
        post("/api/v1/consultations/sessions/x/join", token, json!({})).await,
        refused(404, "not-found")
    );
    assert_eq!(post("/nowhere", token, json!({})).await, refused(404, "not-found"));
    assert_eq!(post("/health", token, json!({})).await, refused(405, "method-not-allowed"));
    assert_eq!(post(&clinic.path("/join"), Some("no token"), json!({})).await, refused(401, "not-signed-in"));
    assert_eq!(
        post(&clinic.path("/join"), token, json!({ "ready": "maybe" })).await,
        refused(422, "invalid")
    );
    let huge = json!({ "email": "x".repeat(100_000), "password": PASSWORD });
    assert_eq!(post(login, None, huge).await, refused(413, "too-large"));

    let raw = async |path: &str, kind: &str, body: Vec<u8>| {
        let request =
            service.http.post(format!("http://{}{path}", service.address)).header("content-type", kind);
        let response = request.bearer_auth(&clinic.patient.token).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let answer: Value = response.json().await.unwrap();
        (status, answer["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(raw(login, "application/json", b"{".to_vec()).await, refused(422, "invalid"));
    let latin1 = b"{\"email\":\"m\xfcller@test.example\",\"password\":\"x\"}".to_vec();
    assert_eq!(raw(login, "application/json", latin1).await, refused(422, "invalid"));
    assert_eq!(raw(login, "text/plain", b"{}".to_vec()).await, refused(422, "invalid"));
    let upload = clinic.path("/attachments?name=a");
    let file = "application/octet-stream";
    assert_eq!(raw(&upload, file, vec![b'a'; 10 * 1024 * 1024 + 1]).await, refused(413, "too-large"));
    assert_eq!(raw(&upload, file, b"MZ\x90\0\x03".to_vec()).await, refused(415, "unsupported-type"));
}

#[tokio::test]
async fn feedback() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let give = async |body: Value| {
        let (status, answer) = clinic.post(&clinic.patient, "/feedback", body).await;
        (status.as_u16(), answer["code"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(give(json!({ "overallRating": 5 })).await, (409, "wrong-state".into()), "before the end");
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    for rating in [json!(9), json!(0), json!(-1), json!(4.5), json!("5"), json!(null)] {
        assert_eq!(give(json!({ "overallRating": rating })).await, (422, "invalid".into()), "{rating}");
    }
    assert_eq!(
        give(json!({ "overallRating": 5, "feedbackTags": ["x".repeat(41)] })).await,
        (422, "invalid".into())
    );
    let (status, summary) =
        clinic.service.send(Method::GET, &clinic.path("/summary"), Some(&clinic.patient.token), None).await;
    assert_eq!((status.as_u16(), &summary["feedbackSubmitted"]), (200, &json!(false)), "nothing was stored");
    assert_eq!(give(json!({ "overallRating": 5, "feedbackTags": ["On-time"] })).await.0, 201);
    assert_eq!(give(json!({ "overallRating": 1 })).await, (409, "feedback-given".into()));
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_sign_in() {
    let clinic = clinic().await;
    let refresh = async |token: &str| {
        let body = json!({ "refreshToken": token });
        clinic.service.send(Method::POST, "/api/v1/auth/refresh", None, Some(body)).await
    };
    let (status, first) = refresh(&clinic.patient.refresh).await;
    assert_eq!(status.as_u16(), 200);
    let (status, second) = refresh(first["refreshToken"].as_str().unwrap()).await;
    assert_eq!(status.as_u16(), 200);
    let (status, answer) = refresh(&clinic.patient.refresh).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (401, Some("token-reused")));
    let (status, _) = refresh(second["refreshToken"].as_str().unwrap()).await;
    assert_eq!(status.as_u16(), 401, "the thief's and the owner's tokens have both ended");
    let me = clinic.service.send(Method::GET, "/api/v1/auth/me", second["accessToken"].as_str(), None).await;
    assert_eq!(me.0.as_u16(), 401);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_again() {
    let clinic = clinic().await;
    let refresh = async |token: &str| {
        let body = json!({ "refreshToken": token, "attempt": "the client's secret" });
        clinic.service.send(Method::POST, "/api/v1/auth/refresh", None, Some(body)).await
    };
    let (_, lost) = refresh(&clinic.patient.refresh).await;
    for _ in 0..2 {
        let (status, again) = refresh(&clinic.patient.refresh).await;
        assert_eq!(status.as_u16(), 200, "{again}");
    }
    // Whoever has the lost one is not the owner.
    let (status, answer) = refresh(lost["refreshToken"].as_str().unwrap()).await;
    assert_eq!((status.as_u16(), answer["code"].as_str()), (401, Some("token-reused")));
}

#[tokio::test]
async fn a_token_that_was_just_used_is_nothing_to_a_thief() {
    for thief in [json!(null), json!("a guess")] {
        let clinic = clinic().await;
        let refresh = async |attempt: &Value| {
            let body = json!({ "refreshToken": clinic.patient.refresh, "attempt": attempt });
            clinic.service.send(Method::POST, "/api/v1/auth/refresh", None, Some(body)).await
        };
        assert_eq!(refresh(&json!("the owner's")).await.0.as_u16(), 200);
        let (status, answer) = refresh(&thief).await;
        assert_eq!((status.as_u16(), answer["code"].as_str()), (401, Some("token-reused")));
    }
}

#[tokio::test]
async fn the_files_of_one_visit_do_not_fill_the_disk() {
    let clinic = clinic().await;
    let send = async || clinic.post(&clinic.patient, "/attachments?name=a.txt", json!("text")).await;
    assert_eq!(send().await.0.as_u16(), 201);
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let large = Attachment {
        attachment_id: AttachmentId::generate(),
        file_name: "scan.pdf".into(),
        file_size: 200 * 1024 * 1024,
        mime_type: "application/pdf".into(),
        thumbnail_url: None,
    };
    let mut unit = app.store.begin(jiff::Timestamp::now()).await.unwrap();
    let (session, owner) = (clinic.session, clinic.patient.id);
    let new =
        NewAttachment { session, owner, attachment: &large, size: None, is_shared: false, most: u64::MAX };
    unit.add_attachment(new).await.unwrap();
    unit.commit().await.unwrap();
    let (status, refused) = send().await;
    assert_eq!((status.as_u16(), refused["code"].as_str()), (413, Some("too-large")));
}

#[tokio::test]
async fn a_text_with_nul_is_refused_wherever_it_stands() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let login = json!({ "email": "a\0@b.example", "password": PASSWORD });
    let (status, refused) = clinic.service.send(Method::POST, "/api/v1/auth/login", None, Some(login)).await;
    assert_eq!((status.as_u16(), refused["code"].as_str()), (422, Some("invalid")));
    let named = clinic.post(&clinic.patient, "/attachments?name=a%00b.txt", json!("text")).await;
    assert_eq!((named.0.as_u16(), named.1["fileName"].as_str()), (201, Some("ab.txt")), "{}", named.1);
}
