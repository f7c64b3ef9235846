//! What whoever runs the service needs of it: figures, a log that can be searched, TLS, a path and origins of its own.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::common::{clinic, clinic_with, quality_report};

#[tokio::test]
async fn it_tells_how_it_runs_on_an_address_of_its_own() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let clinic = clinic_with(|settings| settings.metrics_listen = Some(free)).await;
    clinic.in_the_call().await;
    clinic.post(&clinic.doctor, "/quality", quality_report()).await;
    let wrong = json!({ "email": "a@b", "password": "a wrong password" });
    clinic.service.send(Method::POST, "/api/v1/auth/login", None, Some(wrong)).await;
    let page = reqwest::get(format!("http://{free}/metrics")).await.unwrap().text().await.unwrap();
    let value = |start: &str| {
        let line = page.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
        line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    assert!(value("bedside_visits{status=\"IN_PROGRESS\"}") >= 1.0);
    assert!(value("bedside_sign_ins_total{outcome=\"wrong\"}") >= 1.0);
    assert!(value("bedside_call_mos_count{side=\"doctor\",path=\"relay-tls\"}") >= 1.0);
    assert_eq!(
        (value("bedside_database_up"), value("bedside_outgoing_messages{state=\"waiting\"}")),
        (1.0, 0.0)
    );
    let route = "/api/v1/consultations/sessions/{id}/join";
    assert!(page.contains(&format!(
        "bedside_http_requests_total{{method=\"POST\",route=\"{route}\",status=\"200\"}}"
    )));
    assert!(value("process_resident_memory_bytes") > 1e6);
    for who in [clinic.session.to_string(), clinic.patient.id.to_string(), crate::common::SURNAME.to_owned()]
    {
        assert!(!page.contains(&who), "it says who");
    }
    // Not where everybody is.
    let (status, _) = clinic.service.send(Method::GET, "/metrics", None, None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn its_routes_can_be_read_and_tried() {
    let clinic = clinic_with(|settings| settings.path_prefix = Some("/bedside".to_owned())).await;
    for prefix in ["", "/bedside"] {
        let get = async |path: &str| {
            let url = format!("http://{}{prefix}{path}", clinic.service.address);
            let answer = clinic.service.http.get(url).send().await.unwrap();
            let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
            (answer.status().as_u16(), policy, answer.text().await.unwrap())
        };
        let (status, policy, page) = get("/docs/").await;
        assert!(status == 200 && page.contains("swagger-ui-bundle.js"), "{status} {page}");
        assert!(policy.contains("default-src 'self'"), "{policy}");
        assert_eq!(get("/docs/swagger-ui-bundle.js").await.0, 200);
        assert!(get("/docs/swagger-initializer.js").await.2.contains("../api/v1/openapi.json"));
        assert_eq!(get("/api/v1/openapi.json").await.0, 200);
        assert!(get("/api/v1/asyncapi.json").await.2.contains("/topic/session.{sessionId}"));
    }
}

#[tokio::test]
async fn an_answer_has_the_id_that_the_log_has() {
    let clinic = clinic().await;
    let url = format!("http://{}/health", clinic.service.address);
    let own = clinic.service.http.get(&url).send().await.unwrap();
    assert_eq!(own.headers()["x-request-id"].len(), 36);
    let theirs = clinic.service.http.get(&url).header("x-request-id", "from-the-proxy").send().await.unwrap();
    assert_eq!(theirs.headers()["x-request-id"], "from-the-proxy");
}

#[tokio::test]
async fn only_pages_of_named_origins_may_ask() {
    let clinic =
        clinic_with(|settings| settings.cors_origins = Some(vec!["https://clinic.example".to_owned()])).await;
    let url = format!("http://{}/api/v1/auth/login", clinic.service.address);
    let preflight = async |origin: &str| {
        let request = clinic.service.http.request(Method::OPTIONS, &url).header("origin", origin);
        let request = request.header("access-control-request-method", "POST");
        let answer = request.header("access-control-request-headers", "authorization").send().await.unwrap();
        answer.headers().get("access-control-allow-origin").map(|origin| origin.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight("https://clinic.example").await.as_deref(), Some("https://clinic.example"));
    assert_eq!(preflight("https://elsewhere.example").await, None);
    let closed = crate::common::clinic().await;
    let url = format!("http://{}/health", closed.service.address);
    let answer =
        closed.service.http.get(url).header("origin", "https://clinic.example").send().await.unwrap();
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn it_is_found_under_a_path_of_its_own() {
    let clinic = clinic_with(|settings| settings.path_prefix = Some("bedside/".to_owned())).await;
    let get = async |path: &str| {
        clinic.service.send(Method::GET, path, Some(&clinic.doctor.token), None).await.0.as_u16()
    };
    assert_eq!(get("/bedside/api/v1/auth/me").await, 200);
    assert_eq!(get("/api/v1/auth/me").await, 200, "a proxy may take it off");
    assert_eq!(get("/bedside/api/v1/nothing").await, 404);
    assert_eq!(get("/elsewhere/api/v1/auth/me").await, 404);
}

#[tokio::test]
async fn a_certificate_is_read_again_when_it_has_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let renew = |day: u64| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(&certificate, made.cert.pem()).unwrap();
        std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        // As if on another day: a file's time may be no finer than a tick.
        for path in [&certificate, &key] {
            let file = std::fs::File::options().write(true).open(path).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(86_400 * day)).unwrap();
        }
        made.cert
    };
    let first = renew(1);
    let clinic = crate::common::service_with(|settings| {
        settings.tls_certificate = Some(certificate.clone());
        settings.tls_key = Some(key.clone());
    })
    .await;
    let url = format!("https://localhost:{}/health", clinic.address.port());
    let trusts = |pem: String| {
        let root = reqwest::Certificate::from_pem(pem.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).build().unwrap()
    };
    assert_eq!(trusts(first.pem()).get(&url).send().await.unwrap().status(), 200);
    // Speaking in the open where TLS is spoken is no answer.
    assert!(reqwest::get(url.replace("https", "http")).await.is_err());
    let second = renew(2);
    let renewed = trusts(second.pem());
    let seen = async {
        while renewed.get(&url).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(45), seen).await.expect("it is read again");
}

/// Names of figures that a text asks for.
fn asked_for(text: &str) -> std::collections::BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("bedside_"))
        .map(|word| {
            let of = ["_bucket", "_count", "_sum"].into_iter().find_map(|end| word.strip_suffix(end));
            of.unwrap_or(word).to_owned()
        })
        .collect()
}

#[test]
fn what_is_watched_is_told() {
    let packaging = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let told = asked_for(include_str!("../../src/telemetry.rs"));
    for file in ["alerts.yml", "grafana.json"] {
        let asked = asked_for(&std::fs::read_to_string(packaging.join(file)).unwrap());
        assert!(asked.len() > 5, "{file} asks for {asked:?}");
        let unknown: Vec<_> = asked.difference(&told).collect();
        assert!(unknown.is_empty(), "{file} asks for {unknown:?}, which nobody tells");
    }
}

#[test]
fn the_example_of_settings_is_one() {
    let packaging = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging");
    let text = std::fs::read_to_string(packaging.join("service.toml")).unwrap();
    // Everything that is commented out, but for words: each setting of it is one as well.
    let settings: String = text
        .lines()
        .map(|line| line.strip_prefix("# ").unwrap_or(line))
        .filter(|line| line.contains(" = ") && !line.starts_with("listen"))
        .fold(String::new(), |all, line| if all.contains(line) { all } else { all + line + "\n" });
    let settings: bedside_service::config::Settings = toml::from_str(&settings).unwrap();
    settings.check().unwrap();
    assert!(settings.nats.is_some() && settings.relay_tls_name.is_some() && settings.mail_from.is_some());
}
