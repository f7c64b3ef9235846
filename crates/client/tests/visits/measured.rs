//! What is measured reaches the service: the network before a visit, the call during one.

use crate::support::{Visit, until};
use bedside_client::Command;
use bedside_protocol::ConsultationMode;
use bedside_session::{
    Snapshot,
    snapshot::{NetworkVerdict, Screen},
};
use reqwest::Method;
use serde_json::Value;

async fn read(visit: &Visit, path: &str) -> Value {
    let doctor = Some(visit.clinic.doctor.token.as_str());
    visit.clinic.service.send(Method::GET, path, doctor, None).await.1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_is_tried_and_the_practice_can_read_it() {
    let visit = Visit::begin().await;
    let id = visit.clinic.session;
    until(&visit.patient, "the appointment", |s| s.sessions.iter().any(|s| s.session_id == id)).await;
    visit.patient.command(Command::Enter { session: id });
    until(&visit.patient, "the check", |s| s.screen == Screen::Check).await;
    let shown = until(&visit.patient, "the code", |s| s.connection.test.code.is_some()).await;
    let test = shown.connection.test;
    assert_eq!((test.runs, test.verdict), (false, Some(NetworkVerdict::Good)), "{test:?}");
    let code = test.code.unwrap();
    let kept = read(&visit, &format!("/api/v1/device-checks/{code}")).await;
    assert_eq!(kept["network"], serde_json::to_value(test.found).unwrap(), "{kept}");

    // Again, at a press; and going on in the middle of it ends it.
    visit.patient.command(Command::TestNetwork);
    until(&visit.patient, "that it runs", |s| s.connection.test.runs).await;
    visit.patient.command(Command::Ready);
    let waits = |s: &Snapshot| s.screen == Screen::Waiting && !s.connection.test.runs;
    until(&visit.patient, "the waiting room", waits).await;
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_tell_how_the_visit_is() {
    let visit = Visit::begin_over(ConsultationMode::Audio, true).await;
    visit.talk().await;
    let path = visit.clinic.path("/quality");
    let told = async {
        loop {
            let quality = read(&visit, &path).await;
            if quality["patient"].is_object() && quality["doctor"].is_object() {
                return quality;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        }
    };
    let quality = tokio::time::timeout(std::time::Duration::from_secs(30), told).await.expect("both tell");
    for side in ["patient", "doctor"] {
        let mos = quality[side]["mos"].as_f64().unwrap();
        // Without a microphone nothing is said, and nothing made up.
        assert!((1.0..=4.5).contains(&mos) && quality[side]["packetLossPercent"] == 0.0, "{quality}");
    }
    let shown = visit.patient.snapshots().borrow().clone();
    let call = shown.visit.and_then(|visit| visit.call).expect("a call").quality;
    let is_by_relay = serde_json::to_value(call.path).unwrap() == "relay";
    assert!(is_by_relay && serde_json::to_value(call.transport).unwrap() == "udp", "{call:?}");
    visit.close().await.service.stop().await;
}
