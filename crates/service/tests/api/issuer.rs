//! Tokens of another issuer, which the clinic trusts.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::common::{Clinic, clinic_with};

const SECRET: &[u8] = b"the secret of the clinic's user service";

#[tokio::test]
async fn a_token_for_somebody_else_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let clinic = clinic_with(|settings| {
        settings.issuer = Some("user-service".to_owned());
        settings.issuer_audience = Some("bedside".to_owned());
        settings.issuer_secret_file = Some(file);
    })
    .await;
    let me = async |audience: Option<&str>| {
        let mut claims = claims();
        if let Some(audience) = audience {
            claims["aud"] = json!(audience);
        }
        let token = token(&claims, SECRET);
        clinic.service.send(Method::GET, "/api/v1/auth/me", Some(&token), None).await.0
    };
    assert_eq!(
        (me(None).await, me(Some("the cafeteria")).await),
        (401.try_into().unwrap(), 401.try_into().unwrap())
    );
    assert_eq!(me(Some("bedside")).await, 200);
}

async fn clinic() -> (Clinic, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, SECRET).unwrap();
    let clinic = clinic_with(|settings| {
        settings.issuer = Some("user-service".to_owned());
        settings.issuer_secret_file = Some(file);
    })
    .await;
    (clinic, folder)
}

fn claims() -> Value {
    let end = Timestamp::now() + SignedDuration::from_hours(1);
    json!({
        "iss": "user-service", "sub": "4711", "role": "doctor", "name": "Dr. Imani Okafor", "exp": end.as_second(),
    })
}

fn token(claims: &Value, secret: &[u8]) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret).unwrap()).unwrap()
}

#[tokio::test]
async fn whoever_is_signed_in_there_is_signed_in_here() {
    let (clinic, _folder) = clinic().await;
    let me = async |token: &str| clinic.service.send(Method::GET, "/api/v1/auth/me", Some(token), None).await;
    let first = token(&claims(), SECRET);
    let (status, doctor) = me(&first).await;
    assert_eq!((status.as_u16(), &doctor["role"]), (200, &json!("DOCTOR")), "{doctor}");
    assert_eq!(doctor["name"], "Dr. Imani Okafor");
    assert_eq!(me(&first).await.1, doctor);
    let mut later = claims();
    later["jti"] = json!("another");
    assert_eq!(me(&token(&later, SECRET)).await.1["id"], doctor["id"], "the same person");
    let mut patient = claims();
    (patient["sub"], patient["role"]) = (json!("4712"), json!("PATIENT"));
    assert_ne!(me(&token(&patient, SECRET)).await.1["id"], doctor["id"]);
    // Nobody becomes another by another role.
    patient["role"] = json!("DOCTOR");
    let another = token(&patient, SECRET);
    for _ in 0..2 {
        assert_eq!(me(&another).await.0, 401);
    }

    // What is ended here has ended.
    let (_, sign_ins) = clinic.service.send(Method::GET, "/api/v1/auth/sessions", Some(&first), None).await;
    let this = sign_ins.as_array().unwrap().iter().find(|one| one["isThis"] == true).unwrap();
    let path = format!("/api/v1/auth/sessions/{}", this["id"].as_str().unwrap());
    let (status, _) = clinic.service.send(Method::DELETE, &path, Some(&first), None).await;
    assert_eq!(status, 204);
    assert_eq!(me(&first).await.0, 401);
}

#[tokio::test]
async fn what_is_not_theirs_is_not_taken() {
    let (clinic, _folder) = clinic().await;
    let me =
        async |token: &str| clinic.service.send(Method::GET, "/api/v1/auth/me", Some(token), None).await.0;
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        token(&claims, SECRET)
    };
    let past = (Timestamp::now() - SignedDuration::from_hours(1)).as_second();
    let unsigned = {
        let whole = token(&claims(), SECRET);
        let (_, rest) = whole.split_once('.').unwrap();
        let (body, _) = rest.split_once('.').unwrap();
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")
    };
    let mut without_end = claims();
    without_end.as_object_mut().unwrap().remove("exp");
    for (refused, why) in [
        (token(&claims(), b"another secret"), "another's signature"),
        (with("iss", json!("another-service")), "another issuer"),
        (with("exp", json!(past)), "ended"),
        (token(&without_end, SECRET), "without an end"),
        (with("role", json!("NURSE")), "a role that is none"),
        (with("sub", json!("")), "nobody's"),
        (with("clinic_id", json!("17")), "of a clinic that is none"),
        (with("clinic_id", json!(bedside_protocol::ClinicId::generate())), "of a clinic that is not here"),
        (with("nbf", json!(Timestamp::now().as_second() + 3_600)), "not yet"),
        (unsigned, "not signed"),
    ] {
        assert_eq!(me(&refused).await, 401, "{why}");
    }
}

/// A key of an issuer's on the curve P-256.
struct IssuerKey {
    kid: &'static str,
    pair: rcgen::KeyPair,
}

impl IssuerKey {
    fn new(kid: &'static str) -> Self {
        Self { kid, pair: rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap() }
    }

    fn jwk(&self) -> Value {
        let point = self.pair.public_key_raw();
        let (x, y) = point[1..].split_at(32);
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": self.kid, "x": text(x), "y": text(y) })
    }

    fn token(&self) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(Algorithm::ES256) };
        let mut claims = claims();
        claims["jti"] = json!(self.kid);
        encode(&header, &claims, &EncodingKey::from_ec_der(self.pair.serialized_der())).unwrap()
    }
}

#[tokio::test]
async fn keys_at_an_address_are_asked_for_as_they_change() {
    let (first, second) = (IssuerKey::new("first"), IssuerKey::new("second"));
    let keys = Arc::new(Mutex::new(json!({ "keys": [first.jwk()] })));
    let asked = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let issuer = tokio::spawn({
        let (keys, asked) = (keys.clone(), asked.clone());
        async move {
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut head = [0; 2_048];
                let _ = socket.read(&mut head).await.unwrap();
                asked.fetch_add(1, Ordering::Relaxed);
                let body = keys.lock().unwrap().to_string();
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    let clinic = clinic_with(|settings| {
        settings.issuer = Some("user-service".to_owned());
        settings.issuer_keys_url = Some(address.parse().unwrap());
    })
    .await;
    let me = async |token: &str| {
        clinic.service.send(Method::GET, "/api/v1/auth/me", Some(token), None).await.0.as_u16()
    };
    assert_eq!(me(&first.token()).await, 200);
    // Whoever names keys that are none does not have the issuer asked each time.
    for _ in 0..20 {
        assert_eq!(me(&second.token()).await, 401);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    *keys.lock().unwrap() = json!({ "keys": [first.jwk(), second.jwk()] });
    let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while me(&second.token()).await != 200 {
        assert!(tokio::time::Instant::now() < until, "the new key is not taken");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    issuer.abort();
}
