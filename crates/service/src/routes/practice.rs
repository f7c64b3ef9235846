//! `/api/v1/schedules` and `/api/v1/invitations`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use bedside_protocol::{
    CreateScheduleRequest, Invitation, InvitationId, InviteRequest, Problem, Queue, ReadyRequest, Schedule,
    ScheduleId, ScheduleStatus, UserId,
};
use jiff::civil::Date;
use serde::Deserialize;

use super::{
    extract::{Json, Path, Query},
    next_page, page_limit, wire_name,
};
use crate::{app::Shared, ctx::Ctx, error::ApiError, store::ScheduleFilter, use_cases::practice};

/// Practice hours on a page when it is not said how many, and the most that may be asked for.
const PAGE: (u32, u32) = (100, 500);

/// Makes practice hours: a doctor's own are virtual, those that the clinic makes are in its rooms.
#[utoipa::path(post, path = "/api/v1/schedules", security(("bearer" = [])), request_body = CreateScheduleRequest,
    responses((status = 201, body = Schedule), (status = 404, body = Problem, description = "not-found: the doctor"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn create_schedule(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(request): Json<CreateScheduleRequest>,
) -> Result<(StatusCode, Json<Schedule>), ApiError> {
    Ok((StatusCode::CREATED, Json(practice::create(&app, &ctx, request).await?)))
}

/// Which practice hours.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(rename_all = "camelCase")]
pub(super) struct SchedulesQuery {
    /// This doctor's.
    doctor_id: Option<UserId>,
    /// From this day on.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// Until this day.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
    /// In this state.
    status: Option<ScheduleStatus>,
    /// The last of the page before.
    after: Option<ScheduleId>,
    /// At most this many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Practice hours by their day and time. Where there are more, `Link` says where (RFC 8288, `rel="next"`).
#[utoipa::path(get, path = "/api/v1/schedules", security(("bearer" = [])), params(SchedulesQuery),
    responses((status = 200, body = Vec<Schedule>, headers(("link" = String, description = "the next page, where there is one")))))]
pub(super) async fn list_schedules(
    State(app): State<Shared>,
    ctx: Ctx,
    Query(query): Query<SchedulesQuery>,
) -> Result<(HeaderMap, Json<Vec<Schedule>>), ApiError> {
    let limit = page_limit(query.limit, PAGE)?;
    let SchedulesQuery { doctor_id: doctor, from, to, status, after, .. } = query;
    let filter = ScheduleFilter { doctor, from, to, status, after };
    let (schedules, next) = practice::list(&app, &ctx, filter, limit).await?;
    let headers = next_page(
        next.map(|id| id.to_string()),
        limit,
        [
            ("doctorId", doctor.map(|id| id.to_string())),
            ("from", from.map(|date| date.to_string())),
            ("to", to.map(|date| date.to_string())),
            ("status", status.and_then(wire_name)),
        ],
    )?;
    Ok((headers, Json(schedules)))
}

/// Practice hours.
#[utoipa::path(get, path = "/api/v1/schedules/{id}", security(("bearer" = [])), params(("id" = ScheduleId, Path)),
    responses((status = 200, body = Schedule)))]
pub(super) async fn get_schedule(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Schedule>, ApiError> {
    practice::read(&app, &ctx, id).await.map(Json)
}

/// Opens them: patients can join the queue. A doctor has one practice open.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/start", security(("bearer" = [])), params(("id" = ScheduleId, Path)),
    responses((status = 200, body = Schedule), (status = 409, body = Problem, description = "wrong-state")))]
pub(super) async fn start(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Schedule>, ApiError> {
    practice::open(&app, &ctx, id).await.map(Json)
}

/// Closes them: who waits is told; a visit that runs goes on.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/end", security(("bearer" = [])), params(("id" = ScheduleId, Path)),
    responses((status = 200, body = Schedule)))]
pub(super) async fn end(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Schedule>, ApiError> {
    practice::close(&app, &ctx, id).await.map(Json)
}

/// The queue: for the practice with names, for a patient with their own.
#[utoipa::path(get, path = "/api/v1/schedules/{id}/queue", security(("bearer" = [])), params(("id" = ScheduleId, Path)),
    responses((status = 200, body = Queue)))]
pub(super) async fn get_queue(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Queue>, ApiError> {
    practice::queue(&app, &ctx, id).await.map(Json)
}

/// Joins the queue; joined again, it changes nothing. Nobody waits for two doctors at once.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/queue", security(("bearer" = [])), params(("id" = ScheduleId, Path)),
    responses((status = 200, body = Queue),
    (status = 409, body = Problem, description = "wrong-state: it is not open, in-another-queue")))]
