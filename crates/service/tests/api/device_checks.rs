//! A person's device check: kept under a code, read by the practice.

use crate::common::{Clinic, Person, clinic};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) fn report(bits_per_second: u64) -> Value {
    json!({
        "devices": { "camera": true, "microphone": true, "speaker": false },
        "network": { "bitsPerSecond": bits_per_second, "lossPercent": 2, "roundTripMs": 40, "udp": false,
            "tcp": true, "tls": true },
    })
}

async fn keep(clinic: &Clinic, by: Option<&Person>, report: Value) -> (u16, Value) {
    let token = by.map(|person| person.token.as_str());
    let sent = clinic.service.send(Method::POST, "/api/v1/device-checks", token, Some(report)).await;
    (sent.0.as_u16(), sent.1)
}

async fn read(clinic: &Clinic, by: Option<&Person>, code: &str) -> (u16, Value) {
    let path = format!("/api/v1/device-checks/{code}");
    let token = by.map(|person| person.token.as_str());
    let (status, answer) = clinic.service.send(Method::GET, &path, token, None).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn the_practice_reads_what_a_patient_reads_out() {
    let clinic = clinic().await;
    assert_eq!(keep(&clinic, None, report(1)).await.0, 401);
    let (status, kept) = keep(&clinic, Some(&clinic.patient), report(410_000)).await;
    assert_eq!(status, 201, "{kept}");
    let code = kept["code"].as_str().unwrap();
    let said = format!("{}-{}", &code[..3], code[3..].to_lowercase());
    for staff in [&clinic.doctor, &clinic.admin] {
        let (status, found) = read(&clinic, Some(staff), &said).await;
        assert_eq!(status, 200, "{found}");
        assert_eq!(
            (&found["network"], &found["devices"]),
            (&report(410_000)["network"], &report(1)["devices"])
        );
        assert!(found["name"].is_string() && found["checkedAt"].is_string(), "{found}");
    }
    for nobody in [Some(&clinic.patient), Some(&clinic.other_patient)] {
        assert_eq!(read(&clinic, nobody, code).await.0, 403);
    }
    assert_eq!(read(&clinic, None, code).await.0, 401);
    assert_eq!(read(&clinic, Some(&clinic.doctor), "ZZZZZZ").await.0, 404);
}

#[tokio::test]
async fn what_no_network_can_do_is_not_kept() {
    let clinic = clinic().await;
    let mut lost = report(1);
    lost["network"]["lossPercent"] = json!(101);
    let mut more = report(1);
    more["network"]["password"] = json!("x");
    for wrong in [report(u64::MAX), lost, more, json!({})] {
        assert_eq!(keep(&clinic, Some(&clinic.patient), wrong.clone()).await.0, 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_person_s_checks_do_not_pile_up() {
    let clinic = clinic().await;
    let mut codes = vec![];
    for number in 0..12 {
        let (_, kept) = keep(&clinic, Some(&clinic.patient), report(number)).await;
        codes.push(kept["code"].as_str().unwrap().to_owned());
    }
    assert_eq!(read(&clinic, Some(&clinic.doctor), &codes[1]).await.0, 404);
    assert_eq!(read(&clinic, Some(&clinic.doctor), &codes[2]).await.0, 200);
}

#[tokio::test]
async fn relays_are_for_whoever_is_signed_in() {
    let clinic = clinic().await;
    let path = "/api/v1/ice-servers";
    assert_eq!(clinic.service.send(Method::GET, path, None, None).await.0.as_u16(), 401);
    let (_, servers) = clinic.service.send(Method::GET, path, Some(&clinic.patient.token), None).await;
    let urls: Vec<_> = servers.as_array().unwrap().iter().map(|s| s["urls"].as_str().unwrap()).collect();
    assert!(
        urls[0].starts_with("stun:") && urls.iter().any(|url| url.ends_with("transport=udp")),
        "{urls:?}"
    );
}
