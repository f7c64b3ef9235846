//! How a visit is seen and heard.

use axum::{extract::State, http::StatusCode};
use bedside_protocol::{Problem, QualityReport, SessionId, VisitQuality};

use super::extract::{Json, Path};
use crate::{app::Shared, ctx::Ctx, error::ApiError, use_cases::quality};

/// Takes what one side measured in the last ten seconds of a visit that runs.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/quality", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = QualityReport, responses((status = 204),
    (status = 403, body = Problem, description = "not-a-participant"),
    (status = 409, body = Problem, description = "wrong-state: it does not run"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn report_quality(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Json(report): Json<QualityReport>,
) -> Result<StatusCode, ApiError> {
    quality::report(&app, &ctx, id, &report).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What each side received, on average.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/quality", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = VisitQuality),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn quality_of_visit(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<VisitQuality>, ApiError> {
    quality::read(&app, &ctx, id).await.map(Json)
}
