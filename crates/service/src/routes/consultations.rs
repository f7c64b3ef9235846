//! `/api/v1/appointments` and `/api/v1/consultations`.

use axum::{
    extract::State,
    http::{HeaderMap, StatusCode, header},
};
use bedside_authz::Action;
use bedside_consult::{Input, billing, feedback};
use bedside_protocol::{
    AppointmentId, Code, CreateAppointmentRequest, CreateSessionRequest, Feedback, FeedbackRequest,
    HistoryPage, JoinRequest, JoinResponse, LeaveRequest, Party, Problem, Role, Session, SessionId, Summary,
    User,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Caller, CallerOn, page_limit};
use crate::{
    App, accounts,
    app::Shared,
    error::{ApiError, Json, OptionalJson, Path, Query},
    store::{AuditLine, SessionRow},
    visits::Change,
};

/// How long a media token lasts. It is asked for again before it ends, without touching the call.
const MEDIA_TOKEN_LASTS: SignedDuration = SignedDuration::from_hours(1);
/// How far before and after now a visit may be planned.
const EARLIEST_START: SignedDuration = SignedDuration::from_hours(24);
const LATEST_START: SignedDuration = SignedDuration::from_hours(24 * 731);
/// Coming visits on one page when it is not said how many, and the most that may be asked for.
const SESSIONS_PAGE: (u32, u32) = (200, 500);
/// Visits on one page of the history.
const HISTORY_PAGE: u32 = 20;

/// An appointment as made.
#[derive(Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct AppointmentMade {
    appointment_id: AppointmentId,
}

