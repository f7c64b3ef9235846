//! How a visit was seen and heard: told while it runs, read by its two sides.

use crate::common::{clinic, quality_report};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn each_side_tells_and_both_read_the_mean() {
    let clinic = clinic().await;
    let read = async || -> Value {
        clinic.service.send(Method::GET, &clinic.path("/quality"), Some(&clinic.doctor.token), None).await.1
    };
    assert_eq!(clinic.post(&clinic.patient, "/quality", quality_report()).await.0, 409, "it does not run");
    clinic.in_the_call().await;
    assert_eq!(read().await, json!({}), "nothing was told");
    for mos in [4.3, 2.5] {
        let mut report = quality_report();
        report["mos"] = json!(mos);
        assert_eq!(clinic.post(&clinic.patient, "/quality", report).await.0, 204);
    }
    assert_eq!(clinic.post(&clinic.doctor, "/quality", quality_report()).await.0, 204);
    let found = read().await;
    assert_eq!((&found["patient"]["reports"], &found["doctor"]["reports"]), (&json!(2), &json!(1)));
    assert!((found["patient"]["mos"].as_f64().unwrap() - 3.4).abs() < 0.01, "{found}");
    assert_eq!(found["patient"]["connectionQuality"], "poor");
    assert_eq!(found["doctor"]["connectionQuality"], "excellent");
    assert_eq!(found["doctor"]["roundTripMs"], 40.0);
}

#[tokio::test]
async fn what_nobody_can_measure_is_not_kept() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    for (field, value) in
        [("mos", json!(9)), ("fps", json!(100_000)), ("concealedPercent", json!(-3)), ("name", json!("x"))]
    {
        let mut report = quality_report();
        report[field] = value;
        assert_eq!(clinic.post(&clinic.patient, "/quality", report).await.0, 422, "{field}");
    }
}
