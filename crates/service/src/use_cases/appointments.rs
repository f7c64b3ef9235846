//! Appointments: made, read, moved, paid for and called off.

use bedside_authz::{Action, can_meet};
use bedside_consult::{
    Input as VisitInput,
    appointment::{Input, Refused},
    availability,
};
use bedside_protocol::{
    Appointment, AppointmentId, AppointmentStatus, AppointmentType, Availability, ChangeAppointmentRequest,
    ClinicId, Code, CreateAppointmentRequest, CreateSessionRequest, InstantSessionRequest, Party,
    PaymentStatus, Role, Session, Slot, UserId, VerifyPaymentRequest,
};
use jiff::{SignedDuration, Timestamp};

use super::change::Change;
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{Account, AppointmentFilter, AppointmentRow, NewAppointment, SessionRow, Unit},
};

/// How far before and after now a visit may be planned.
const EARLIEST_START: SignedDuration = SignedDuration::from_hours(24);
const LATEST_START: SignedDuration = SignedDuration::from_hours(24 * 731);
/// Characters of a chief complaint: a few sentences.
const MOST_COMPLAINT: usize = 1_000;
/// Characters of a payment's name elsewhere.
const MOST_PAYMENT_ID: usize = 100;
/// Visits to come that a patient books without the practice: more than anybody needs, and no doctor's week.
const MOST_OPEN: u32 = 10;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        Self::new(Code::WrongState, refused.to_string())
    }
}

pub(super) fn invalid(why: &str) -> ApiError {
    ApiError::new(Code::Invalid, why)
}

/// Looks whether somebody can be seen, or see.
async fn person(app: &App, id: UserId, role: Role) -> Result<Account, ApiError> {
    let account = app.store.account(id).await?.filter(|account| account.user.role == role);
    let account = account.filter(|account| !account.is_disabled);
    let account = account
        .ok_or_else(|| ApiError::new(Code::NotFound, "patientId or doctorId is nobody of that kind"))?;
    if !account.is_confirmed {
        return Err(invalid("nobody has confirmed whose the patient's account is"));
    }
    Ok(account)
}

/// Whether a doctor of this clinic can see a patient: one of another is not there for them.
fn meets(clinic: Option<ClinicId>, patient: &Account) -> Result<(), ApiError> {
    if can_meet(clinic, patient.clinic) { Ok(()) } else { Err(Code::NotFound.into()) }
}

fn check_time(start: Timestamp, minutes: u16) -> Result<Slot, ApiError> {
    if !(1..=120).contains(&minutes) {
        return Err(invalid("a visit is planned for 1 to 120 minutes"));
    }
    // Further away it is a slip of the keyboard.
    let (earliest, latest) = (Timestamp::now() - EARLIEST_START, Timestamp::now() + LATEST_START);
    if !(earliest..latest).contains(&start) {
        return Err(invalid("a visit starts between yesterday and two years from now"));
    }
    Ok(Slot { start_time: start, end_time: start + SignedDuration::from_mins(i64::from(minutes)) })
}

fn check_complaint(complaint: Option<&bedside_protocol::Text>) -> Result<(), ApiError> {
    let is_long = complaint.is_some_and(|text| text.reveal().chars().count() > MOST_COMPLAINT);
    if is_long { Err(invalid("a chief complaint has at most 1,000 characters")) } else { Ok(()) }
}

