//! Practice hours: opened and closed, joined, and invited out of.

mod views;

use bedside_authz::Action;
use bedside_consult::{
    Input as VisitInput, availability,
    practice::{Input, Refused},
    record,
};
use bedside_protocol::{
    AppointmentType, Code, ConsultationMode, CreateAppointmentRequest, CreateScheduleRequest, Invitation,
    InvitationId, InvitationStatus, InviteRequest, Party, Queue, Role, Schedule, ScheduleId, ScheduleStatus,
    SessionStatus, UserId,
};
use jiff::Timestamp;

pub(crate) use views::announce;

use super::change::Change;
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{AuditLine, InvitationRow, ScheduleFilter, ScheduleHead, ScheduleRow, SessionRow, Unit},
};

/// What a visit out of a queue is planned for, as nobody planned it.
const PLANNED_MINUTES: u16 = 15;

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let code = match refused {
            Refused::Expired => Code::InvitationExpired,
            Refused::NotInQueue => Code::NotAParticipant,
            _ => Code::WrongState,
        };
        Self::new(code, refused.to_string())
    }
}

/// A change of practice hours under way.
struct PracticeChange<'a> {
    app: &'a App,
    unit: Unit,
    row: ScheduleRow,
    by: Option<&'a Ctx>,
    /// Whose invitation has run out meanwhile.
    ran_out: Option<UserId>,
}

impl<'a> PracticeChange<'a> {
    async fn begin(app: &'a App, id: ScheduleId, by: Option<&'a Ctx>) -> Result<Self, ApiError> {
        let mut unit = app.store.begin(Timestamp::now()).await?;
        let row = unit.schedule(id).await?.ok_or(Code::NotFound)?;
        Ok(Self { app, unit, row, by, ran_out: None })
    }

    /// Begins one that somebody makes who may.
    async fn by(app: &'a App, ctx: &'a Ctx, id: ScheduleId, action: Action) -> Result<Self, ApiError> {
        allowed(app, ctx, id, action).await?;
        Self::begin(app, id, Some(ctx)).await
    }

    fn apply(&mut self, input: Input) -> Result<(), ApiError> {
        let rang = self.row.practice.invitation.filter(|open| open.status == InvitationStatus::Invited);
        let applied = self.row.practice.apply(input, self.unit.now);
        self.ran_out = rang.filter(|rang| self.unit.now >= rang.expires_at()).map(|rang| rang.patient);
        Ok(applied?)
    }

    /// Adds a line to the audit log about these hours, and somebody in them.
    fn audit(&mut self, action: &'static str, patient: Option<UserId>) {
        let line = self.by.map_or(AuditLine::new(action), |ctx| ctx.line(action));
        let line = line.on(format!("schedule:{}", self.row.head.id));
        let line = patient.map_or(line.clone(), |patient| line.of(patient));
        self.unit.audit(line);
    }

    /// Stores it; whoever listens is told afterwards. `taken` is what it means that there can be only one.
    async fn commit(mut self, taken: fn() -> ApiError) -> Result<ScheduleRow, ApiError> {
        if let Some(patient) = self.ran_out {
            // Time did it, whoever came next.
            let line = AuditLine::new("INVITATION_EXPIRED").of(patient);
            self.unit.audit(line.on(format!("schedule:{}", self.row.head.id)));
        }
        match self.unit.keep_schedule(&mut self.row).await {
            Ok(_) => {}
            Err(error) if error.is_taken() => return Err(taken()),
            Err(error) => return Err(error.into()),
        }
        self.unit.commit().await?;
        Ok(self.row)
    }
}

/// Somebody who would be in two queues.
fn in_another_queue() -> ApiError {
    Code::InAnotherQueue.into()
}

/// A doctor who would have two practices open.
fn another_is_open() -> ApiError {
    ApiError::new(Code::WrongState, "the doctor has other practice hours open: close those first")
}

/// The side of somebody in practice hours: whose they are, or somebody in their queue.
fn side(row: &ScheduleRow, user: UserId) -> Option<Party> {
    if row.head.doctor.id == user {
        Some(Party::Doctor)
    } else {
        row.practice.entry(user).map(|_| Party::Patient)
    }
}

