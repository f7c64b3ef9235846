//! `/api/v1/auth`.

use axum::{extract::State, http::StatusCode};
use bedside_protocol::{LoginRequest, Problem, RefreshRequest, RegisterRequest, Role, TokenPair, User};
use jiff::Timestamp;

use super::Caller;
use crate::{
    accounts,
    app::Shared,
    error::{ApiError, Json},
};

/// A patient makes their own account. Doctors are made by an administrator, on the command line.
#[utoipa::path(post, path = "/api/v1/auth/register", request_body = RegisterRequest, responses(
    (status = 201, body = User), (status = 409, body = Problem, description = "email-taken"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn register(
    State(app): State<Shared>,
    Json(request): Json<RegisterRequest>,
) -> Result<(StatusCode, Json<User>), ApiError> {
    let user =
        accounts::create(&app, Role::Patient, &request.email, &request.password, &request.name, None).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/auth/login", request_body = LoginRequest, responses(
    (status = 200, body = TokenPair), (status = 401, body = Problem, description = "wrong-credentials"),
    (status = 429, body = Problem, description = "too-many-attempts")))]
pub(super) async fn login(
    State(app): State<Shared>,
    Json(request): Json<LoginRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    accounts::sign_in(&app, &request.email, &request.password).await.map(Json)
}

/// Trades a refresh token for a new pair. Using one twice ends its whole family.
#[utoipa::path(post, path = "/api/v1/auth/refresh", request_body = RefreshRequest, responses(
    (status = 200, body = TokenPair), (status = 401, body = Problem, description = "not-signed-in, token-reused")))]
pub(super) async fn refresh(
    State(app): State<Shared>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    accounts::refresh(&app, &request.refresh_token).await.map(Json)
}

/// Signs out: ends the token's family.
#[utoipa::path(post, path = "/api/v1/auth/logout", request_body = RefreshRequest, responses((status = 204)))]
pub(super) async fn logout(
    State(app): State<Shared>,
    Json(request): Json<RefreshRequest>,
) -> Result<StatusCode, ApiError> {
    if let Some(family) = app.store.end_family_of(&request.refresh_token, Timestamp::now()).await? {
        app.end_relaying(&family);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/v1/auth/me", security(("bearer" = [])), responses((status = 200, body = User),
    (status = 401, body = Problem, description = "not-signed-in")))]
pub(super) async fn me(Caller(user): Caller) -> Json<User> {
    Json(user)
}
