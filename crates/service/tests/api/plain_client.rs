//! What a client does that knows the documents and not ours: registers, joins without a body,
//! pages through the chat, and finds its tokens ended when their time has come.

use crate::common::{PASSWORD, clinic};
use bedside_protocol::{MessageType, OutgoingMessage, Token};
use bedside_service::{ACCESS_LASTS, App, media_tokens::MediaToken, store::NewTokens};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_patient_registers_and_signs_in() {
    let clinic = clinic().await;
    let service = &clinic.service;
    let body = json!({ "name": "Ada Lindqvist", "email": "ada@patients.example", "password": PASSWORD });
    let (status, made) = service.send(Method::POST, "/api/v1/auth/register", None, Some(body)).await;
    assert_eq!((status.as_u16(), made["role"].as_str()), (201, Some("PATIENT")), "{made}");
    let ada = service.sign_in("ADA@patients.example").await;
    let (_, visits) =
        service.send(Method::GET, "/api/v1/consultations/sessions", Some(&ada.token), None).await;
    assert_eq!(visits, json!([]));
}

#[tokio::test]
async fn joining_needs_no_body_and_preparing_starts_no_clock() {
    let clinic = clinic().await;
    let (_, waiting) =
        clinic.service.send(Method::POST, &clinic.path("/join"), Some(&clinic.patient.token), None).await;
    assert_eq!((&waiting["admitted"], &waiting["session"]["status"]), (&json!(false), &json!("WAITING")));
    clinic.post(&clinic.doctor, "/admit", json!({})).await;
    clinic.post(&clinic.doctor, "/join", json!({})).await;
    let (_, prepared) = clinic.post(&clinic.patient, "/join", json!({ "prepare": true })).await;
    assert!(prepared["accessToken"].is_string());
    assert_eq!(prepared["session"]["status"], "WAITING");
    let (_, joined) =
        clinic.service.send(Method::POST, &clinic.path("/join"), Some(&clinic.patient.token), None).await;
    assert_eq!(joined["session"]["status"], "IN_PROGRESS");
}

#[tokio::test]
async fn a_patient_is_recalled_into_a_session_of_its_own() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let (_, running) =
        clinic.service.send(Method::GET, &clinic.path(""), Some(&clinic.patient.token), None).await;
    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let limit = time(&running["endsByItself"]).duration_since(time(&running["actualStartTime"]));
    assert_eq!(limit, SignedDuration::from_mins(15 + 30));
    assert_eq!(clinic.post(&clinic.doctor, "/recall", json!({})).await.0.as_u16(), 409, "it goes on");
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    let (status, again) = clinic.post(&clinic.doctor, "/recall", json!({})).await;
    assert_eq!(status.as_u16(), 201, "{again}");
    assert_eq!(again["recalledFrom"], json!(clinic.session));
    assert_eq!((&again["status"], &again["scheduledDurationMinutes"]), (&json!("SCHEDULED"), &json!(15)));
    let (_, once_more) = clinic.post(&clinic.doctor, "/recall", json!({})).await;
    assert_eq!(once_more["sessionId"], again["sessionId"], "one re-call of each");
    let list = "/api/v1/consultations/sessions";
    let (_, seen) = clinic.service.send(Method::GET, list, Some(&clinic.patient.token), None).await;
    assert!(seen.as_array().unwrap().iter().any(|one| one["sessionId"] == again["sessionId"]), "{seen}");
    let path = format!("{list}/{}/join", again["sessionId"].as_str().unwrap());
    let (_, joined) = clinic.service.send(Method::POST, &path, Some(&clinic.patient.token), None).await;
    assert_eq!(
        (&joined["session"]["status"], &joined["session"]["placeInLine"]),
        (&json!("WAITING"), &json!(1))
    );
    assert_eq!(joined["session"]["expectedWaitMinutes"], 0, "nobody is before them");
}

