//! How a visit is seen and heard.

use axum::{extract::State, http::StatusCode};
use bedside_authz::Action;
use bedside_consult::quality;
use bedside_protocol::{Code, Party, Problem, QualityReport, SessionId, SessionStatus, VisitQuality};
use jiff::Timestamp;

use super::Caller;
use crate::{
    app::Shared,
    error::{ApiError, Json, Path},
};

/// Takes what one side measured in the last ten seconds of a visit that runs.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/quality", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = QualityReport, responses((status = 204),
    (status = 403, body = Problem, description = "not-a-participant"),
    (status = 409, body = Problem, description = "wrong-state: it does not run"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn report_quality(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
    Json(report): Json<QualityReport>,
) -> Result<StatusCode, ApiError> {
    let (row, party) = app.session_of(id, &user, Action::Quality).await?;
    if !matches!(row.consultation.status, SessionStatus::InProgress | SessionStatus::Paused) {
        return Err(Code::WrongState.into());
    }
    if !quality::is_sane(&report) {
        return Err(ApiError::new(Code::Invalid, "no visit is like that"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.add_quality(id, party, &report).await?;
    unit.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What each side received, on average.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/quality", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = VisitQuality),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn quality_of_visit(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
) -> Result<Json<VisitQuality>, ApiError> {
    app.session_of(id, &user, Action::Quality).await?;
    let patient = app.store.quality(id, Party::Patient).await?;
    let doctor = app.store.quality(id, Party::Doctor).await?;
    app.note_look(user.id, "quality.read", Some(id)).await?;
    Ok(Json(VisitQuality { patient: quality::mean(&patient), doctor: quality::mean(&doctor) }))
}
