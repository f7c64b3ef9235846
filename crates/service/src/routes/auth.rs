//! `/api/v1/auth`.

use axum::{extract::State, http::StatusCode};
use bedside_authz::Action;
use bedside_protocol::{
    ConfirmAddress, LoginRequest, OpenLinkRequest, PasswordChange, PasswordReset, Problem, RefreshRequest,
    RegisterRequest, ResetRequest, SignIn, SignInId, TokenPair, User,
};

use super::extract::{Json, Path};
use crate::{
    app::Shared,
    ctx::Ctx,
    error::ApiError,
    origin::Origin,
    use_cases::{accounts, links, mailed, sign_ins},
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
    let user = accounts::register(&app, from, &request.email, &request.password, &request.name).await?;
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
    sign_ins::sign_in(&app, from, &request.email, &request.password).await.map(Json)
}

/// Opens a link into one visit: signs in for that and for nothing else, in the patient's place. It opens once.
#[utoipa::path(post, path = "/api/v1/auth/link", request_body = OpenLinkRequest, responses(
    (status = 200, body = TokenPair), (status = 401, body = Problem, description = "link-ended")))]
pub(super) async fn open_link(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<OpenLinkRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    links::open(&app, from, &request).await.map(Json)
}

/// Asks for another password by mail. Whether there is such an account is not said.
#[utoipa::path(post, path = "/api/v1/auth/password/reset-request", request_body = ResetRequest, responses((status = 202),
    (status = 409, body = Problem, description = "wrong-state"), (status = 429, body = Problem, description = "too-many-attempts")))]
pub(super) async fn request_reset(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<ResetRequest>,
) -> Result<StatusCode, ApiError> {
    mailed::request_reset(&app, from, &request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Chooses a password by what a mail says. All sign-ins end.
#[utoipa::path(post, path = "/api/v1/auth/password/reset", request_body = PasswordReset, responses((status = 204),
    (status = 401, body = Problem, description = "link-ended")))]
pub(super) async fn reset_password(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<PasswordReset>,
) -> Result<StatusCode, ApiError> {
    mailed::reset(&app, from, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says that the address of a new account is one's own, by what a mail says.
#[utoipa::path(post, path = "/api/v1/auth/confirm", request_body = ConfirmAddress, responses((status = 204),
    (status = 401, body = Problem, description = "link-ended")))]
pub(super) async fn confirm_address(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<ConfirmAddress>,
) -> Result<StatusCode, ApiError> {
    mailed::confirm(&app, from, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Trades a refresh token for a new pair. Using one twice ends its whole family.
#[utoipa::path(post, path = "/api/v1/auth/refresh", request_body = RefreshRequest, responses(
    (status = 200, body = TokenPair), (status = 401, body = Problem, description = "not-signed-in, token-reused")))]
pub(super) async fn refresh(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<RefreshRequest>,
) -> Result<Json<TokenPair>, ApiError> {
    sign_ins::refresh(&app, from, &request.refresh_token, request.attempt.as_ref()).await.map(Json)
}

/// Signs out: ends the token's family.
#[utoipa::path(post, path = "/api/v1/auth/logout", request_body = RefreshRequest, responses((status = 204)))]
pub(super) async fn logout(
    State(app): State<Shared>,
    Origin(from): Origin,
    Json(request): Json<RefreshRequest>,
) -> Result<StatusCode, ApiError> {
    sign_ins::sign_out(&app, from, &request.refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who the caller is.
#[utoipa::path(get, path = "/api/v1/auth/me", security(("bearer" = [])), responses((status = 200, body = User),
    (status = 401, body = Problem, description = "not-signed-in")))]
pub(super) async fn me(State(app): State<Shared>, ctx: Ctx) -> Result<Json<User>, ApiError> {
    app.allow(&ctx, Action::SeeOneself).await?;
    Ok(Json(ctx.user))
}

/// Changes one's own password. One's other sign-ins end.
#[utoipa::path(post, path = "/api/v1/auth/password", security(("bearer" = [])), request_body = PasswordChange,
    responses((status = 204), (status = 401, body = Problem, description = "wrong-credentials, not-signed-in"),
    (status = 422, body = Problem, description = "invalid"), (status = 429, body = Problem, description = "too-many-attempts")))]
pub(super) async fn change_password(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(change): Json<PasswordChange>,
) -> Result<StatusCode, ApiError> {
    accounts::change_password(&app, &ctx, &change).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where one is signed in.
#[utoipa::path(get, path = "/api/v1/auth/sessions", security(("bearer" = [])), responses((status = 200, body = Vec<SignIn>)))]
pub(super) async fn sign_ins(State(app): State<Shared>, ctx: Ctx) -> Result<Json<Vec<SignIn>>, ApiError> {
    sign_ins::sign_ins(&app, &ctx).await.map(Json)
}

/// Ends one of one's sign-ins: a device that was lost, or lent.
#[utoipa::path(delete, path = "/api/v1/auth/sessions/{id}", security(("bearer" = [])), params(("id" = SignInId, Path)),
    responses((status = 204), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn end_sign_in(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SignInId>,
) -> Result<StatusCode, ApiError> {
    sign_ins::end_sign_in(&app, &ctx, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