#[tokio::test]
async fn the_mode_is_the_appointments() {
    let clinic = clinic().await;
    let session =
        clinic.service.send(Method::GET, &clinic.path(""), Some(&clinic.patient.token), None).await.1;
    let ask = async |mode: &str| {
        let body = json!({ "appointmentId": session["appointmentId"], "consultationMode": mode });
        let token = Some(clinic.patient.token.as_str());
        clinic.service.send(Method::POST, "/api/v1/consultations/sessions", token, Some(body)).await
    };
    let (status, refused) = ask("CHAT").await;
    assert_eq!((status.as_u16(), refused["code"].as_str()), (409, Some("wrong-state")));
    assert_eq!(ask("VIDEO").await.0.as_u16(), 201);
}

#[tokio::test]
async fn a_long_chat_comes_in_pages() {
    let mut clinic = clinic().await;
    clinic.in_the_call().await;
    clinic.service.stop().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let row = app.store.session(clinic.session).await.unwrap().unwrap();
    let patient = app.store.user(clinic.patient.id).await.unwrap().unwrap();
    let mut unit = app.store.begin(Timestamp::now()).await.unwrap();
    for number in 1..=120 {
        // As the documents have it: without an id of the client's.
        let outgoing: OutgoingMessage = serde_json::from_value(json!({
            "sessionId": clinic.session, "messageType": "text", "content": format!("message {number}")
        }))
        .unwrap();
        assert_eq!(outgoing.message_type, MessageType::Text);
        unit.add_message(&row, patient.id, &outgoing).await.unwrap().unwrap();
    }
    unit.commit().await.unwrap();
    app.store.close().await;
    clinic.service.start_again().await;

    let page = async |query: &str| {
        let path = clinic.path(&format!("/chat{query}"));
        let (status, page) = clinic.service.send(Method::GET, &path, Some(&clinic.doctor.token), None).await;
        assert_eq!(status.as_u16(), 200, "{page}");
        page
    };
    let numbers = |page: &Value| -> Vec<u64> {
        page["items"].as_array().unwrap().iter().map(|m| m["seq"].as_u64().unwrap()).collect()
    };
    // The first two say that both came.
    let newest = page("?limit=50").await;
    assert_eq!(numbers(&newest), (73..=122).collect::<Vec<_>>());
    assert_eq!((&newest["hasOlder"], &newest["hasNewer"]), (&json!(true), &json!(false)));
    assert_eq!(newest["items"][0]["senderType"], "patient");
    let older = page("?limit=72&before=73").await;
    assert_eq!(numbers(&older), (1..=72).collect::<Vec<_>>());
    assert_eq!(older["hasOlder"], false);
    let missed = page("?limit=10&after=100").await;
    assert_eq!(numbers(&missed), (101..=110).collect::<Vec<_>>());
    assert_eq!(missed["hasNewer"], true);
}

#[tokio::test]
async fn tokens_end_when_their_time_has_come() {
    let mut clinic = clinic().await;
    let (_, joined) = {
        clinic.in_the_call().await;
        clinic.post(&clinic.patient, "/join", json!({})).await
    };
    let media = Token::new(joined["accessToken"].as_str().unwrap());
    let (access, refresh) =
        (Token::new(clinic.patient.token.as_str()), Token::new(clinic.patient.refresh.as_str()));
    clinic.service.stop().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let now = Timestamp::now();
    let (session, patient) = (clinic.session, clinic.patient.id);
    let minutes = SignedDuration::from_mins;
    for (at, holds) in [(now + minutes(14), true), (now + minutes(16), false)] {
        assert_eq!(app.store.grant(&access, at).await.unwrap().is_some(), holds, "access at {at}");
    }
    for (at, holds) in [(now + minutes(59), true), (now + minutes(61), false)] {
        let token = MediaToken::open(&media, app.store.keys()).unwrap();
        assert_eq!(token.lets_in(patient, session, at), holds, "media at {at}");
    }
    let next = [Token::new("next access"), Token::new("next refresh")];
    let follow = NewTokens {
        attempt: None,
        access: &next[0],
        refresh: &next[1],
        access_lasts: ACCESS_LASTS,
        idle: SignedDuration::from_hours(24),
    };
    let late = now + SignedDuration::from_hours(25);
    let outcome = app.store.begin(late).await.unwrap().use_refresh_token(&refresh, &follow).await.unwrap();
    assert!(matches!(outcome, bedside_service::store::Refreshed::Refused), "{outcome:?}");
    app.store.close().await;
}
