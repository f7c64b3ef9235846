//! `…/notes`, `…/issues`, `…/feedback/response`, and what is said of doctors and what they charge.

use axum::{extract::State, http::StatusCode};
use bedside_protocol::{
    ConsultationMode, DoctorFeedback, DoctorPricing, Feedback, FeedbackResponseRequest, Issue, IssueRequest,
    Notes, NotesRequest, PrescriptionRequest, Problem, SessionId, Summary, UserId,
};

use super::extract::{Json, Path};
use crate::{
    app::Shared,
    ctx::Ctx,
    error::ApiError,
    use_cases::{feedback, notes, pricing},
};

/// What the doctor wrote down of a visit.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/notes", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Notes)))]
pub(super) async fn get_notes(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Notes>, ApiError> {
    notes::read(&app, &ctx, id).await.map(Json)
}

/// Writes down something of a visit, in place of what was there: before, in and after it.
#[utoipa::path(put, path = "/api/v1/consultations/sessions/{id}/notes", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = NotesRequest, responses((status = 200, body = Notes)))]
pub(super) async fn put_notes(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Json(request): Json<NotesRequest>,
) -> Result<Json<Notes>, ApiError> {
    notes::write(&app, &ctx, id, &request.notes).await.map(Json)
}

/// Says what was prescribed in a visit, by its name in the system that keeps prescriptions.
#[utoipa::path(put, path = "/api/v1/consultations/sessions/{id}/prescription", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = PrescriptionRequest, responses((status = 200, body = Summary)))]
pub(super) async fn put_prescription(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Json(request): Json<PrescriptionRequest>,
) -> Result<Json<Summary>, ApiError> {
    notes::prescribe(&app, &ctx, id, request).await.map(Json)
}

/// What went wrong in a visit, as the two told it.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/issues", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Vec<Issue>)))]
pub(super) async fn list_issues(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Vec<Issue>>, ApiError> {
    notes::issues(&app, &ctx, id).await.map(Json)
}

/// Tells that something went wrong.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/issues", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = IssueRequest, responses((status = 201, body = Issue),
    (status = 429, body = Problem, description = "too-many-attempts: so much was told already")))]
pub(super) async fn report_issue(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Json(request): Json<IssueRequest>,
) -> Result<(StatusCode, Json<Issue>), ApiError> {
    Ok((StatusCode::CREATED, Json(notes::report(&app, &ctx, id, request).await?)))
}

/// Says something to feedback; said again, it takes the place of what was said before.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/feedback/response", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = FeedbackResponseRequest,
    responses((status = 200, body = Feedback)))]
pub(super) async fn answer_feedback(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Json(request): Json<FeedbackResponseRequest>,
) -> Result<Json<Feedback>, ApiError> {
    feedback::answer(&app, &ctx, id, &request.text).await.map(Json)
}

/// What patients said of a doctor, all together.
#[utoipa::path(get, path = "/api/v1/doctors/{id}/feedback", security(("bearer" = [])), params(("id" = UserId, Path)),
    responses((status = 200, body = DoctorFeedback)))]
pub(super) async fn feedback_of_doctor(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<UserId>,
) -> Result<Json<DoctorFeedback>, ApiError> {
    feedback::of_doctor(&app, &ctx, id).await.map(Json)
}

/// What a doctor charges for a mode.
#[utoipa::path(get, path = "/api/v1/doctors/{id}/pricing/{mode}", security(("bearer" = [])),
    params(("id" = UserId, Path), ("mode" = ConsultationMode, Path)),
    responses((status = 200, body = DoctorPricing), (status = 404, body = Problem, description = "not-found: nothing is charged")))]
pub(super) async fn get_pricing(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, mode)): Path<(UserId, ConsultationMode)>,
) -> Result<Json<DoctorPricing>, ApiError> {
    pricing::read(&app, &ctx, id, mode).await.map(Json)
}

/// Sets what a doctor charges for a mode: a doctor for themselves, an administrator for anybody. What has ended has its
/// amount.
#[utoipa::path(put, path = "/api/v1/doctors/{id}/pricing/{mode}", security(("bearer" = [])),
    params(("id" = UserId, Path), ("mode" = ConsultationMode, Path)), request_body = DoctorPricing,
    responses((status = 200, body = DoctorPricing), (status = 403, body = Problem, description = "forbidden")))]
pub(super) async fn put_pricing(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, mode)): Path<(UserId, ConsultationMode)>,
    Json(asked): Json<DoctorPricing>,
) -> Result<Json<DoctorPricing>, ApiError> {
    pricing::set(&app, &ctx, id, mode, asked).await.map(Json)
}