/// Makes an appointment: a doctor for themselves, an administrator for any doctor.
#[utoipa::path(post, path = "/api/v1/appointments", security(("bearer" = [])), request_body = CreateAppointmentRequest,
    responses((status = 201, body = AppointmentMade), (status = 403, body = Problem, description = "forbidden"),
    (status = 404, body = Problem, description = "not-found: the patient or the doctor"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn create_appointment(
    State(app): State<Shared>,
    caller: Caller,
    Json(request): Json<CreateAppointmentRequest>,
) -> Result<(StatusCode, Json<AppointmentMade>), ApiError> {
    let user = caller.who_may(Action::MakeAppointment)?;
    let doctor = match (user.role, request.doctor_id) {
        (Role::Doctor, None) => user.id,
        (Role::Doctor, Some(id)) if id == user.id => id,
        (Role::ClinicAdmin, Some(id)) => id,
        (Role::ClinicAdmin, None) => return Err(ApiError::new(Code::Invalid, "doctorId is missing")),
        _ => return Err(Code::Forbidden.into()),
    };
    if !(1..=120).contains(&request.scheduled_duration_minutes) {
        return Err(ApiError::new(Code::Invalid, "a visit is planned for 1 to 120 minutes"));
    }
    // Further away it is a slip of the keyboard.
    let (earliest, latest) = (Timestamp::now() - EARLIEST_START, Timestamp::now() + LATEST_START);
    if !(earliest..latest).contains(&request.scheduled_start_time) {
        return Err(ApiError::new(Code::Invalid, "a visit starts between yesterday and two years from now"));
    }
    for (id, role) in [(request.patient_id, Role::Patient), (doctor, Role::Doctor)] {
        let account = app.store.account(id).await?.filter(|account| account.user.role == role);
        let account = account.filter(|account| !account.is_disabled);
        let account = account
            .ok_or_else(|| ApiError::new(Code::NotFound, "patientId or doctorId is nobody of that kind"))?;
        if !account.is_confirmed {
            return Err(ApiError::new(Code::Invalid, "nobody has confirmed whose the patient's account is"));
        }
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let appointment_id = unit.add_appointment(&request, doctor).await?;
    unit.audit(AuditLine { user: Some(user.id), action: "appointment.created", session: None }).await?;
    unit.commit().await?;
    Ok((StatusCode::CREATED, Json(AppointmentMade { appointment_id })))
}

/// Gives the session of an appointment, made when there is none.
#[utoipa::path(post, path = "/api/v1/consultations/sessions", security(("bearer" = [])),
    request_body = CreateSessionRequest, responses((status = 201, body = Session),
    (status = 409, body = Problem, description = "wrong-state: the appointment is of another consultationMode"),
    (status = 403, body = Problem, description = "not-a-participant"), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn create_session(
    State(app): State<Shared>,
    Caller(user): Caller,
    Json(request): Json<CreateSessionRequest>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    let found = app.store.appointment(request.appointment_id).await?;
    let (patient, doctor, mode) = found.ok_or(Code::NotFound)?;
    let side = match user.id {
        id if id == patient => Some(Party::Patient),
        id if id == doctor => Some(Party::Doctor),
        _ => None,
    };
    bedside_authz::decide(Action::MakeVisit, user.role, side)?;
    // What was agreed on decides what it costs, and is not for one side to change.
    if request.consultation_mode != mode {
        return Err(ApiError::new(Code::WrongState, "the appointment is of another consultationMode"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let row = unit.session_for(request.appointment_id).await?.ok_or(Code::NotFound)?;
    unit.audit(AuditLine { user: Some(user.id), action: "session.created", session: Some(row.id) }).await?;
    unit.tell(&row).await?;
    unit.commit().await?;
    app.news.notify_one();
    Ok((StatusCode::CREATED, Json(app.view(&row).await?)))
}

/// Which page of the coming visits.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct SessionsQuery {
    /// The last visit of the page before.
    after: Option<SessionId>,
    /// At most this many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// The caller's open and coming visits, by their start. Where there are more, `Link` says where (RFC 8288,
/// `rel="next"`).
#[utoipa::path(get, path = "/api/v1/consultations/sessions", security(("bearer" = [])), params(SessionsQuery),
    responses((status = 200, body = Vec<Session>, headers(("link" = String, description = "the next page, where there is one")))))]
pub(super) async fn list_sessions(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<SessionsQuery>,
) -> Result<(HeaderMap, Json<Vec<Session>>), ApiError> {
    let user = caller.who_may(Action::ListOwnVisits)?;
    let limit = page_limit(query.limit, SESSIONS_PAGE)?;
    app.note_look(user.id, "sessions.listed", None).await?;
    let mut sessions = app.sessions_of(&user, query.after, limit + 1).await?;
    let mut headers = HeaderMap::new();
    if sessions.len() > limit as usize {
        sessions.truncate(limit as usize);
        if let Some(last) = sessions.last() {
            let next = format!(
                "</api/v1/consultations/sessions?after={}&limit={limit}>; rel=\"next\"",
                last.session_id
            );
            headers.insert(header::LINK, next.parse().map_err(|_| ApiError::from(Code::Internal))?);
        }
    }
    Ok((headers, Json(sessions)))
}

/// One visit of the caller's.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}", security(("bearer" = [])), params(("id" = SessionId, Path)),
    responses((status = 200, body = Session), (status = 403, body = Problem, description = "not-a-participant"),
    (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn get_session(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
) -> Result<Json<Session>, ApiError> {
    let (row, _) = app.session_of(id, &user, Action::ReadVisit).await?;
    app.note_look(user.id, "session.read", Some(id)).await?;
    app.view(&row).await.map(Json)
}

/// Enters: a patient the waiting room, then, once called in, either one the call. Only the
/// admitted are given a media token and relays, on the device that has their place in the visit.
/// Joining again is how a client comes back.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/join", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = JoinRequest,
    responses((status = 200, body = JoinResponse), (status = 403, body = Problem, description = "not-a-participant"),
    (status = 409, body = Problem, description = "session-ended")))]
pub(super) async fn join(
    State(app): State<Shared>,
    CallerOn { user, sign_in }: CallerOn,
    Path(id): Path<SessionId>,
    OptionalJson(request): OptionalJson<JoinRequest>,
) -> Result<Json<JoinResponse>, ApiError> {
    let (mut change, party) = Change::by_participant(&app, id, &user, Action::Join).await?;
    if party == Party::Patient {
        change.apply(Input::Enter { ready: request.ready, device_check: request.device_check }).await?;
    } else if change.row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    let device = request.device.unwrap_or(sign_in);
    let sits_on = change.row.consultation.device(party);
    let (enters, on_purpose) = (!request.prepare, !request.by_itself);
    change.apply(Input::Sit { party, device, enters, on_purpose }).await?;
    let is_here = change.row.consultation.device(party) == Some(device);
    if is_here && sits_on.is_some_and(|before| before != device) {
        change.audit("session.taken-over").await?;
    }
    let comes_back = is_here || !change.row.consultation.has_joined(party);
    let admitted = change.row.consultation.may_join(party);
    let mut media = None;
    if admitted && is_here {
        if enters {
            change.apply(Input::Join(party)).await?;
        }
        let until = change.unit.now + MEDIA_TOKEN_LASTS;
        let token = accounts::random_token();
        change.unit.add_media_token(&token, id, user.id, device, until).await?;
        change.audit(if request.prepare { "session.prepared" } else { "session.joined" }).await?;
        media = Some((token, until));
    }
    let row = change.commit().await?;
    if comes_back && let Some(change) = app.hub.joined(id, user.id) {
        app.tell_presence(&row, change);
    }
    let (access_token, token_expires_at) = media.unzip();
    Ok(Json(JoinResponse {
        admitted,
        ice_servers: token_expires_at
            .map(|until| app.ice_servers(&user, sign_in, Some(id), until))
            .unwrap_or_default(),
        access_token,
        token_expires_at,
        room_name: row.room_name.clone(),
        identity: user.id,
        participant_type: party,
        session: app.view(&row).await?,
    }))
}

/// Does one thing to a visit, by somebody who may.
async fn act(
    app: &App,
    user: &User,
    id: SessionId,
    action: Action,
    input: Input,
) -> Result<Json<Session>, ApiError> {
    let (mut change, _) = Change::by_participant(app, id, user, action).await?;
    change.apply(input).await?;
    let row = change.commit().await?;
    app.view(&row).await.map(Json)
}

macro_rules! doctor_route {
    ($(#[$doc:meta])* $name:ident, $path:literal, $action:expr, $input:expr) => {
        $(#[$doc])*
        #[utoipa::path(post, path = $path, security(("bearer" = [])), params(("id" = SessionId, Path)),
            responses((status = 200, body = Session), (status = 403, body = Problem, description = "forbidden, not-a-participant"),
            (status = 409, body = Problem, description = "wrong-state, session-ended")))]
        pub(super) async fn $name(
            State(app): State<Shared>,
            Caller(user): Caller,
            Path(id): Path<SessionId>,
        ) -> Result<Json<Session>, ApiError> {
            act(&app, &user, id, $action, $input).await
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
    Caller(user): Caller,
    Path(id): Path<SessionId>,
) -> Result<Json<Session>, ApiError> {
    let (mut change, _) = Change::by_participant(&app, id, &user, Action::Decline).await?;
    change.apply(Input::Decline).await?;
    change.audit("session.declined").await?;
    let row = change.commit().await?;
    app.view(&row).await.map(Json)
}

/// Leaves: a patient the waiting room or the call, a doctor the call. Both may come back.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/leave", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = LeaveRequest, responses((status = 200, body = Session),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn leave(
    State(app): State<Shared>,
    CallerOn { user, sign_in }: CallerOn,
    Path(id): Path<SessionId>,
    OptionalJson(request): OptionalJson<Option<LeaveRequest>>,
) -> Result<Json<Session>, ApiError> {
    let (mut change, party) = Change::by_participant(&app, id, &user, Action::Leave).await?;
    let device = request.unwrap_or_default().device.unwrap_or(sign_in);
    let before = &change.row.consultation;
    let is_elsewhere = before.has_joined(party) && before.device(party).is_some_and(|has| has != device);
    change.apply(Input::LeaveOn(party, device)).await?;
    change.audit("session.left").await?;
    let row = change.commit().await?;
    if !is_elsewhere && let Some(change) = app.hub.left(id, user.id) {
        app.tell_presence(&row, change);
    }
    app.view(&row).await.map(Json)
}

/// Calls the visit off before it began.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/cancel", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Session),
    (status = 403, body = Problem, description = "not-a-participant"),
    (status = 409, body = Problem, description = "wrong-state, session-ended")))]
pub(super) async fn cancel(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
) -> Result<Json<Session>, ApiError> {
    let (mut change, party) = Change::by_participant(&app, id, &user, Action::Cancel).await?;
    change.apply(Input::Cancel(party)).await?;
    let row = change.commit().await?;
    app.view(&row).await.map(Json)
}

/// Asks the patient of a visit that has ended back: a new session, linked to it. One re-call of
/// each visit; asked for again, it is given again.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/recall", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 201, body = Session),
    (status = 403, body = Problem, description = "forbidden, not-a-participant"),
    (status = 409, body = Problem, description = "wrong-state: it has not ended, or ended too long ago")))]
