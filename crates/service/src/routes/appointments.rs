//! `/api/v1/appointments` and `/api/v1/doctors`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
};
use bedside_protocol::{
    Appointment, AppointmentId, AppointmentStatus, Availability, ChangeAppointmentRequest,
    CreateAppointmentRequest, DoctorAvailability, DoctorListing, InstantSessionRequest, Problem, Session,
    UserId, VerifyPaymentRequest,
};
use jiff::{Timestamp, civil::Date};
use serde::Deserialize;

use super::{
    extract::{Json, Path, Query},
    next_page, page_limit, wire_name,
};
use crate::{
    app::Shared,
    ctx::Ctx,
    error::ApiError,
    store::AppointmentFilter,
    use_cases::{appointments, doctors},
};

/// Appointments and doctors on a page when it is not said how many, and the most that may be asked for.
const PAGE: (u32, u32) = (100, 500);

/// Makes an appointment, and its visit where nothing is to be paid before: a patient for themselves in a free slot, a
/// doctor for themselves, an administrator for anybody.
#[utoipa::path(post, path = "/api/v1/appointments", security(("bearer" = [])), request_body = CreateAppointmentRequest,
    responses((status = 201, body = Appointment), (status = 403, body = Problem, description = "forbidden"),
    (status = 404, body = Problem, description = "not-found: the patient or the doctor"),
    (status = 409, body = Problem, description = "slot-taken"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn create_appointment(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(request): Json<CreateAppointmentRequest>,
) -> Result<(StatusCode, Json<Appointment>), ApiError> {
    Ok((StatusCode::CREATED, Json(appointments::create(&app, &ctx, &request).await?)))
}

/// Which appointments.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(rename_all = "camelCase")]
pub(super) struct AppointmentsQuery {
    /// This patient's; a patient's own are theirs, whatever is asked.
    patient_id: Option<UserId>,
    /// This doctor's; a doctor's own are theirs.
    doctor_id: Option<UserId>,
    /// In this state.
    status: Option<AppointmentStatus>,
    /// From then on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Before then.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The last of the page before.
    after: Option<AppointmentId>,
    /// At most this many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Appointments by their time: one's own, an administrator's of everybody. Where there are more, `Link` says where
/// (RFC 8288, `rel="next"`).
#[utoipa::path(get, path = "/api/v1/appointments", security(("bearer" = [])), params(AppointmentsQuery),
    responses((status = 200, body = Vec<Appointment>, headers(("link" = String, description = "the next page, where there is one")))))]
pub(super) async fn list_appointments(
    State(app): State<Shared>,
    ctx: Ctx,
    Query(query): Query<AppointmentsQuery>,
) -> Result<(HeaderMap, Json<Vec<Appointment>>), ApiError> {
    let limit = page_limit(query.limit, PAGE)?;
    let AppointmentsQuery { patient_id: patient, doctor_id: doctor, status, from, to, after, .. } = query;
    let filter = AppointmentFilter { patient, doctor, status, from, to, after, clinic: None };
    let (list, next) = appointments::list(&app, &ctx, filter, limit).await?;
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
    Ok((headers, Json(list)))
}

/// An appointment.
#[utoipa::path(get, path = "/api/v1/appointments/{id}", security(("bearer" = [])), params(("id" = AppointmentId, Path)),
    responses((status = 200, body = Appointment)))]
pub(super) async fn get_appointment(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
) -> Result<Json<Appointment>, ApiError> {
    appointments::read(&app, &ctx, id).await.map(Json)
}

/// Moves an appointment and its visit, while nobody has come; or says why the patient comes.
#[utoipa::path(patch, path = "/api/v1/appointments/{id}", security(("bearer" = [])), params(("id" = AppointmentId, Path)),
    request_body = ChangeAppointmentRequest, responses((status = 200, body = Appointment),
    (status = 409, body = Problem, description = "wrong-state, session-ended, slot-taken")))]
pub(super) async fn change_appointment(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
    Json(request): Json<ChangeAppointmentRequest>,
) -> Result<Json<Appointment>, ApiError> {
    appointments::change(&app, &ctx, id, request).await.map(Json)
}

/// Calls an appointment off, and its visit with it: one that runs is over.
#[utoipa::path(post, path = "/api/v1/appointments/{id}/cancel", security(("bearer" = [])),
    params(("id" = AppointmentId, Path)), responses((status = 200, body = Appointment),
    (status = 409, body = Problem, description = "wrong-state")))]
