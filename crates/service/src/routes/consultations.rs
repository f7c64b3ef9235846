//! `/api/v1/consultations`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use bedside_authz::Action;
use bedside_consult::Input;
use bedside_protocol::{
    ConsultationMode, CreateSessionRequest, Feedback, FeedbackRequest, HistoryFilter, HistoryPage,
    JoinRequest, JoinResponse, LeaveRequest, Problem, Session, SessionId, SessionStatus, Summary, Text,
    UserId,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    extract::{Json, OptionalJson, Path, Query},
    next_page, page_limit, wire_name,
};
use crate::{
    app::Shared,
    ctx::Ctx,
    error::ApiError,
    store::VisitFilter,
    use_cases::{appointments, feedback, join, visits},
};

/// Coming visits on one page when it is not said how many, and the most that may be asked for.
const SESSIONS_PAGE: (u32, u32) = (200, 500);

/// Gives the session of an appointment, made when there is none.
#[utoipa::path(post, path = "/api/v1/consultations/sessions", security(("bearer" = [])),
    request_body = CreateSessionRequest, responses((status = 201, body = Session),
    (status = 409, body = Problem, description = "wrong-state: the appointment is of another consultationMode"),
    (status = 402, body = Problem, description = "payment-required"),
    (status = 403, body = Problem, description = "not-a-participant"), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn create_session(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(request): Json<CreateSessionRequest>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    let session = appointments::create_session(&app, &ctx, request).await?;
    Ok((StatusCode::CREATED, Json(session)))
}

/// Which visits.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(rename_all = "camelCase")]
pub(super) struct SessionsQuery {
    /// This patient's.
    patient_id: Option<UserId>,
    /// This doctor's.
    doctor_id: Option<UserId>,
    /// In this state.
    status: Option<SessionStatus>,
    /// Planned from then on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Planned before then.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The last visit of the page before.
    after: Option<SessionId>,
    /// At most this many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// The caller's visits, an administrator's all of their clinic, by their start: those that are open or to come, or
/// whichever are asked for. Where there are more, `Link` says where (RFC 8288, `rel="next"`).
#[utoipa::path(get, path = "/api/v1/consultations/sessions", security(("bearer" = [])), params(SessionsQuery),
    responses((status = 200, body = Vec<Session>, headers(("link" = String, description = "the next page, where there is one")))))]
pub(super) async fn list_sessions(
    State(app): State<Shared>,
    ctx: Ctx,
    Query(query): Query<SessionsQuery>,
) -> Result<(HeaderMap, Json<Vec<Session>>), ApiError> {
    let limit = page_limit(query.limit, SESSIONS_PAGE)?;
    let SessionsQuery { patient_id: patient, doctor_id: doctor, status, from, to, after, .. } = query;
    let filter = VisitFilter { patient, doctor, status, from, to, after, ..VisitFilter::default() };
    let (sessions, next) = visits::list(&app, &ctx, filter, limit).await?;
    let headers = next_page(
        next.map(|id| id.to_string()),
        limit,
        [
            ("patientId", patient.map(|id| id.to_string())),
            ("doctorId", doctor.map(|id| id.to_string())),
            ("status", status.and_then(wire_name)),
            ("from", from.map(|at| at.to_string())),
            ("to", to.map(|at| at.to_string())),
        ],
    )?;
    Ok((headers, Json(sessions)))
}

/// One visit of the caller's.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}", security(("bearer" = [])), params(("id" = SessionId, Path)),
    responses((status = 200, body = Session), (status = 403, body = Problem, description = "not-a-participant"),
    (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn get_session(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Session>, ApiError> {
    visits::read(&app, &ctx, id).await.map(Json)
}

/// Enters: a patient the waiting room, then, once called in, either one the call. Only the
/// admitted are given a media token and relays, on the device that has their place in the visit.
/// Joining again is how a client comes back.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/join", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = JoinRequest,
    responses((status = 200, body = JoinResponse), (status = 402, body = Problem, description = "payment-required"), (status = 403, body = Problem, description = "not-a-participant"),
    (status = 409, body = Problem, description = "session-ended")))]
pub(super) async fn join(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    OptionalJson(request): OptionalJson<JoinRequest>,
) -> Result<Json<JoinResponse>, ApiError> {
    join::join(&app, &ctx, id, request).await.map(Json)
}

macro_rules! doctor_route {
    ($(#[$doc:meta])* $name:ident, $path:literal, $action:expr, $input:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, security(("bearer" = [])), params(("id" = SessionId, Path)),
            responses((status = 200, body = Session), (status = 403, body = Problem, description = "forbidden, not-a-participant"),
            (status = 409, body = Problem, description = "wrong-state, session-ended")))]
        pub(super) async fn $name(
            State(app): State<Shared>,
            ctx: Ctx,
            Path(id): Path<SessionId>,
        ) -> Result<Json<Session>, ApiError> {
            visits::act(&app, &ctx, id, $action, $input).await.map(Json)
        }
    };
}

