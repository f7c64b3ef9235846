//! The network and the service go away together: all media goes through the service's relay, so
//! that stopping the service cuts every way between the two. What the window allows comes back
//! without a click; after it both can rejoin.

use std::time::{Duration, Instant};

use crate::support::{Visit, is_connected, status, until, words};
use bedside_client::Command;
use bedside_protocol::{ConsultationMode, PresenceStatus};
use bedside_session::{Snapshot, snapshot::CallStatus};

async fn both(visit: &Visit, what: &str, wanted: impl Fn(&Snapshot) -> bool + Copy) {
    tokio::join!(until(&visit.doctor, what, wanted), until(&visit.patient, what, wanted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_break_heals_by_itself() {
    let mut visit = Visit::begin_over(ConsultationMode::Video, true).await;
    visit.talk().await;
    both(&visit, "the relay", |s| s.visit.as_ref().unwrap().call.as_ref().unwrap().quality.relayed).await;
    visit.clinic.service.stop().await;
    visit.patient.command(Command::SendText { text: "written in the dark".into() });
    both(&visit, "the break", |s| status(s) == Some(CallStatus::Reconnecting)).await;
    let away = Instant::now();
    visit.clinic.service.start_again().await;
    both(&visit, "the connection", is_connected).await;
    assert!(away.elapsed() < Duration::from_secs(20), "it took {:?}", away.elapsed());
    until(&visit.doctor, "the message", |s| words(s) == ["written in the dark"]).await;
    let present = |s: &Snapshot| s.visit.as_ref().unwrap().other_presence == PresenceStatus::Connected;
    both(&visit, "one another's presence", present).await;
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_window_both_rejoin() {
    let mut visit = Visit::begin_over(ConsultationMode::Video, true).await;
    visit.talk().await;
    visit.clinic.service.stop().await;
    both(&visit, "the break", |s| status(s) == Some(CallStatus::Reconnecting)).await;
    // The window is a minute, longer than anything else is waited for here.
    let lost = async {
        while visit.doctor.snapshots().changed().await.is_ok() {
            let both = [&visit.doctor, &visit.patient].map(|client| status(&client.snapshots().borrow()));
            if both == [Some(CallStatus::Lost); 2] {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(80), lost).await.expect("it is given up");
    visit.clinic.service.start_again().await;
    visit.doctor.command(Command::Rejoin);
    visit.patient.command(Command::Rejoin);
    both(&visit, "the connection", is_connected).await;
    visit.close().await.service.stop().await;
}