/// Makes an appointment, and its visit where nothing is to be paid before: a patient for themselves in a free slot, a
/// doctor for themselves, an administrator for anybody.
pub(crate) async fn create(
    app: &App,
    ctx: &Ctx,
    request: &CreateAppointmentRequest,
) -> Result<Appointment, ApiError> {
    app.allow(ctx, Action::MakeAppointment).await?;
    let user = &ctx.user;
    let doctor = match (user.role, request.doctor_id) {
        (Role::Doctor, None) => user.id,
        (Role::Doctor, Some(id)) if id == user.id => id,
        (Role::ClinicAdmin | Role::Service, Some(id)) => id,
        (Role::Patient, Some(id)) if request.patient_id == user.id => id,
        (Role::ClinicAdmin | Role::Service | Role::Patient, None) => {
            return Err(invalid("doctorId is missing"));
        }
        _ => {
            return app.write_refusal(ctx, Action::MakeAppointment, None, Err(Code::Forbidden.into())).await;
        }
    };
    let slot = check_time(request.scheduled_start_time, request.scheduled_duration_minutes)?;
    check_complaint(request.chief_complaint.as_ref())?;
    let sees = person(app, doctor, Role::Doctor).await?;
    ctx.reaches(sees.clinic)?;
    if user.role != Role::Patient {
        meets(sees.clinic, &person(app, request.patient_id, Role::Patient).await?)?;
    }
    if user.role == Role::Patient {
        let open = AppointmentFilter {
            patient: Some(user.id),
            status: Some(AppointmentStatus::Booked),
            from: Some(Timestamp::now()),
            ..AppointmentFilter::default()
        };
        if app.store.appointments(open, MOST_OPEN).await?.len() >= MOST_OPEN as usize {
            let why = "so many visits are booked already: please speak with the practice";
            return Err(ApiError::new(Code::TooManyAttempts, why));
        }
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if user.role == Role::Patient {
        if request.payment_required {
            return Err(invalid("whether a visit is paid for before is for the practice to say"));
        }
        let offered = is_free(&mut unit, doctor, slot, None).await?;
        if !offered.consultation_modes.contains(&request.consultation_mode)
            || request.appointment_type != AppointmentType::Virtual
        {
            return Err(invalid("the doctor can't be booked in this way"));
        }
    }
    let id = unit.add_appointment(request, doctor).await?;
    let line = ctx.line("APPOINTMENT_CREATED").on(format!("appointment:{id}"));
    unit.audit(line.of(request.patient_id));
    if request.appointment_type == AppointmentType::Virtual && !request.payment_required {
        make_visit(&mut unit, ctx, id).await?;
    }
    unit.commit().await?;
    show(app, id).await
}

/// Whether a patient may book this: one of the doctor's slots, which nobody has. Gives what the doctor offers.
async fn is_free(
    unit: &mut Unit,
    doctor: UserId,
    slot: Slot,
    besides: Option<AppointmentId>,
) -> Result<Availability, ApiError> {
    let (offered, taken) = unit.bookable(doctor, slot, besides).await?;
    let offered = offered.ok_or(Code::SlotTaken)?;
    // A day on either side, whatever the zone.
    let day = jiff::tz::TimeZone::UTC.to_datetime(slot.start_time).date();
    let days = [day.yesterday().ok(), Some(day), day.tomorrow().ok()];
    let free = availability::slots(&offered, days.into_iter().flatten(), &taken, unit.now)
        .map_err(|_| Code::SlotTaken)?;
    if free.contains(&slot) { Ok(offered) } else { Err(Code::SlotTaken.into()) }
}

/// Makes the visit of an appointment where there is none.
async fn make_visit(unit: &mut Unit, ctx: &Ctx, id: AppointmentId) -> Result<SessionRow, ApiError> {
    let visit = unit.session_for(id).await?.ok_or(Code::NotFound)?;
    note_visit(unit, ctx, &visit).await?;
    Ok(visit)
}

/// Writes down that a visit was made, and that it is to be told.
async fn note_visit(unit: &mut Unit, ctx: &Ctx, visit: &SessionRow) -> Result<(), ApiError> {
    unit.audit(ctx.line("SESSION_CREATED").about(visit));
    Ok(unit.tell(visit).await?)
}

async fn show(app: &App, id: AppointmentId) -> Result<Appointment, ApiError> {
    let row = app.store.appointment(id).await?.ok_or(Code::NotFound)?;
    Ok(view(row))
}

pub(super) fn view(row: AppointmentRow) -> Appointment {
    let rules = row.appointment;
    let (session, room) = row.visit.unzip();
    Appointment {
        appointment_id: row.id,
        patient: row.patient,
        doctor: row.doctor,
        appointment_type: rules.kind,
        consultation_mode: row.mode,
        status: rules.status,
        scheduled_start_time: rules.start,
        scheduled_duration_minutes: u16::try_from(rules.duration.as_mins()).unwrap_or(u16::MAX),
        chief_complaint: row.chief_complaint,
        payment_status: rules.payment,
        payment_id: rules.payment_id,
        session_id: session,
        meeting_link: session.map(|id| format!("bedside://visit/{id}")),
        meeting_id: room,
        check_in_code: row.check_in_code,
        checked_in_at: row.checked_in_at,
        actual_start_time: row.started_at,
        actual_end_time: row.ended_at,
    }
}

/// An appointment that somebody may do this to.
pub(super) async fn allowed(
    app: &App,
    ctx: &Ctx,
    id: AppointmentId,
    action: Action,
) -> Result<AppointmentRow, ApiError> {
    let found = app.store.appointment(id).await?;
    let side = found.as_ref().and_then(|row| side(row, ctx.person()?));
    // The desk's are their clinic's; everybody else's are those that they are in.
    let is_desk = matches!(ctx.user.role, Role::ClinicAdmin | Role::Service);
    let found = found.filter(|row| !is_desk || ctx.reach().has(row.clinic));
    let decided = bedside_authz::decide(action, ctx.user.role, side).map_err(ApiError::from);
    // A role that may not is told so whether or not there is such a thing.
    match found {
        Some(row) => app.write_refusal(ctx, action, None, decided.map(|_| row)).await,
        None => {
            if matches!(&decided, Err(refused) if refused.code == Code::Forbidden) {
                app.write_refusal(ctx, action, None, decided.map(|_| ())).await?;
            }
            Err(Code::NotFound.into())
        }
    }
}

fn side(row: &AppointmentRow, user: UserId) -> Option<Party> {
    if row.patient.id == user {
        Some(Party::Patient)
    } else if row.doctor.id == user {
        Some(Party::Doctor)
    } else {
        None
    }
}

/// A page of appointments by their time, and the last of them where there are more: one's own, an administrator's of
/// everybody.
pub(crate) async fn list(
    app: &App,
    ctx: &Ctx,
    asked: AppointmentFilter,
    limit: u32,
) -> Result<(Vec<Appointment>, Option<AppointmentId>), ApiError> {
    app.allow(ctx, Action::ListAppointments).await?;
    let filter = match ctx.user.role {
        Role::Patient => AppointmentFilter { patient: Some(ctx.user.id), ..asked },
        Role::Doctor => AppointmentFilter { doctor: Some(ctx.user.id), ..asked },
        // The others may not, and have been refused.
        Role::ClinicAdmin | Role::Service | Role::Kiosk | Role::Guest => {
            AppointmentFilter { clinic: ctx.clinic, ..asked }
        }
    };
    let mut rows = app.store.appointments(filter, limit + 1).await?;
    let line = ctx.line("APPOINTMENTS_LISTED");
    let seen = filter.patient.filter(|patient| rows.iter().any(|row| row.patient.id == *patient));
    app.access_log.note(seen.map_or(line.clone(), |patient| line.of(patient))).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    Ok((rows.into_iter().map(view).collect(), next))
}

/// One.
pub(crate) async fn read(app: &App, ctx: &Ctx, id: AppointmentId) -> Result<Appointment, ApiError> {
    let row = allowed(app, ctx, id, Action::ReadAppointment).await?;
    let line = ctx.line("APPOINTMENT_READ").on(format!("appointment:{id}"));
    app.access_log.note(line.of(row.patient.id)).await?;
    Ok(view(row))
}

/// A change of an appointment and of its visit, where there is one: the visit first, as all who change both have it.
enum Under<'a> {
    Visit(Box<Change<'a>>),
    Alone(Unit),
}

impl<'a> Under<'a> {
    /// Begins one; gives the appointment as it is and stays until this is committed.
    async fn begin(
        app: &'a App,
        ctx: &'a Ctx,
        mut known: AppointmentRow,
    ) -> Result<(Self, AppointmentRow), ApiError> {
        loop {
            let mut under = match &known.visit {
                Some((session, _)) => Self::Visit(Box::new(Change::begin(app, *session, Some(ctx)).await?)),
                None => Self::Alone(app.store.begin(Timestamp::now()).await?),
            };
            let row = under.unit().appointment(known.id).await?.ok_or(Code::NotFound)?;
            if row.visit.is_some() == known.visit.is_some() {
                return Ok((under, row));
            }
            // Its visit was made meanwhile; none goes away again.
            known = row;
        }
    }

    const fn unit(&mut self) -> &mut Unit {
        match self {
            Self::Visit(change) => &mut change.unit,
            Self::Alone(unit) => unit,
        }
    }

    async fn visit(&mut self, input: VisitInput) -> Result<(), ApiError> {
        match self {
            Self::Visit(change) if !change.row.consultation.status.is_final() => change.apply(input).await,
            Self::Visit(_) | Self::Alone(_) => Ok(()),
        }
    }

    /// Writes the appointment, its audit line, and all of it.
    async fn commit(
        mut self,
        app: &App,
        ctx: &Ctx,
        row: &AppointmentRow,
        action: &'static str,
    ) -> Result<Appointment, ApiError> {
        let line = ctx.line(action).on(format!("appointment:{}", row.id)).of(row.patient.id);
        let unit = self.unit();
        unit.keep_appointment(row).await?;
        unit.audit(line);
        match self {
            Self::Visit(change) => drop(change.commit_all().await?),
            Self::Alone(unit) => unit.commit().await?,
        }
        show(app, row.id).await
    }
}

/// Moves an appointment, or says why the patient comes.
pub(crate) async fn change(
    app: &App,
    ctx: &Ctx,
    id: AppointmentId,
    request: ChangeAppointmentRequest,
) -> Result<Appointment, ApiError> {
    let known = allowed(app, ctx, id, Action::ChangeAppointment).await?;
    check_complaint(request.chief_complaint.as_ref())?;
    let (mut under, mut row) = Under::begin(app, ctx, known).await?;
    if row.appointment.status != AppointmentStatus::Booked {
        return Err(Refused::WrongState(row.appointment.status).into());
    }
    let start = request.scheduled_start_time.unwrap_or(row.appointment.start);
    let duration = match request.scheduled_duration_minutes {
        Some(minutes) => SignedDuration::from_mins(i64::from(minutes)),
        None => row.appointment.duration,
    };
    if (start, duration) != (row.appointment.start, row.appointment.duration) {
        let slot = check_time(start, u16::try_from(duration.as_mins()).unwrap_or(u16::MAX))?;
        if ctx.user.role == Role::Patient {
            is_free(under.unit(), row.doctor.id, slot, Some(id)).await?;
        }
        row.appointment.apply(Input::Move { start, duration })?;
        under.unit().plan_anew(id).await?;
        under.visit(VisitInput::Move { start, duration }).await?;
    }
    row.chief_complaint = request.chief_complaint.or(row.chief_complaint);
    under.commit(app, ctx, &row, "APPOINTMENT_CHANGED").await
}

/// Calls an appointment off, and its visit with it: one that runs is over.
pub(crate) async fn cancel(app: &App, ctx: &Ctx, id: AppointmentId) -> Result<Appointment, ApiError> {
    let known = allowed(app, ctx, id, Action::CancelAppointment).await?;
    let (mut under, before) = Under::begin(app, ctx, known).await?;
    // To end what runs for both is the doctor's; the patient leaves.
    if before.appointment.status == AppointmentStatus::InProgress
        && ctx.person().and_then(|user| side(&before, user)) == Some(Party::Patient)
    {
        return Err(Refused::WrongState(before.appointment.status).into());
    }
    under.visit(VisitInput::CallOff).await?;
    // The visit's end has changed it.
    let mut row = under.unit().appointment(id).await?.ok_or(Code::NotFound)?;
    if before.appointment.status != AppointmentStatus::InProgress {
        row.appointment.apply(Input::Cancel)?;
    }
    under.commit(app, ctx, &row, "APPOINTMENT_CANCELLED").await
}

/// It was paid for: there is a visit now.
pub(crate) async fn verify_payment(
    app: &App,
    ctx: &Ctx,
    id: AppointmentId,
    request: VerifyPaymentRequest,
) -> Result<Appointment, ApiError> {
    allowed(app, ctx, id, Action::VerifyPayment).await?;
    let payment = request.payment_id.trim().to_owned();
    if payment.is_empty() || payment.chars().count() > MOST_PAYMENT_ID {
        return Err(invalid("a payment's id has 1 to 100 characters"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let mut row = unit.appointment(id).await?.ok_or(Code::NotFound)?;
    let before = row.appointment.clone();
    row.appointment.apply(Input::VerifyPayment(payment))?;
    if row.appointment == before {
        return Ok(view(row));
    }
    if row.appointment.wants_visit() {
        make_visit(&mut unit, ctx, id).await?;
    }
    Under::Alone(unit).commit(app, ctx, &row, "PAYMENT_VERIFIED").await
}

/// Makes the visit of an appointment that has none yet.
pub(crate) async fn retry_visit(app: &App, ctx: &Ctx, id: AppointmentId) -> Result<Appointment, ApiError> {
    let known = allowed(app, ctx, id, Action::MakeVisit).await?;
    if known.visit.is_some() {
        return Ok(view(known));
    }
    visit_of(app, ctx, id).await?;
    show(app, id).await
}

/// The visit of an appointment, made where there is none and there should be one.
async fn visit_of(app: &App, ctx: &Ctx, id: AppointmentId) -> Result<SessionRow, ApiError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let row = unit.appointment(id).await?.ok_or(Code::NotFound)?;
    if let Some((session, _)) = row.visit {
        // Read without its lock, which comes before the appointment's.
        return app.store.session(session).await?.ok_or(Code::NotFound.into());
    }
    wants_visit(&row)?;
    let visit = make_visit(&mut unit, ctx, id).await?;
    unit.commit().await?;
    Ok(visit)
}

fn wants_visit(row: &AppointmentRow) -> Result<(), ApiError> {
    if row.appointment.wants_visit() {
        return Ok(());
    }
    if row.appointment.payment == PaymentStatus::Pending {
        return Err(Code::PaymentRequired.into());
    }
    Err(ApiError::new(Code::WrongState, "this appointment is over, or it is in the clinic's rooms"))
}

/// Gives the session of an appointment, made when there is none.
pub(crate) async fn create_session(
    app: &App,
    ctx: &Ctx,
    request: CreateSessionRequest,
) -> Result<Session, ApiError> {
    let id = request.appointment_id;
    let row = allowed(app, ctx, id, Action::MakeVisit).await?;
    // What was agreed on decides what it costs, and is not for one side to change.
    if request.consultation_mode != row.mode {
        return Err(ApiError::new(Code::WrongState, "the appointment is of another consultationMode"));
    }
    let visit = visit_of(app, ctx, id).await?;
    app.view(&visit).await
}

/// A visit now, of a doctor and a patient.
pub(crate) async fn instant(
    app: &App,
    ctx: &Ctx,
    request: InstantSessionRequest,
) -> Result<Session, ApiError> {
    app.allow(ctx, Action::MakeInstantVisit).await?;
    let now = Timestamp::now();
    check_time(now, request.scheduled_duration_minutes)?;
    let patient = person(app, request.patient_id, Role::Patient).await?;
    meets(ctx.clinic, &patient)?;
    let InstantSessionRequest { patient_id, consultation_mode: mode, scheduled_duration_minutes: minutes } =
        request;
    let appointment = CreateAppointmentRequest::in_a_call(patient_id, now, minutes, mode);
    let mut unit = app.store.begin(now).await?;
    let id = unit.add_appointment(&appointment, ctx.user.id).await?;
    let line = ctx.line("APPOINTMENT_CREATED").on(format!("appointment:{id}"));
    unit.audit(line.of(patient_id));
    let duration = SignedDuration::from_mins(i64::from(minutes));
    let start = unit.now;
    let (patient, doctor, clinic) = (patient.user, ctx.user.clone(), ctx.clinic);
    let made = NewAppointment { id, patient, doctor, clinic, mode, start, duration };
    let visit = unit.add_session(made).await?;
    note_visit(&mut unit, ctx, &visit).await?;
    unit.commit().await?;
    app.view(&visit).await
}

/// What has become of a visit: its appointment goes with it.
pub(crate) async fn follow(unit: &mut Unit, visit: &SessionRow) -> Result<(), ApiError> {
    let Some(mut row) = unit.appointment(visit.appointment).await? else { return Ok(()) };
    let before = row.appointment.clone();
    row.appointment.apply(Input::Visit(visit.consultation.status))?;
    if row.appointment != before {
        unit.keep_appointment(&row).await?;
    }
    Ok(())
}