doctor_route!(
    /// Calls the waiting patient in.
    admit, "/api/v1/consultations/sessions/{id}/admit", Action::Admit, Input::Admit
);
doctor_route!(
    /// Puts the visit on hold: the clock and the media stop.
    pause, "/api/v1/consultations/sessions/{id}/pause", Action::Hold, Input::Pause
);
doctor_route!(
    /// Takes it off hold.
    resume, "/api/v1/consultations/sessions/{id}/resume", Action::Hold, Input::Resume
);
doctor_route!(
    /// Ends the visit for both.
    end, "/api/v1/consultations/sessions/{id}/end", Action::End, Input::End
);

/// The patient, called in, says *Not now*: they wait on, and are not ready until they say so again.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/decline", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Session),
    (status = 403, body = Problem, description = "forbidden, not-a-participant"),
    (status = 409, body = Problem, description = "session-ended")))]
pub(super) async fn decline(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Session>, ApiError> {
    visits::act(&app, &ctx, id, Action::Decline, Input::Decline).await.map(Json)
}

/// Leaves: a patient the waiting room or the call, a doctor the call. Both may come back.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/leave", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = LeaveRequest, responses((status = 200, body = Session),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn leave(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    OptionalJson(request): OptionalJson<Option<LeaveRequest>>,
) -> Result<Json<Session>, ApiError> {
    visits::leave(&app, &ctx, id, request).await.map(Json)
}

/// Calls the visit off before it began.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/cancel", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Session),
    (status = 403, body = Problem, description = "not-a-participant"),
    (status = 409, body = Problem, description = "wrong-state, session-ended")))]
pub(super) async fn cancel(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Session>, ApiError> {
    visits::cancel(&app, &ctx, id).await.map(Json)
}

/// Asks the patient of a visit that has ended back: a new session, linked to it. One re-call of
/// each visit; asked for again, it is given again.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/recall", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 201, body = Session),
    (status = 403, body = Problem, description = "forbidden, not-a-participant"),
    (status = 409, body = Problem, description = "wrong-state: it has not ended, or ended too long ago")))]
pub(super) async fn recall(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    Ok((StatusCode::CREATED, Json(visits::recall(&app, &ctx, id).await?)))
}

/// What the visit came to.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/summary", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Summary),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn summary(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Summary>, ApiError> {
    visits::summary(&app, &ctx, id).await.map(Json)
}

/// The patient says how it was, once, after the visit has ended.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/feedback", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = FeedbackRequest, responses((status = 201, body = Feedback),
    (status = 403, body = Problem, description = "forbidden, not-a-participant"),
    (status = 409, body = Problem, description = "feedback-given, wrong-state"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn submit_feedback(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Json(given): Json<FeedbackRequest>,
) -> Result<(StatusCode, Json<Feedback>), ApiError> {
    Ok((StatusCode::CREATED, Json(feedback::give(&app, &ctx, id, given).await?)))
}

/// The feedback of a visit, for both who were in it.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/feedback", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Feedback),
    (status = 403, body = Problem, description = "not-a-participant"), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn get_feedback(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Feedback>, ApiError> {
    feedback::read(&app, &ctx, id).await.map(Json)
}

/// Which past visits.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(rename_all = "camelCase")]
pub(super) struct HistoryQuery {
    /// `next` of the page before.
    before: Option<SessionId>,
    /// Those that ended from then on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before then.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// With this doctor.
    doctor_id: Option<UserId>,
    /// With this patient.
    patient_id: Option<UserId>,
    /// Held this way.
    mode: Option<ConsultationMode>,
    /// That ended so.
    status: Option<SessionStatus>,
    /// Whose other side is called something with these words.
    query: Option<String>,
}

/// The caller's past visits, newest first.
#[utoipa::path(get, path = "/api/v1/consultations/history", security(("bearer" = [])), params(HistoryQuery),
    responses((status = 200, body = HistoryPage)))]
pub(super) async fn history(
    State(app): State<Shared>,
    ctx: Ctx,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<HistoryPage>, ApiError> {
    let filter = HistoryFilter {
        from: query.from,
        to: query.to,
        doctor_id: query.doctor_id,
        patient_id: query.patient_id,
        mode: query.mode,
        status: query.status,
        query: query.query.map(Text::new),
    };
    visits::history(&app, &ctx, &filter, query.before).await.map(Json)
}
