//! What is done while the service is away is done when it is back, and what happened meanwhile
//! is seen.

use std::time::Duration;

use crate::support::{
    Visit,
    common::{PASSWORD, email},
    until,
};
use bedside_client::{Client, ClientConfig, Command};
use bedside_consult::Input;
use bedside_service::App;
use bedside_session::{
    Snapshot,
    snapshot::{Link, Screen, UiCode},
};
use jiff::Timestamp;

const TEXT: &[u8] = b"blood pressure: 120 over 80";

async fn dark(visit: &mut Visit) {
    visit.clinic.service.stop().await;
    for client in [&visit.doctor, &visit.patient] {
        until(client, "the break", |s| s.link != Link::Up).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_and_the_end_are_not_lost() {
    let mut visit = Visit::begin().await;
    visit.talk().await;
    dark(&mut visit).await;
    visit.patient.command(Command::SendFile { name: "values.txt".into(), bytes: TEXT.into() });
    let told = |s: &Snapshot| s.problem.as_ref().is_some_and(|p| p.code == UiCode::Unreachable);
    until(&visit.patient, "word of it", told).await;
    visit.clinic.service.start_again().await;
    let has_file = |s: &Snapshot| {
        s.visit.as_ref().is_some_and(|visit| visit.chat.messages.iter().any(|m| m.attachment.is_some()))
    };
    until(&visit.doctor, "the file", has_file).await;

    dark(&mut visit).await;
    visit.doctor.command(Command::End);
    until(&visit.doctor, "word of it", told).await;
    visit.clinic.service.start_again().await;
    for client in [&visit.doctor, &visit.patient] {
        until(client, "the end", |s| s.screen == Screen::After).await;
        until(client, "the summary", |s| s.visit.as_ref().is_some_and(|v| v.summary.is_some())).await;
    }
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visit_that_ended_meanwhile_has_ended() {
    let mut visit = Visit::begin().await;
    visit.talk().await;
    dark(&mut visit).await;
    let config = visit.clinic.service.config.clone();
    let app = App::open(config.clone(), None).await.unwrap();
    let later = Timestamp::now() + Duration::from_secs(3600);
    let mut unit = app.store.begin(later).await.unwrap();
    let mut row = unit.session(visit.clinic.session).await.unwrap().unwrap();
    row.consultation.apply(Input::Tick, later, &config.limits()).unwrap();
    assert!(row.consultation.status.is_final());
    unit.replace(row).await.unwrap();
    unit.commit().await.unwrap();
    app.store.close().await;
    visit.clinic.service.start_again().await;
    for client in [&visit.doctor, &visit.patient] {
        until(client, "the end", |s| s.screen == Screen::After).await;
        until(client, "the summary", |s| s.visit.as_ref().is_some_and(|v| v.summary.is_some())).await;
    }
    visit.close().await.service.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_in_that_nobody_answered_goes_through_once_somebody_does() {
    let mut clinic = crate::support::common::clinic().await;
    clinic.service.stop().await;
    let folder = tempfile::tempdir().unwrap();
    let client = Client::start(ClientConfig {
        folder: folder.path().to_owned(),
        service: None,
        relay_only: false,
        vp8_only: false,
        without_devices: true,
    });
    client.command(Command::SignIn {
        service: clinic.service.address.to_string(),
        email: email("patient").as_str().into(),
        password: PASSWORD.into(),
    });
    let told = |s: &Snapshot| s.problem.as_ref().is_some_and(|p| p.code == UiCode::Unreachable);
    let shown = until(&client, "word of it", told).await;
    assert_eq!(shown.screen, Screen::SignIn, "what was typed stays on the screen");
    clinic.service.start_again().await;
    until(&client, "the first screen", |s| s.screen == Screen::Home && s.link == Link::Up).await;
    client.close().await;
    clinic.service.stop().await;
}