pub(super) async fn recall(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
) -> Result<(StatusCode, Json<Session>), ApiError> {
    let (mut change, _) = Change::by_participant(&app, id, &user, Action::Recall).await?;
    if !change.row.consultation.may_recall(change.unit.now, &app.config.limits()) {
        return Err(ApiError::new(
            Code::WrongState,
            "a patient is re-called within a while after the visit's end",
        ));
    }
    let row = change.unit.recall(&change.row).await?;
    change.unit.tell(&row).await?;
    change.audit("session.recalled").await?;
    change.commit().await?;
    app.news.notify_one();
    Ok((StatusCode::CREATED, Json(app.view(&row).await?)))
}

async fn summarise(app: &App, row: &SessionRow) -> Result<Summary, ApiError> {
    let view = app.view(row).await?;
    let c = &row.consultation;
    let elapsed = c.elapsed(Timestamp::now());
    Ok(Summary {
        session_id: row.id,
        appointment_id: row.appointment,
        doctor_name: view.doctor.name,
        patient_name: view.patient.name,
        specialization: view.doctor.specialization,
        consultation_mode: row.mode,
        scheduled_duration: view.scheduled_duration_minutes,
        actual_duration: u64::from(billing::minutes_begun(elapsed)),
        duration_seconds: u64::try_from(elapsed.as_secs()).unwrap_or(0),
        start_time: c.started_at,
        end_time: c.ended_at,
        status: c.status,
        end_reason: c.end_reason,
        chat_message_count: app.store.chat_count(row.id).await?,
        feedback_submitted: app.store.feedback(row.id).await?.is_some(),
        amount_charged: row.charged.as_ref().map(|(amount, _)| *amount),
        currency: row.charged.as_ref().map(|(_, currency)| currency.clone()),
    })
}