/// Looks whether somebody may do this to practice hours; gives these as they are.
async fn allowed(app: &App, ctx: &Ctx, id: ScheduleId, action: Action) -> Result<ScheduleRow, ApiError> {
    // A role that may not is told so whether or not there is such a thing.
    let by_role = bedside_authz::decide(action, ctx.user.role, None).map_err(ApiError::from);
    let Some(row) = app.store.schedule(id).await? else {
        app.write_refusal(ctx, action, None, by_role.map(|_| ())).await?;
        return Err(Code::NotFound.into());
    };
    let side = ctx.person().and_then(|user| side(&row, user));
    if side.is_none() {
        ctx.reaches(row.head.clinic)?;
    }
    let decided = bedside_authz::decide(action, ctx.user.role, side).map_err(ApiError::from);
    app.write_refusal(ctx, action, None, decided.map(|_| row)).await
}

/// Makes practice hours: a doctor's own are virtual; those that the clinic makes are in its rooms.
pub(crate) async fn create(
    app: &App,
    ctx: &Ctx,
    request: CreateScheduleRequest,
) -> Result<Schedule, ApiError> {
    app.allow(ctx, Action::MakeSchedule).await?;
    let doctor = match (ctx.user.role, request.doctor_id) {
        (Role::Doctor, None) => ctx.user.id,
        (Role::Doctor, Some(id)) if id == ctx.user.id => id,
        (Role::ClinicAdmin, Some(id)) => id,
        (Role::ClinicAdmin, None) => return Err(ApiError::new(Code::Invalid, "doctorId is missing")),
        _ => return Err(Code::Forbidden.into()),
    };
    let doctor = app.store.account(doctor).await?;
    let doctor = doctor.filter(|account| account.user.role == Role::Doctor && !account.is_disabled);
    let doctor = doctor.filter(|account| ctx.reach().has(account.clinic));
    let doctor = doctor.ok_or_else(|| ApiError::new(Code::NotFound, "doctorId is no doctor's"))?;
    for time in [&request.start_time, &request.end_time] {
        if availability::time(time).is_none() {
            return Err(ApiError::new(Code::Invalid, "a time is written as 09:30"));
        }
    }
    if request.start_time >= request.end_time {
        return Err(ApiError::new(Code::Invalid, "practice hours end after they start, on the same day"));
    }
    let head = ScheduleHead {
        id: ScheduleId::generate(),
        clinic: doctor.clinic,
        doctor: doctor.user,
        date: request.date,
        start_time: request.start_time,
        end_time: request.end_time,
        status: ScheduleStatus::Upcoming,
        appointment_type: if ctx.user.role == Role::Doctor {
            AppointmentType::Virtual
        } else {
            AppointmentType::InPerson
        },
        creator_type: ctx.user.role,
        creator_id: ctx.user.id,
        waiting: 0,
        version: 0,
    };
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.add_schedule(&head).await?;
    unit.audit(ctx.line("SCHEDULE_CREATED").on(format!("schedule:{}", head.id)));
    unit.commit().await?;
    Ok(views::schedule(&head))
}

/// A page of practice hours by their day and time, and the last of them where there are more.
pub(crate) async fn list(
    app: &App,
    ctx: &Ctx,
    filter: ScheduleFilter,
    limit: u32,
) -> Result<(Vec<Schedule>, Option<ScheduleId>), ApiError> {
    app.allow(ctx, Action::SeeSchedules).await?;
    let mut heads = app.store.schedules(ctx.reach(), filter, limit + 1).await?;
    let more = heads.len() > limit as usize;
    heads.truncate(limit as usize);
    let next = heads.last().filter(|_| more).map(|head| head.id);
    Ok((heads.iter().map(views::schedule).collect(), next))
}

/// One.
pub(crate) async fn read(app: &App, ctx: &Ctx, id: ScheduleId) -> Result<Schedule, ApiError> {
    Ok(views::schedule(&allowed(app, ctx, id, Action::SeeSchedules).await?.head))
}

/// Whether somebody may hear what happens in practice hours.
pub(crate) async fn listen(app: &App, ctx: &Ctx, id: ScheduleId) -> Result<(), ApiError> {
    allowed(app, ctx, id, Action::SeeSchedules).await.map(|_| ())
}

