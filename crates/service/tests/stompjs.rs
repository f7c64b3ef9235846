//! The STOMP server, driven by the library that web clients use.

mod common;

use std::{path::Path, time::Duration};

use common::clinic;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_client_holds_a_visit() {
    let clinic = clinic().await;
    let (doctor, patient) = clinic.in_the_call().await;
    let visit = json!({
        "address": clinic.service.address,
        "session": clinic.session,
        "doctor": { "access": clinic.doctor.token, "media": doctor },
        "patient": { "access": clinic.patient.token, "media": patient },
    });
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = here.join("../../ui/package.json");
    assert!(
        packages.with_file_name("node_modules/@stomp/stompjs").exists(),
        "run `npm ci` in ui/, or `cargo xtask test`, which does"
    );
    let run = tokio::process::Command::new("node")
        .arg(here.join("tests/stompjs/visit.mjs"))
        .env("BEDSIDE_PACKAGES", packages)
        .env("BEDSIDE_VISIT", visit.to_string())
        .kill_on_drop(true)
        .output();
    let run = tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends").unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}\n{wrong}");
    assert_eq!(said.lines().count(), 5, "every part was checked: {said}");
}
