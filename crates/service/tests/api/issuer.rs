//! Tokens of another issuer, which the clinic trusts.

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::Method;
use serde_json::{Value, json};

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
