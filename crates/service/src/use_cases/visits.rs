//! Visits: listed, changed, left, and read again.

use bedside_authz::Action;
use bedside_consult::{Input, billing};
use bedside_protocol::{Code, HistoryFilter, HistoryPage, LeaveRequest, Role, Session, SessionId, Summary};
use jiff::Timestamp;

use super::change::Change;
use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{SessionRow, VisitFilter, Whose},
};

/// Visits on one page of the history.
const HISTORY_PAGE: u32 = 20;

/// A page of visits by their start, and the last of them where there are more: somebody's open and coming ones; where
/// something is asked for, all that are like that; of the desk's, all of its clinic.
pub(crate) async fn list(
    app: &App,
    ctx: &Ctx,
    asked: VisitFilter,
    limit: u32,
) -> Result<(Vec<Session>, Option<SessionId>), ApiError> {
    app.allow(ctx, Action::ListVisits).await?;
    if let Some(visit) = ctx.visit {
        app.note_look(ctx, "SESSIONS_LISTED", None).await?;
        let row = app.store.session(visit).await?.ok_or(Code::NotFound)?;
        return Ok((vec![app.view(&row).await?], None));
    }
    let VisitFilter { patient, doctor, status, from, to, after, .. } = asked;
    let (whose, clinic) = match ctx.user.role {
        Role::Doctor => (Whose::Doctor(ctx.user.id), None),
        Role::ClinicAdmin | Role::Service => (Whose::Everybody, ctx.clinic),
        Role::Patient | Role::Guest | Role::Kiosk => (Whose::Patient(ctx.user.id), None),
    };
    let is_desk = matches!(whose, Whose::Everybody);
    let is_asked = patient.or(doctor).is_some() || status.is_some() || from.or(to).is_some();
    let page = async {
        if !is_desk && !is_asked {
            return app.sessions_of(&ctx.user, after, limit + 1).await;
        }
        let filter = VisitFilter { whose, clinic, ..asked };
        app.views(app.store.visits(filter, limit + 1).await?).await
    };
    let line = ctx.line("SESSIONS_LISTED");
    let mut sessions = match patient {
        None => tokio::try_join!(app.access_log.note(line), page)?.1,
        // Of theirs only where there is something to be seen.
        Some(patient) => {
            let page = page.await?;
            let is_seen = page.iter().any(|session| session.patient.id == patient);
            app.access_log.note(if is_seen { line.of(patient) } else { line }).await?;
            page
        }
    };
    let more = sessions.len() > limit as usize;
    sessions.truncate(limit as usize);
    let next = sessions.last().filter(|_| more).map(|last| last.session_id);
    Ok((sessions, next))
}

/// One visit.
pub(crate) async fn read(app: &App, ctx: &Ctx, id: SessionId) -> Result<Session, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReadVisit).await?;
    app.look(ctx, "SESSION_READ", Some(&row), app.view(&row)).await
}

/// Whether somebody may hear of what happens in a visit.
pub(crate) async fn listen(app: &App, ctx: &Ctx, id: SessionId) -> Result<(), ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ListenToVisit).await?;
    app.note_look(ctx, "SESSION_LISTENED", Some(&row)).await
}

/// Does one thing to a visit, by somebody who may.
pub(crate) async fn act(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    action: Action,
    input: Input,
) -> Result<Session, ApiError> {
    let (mut change, _) = Change::by_participant(app, ctx, id, action).await?;
    change.apply(input).await?;
    match action {
        Action::Decline if change.has_changed() => change.audit("SESSION_DECLINED"),
        Action::Hold if matches!(input, Input::Pause) => change.audit("SESSION_HELD"),
        Action::Hold => change.audit("SESSION_RESUMED"),
        _ => {}
    }
    let row = change.commit().await?;
    app.view(&row).await
}

/// Leaves: a patient the waiting room or the call, a doctor the call. Both may come back.
pub(crate) async fn leave(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    request: Option<LeaveRequest>,
) -> Result<Session, ApiError> {
    let (mut change, party) = Change::by_participant(app, ctx, id, Action::Leave).await?;
    let device = request.unwrap_or_default().device.unwrap_or(ctx.device());
    let before = &change.row.consultation;
    let is_elsewhere = before.has_joined(party) && before.device(party).is_some_and(|has| has != device);
    change.apply(Input::LeaveOn(party, device)).await?;
    change.audit("SESSION_LEFT");
    let goes = !is_elsewhere && change.leaves(party).await?;
    let row = change.commit().await?;
    if goes {
        app.tell_presence(&row, party);
    }
    app.view(&row).await
}

/// Calls the visit off before it began.
pub(crate) async fn cancel(app: &App, ctx: &Ctx, id: SessionId) -> Result<Session, ApiError> {
    let (mut change, party) = Change::by_participant(app, ctx, id, Action::Cancel).await?;
    change.apply(Input::Cancel(party)).await?;
    change.audit("SESSION_CANCELLED");
    let row = change.commit().await?;
    app.view(&row).await
}

/// Asks the patient of a visit that has ended back: a new session, linked to it. One re-call of
/// each visit; asked for again, it is given again.
pub(crate) async fn recall(app: &App, ctx: &Ctx, id: SessionId) -> Result<Session, ApiError> {
    let (mut change, _) = Change::by_participant(app, ctx, id, Action::Recall).await?;
    if !change.row.consultation.may_recall(change.unit.now, &app.config.limits()) {
        return Err(ApiError::new(
            Code::WrongState,
            "a patient is re-called within a while after the visit's end",
        ));
    }
    let row = change.unit.recall(&change.row).await?;
    change.unit.tell(&row).await?;
    change.audit("SESSION_RECALLED");
    change.commit().await?;
    app.view(&row).await
}

pub(super) async fn summarise(app: &App, row: &SessionRow) -> Result<Summary, ApiError> {
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
        patient_connection_quality: row.heard.patient,
        doctor_connection_quality: row.heard.doctor,
        prescription_id: row.prescription.clone(),
    })
}

/// What a visit came to.
pub(crate) async fn summary(app: &App, ctx: &Ctx, id: SessionId) -> Result<Summary, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReadSummary).await?;
    app.note_look(ctx, "SUMMARY_READ", Some(&row)).await?;
    summarise(app, &row).await
}

/// A page of somebody's past visits, newest first.
pub(crate) async fn history(
    app: &App,
    ctx: &Ctx,
    filter: &HistoryFilter,
    before: Option<SessionId>,
) -> Result<HistoryPage, ApiError> {
    app.allow(ctx, Action::ListOwnHistory).await?;
    let mut rows = app.store.history_of(ctx.user.id, filter, before, HISTORY_PAGE + 1).await?;
    let more = rows.len() > HISTORY_PAGE as usize;
    rows.truncate(HISTORY_PAGE as usize);
    let line = ctx.line("HISTORY_READ");
    let seen = filter.patient_id.filter(|patient| rows.iter().any(|row| row.patient.id == *patient));
    app.access_log.note(seen.map_or(line.clone(), |patient| line.of(patient))).await?;
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let mut items = Vec::with_capacity(rows.len());
    for row in &rows {
        items.push(summarise(app, row).await?);
    }
    Ok(HistoryPage { items, next })
}
