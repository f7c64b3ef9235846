//! Between the doctor's *Call in* and the patient's *Join*: it rings, the two connect, and yet
//! nobody has entered. Whatever either does then, neither is left waiting for nobody.

use crate::support::{Visit, is_connected, until, words};
use bedside_client::Command;
use bedside_protocol::{ConsultationMode, SessionStatus};
use bedside_session::{
    Snapshot,
    snapshot::{Screen, UiCode},
};

/// The patient is ready and called in; it rings.
async fn ringing(visit: &Visit) {
    let id = visit.clinic.session;
    until(&visit.patient, "the appointment", |s| s.sessions.iter().any(|s| s.session_id == id)).await;
    visit.patient.command(Command::Enter { session: id });
    let is_in = |s: &Snapshot| matches!(s.screen, Screen::Check | Screen::Waiting);
    if until(&visit.patient, "the waiting room", is_in).await.screen == Screen::Check {
        visit.patient.command(Command::Ready);
    }
    call_in(visit).await;
}

async fn call_in(visit: &Visit) {
    let id = visit.clinic.session;
    let is_ready = |s: &Snapshot| s.sessions.iter().any(|s| s.patient_ready && !s.admitted);
    until(&visit.doctor, "the patient", is_ready).await;
    visit.doctor.command(Command::Admit { session: id });
    until(&visit.patient, "being called in", |s| s.screen == Screen::CalledIn).await;
}

fn session_is(status: SessionStatus) -> impl Fn(&Snapshot) -> bool {
    move |s| s.visit.as_ref().is_some_and(|visit| visit.session.status == status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_clock_starts_with_join_and_not_with_the_ringing() {
    let visit = Visit::begin().await;
    ringing(&visit).await;
    for client in [&visit.doctor, &visit.patient] {
        let shown = until(client, "the connection", is_connected).await;
        let session = shown.visit.unwrap().session;
        assert_eq!((session.status, session.actual_start_time), (SessionStatus::Waiting, None));
    }
    visit.patient.command(Command::Join);
    for client in [&visit.doctor, &visit.patient] {
        until(client, "the beginning", session_is(SessionStatus::InProgress)).await;
    }
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_who_goes_is_not_waited_for() {
    let visit = Visit::begin().await;
    ringing(&visit).await;
    visit.patient.command(Command::Leave);
    until(&visit.patient, "home", |s| s.screen == Screen::Home).await;
    let told = until(&visit.doctor, "the doctor's room", |s| s.screen == Screen::Home).await;
    assert_eq!(told.problem.expect("and why").code, UiCode::PatientGone);
    let planned = |s: &Snapshot| s.sessions.iter().all(|s| s.status == SessionStatus::Scheduled);
    until(&visit.doctor, "the visit as planned", planned).await;
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_patient_who_says_not_now_keeps_their_place() {
    let visit = Visit::begin().await;
    ringing(&visit).await;
    visit.patient.command(Command::Decline);
    let waits = |s: &Snapshot| s.screen == Screen::Waiting && s.visit.as_ref().is_some_and(|v| !v.ready);
    until(&visit.patient, "waiting on", waits).await;
    let told = until(&visit.doctor, "the doctor's room", |s| s.screen == Screen::Home).await;
    assert_eq!(told.problem.expect("and why").code, UiCode::Declined);
    let kept = |s: &Snapshot| {
        s.sessions.iter().all(|s| s.status == SessionStatus::Waiting && !s.patient_ready && !s.admitted)
    };
    until(&visit.doctor, "the patient in the waiting room", kept).await;
    visit.patient.command(Command::Ready);
    call_in(&visit).await;
    visit.patient.command(Command::Join);
    until(&visit.doctor, "the beginning", session_is(SessionStatus::InProgress)).await;
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_calling_in_that_nobody_answers_is_taken_back() {
    let visit = Visit::begin().await;
    ringing(&visit).await;
    visit.doctor.command(Command::End);
    until(&visit.doctor, "the doctor's room", |s| s.screen == Screen::Home).await;
    until(&visit.patient, "waiting on", |s| s.screen == Screen::Waiting).await;
    call_in(&visit).await;
    visit.patient.command(Command::Join);
    until(&visit.doctor, "the beginning", session_is(SessionStatus::InProgress)).await;
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_in_writing_opens_neither_devices_nor_a_connection() {
    let visit = Visit::begin_over(ConsultationMode::Chat, false).await;
    ringing(&visit).await;
    visit.patient.command(Command::Join);
    for client in [&visit.doctor, &visit.patient] {
        until(client, "the beginning", session_is(SessionStatus::InProgress)).await;
    }
    visit.doctor.command(Command::SendText { text: "good morning".into() });
    let said = |s: &Snapshot| words(s).len() == 1;
    let shown = until(&visit.patient, "the message", said).await;
    assert!(shown.visit.unwrap().call.is_none());
    let devices = shown.devices;
    for device in [&devices.microphone, &devices.speaker, &devices.camera] {
        // Here there is none, which trying would have shown.
        assert!(!device.works && !device.opening && device.trouble.is_none(), "{device:?}");
    }
    visit.close().await.service.stop().await;
}