pub(super) async fn cancel_appointment(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
) -> Result<Json<Appointment>, ApiError> {
    appointments::cancel(&app, &ctx, id).await.map(Json)
}

/// It was paid for: there is a visit now. The same payment again changes nothing.
#[utoipa::path(post, path = "/api/v1/appointments/{id}/verify-payment", security(("bearer" = [])),
    params(("id" = AppointmentId, Path)), request_body = VerifyPaymentRequest,
    responses((status = 200, body = Appointment),
    (status = 409, body = Problem, description = "wrong-state: nothing is to be paid, or it was paid otherwise")))]
pub(super) async fn verify_payment(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
    Json(request): Json<VerifyPaymentRequest>,
) -> Result<Json<Appointment>, ApiError> {
    appointments::verify_payment(&app, &ctx, id, request).await.map(Json)
}

/// Makes the visit of an appointment that has none yet.
#[utoipa::path(post, path = "/api/v1/appointments/{id}/retry-session", security(("bearer" = [])),
    params(("id" = AppointmentId, Path)), responses((status = 200, body = Appointment),
    (status = 402, body = Problem, description = "payment-required"),
    (status = 409, body = Problem, description = "wrong-state")))]
pub(super) async fn retry_session(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<AppointmentId>,
) -> Result<Json<Appointment>, ApiError> {
    appointments::retry_visit(&app, &ctx, id).await.map(Json)
}

/// A visit now.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/instant", security(("bearer" = [])),
    request_body = InstantSessionRequest, responses((status = 201, body = Session),
    (status = 404, body = Problem, description = "not-found: the patient")))]
pub(super) async fn instant_session(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(request): Json<InstantSessionRequest>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    Ok((StatusCode::CREATED, Json(appointments::instant(&app, &ctx, request).await?)))
}

/// Which doctors.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct DoctorsQuery {
    /// Words of their name or speciality.
    query: Option<String>,
    /// The last of the page before.
    after: Option<UserId>,
    /// At most this many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Doctors by their names, and whether one can walk in or book. Where there are more, `Link` says where (RFC 8288,
/// `rel="next"`).
#[utoipa::path(get, path = "/api/v1/doctors", security(("bearer" = [])), params(DoctorsQuery),
    responses((status = 200, body = Vec<DoctorListing>, headers(("link" = String, description = "the next page, where there is one")))))]
pub(super) async fn list_doctors(
    State(app): State<Shared>,
    ctx: Ctx,
    Query(query): Query<DoctorsQuery>,
) -> Result<(HeaderMap, Json<Vec<DoctorListing>>), ApiError> {
    let limit = page_limit(query.limit, PAGE)?;
    let words = query.query.as_deref();
    let (doctors, next) = doctors::list(&app, &ctx, words, query.after, limit).await?;
    let encoded = words.map(|words| url::form_urlencoded::byte_serialize(words.as_bytes()).collect());
    let headers = next_page(next.map(|id| id.to_string()), limit, [("query", encoded)])?;
    Ok((headers, Json(doctors)))
}

/// Which days.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct DaysQuery {
    /// The first; today where it is not said.
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// The last; six days later where it is not said, and at most thirty.
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
}

/// When and how a doctor can be booked, and what is free.
#[utoipa::path(get, path = "/api/v1/doctors/{id}/availability", security(("bearer" = [])),
    params(("id" = UserId, Path), DaysQuery), responses((status = 200, body = DoctorAvailability)))]
pub(super) async fn get_availability(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<UserId>,
    Query(query): Query<DaysQuery>,
) -> Result<Json<DoctorAvailability>, ApiError> {
    doctors::free_slots(&app, &ctx, id, query.from, query.to).await.map(Json)
}

/// Says when and how a doctor can be booked: a doctor for themselves, an administrator for anybody.
#[utoipa::path(put, path = "/api/v1/doctors/{id}/availability", security(("bearer" = [])),
    params(("id" = UserId, Path)), request_body = Availability, responses((status = 200, body = Availability),
    (status = 403, body = Problem, description = "forbidden")))]
pub(super) async fn put_availability(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<UserId>,
    Json(offered): Json<Availability>,
) -> Result<Json<Availability>, ApiError> {
    doctors::set_availability(&app, &ctx, id, offered).await.map(Json)
}
