//! A database server that goes away and comes back: for a moment, or for as many seconds as `BEDSIDE_TEST_AWAY` says.
#![expect(clippy::print_stdout, reason = "figures of a run by hand")]

use std::time::{Duration, Instant};

use bedside_servers::Postgres;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::{
    common::clinic_with,
    sockets::{Socket, send},
};

// While the server starts, the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_catches_up_by_itself() {
    let mut server = Postgres::start_own().unwrap();
    let url = server.database().unwrap().parse().unwrap();
    let clinic = clinic_with(|settings| settings.database = Some(url)).await;
    clinic.in_the_call().await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(bedside_protocol::topic::ERRORS).await;
    socket.subscribe(&bedside_protocol::topic::session(clinic.session)).await;
    let message = |text: &str| {
        send(
            bedside_protocol::app::CHAT_SEND,
            &json!({ "type": "CHAT_MESSAGE", "payload": {
                "sessionId": clinic.session, "messageType": "text", "content": text,
                "clientMessageId": uuid::Uuid::new_v4(),
            } }),
        )
    };
    socket.send(&message("before")).await;
    socket.until(&["before"]).await;
    server.halt().unwrap();

    // Whoever asks hears within their patience that it can't be now, and when to ask again.
    let began = Instant::now();
    let request = clinic.service.http.get(format!("http://{}{}", clinic.service.address, clinic.path("")));
    let refused = request.bearer_auth(&clinic.doctor.token).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    let (ready, _) = clinic.service.send(Method::GET, "/ready", None, None).await;
    assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE);
    socket.send(&message("while it is away")).await;
    // Who writes is told.
    socket.until(&["\"unavailable\""]).await;
    // However long it takes, nobody waits for longer than that.
    let lasts = std::env::var("BEDSIDE_TEST_AWAY").map_or(0, |seconds| seconds.parse().unwrap());
    let mut asked = 0;
    while began.elapsed() < Duration::from_secs(lasts) {
        let asks = Instant::now();
        let (status, _) = clinic.post(&clinic.doctor, "/pause", json!({})).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(asks.elapsed() < Duration::from_secs(8), "it took {:?}", asks.elapsed());
        asked += 1;
    }

    // Whoever asks shortly before it is back only waits.
    let waiting = {
        let (http, token) = (clinic.service.http.clone(), clinic.doctor.token.clone());
        let url = format!("http://{}{}", clinic.service.address, clinic.path("/pause"));
        tokio::spawn(async move { http.post(url).bearer_auth(token).send().await.unwrap().status() })
    };
    server.resume().unwrap();
    assert_eq!(waiting.await.unwrap(), StatusCode::OK);
    // The socket has lived through it, and hears of the pause.
    socket.until(&["PAUSED"]).await;
    socket.send(&message("after it is back")).await;
    socket.until(&["after it is back"]).await;
    let (_, chat) =
        clinic.service.send(Method::GET, &clinic.path("/chat"), Some(&clinic.patient.token), None).await;
    let texts: Vec<_> =
        chat["items"].as_array().unwrap().iter().filter(|one| one["messageType"] == "text").collect();
    let [before, after] = texts[..] else { panic!("one before and one after: {chat}") };
    assert_eq!((&before["content"], &after["content"]), (&json!("before"), &json!("after it is back")));
    println!("away for {:?}, asked {asked} times meanwhile", began.elapsed());
}