/// Opens practice hours.
pub(crate) async fn open(app: &App, ctx: &Ctx, id: ScheduleId) -> Result<Schedule, ApiError> {
    let mut change = PracticeChange::by(app, ctx, id, Action::RunSchedule).await?;
    change.apply(Input::Open)?;
    change.audit("SCHEDULE_OPENED", None);
    Ok(views::schedule(&change.commit(another_is_open).await?.head))
}

/// Closes them: whoever still waits is told.
pub(crate) async fn close(app: &App, ctx: &Ctx, id: ScheduleId) -> Result<Schedule, ApiError> {
    let mut change = PracticeChange::by(app, ctx, id, Action::RunSchedule).await?;
    change.apply(Input::Close)?;
    change.audit("SCHEDULE_CLOSED", None);
    Ok(views::schedule(&change.commit(another_is_open).await?.head))
}

/// The queue, as whoever asks may see it.
pub(crate) async fn queue(app: &App, ctx: &Ctx, id: ScheduleId) -> Result<Queue, ApiError> {
    let row = allowed(app, ctx, id, Action::SeeSchedules).await?;
    let viewer = views::Viewer::of(&ctx.user, &row);
    if viewer == views::Viewer::Practice {
        app.access_log.note(ctx.line("QUEUE_READ").on(format!("schedule:{id}"))).await?;
    }
    Ok(views::queue(&row, viewer))
}

/// Joins the queue.
pub(crate) async fn join(app: &App, ctx: &Ctx, id: ScheduleId) -> Result<Queue, ApiError> {
    let mut change = PracticeChange::by(app, ctx, id, Action::JoinQueue).await?;
    let user = ctx.user.id;
    change.apply(Input::Join(user))?;
    change.row.patients.entry(user).or_insert_with(|| ctx.user.clone());
    change.audit("QUEUE_JOINED", Some(user));
    let row = change.commit(in_another_queue).await?;
    Ok(views::queue(&row, views::Viewer::Patient(user)))
}

/// Leaves it.
pub(crate) async fn leave(app: &App, ctx: &Ctx, id: ScheduleId) -> Result<Queue, ApiError> {
    own_place(app, ctx, id, Input::Leave(ctx.user.id), "QUEUE_LEFT").await
}

/// Says whether they can be invited now.
pub(crate) async fn set_ready(
    app: &App,
    ctx: &Ctx,
    id: ScheduleId,
    is_ready: bool,
) -> Result<Queue, ApiError> {
    let action = if is_ready { "QUEUE_READY" } else { "QUEUE_NOT_READY" };
    own_place(app, ctx, id, Input::Ready(ctx.user.id, is_ready), action).await
}

async fn own_place(
    app: &App,
    ctx: &Ctx,
    id: ScheduleId,
    input: Input,
    action: &'static str,
) -> Result<Queue, ApiError> {
    let mut change = PracticeChange::by(app, ctx, id, Action::KeepOwnPlace).await?;
    change.apply(input)?;
    change.audit(action, Some(ctx.user.id));
    let row = change.commit(in_another_queue).await?;
    Ok(views::queue(&row, views::Viewer::Patient(ctx.user.id)))
}

/// Invites one of those who are ready.
pub(crate) async fn invite(
    app: &App,
    ctx: &Ctx,
    id: ScheduleId,
    request: InviteRequest,
) -> Result<Invitation, ApiError> {
    let mut change = PracticeChange::by(app, ctx, id, Action::RunSchedule).await?;
    let patient = request.patient_id;
    let before = change.row.practice.invitation;
    change.apply(Input::Invite { id: InvitationId::generate(), patient })?;
    let invitation = change.row.practice.invitation.ok_or(Code::Internal)?;
    if before.is_none_or(|before| before.id != invitation.id) {
        change.row.session = None;
        change.audit("CALL_INVITED", Some(patient));
    }
    change.commit(in_another_queue).await?;
    views::invitation_of(app, invitation.id).await
}