pub(super) async fn join_queue(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Queue>, ApiError> {
    practice::join(&app, &ctx, id).await.map(Json)
}

/// Leaves the queue.
#[utoipa::path(delete, path = "/api/v1/schedules/{id}/queue/me", security(("bearer" = [])), params(("id" = ScheduleId, Path)),
    responses((status = 200, body = Queue), (status = 409, body = Problem, description = "wrong-state: a visit runs")))]
pub(super) async fn leave_queue(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
) -> Result<Json<Queue>, ApiError> {
    practice::leave(&app, &ctx, id).await.map(Json)
}

/// Says whether one can be invited now.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/queue/me/ready", security(("bearer" = [])),
    params(("id" = ScheduleId, Path)), request_body = ReadyRequest,
    responses((status = 200, body = Queue), (status = 409, body = Problem, description = "wrong-state: a visit runs")))]
pub(super) async fn set_ready(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
    Json(request): Json<ReadyRequest>,
) -> Result<Json<Queue>, ApiError> {
    practice::set_ready(&app, &ctx, id, request.ready).await.map(Json)
}

/// Invites one of those who are ready; they have a minute to answer. A doctor has one invitation open. In the clinic's
/// rooms there is nothing to answer.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/invitations", security(("bearer" = [])),
    params(("id" = ScheduleId, Path)), request_body = InviteRequest,
    responses((status = 201, body = Invitation),
    (status = 409, body = Problem, description = "wrong-state: not open, not ready, or another invitation is open")))]
pub(super) async fn invite(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<ScheduleId>,
    Json(request): Json<InviteRequest>,
) -> Result<(StatusCode, Json<Invitation>), ApiError> {
    Ok((StatusCode::CREATED, Json(practice::invite(&app, &ctx, id, request).await?)))
}

/// Lets somebody wait again under their number; a visit that came of their invitation ends.
#[utoipa::path(post, path = "/api/v1/schedules/{id}/queue/{patient}/reset", security(("bearer" = [])),
    params(("id" = ScheduleId, Path), ("patient" = UserId, Path)),
    responses((status = 200, body = Queue),
    (status = 409, body = Problem, description = "wrong-state: it is not open, in-another-queue")))]
pub(super) async fn reset(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, patient)): Path<(ScheduleId, UserId)>,
) -> Result<Json<Queue>, ApiError> {
    practice::reset(&app, &ctx, id, patient).await.map(Json)
}

/// One's own invitations that ring, or that a visit goes on from.
#[utoipa::path(get, path = "/api/v1/invitations/pending", security(("bearer" = [])),
    responses((status = 200, body = Vec<Invitation>)))]
pub(super) async fn pending_invitations(
    State(app): State<Shared>,
    ctx: Ctx,
) -> Result<Json<Vec<Invitation>>, ApiError> {
    practice::pending(&app, &ctx).await.map(Json)
}

/// An invitation.
#[utoipa::path(get, path = "/api/v1/invitations/{id}", security(("bearer" = [])), params(("id" = InvitationId, Path)),
    responses((status = 200, body = Invitation)))]
pub(super) async fn get_invitation(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<InvitationId>,
) -> Result<Json<Invitation>, ApiError> {
    practice::read_invitation(&app, &ctx, id).await.map(Json)
}

/// The patient comes: `sessionId` is the visit, and both may join it at once.
#[utoipa::path(post, path = "/api/v1/invitations/{id}/confirm", security(("bearer" = [])),
    params(("id" = InvitationId, Path)), responses((status = 200, body = Invitation),
    (status = 409, body = Problem, description = "invitation-expired, wrong-state: it is over")))]
pub(super) async fn confirm_invitation(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<InvitationId>,
) -> Result<Json<Invitation>, ApiError> {
    practice::confirm(&app, &ctx, id).await.map(Json)
}

/// The patient does not come, and waits on.
#[utoipa::path(post, path = "/api/v1/invitations/{id}/decline", security(("bearer" = [])),
    params(("id" = InvitationId, Path)), responses((status = 200, body = Invitation),
    (status = 409, body = Problem, description = "wrong-state: it was confirmed")))]
pub(super) async fn decline_invitation(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<InvitationId>,
) -> Result<Json<Invitation>, ApiError> {
    practice::decline(&app, &ctx, id).await.map(Json)
}

/// The doctor takes it back, or ends the visit that came of it.
#[utoipa::path(post, path = "/api/v1/invitations/{id}/end", security(("bearer" = [])),
    params(("id" = InvitationId, Path)), responses((status = 200, body = Invitation),
    (status = 409, body = Problem, description = "wrong-state: there was another since")))]
pub(super) async fn end_invitation(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<InvitationId>,
) -> Result<Json<Invitation>, ApiError> {
    practice::end_invitation(&app, &ctx, id).await.map(Json)
}
