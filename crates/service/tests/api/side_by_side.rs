//! What happens at the same moment: on one database file one after the other, on a server truly beside one another.

use bedside_protocol::OutgoingMessage;
use bedside_service::App;
use futures_util::future::join_all;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::json;

use crate::{common::clinic, database::Outside};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn messages_have_their_numbers_without_a_gap() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let row = app.store.session(clinic.session).await.unwrap().unwrap();
    let writers = [clinic.patient.id, clinic.doctor.id];
    let writing = (0..40).map(|number| {
        let (store, row, writer) = (app.store.clone(), row.clone(), writers[number % 2]);
        tokio::spawn(async move {
            let sender = store.user(writer).await.unwrap().unwrap();
            // Each twice, as after an answer that was lost.
            let outgoing: OutgoingMessage = serde_json::from_value(json!({
                "sessionId": row.id, "messageType": "text", "content": format!("message {number}"),
            }))
            .unwrap();
            let mut news = vec![];
            for _ in 0..2 {
                let mut unit = store.begin(Timestamp::now()).await.unwrap();
                news.push(unit.add_message(&row, sender.id, &outgoing).await.unwrap().unwrap());
                unit.commit().await.unwrap();
            }
            assert!(news[0].is_new && !news[1].is_new && news[0].message.seq == news[1].message.seq);
            news[0].message.seq
        })
    });
    let mut numbers: Vec<u64> = join_all(writing).await.into_iter().map(Result::unwrap).collect();
    numbers.sort_unstable();
    // Behind the two that say that both came.
    assert_eq!(numbers, (3..=42).collect::<Vec<_>>());
    app.store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refresh_token_is_used_once() {
    let clinic = clinic().await;
    let tries = (0..12).map(|_| {
        let body = json!({ "refreshToken": clinic.patient.refresh });
        clinic.service.send(Method::POST, "/api/v1/auth/refresh", None, Some(body))
    });
    let answers = join_all(tries).await;
    let good = answers.iter().filter(|(status, _)| status.is_success()).count();
    assert_eq!(good, 1, "{answers:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_visit_ends_once() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let both = [&clinic.doctor, &clinic.patient];
    let ends = (0..10).map(|number| clinic.post(both[number % 2], "/end", json!({})));
    let answers = join_all(ends).await;
    let good = answers.iter().filter(|(status, _)| status.is_success()).count();
    assert!(good >= 1, "{answers:?}");
    let mut database = Outside::of(&clinic).await;
    let lines = database.number("SELECT count(*) FROM audit_log WHERE action = 'SESSION_ENDED'").await;
    assert_eq!(lines, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_has_one_account() {
    let clinic = clinic().await;
    let tries = (0..6).map(|number| {
        let email = if number % 2 == 0 { "Ada@planted.example" } else { "ada@Planted.example" };
        let body = json!({ "email": email, "password": "a long enough password", "name": "Ada" });
        clinic.service.send(Method::POST, "/api/v1/auth/register", None, Some(body))
    });
    let answers = join_all(tries).await;
    let made = answers.iter().filter(|(status, _)| status.as_u16() == 201).count();
    assert_eq!(made, 1, "{answers:?}");
    clinic.service.sign_in("ADA@PLANTED.EXAMPLE").await;
}
