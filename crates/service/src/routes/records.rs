//! The record of a visit.

use axum::{extract::State, http::header, response::IntoResponse};
use bedside_protocol::{Participant, Problem, SessionEventPage, SessionId};
use serde::Deserialize;

use super::{
    extract::{Json, Path, Query},
    page_limit,
};
use crate::{app::Shared, ctx::Ctx, error::ApiError, use_cases::records};

/// Events on a page when it is not said how many, and the most that may be asked for.
const PAGE: (u32, u32) = (100, 500);

/// Who was in the call of a visit, in the order in which they came, with the means of what they measured.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/participants", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Vec<Participant>),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn participants(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Vec<Participant>>, ApiError> {
    records::participants(&app, &ctx, id).await.map(Json)
}

/// All of a visit, as a Bundle of FHIR R4: who, when, how long, what was written. The doctor's notes only for the doctor.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/fhir", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Object, content_type = "application/fhir+json"),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn fhir(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<impl IntoResponse, ApiError> {
    let bundle = records::fhir(&app, &ctx, id).await?;
    Ok(([(header::CONTENT_TYPE, "application/fhir+json")], bundle.to_string()))
}

/// Which page.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct EventQuery {
    /// Events after this one.
    #[param(minimum = 0)]
    after: Option<u64>,
    /// At most this many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// What happened in a visit, in order.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/events", security(("bearer" = [])),
    params(("id" = SessionId, Path), EventQuery), responses((status = 200, body = SessionEventPage),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn events(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Query(query): Query<EventQuery>,
) -> Result<Json<SessionEventPage>, ApiError> {
    let limit = page_limit(query.limit, PAGE)?;
    let after = i64::try_from(query.after.unwrap_or(0)).unwrap_or(i64::MAX);
    records::events(&app, &ctx, id, after, limit).await.map(Json)
}
