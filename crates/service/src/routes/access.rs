//! Ways into a visit beside a sign-in: links, and codes at a kiosk.

use axum::{extract::State, http::StatusCode};
use bedside_protocol::{
    Appointment, AppointmentId, CheckIn, CheckInRequest, CreateLinkRequest, LinkId, LinkListing, Problem,
    VisitLink,
};

use super::extract::{Json, Path};
use crate::{
    app::Shared,
    ctx::Ctx,
    error::ApiError,
    use_cases::{kiosk, links},
};

/// Makes a link into the visit of an appointment, in its patient's place. It opens once.
#[utoipa::path(post, path = "/api/v1/appointments/{id}/links", security(("bearer" = [])),
    params(("id" = AppointmentId, Path)), request_body = CreateLinkRequest, responses((status = 201, body = VisitLink),
    (status = 409, body = Problem, description = "wrong-state, session-ended")))]
pub(super) async fn create_link(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
    Json(request): Json<CreateLinkRequest>,
) -> Result<(StatusCode, Json<VisitLink>), ApiError> {
    Ok((StatusCode::CREATED, Json(links::create(&app, &ctx, id, &request).await?)))
}

/// Links into the visit of an appointment that were made in the last day.
#[utoipa::path(get, path = "/api/v1/appointments/{id}/links", security(("bearer" = [])),
    params(("id" = AppointmentId, Path)), responses((status = 200, body = Vec<LinkListing>),
    (status = 409, body = Problem, description = "wrong-state")))]
pub(super) async fn list_links(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
) -> Result<Json<Vec<LinkListing>>, ApiError> {
    links::list(&app, &ctx, id).await.map(Json)
}

/// Takes a link back. Whoever came by it is out of the visit.
#[utoipa::path(delete, path = "/api/v1/appointments/{id}/links/{link}", security(("bearer" = [])),
    params(("id" = AppointmentId, Path), ("link" = LinkId, Path)), responses((status = 204),
    (status = 409, body = Problem, description = "wrong-state")))]
pub(super) async fn end_link(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, link)): Path<(AppointmentId, LinkId)>,
) -> Result<StatusCode, ApiError> {
    links::end(&app, &ctx, id, link).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Checks the patient of an appointment in who is seen to have come.
#[utoipa::path(post, path = "/api/v1/appointments/{id}/check-in", security(("bearer" = [])),
    params(("id" = AppointmentId, Path)), responses((status = 200, body = Appointment),
    (status = 409, body = Problem, description = "wrong-state")))]
pub(super) async fn check_in_at_desk(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
) -> Result<Json<Appointment>, ApiError> {
    kiosk::check_in_at_desk(&app, &ctx, id).await.map(Json)
}

/// Checks a patient in by the code of their appointment, and lets them into its visit and into nothing else.
#[utoipa::path(post, path = "/api/v1/kiosk/check-in", security(("bearer" = [])), request_body = CheckInRequest,
    responses((status = 200, body = CheckIn), (status = 404, body = Problem, description = "not-found"),
    (status = 429, body = Problem, description = "too-many-attempts")))]
pub(super) async fn check_in(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(request): Json<CheckInRequest>,
) -> Result<Json<CheckIn>, ApiError> {
    kiosk::check_in(&app, &ctx, &request).await.map(Json)
}
