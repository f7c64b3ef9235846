//! `/api/v1/auth`.

use axum::{extract::State, http::StatusCode};
use bedside_authz::Action;
use bedside_protocol::{
    Code, DeviceId, LoginRequest, PasswordChange, Problem, RefreshRequest, RegisterRequest, SignIn, SignInId,
    TokenPair, User,
};
use jiff::Timestamp;

use super::{Caller, CallerOn};
use crate::{
    accounts,
    app::Shared,
    error::{ApiError, Json, Path},
    origin::Origin,
    store::AuditLine,
};

/// A patient makes their own account. Doctors are made by an administrator, on the command line.
#[utoipa::path(post, path = "/api/v1/auth/register", request_body = RegisterRequest, responses(
    (status = 201, body = User), (status = 409, body = Problem, description = "email-taken"),
    (status = 422, body = Problem, description = "invalid"), (status = 429, body = Problem, description = "too-many-attempts"),
    (status = 503, body = Problem, description = "unavailable")))]
pub(super) async fn register(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<RegisterRequest>,
) -> Result<(StatusCode, Json<User>), ApiError> {
    app.sign_ins.admit_registration(from)?;
    let user = accounts::register(&app, &request.email, &request.password, &request.name).await?;
    Ok((StatusCode::CREATED, Json(user)))
}

/// Signs in.
#[utoipa::path(post, path = "/api/v1/auth/login", request_body = LoginRequest, responses(
    (status = 200, body = TokenPair), (status = 401, body = Problem, description = "wrong-credentials"),
    (status = 429, body = Problem, description = "too-many-attempts")))]
pub(super) async fn login(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<LoginRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    accounts::sign_in(&app, from, &request.email, &request.password).await.map(Json)
}

/// Trades a refresh token for a new pair. Using one twice ends its whole family.
#[utoipa::path(post, path = "/api/v1/auth/refresh", request_body = RefreshRequest, responses(
    (status = 200, body = TokenPair), (status = 401, body = Problem, description = "not-signed-in, token-reused")))]
pub(super) async fn refresh(
    State(app): State<Shared>,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    accounts::refresh(&app, &request.refresh_token, request.attempt.as_ref()).await.map(Json)
}

/// Signs out: ends the token's family.
#[utoipa::path(post, path = "/api/v1/auth/logout", request_body = RefreshRequest, responses((status = 204)))]
pub(super) async fn logout(
    State(app): State<Shared>,
    Json(request): Json<RefreshRequest>,
) -> Result<StatusCode, ApiError> {
    if !app.store.knows_refresh_token(&request.refresh_token).await? {
        return Ok(StatusCode::NO_CONTENT);
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if let Some(ended) = unit.end_family_of(&request.refresh_token).await? {
        unit.audit(AuditLine { user: Some(ended.user), action: "signed-out", session: None }).await?;
        unit.commit().await?;
        app.end_relaying(&ended.family);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/v1/auth/me", security(("bearer" = [])), responses((status = 200, body = User),
    (status = 401, body = Problem, description = "not-signed-in")))]
pub(super) async fn me(caller: Caller) -> Result<Json<User>, ApiError> {
    caller.who_may(Action::KeepOwnAccount).map(Json)
}

/// Changes one's own password. One's other sign-ins end.
#[utoipa::path(post, path = "/api/v1/auth/password", security(("bearer" = [])), request_body = PasswordChange,
    responses((status = 204), (status = 401, body = Problem, description = "wrong-credentials, not-signed-in"),
    (status = 422, body = Problem, description = "invalid"), (status = 429, body = Problem, description = "too-many-attempts")))]
pub(super) async fn change_password(
    State(app): State<Shared>,
    CallerOn { user, sign_in }: CallerOn,
    Origin(from): Origin,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    bedside_authz::decide(Action::KeepOwnAccount, user.role, None)?;
    accounts::change_password(&app, from, user.id, this(sign_in)?, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where one is signed in.
#[utoipa::path(get, path = "/api/v1/auth/sessions", security(("bearer" = [])), responses((status = 200, body = Vec<SignIn>)))]
pub(super) async fn sign_ins(
    State(app): State<Shared>,
    CallerOn { user, sign_in }: CallerOn,
) -> Result<Json<Vec<SignIn>>, ApiError> {
    bedside_authz::decide(Action::KeepOwnAccount, user.role, None)?;
    let sign_ins = app.store.sign_ins_of(user.id, this(sign_in)?, accounts::IDLE_FOR, Timestamp::now());
    Ok(Json(sign_ins.await?))
}

/// Ends one of one's sign-ins: a device that was lost, or lent.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", security(("bearer" = [])), params(("id" = SignInId, Path)),
    responses((status = 204), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn end_sign_in(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<SignInId>,
) -> Result<StatusCode, ApiError> {
    let user = caller.who_may(Action::KeepOwnAccount)?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if !unit.end_sign_in(user.id, id).await? {
        return Err(Code::NotFound.into());
    }
    unit.audit(AuditLine { user: Some(user.id), action: "sign-in.ended", session: None }).await?;
    unit.commit().await?;
    app.end_relaying(&id.to_string());
    Ok(StatusCode::NO_CONTENT)
}

/// A sign-in stands for the device where a client names none; here it is itself.
fn this(sign_in: DeviceId) -> Result<SignInId, ApiError> {
    sign_in.to_string().parse().map_err(|_| Code::Internal.into())
}