/// What the visit came to.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/summary", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Summary),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn summary(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
) -> Result<Json<Summary>, ApiError> {
    let (row, _) = app.session_of(id, &user, Action::ReadSummary).await?;
    app.note_look(user.id, "summary.read", Some(id)).await?;
    summarise(&app, &row).await.map(Json)
}

/// The patient says how it was, once, after the visit has ended.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/feedback", security(("bearer" = [])),
    params(("id" = SessionId, Path)), request_body = FeedbackRequest, responses((status = 201, body = Feedback),
    (status = 403, body = Problem, description = "forbidden, not-a-participant"),
    (status = 409, body = Problem, description = "feedback-given, wrong-state"),
    (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn submit_feedback(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
    Json(given): Json<FeedbackRequest>,
) -> Result<(StatusCode, Json<Feedback>), ApiError> {
    let (row, _) = app.session_of(id, &user, Action::GiveFeedback).await?;
    if !row.consultation.status.is_final() || row.consultation.started_at.is_none() {
        return Err(Code::WrongState.into());
    }
    feedback::check(&given, row.mode).map_err(|bad| ApiError::new(Code::Invalid, bad.to_string()))?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if !unit.add_feedback(&row, &given).await? {
        return Err(Code::FeedbackGiven.into());
    }
    unit.audit(AuditLine { user: Some(user.id), action: "feedback.submitted", session: Some(id) }).await?;
    unit.commit().await?;
    Ok((StatusCode::CREATED, Json(Feedback { session_id: id, given })))
}

/// The feedback of a visit, for both who were in it.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/feedback", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Feedback),
    (status = 403, body = Problem, description = "not-a-participant"), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn get_feedback(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
) -> Result<Json<Feedback>, ApiError> {
    app.session_of(id, &user, Action::ReadFeedback).await?;
    app.note_look(user.id, "feedback.read", Some(id)).await?;
    app.store.feedback(id).await?.map(Json).ok_or(Code::NotFound.into())
}

/// Where a page of the history begins.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct HistoryQuery {
    /// `next` of the page before.
    before: Option<SessionId>,
}

/// The caller's past visits, newest first.
#[utoipa::path(get, path = "/api/v1/consultations/history", security(("bearer" = [])), params(HistoryQuery),
    responses((status = 200, body = HistoryPage)))]
pub(super) async fn history(
    State(app): State<Shared>,
    caller: Caller,
    Query(query): Query<HistoryQuery>,
) -> Result<Json<HistoryPage>, ApiError> {
    let user = caller.who_may(Action::ListOwnVisits)?;
    let mut rows = app.store.history_of(user.id, query.before, HISTORY_PAGE + 1).await?;
    let more = rows.len() > HISTORY_PAGE as usize;
    rows.truncate(HISTORY_PAGE as usize);
    app.note_look(user.id, "history.read", None).await?;
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.push(summarise(&app, row).await?);
    }
    Ok(Json(HistoryPage { items, next }))
}
