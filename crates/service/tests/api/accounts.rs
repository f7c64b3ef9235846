//! What people and the practice can do about who signs in.

use bedside_protocol::{Code, Role};
use bedside_service::{App, accounts};
use reqwest::Method;
use serde_json::{Value, json};

use crate::common::{Clinic, PASSWORD, clinic, email};

async fn me(clinic: &Clinic, token: &str) -> u16 {
    clinic.service.send(Method::GET, "/api/v1/auth/me", Some(token), None).await.0.as_u16()
}

async fn sign_in(clinic: &Clinic, name: &str, password: &str) -> (u16, Value) {
    let body = json!({ "email": email(name), "password": password });
    let (status, answer) = clinic.service.send(Method::POST, "/api/v1/auth/login", None, Some(body)).await;
    (status.as_u16(), answer)
}

#[tokio::test]
async fn a_new_password_ends_every_other_sign_in() {
    let clinic = clinic().await;
    let other = clinic.service.sign_in(&email("patient")).await;
    let change = async |current: &str, new: &str| {
        let body = json!({ "currentPassword": current, "newPassword": new });
        let token = Some(other.token.as_str());
        clinic.service.send(Method::POST, "/api/v1/auth/password", token, Some(body)).await.0.as_u16()
    };
    assert_eq!(change("not the one", "another long password").await, 401);
    assert_eq!(change(PASSWORD, "short").await, 422);
    assert_eq!(me(&clinic, &clinic.patient.token).await, 200, "nothing has changed");
    assert_eq!(change(PASSWORD, "another long password").await, 204);
    assert_eq!(me(&clinic, &other.token).await, 200, "where it was changed one stays");
    assert_eq!(me(&clinic, &clinic.patient.token).await, 401);
    assert_eq!(sign_in(&clinic, "patient", PASSWORD).await.0, 401);
    assert_eq!(sign_in(&clinic, "patient", "another long password").await.0, 200);
}

#[tokio::test]
async fn one_ends_a_sign_in_of_ones_own_and_nobody_elses() {
    let clinic = clinic().await;
    let lost = clinic.service.sign_in(&email("patient")).await;
    let (_, listed) =
        clinic.service.send(Method::GET, "/api/v1/auth/sessions", Some(&clinic.patient.token), None).await;
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed.iter().filter(|sign_in| sign_in["isThis"] == true).count(), 1);
    let theirs = listed.iter().find(|sign_in| sign_in["isThis"] == false).unwrap()["id"].as_str().unwrap();
    let end = async |token: &str| {
        let path = format!("/api/v1/auth/sessions/{theirs}");
        clinic.service.send(Method::DELETE, &path, Some(token), None).await.0.as_u16()
    };
    assert_eq!(end(&clinic.doctor.token).await, 404, "another's");
    assert_eq!(me(&clinic, &lost.token).await, 200);
    assert_eq!(end(&clinic.patient.token).await, 204);
    assert_eq!(me(&clinic, &lost.token).await, 401);
    assert_eq!(end(&clinic.patient.token).await, 404, "it has ended");
}

#[tokio::test]
async fn who_has_left_has_no_way_back_in() {
    let clinic = clinic().await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    accounts::set_disabled(&app, clinic.doctor.id, true).await.unwrap();
    assert_eq!(me(&clinic, &clinic.doctor.token).await, 401);
    let body = json!({ "refreshToken": clinic.doctor.refresh });
    let (status, _) = clinic.service.send(Method::POST, "/api/v1/auth/refresh", None, Some(body)).await;
    assert_eq!(status.as_u16(), 401);
    let (status, answer) = sign_in(&clinic, "doctor", PASSWORD).await;
    assert_eq!((status, answer["code"].as_str()), (401, Some("wrong-credentials")));
    accounts::set_disabled(&app, clinic.doctor.id, false).await.unwrap();
    assert_eq!(sign_in(&clinic, "doctor", PASSWORD).await.0, 200);
    accounts::set_password(&app, clinic.doctor.id, "set by the practice").await.unwrap();
    assert_eq!(sign_in(&clinic, "doctor", PASSWORD).await.0, 401);
    assert_eq!(sign_in(&clinic, "doctor", "set by the practice").await.0, 200);
    app.store.close().await;
}

#[tokio::test]
async fn an_address_belongs_to_whom_the_practice_knows() {
    let clinic = clinic().await;
    let stranger = json!({ "email": email("maria"), "password": PASSWORD, "name": "Not Maria" });
    let (status, _) = clinic.service.send(Method::POST, "/api/v1/auth/register", None, Some(stranger)).await;
    assert_eq!(status.as_u16(), 201);
    let stranger = clinic.service.sign_in(&email("maria")).await;
    let app = App::open(clinic.service.config.clone(), None).await.unwrap();
    let account = app.store.account_by_email(&email("maria")).await.unwrap().unwrap();
    assert!(!account.is_confirmed, "no appointment is made for whoever typed an address");
    let password = "given out at the desk";
    let made = accounts::create_by_administrator(
        &app,
        Role::Patient,
        &email("maria"),
        password,
        "Maria",
        None,
        None,
    )
    .await;
    let maria = made.unwrap();
    assert_eq!(me(&clinic, &stranger.token).await, 401);
    assert_eq!(sign_in(&clinic, "maria", PASSWORD).await.0, 401);
    let (status, pair) = sign_in(&clinic, "maria", password).await;
    assert_eq!((status, pair["user"]["id"].as_str()), (200, Some(maria.id.to_string().as_str())));
    // One that was confirmed is not taken from anybody.
    let again = accounts::create_by_administrator(
        &app,
        Role::Patient,
        &email("maria"),
        password,
        "Maria",
        None,
        None,
    )
    .await;
    assert_eq!(again.unwrap_err().code, Code::EmailTaken);
    app.store.close().await;
}
