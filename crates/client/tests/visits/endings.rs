//! However a call ends, its tasks and threads end with it.

use std::time::Duration;

use crate::support::{Visit, is_connected, until};
use bedside_client::Command;
use bedside_session::snapshot::Screen;

/// Asks until it is so: nothing tells when a task or thread is gone.
async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let asked = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(asked.await.is_ok(), "never: {what}");
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

#[cfg(target_os = "linux")]
fn threads() -> Vec<String> {
    crate::support::media_threads()
}
#[cfg(not(target_os = "linux"))]
fn threads() -> Vec<String> {
    vec![]
}

/// While the apps run on, nothing of the call is left; when they are closed, nothing at all.
async fn check(visit: Visit) {
    let of_a_call = ["decode", "sound", "camera"];
    eventually("the call's threads are gone", || {
        !threads().iter().any(|name| of_a_call.contains(&name.as_str()))
    })
    .await;
    close(visit).await;
}

async fn close(visit: Visit) {
    let mut clinic = visit.close().await;
    assert_eq!(threads(), [""; 0], "threads are left");
    clinic.service.stop().await;
    drop(clinic);
    eventually("every task is gone", || tasks() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_ends_it() {
    let visit = Visit::begin().await;
    visit.talk().await;
    assert!(tasks() > 0 && threads().len() > 2, "a call has tasks and threads: {:?}", threads());
    visit.doctor.command(Command::End);
    for client in [&visit.doctor, &visit.patient] {
        until(client, "the end", |s| s.screen == Screen::After).await;
        client.command(Command::Home);
    }
    check(visit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_leave() {
    let visit = Visit::begin().await;
    visit.talk().await;
    for client in [&visit.patient, &visit.doctor] {
        client.command(Command::Leave);
        until(client, "having left", |s| s.screen == Screen::After).await;
    }
    check(visit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sign_out_in_the_middle() {
    let visit = Visit::begin().await;
    visit.talk().await;
    for client in [&visit.doctor, &visit.patient] {
        client.command(Command::SignOut);
        until(client, "the sign-in screen", |s| s.screen == Screen::SignIn).await;
    }
    check(visit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_apps_are_closed_in_the_middle() {
    let visit = Visit::begin().await;
    visit.talk().await;
    close(visit).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_goes_first() {
    let mut visit = Visit::begin().await;
    visit.talk().await;
    visit.clinic.service.stop().await;
    until(&visit.doctor, "the lost link", |s| s.link != bedside_session::snapshot::Link::Up).await;
    assert!(is_connected(&visit.doctor.snapshots().borrow()), "the call needs no service to go on");
    visit.close().await;
    assert_eq!(threads(), [""; 0], "threads are left");
    eventually("every task is gone", || tasks() == 0).await;
}