/// Lets somebody wait again under their number; a visit that came of their invitation ends.
pub(crate) async fn reset(app: &App, ctx: &Ctx, id: ScheduleId, patient: UserId) -> Result<Queue, ApiError> {
    let mut row = allowed(app, ctx, id, Action::RunSchedule).await?;
    let theirs = |row: &ScheduleRow| {
        let open = row.practice.invitation.filter(|open| open.is_open() && open.patient == patient);
        row.session.filter(|_| open.is_some())
    };
    let mut change = loop {
        // Refused, it ends no visit.
        if row.practice.status != ScheduleStatus::Online {
            return Err(Refused::NotOpen.into());
        }
        // The visit before the queue, as all who change both have it.
        let visit = theirs(&row);
        if let Some(session) = visit {
            end_visit(app, ctx, session).await?;
        }
        let change = PracticeChange::begin(app, id, Some(ctx)).await?;
        match theirs(&change.row) {
            // They confirmed meanwhile.
            Some(session) if visit != Some(session) => row = change.row,
            _ => break change,
        }
    };
    change.apply(Input::Reset(patient))?;
    change.audit("QUEUE_RESET", Some(patient));
    let row = change.commit(in_another_queue).await?;
    Ok(views::queue(&row, views::Viewer::Practice))
}

/// Ends the visit of an invitation, or calls it off where it has not begun.
async fn end_visit(app: &App, ctx: &Ctx, session: bedside_protocol::SessionId) -> Result<(), ApiError> {
    let mut visit = Change::begin(app, session, Some(ctx)).await?;
    match visit.row.consultation.status {
        SessionStatus::Scheduled | SessionStatus::Waiting => {
            visit.apply(VisitInput::Cancel(Party::Doctor)).await?;
        }
        SessionStatus::InProgress | SessionStatus::Paused => visit.apply(VisitInput::End).await?,
        _ => return Ok(()),
    }
    visit.commit().await.map(|_| ())
}

/// One's own invitations that ring, or that a visit goes on from.
pub(crate) async fn pending(app: &App, ctx: &Ctx) -> Result<Vec<Invitation>, ApiError> {
    app.allow(ctx, Action::ListOwnInvitations).await?;
    let rows = app.store.open_invitations_of(ctx.user.id).await?;
    Ok(rows.iter().map(views::invitation).collect())
}

/// An invitation of somebody who may do this with it.
async fn invitation(
    app: &App,
    ctx: &Ctx,
    id: InvitationId,
    action: Action,
) -> Result<InvitationRow, ApiError> {
    let row = app.store.invitation(id).await?.ok_or(Code::NotFound)?;
    if ctx.user.role == Role::ClinicAdmin {
        ctx.reaches(row.clinic)?;
    }
    let side = match ctx.person() {
        Some(user) if user == row.patient.id => Some(Party::Patient),
        Some(user) if user == row.doctor.id => Some(Party::Doctor),
        _ => None,
    };
    let decided = bedside_authz::decide(action, ctx.user.role, side).map_err(ApiError::from);
    app.write_refusal(ctx, action, None, decided.map(|_| row)).await
}

/// One invitation.
pub(crate) async fn read_invitation(app: &App, ctx: &Ctx, id: InvitationId) -> Result<Invitation, ApiError> {
    Ok(views::invitation(&invitation(app, ctx, id, Action::SeeInvitation).await?))
}

/// The patient comes: there is a visit, and both may enter its call.
pub(crate) async fn confirm(app: &App, ctx: &Ctx, id: InvitationId) -> Result<Invitation, ApiError> {
    let known = invitation(app, ctx, id, Action::AnswerInvitation).await?;
    let mut change = PracticeChange::begin(app, known.schedule, Some(ctx)).await?;
    let rang = change.row.practice.invitation.map(|open| open.status);
    if let Err(refused) = change.apply(Input::Confirm(id)) {
        // That it has run out is so from now on.
        change.commit(in_another_queue).await?;
        return Err(refused);
    }
    if rang == Some(InvitationStatus::Invited) {
        let session = begin_visit(&mut change, ctx.user.id).await?;
        change.row.session = Some(session);
        change.audit("INVITATION_CONFIRMED", Some(ctx.user.id));
    }
    change.commit(in_another_queue).await?;
    views::invitation_of(app, id).await
}

