//! `/api/v1/users`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use bedside_protocol::{
    ChangeUserRequest, CreateUserRequest, Notification, Problem, Profile, Role, User, UserId, UserListing,
};
use serde::Deserialize;

use super::{
    extract::{Json, Query},
    next_page, page_limit, wire_name,
};
use crate::{
    app::Shared,
    ctx::Ctx,
    error::ApiError,
    use_cases::{notifications, people},
};

/// People on a page when it is not said how many, and the most that may be asked for.
const PAGE: (u32, u32) = (50, 200);

/// Who is looked for.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct UsersQuery {
    /// With this role.
    role: Option<Role>,
    /// Words of their name, or the whole of their e-mail address.
    query: Option<String>,
    /// The last of the page before.
    after: Option<UserId>,
    /// At most this many.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// People of one's own clinic, and patients of none, by their names. Where there are more, `Link` says where (RFC 8288,
/// `rel="next"`).
#[utoipa::path(get, path = "/api/v1/users", security(("bearer" = [])), params(UsersQuery),
    responses((status = 200, body = Vec<UserListing>, headers(("link" = String, description = "the next page, where there is one")))))]
pub(super) async fn list_users(
    State(app): State<Shared>,
    ctx: Ctx,
    Query(query): Query<UsersQuery>,
) -> Result<(HeaderMap, Json<Vec<UserListing>>), ApiError> {
    let limit = page_limit(query.limit, PAGE)?;
    let words = query.query.as_deref();
    let (people, next) = people::people(&app, &ctx, query.role, words, query.after, limit).await?;
    let encoded = words.map(|words| url::form_urlencoded::byte_serialize(words.as_bytes()).collect());
    let headers = next_page(
        next.map(|id| id.to_string()),
        limit,
        [("role", query.role.and_then(wire_name)), ("query", encoded)],
    )?;
    Ok((headers, Json(people)))
}

/// Makes an account for a patient of one's own clinic, who chooses a password by what is sent to the address; without
/// one they come by a link, or a code at a kiosk.
#[utoipa::path(post, path = "/api/v1/users", security(("bearer" = [])), request_body = CreateUserRequest,
    responses((status = 201, body = UserListing), (status = 409, body = Problem, description = "email-taken")))]
pub(super) async fn create_user(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(request): Json<CreateUserRequest>,
) -> Result<(StatusCode, Json<UserListing>), ApiError> {
    Ok((StatusCode::CREATED, Json(people::add_patient(&app, &ctx, &request).await?)))
}

/// Who one is, and how one is reached.
#[utoipa::path(get, path = "/api/v1/users/me", security(("bearer" = [])), responses((status = 200, body = Profile)))]
pub(super) async fn profile(State(app): State<Shared>, ctx: Ctx) -> Result<Json<Profile>, ApiError> {
    people::profile(&app, &ctx).await.map(Json)
}

/// What one was told, the newest first.
#[utoipa::path(get, path = "/api/v1/notifications", security(("bearer" = [])),
    responses((status = 200, body = Vec<Notification>)))]
pub(super) async fn list_notifications(
    State(app): State<Shared>,
    ctx: Ctx,
) -> Result<Json<Vec<Notification>>, ApiError> {
    notifications::list(&app, &ctx).await.map(Json)
}

/// Changes what others see of oneself, and how one is reached.
#[utoipa::path(patch, path = "/api/v1/users/me", security(("bearer" = [])), request_body = ChangeUserRequest,
    responses((status = 200, body = User)))]
pub(super) async fn change_me(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(change): Json<ChangeUserRequest>,
) -> Result<Json<User>, ApiError> {
    people::change_own(&app, &ctx, change).await.map(Json)
}
