//! A patient signed in on two devices: both ring, one has the call, and it goes where it was last taken.

use std::time::Duration;

use crate::support::{Visit, is_connected, signed_in, until};
use bedside_client::{Client, Command};
use bedside_protocol::SessionStatus;
use bedside_session::{Snapshot, snapshot::Screen};

async fn wait_in(client: &Client, visit: &Visit) {
    let id = visit.clinic.session;
    until(client, "the appointment", |s| s.sessions.iter().any(|s| s.session_id == id)).await;
    client.command(Command::Enter { session: id });
    until(client, "the check", |s| s.screen == Screen::Check).await;
    client.command(Command::Ready);
    until(client, "the waiting room", |s| s.screen == Screen::Waiting).await;
}

/// For so long nothing of this changes.
async fn stays(client: &Client, what: &str, wanted: impl Fn(&Snapshot) -> bool) {
    let mut snapshots = client.snapshots();
    let changes = async {
        loop {
            assert!(wanted(&snapshots.borrow_and_update()), "{what}");
            snapshots.changed().await.expect("the client runs");
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(12), changes).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_call_is_on_one_device_at_a_time() {
    let visit = Visit::begin().await;
    let (other, _folder) = signed_in(&visit.clinic, "patient", false).await;
    wait_in(&visit.patient, &visit).await;
    wait_in(&other, &visit).await;
    let is_ready = |s: &Snapshot| s.sessions.iter().any(|s| s.patient_ready && !s.admitted);
    until(&visit.doctor, "the patient", is_ready).await;
    visit.doctor.command(Command::Admit { session: visit.clinic.session });
    for device in [&visit.patient, &other] {
        until(device, "ringing", |s| s.screen == Screen::CalledIn).await;
    }

    // Answered on the first: the other stops ringing, and declining there changes nothing.
    visit.patient.command(Command::Join);
    until(&other, "the word that it is answered", |s| s.screen == Screen::Elsewhere).await;
    until(&visit.doctor, "the connection", is_connected).await;
    until(&visit.patient, "the connection", is_connected).await;
    other.command(Command::Leave);
    until(&other, "home", |s| s.screen == Screen::Home).await;
    stays(&visit.doctor, "the call goes on", is_connected).await;

    // Taken to the other: the first says so, and leaves it there.
    other.command(Command::Enter { session: visit.clinic.session });
    until(&visit.patient, "the word that it is elsewhere", |s| s.screen == Screen::Elsewhere).await;
    until(&other, "the connection on the other", is_connected).await;
    until(&visit.doctor, "the connection to the other", is_connected).await;
    tokio::join!(
        stays(&other, "the other keeps the call", |s| s.screen == Screen::Call && is_connected(s)),
        stays(&visit.patient, "the first leaves it there", |s| s.screen == Screen::Elsewhere),
        stays(&visit.doctor, "the doctor sees one patient", is_connected),
    );

    // And back.
    visit.patient.command(Command::Join);
    until(&other, "the word that it was taken back", |s| s.screen == Screen::Elsewhere).await;
    until(&visit.patient, "the connection, back", is_connected).await;
    let runs = |s: &Snapshot| s.sessions.iter().any(|s| s.status == SessionStatus::InProgress);
    until(&visit.doctor, "that it runs", runs).await;
    other.close().await;
    visit.close().await.service.stop().await;
}