/// Makes the visit of an invitation that was confirmed: its patient waits, and both are called in.
async fn begin_visit(
    change: &mut PracticeChange<'_>,
    patient: UserId,
) -> Result<bedside_protocol::SessionId, ApiError> {
    let mode = ConsultationMode::Video;
    let request = CreateAppointmentRequest::in_a_call(patient, change.unit.now, PLANNED_MINUTES, mode);
    let unit = &mut change.unit;
    let appointment = unit.add_appointment(&request, change.row.head.doctor.id).await?;
    let mut visit = unit.session_for(appointment).await?.ok_or(Code::Internal)?;
    let limits = change.app.config.limits();
    let before = visit.consultation.clone();
    for input in [VisitInput::Enter { ready: Some(true), device_check: None }, VisitInput::CallTogether] {
        visit.consultation.apply(input, unit.now, &limits).map_err(|_| Code::WrongState)?;
    }
    for one in record::between(&before, &visit.consultation) {
        unit.happened(visit.id, one.kind, one.party.map(|party| visit.user(party)));
    }
    let visit = unit.replace(visit).await?;
    unit.tell(&visit).await?;
    if let Some(ctx) = change.by {
        for action in ["SESSION_CREATED", "SESSION_WAITING", "SESSION_ADMITTED"] {
            unit.audit(ctx.line(action).about(&visit));
        }
    }
    Ok(visit.id)
}

/// The patient does not come; they wait on.
pub(crate) async fn decline(app: &App, ctx: &Ctx, id: InvitationId) -> Result<Invitation, ApiError> {
    let known = invitation(app, ctx, id, Action::AnswerInvitation).await?;
    let mut change = PracticeChange::begin(app, known.schedule, Some(ctx)).await?;
    change.apply(Input::Decline(id))?;
    change.audit("INVITATION_DECLINED", Some(ctx.user.id));
    change.commit(in_another_queue).await?;
    views::invitation_of(app, id).await
}

/// The doctor takes an invitation back, or ends what came of it.
pub(crate) async fn end_invitation(app: &App, ctx: &Ctx, id: InvitationId) -> Result<Invitation, ApiError> {
    let known = invitation(app, ctx, id, Action::EndInvitation).await?;
    let mut visit = known.session;
    let mut change = loop {
        if let Some(session) = visit {
            end_visit(app, ctx, session).await?;
        }
        let change = PracticeChange::begin(app, known.schedule, Some(ctx)).await?;
        let is_it = change.row.practice.invitation.is_some_and(|open| open.id == id && open.is_open());
        match change.row.session.filter(|_| is_it) {
            // The patient confirmed meanwhile.
            Some(session) if visit != Some(session) => visit = Some(session),
            _ => break change,
        }
    };
    change.apply(Input::End(id))?;
    change.audit("INVITATION_ENDED", Some(known.patient.id));
    change.commit(in_another_queue).await?;
    views::invitation_of(app, id).await
}

/// What has become of a visit, where it came out of a queue: its invitation goes with it.
pub(crate) async fn follow(unit: &mut Unit, visit: &SessionRow) -> Result<(), ApiError> {
    let Some((schedule, invitation)) = unit.invitation_of(visit.id).await? else { return Ok(()) };
    let Some(mut row) = unit.schedule(schedule).await? else { return Ok(()) };
    let input = if visit.consultation.status.is_final() {
        Input::End(invitation)
    } else {
        Input::Activate(invitation)
    };
    // One that is over already, and that another has followed, has nothing left to follow.
    if row.practice.apply(input, unit.now).is_ok() {
        unit.keep_schedule(&mut row).await?;
    }
    Ok(())
}

/// What time itself does to practice hours.
pub(crate) async fn by_time(app: &App, id: ScheduleId) -> Result<(), ApiError> {
    let mut change = PracticeChange::begin(app, id, None).await?;
    let before = change.row.practice.clone();
    change.apply(Input::Tick)?;
    if change.row.practice.status != before.status {
        change.audit("SCHEDULE_CLOSED", None);
    }
    change.commit(in_another_queue).await.map(|_| ())
}
