//! Checking in: at a kiosk by the code of the appointment, and at the desk.

use bedside_authz::Action;
use bedside_protocol::{Appointment, AppointmentId, AppointmentStatus, CheckIn, CheckInRequest, Code, Role};
use jiff::{SignedDuration, Timestamp};

use super::{appointments, links};
use crate::{App, ctx::Ctx, error::ApiError, store::AuditLine};

/// How long before its start somebody can check in for an appointment, and after: who comes on another day is told so
/// by the code not being known.
const EARLIEST: SignedDuration = SignedDuration::from_hours(12);
const LATEST: SignedDuration = SignedDuration::from_hours(6);

/// Checks somebody in at a kiosk, and lets them into their visit and into nothing else, where they have one.
pub(crate) async fn check_in(app: &App, ctx: &Ctx, request: &CheckInRequest) -> Result<CheckIn, ApiError> {
    app.allow(ctx, Action::CheckIn).await?;
    // Nobody tries codes until one fits.
    app.admit_attempt(ctx.origin, &ctx.user.id.to_string()).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let found = unit.appointment_of_code(request.code.reveal()).await?;
    let now = unit.now;
    let row = found.filter(|row| {
        let (start, status) = (row.appointment.start, row.appointment.status);
        ctx.reach().has(row.clinic)
            && matches!(status, AppointmentStatus::Booked | AppointmentStatus::InProgress)
            && start - EARLIEST <= now
            && now <= start + LATEST
    });
    let Some(mut row) = row else {
        drop(unit);
        app.access_log.note(ctx.line("CHECK_IN_FAILED").refused(Code::NotFound)).await?;
        return Err(Code::NotFound.into());
    };
    unit.check_in(&mut row).await?;
    let line = ctx.line("APPOINTMENT_CHECKED_IN").on(format!("appointment:{}", row.id)).of(row.patient.id);
    unit.audit(line);
    // Who checked in before is out: they have gone to another kiosk, or it was somebody else.
    let (sign_in, ended) = match &row.visit {
        Some((session, _)) => {
            let ended = unit.end_links_by(*session, Role::Kiosk).await?;
            let signed_in = links::sign_in(app, &mut unit, *session, &row.patient).await?;
            unit.add_opened_link(*session, ctx.user.id, signed_in.family).await?;
            let line = AuditLine::new("SIGNED_IN").by(row.patient.id).as_guest(Some(signed_in.family));
            unit.audit(line.from(ctx.origin).in_visit(*session, row.patient.id));
            (Some(signed_in.tokens), ended)
        }
        None => (None, vec![]),
    };
    unit.commit().await?;
    for family in ended {
        app.end_relaying(&family.to_string());
    }
    // A machine that everybody stands at is told no more than it shows.
    row.chief_complaint = None;
    row.appointment.payment_id = None;
    Ok(CheckIn { appointment: appointments::view(row), sign_in })
}

/// Checks somebody in who is seen to have come.
pub(crate) async fn check_in_at_desk(
    app: &App,
    ctx: &Ctx,
    id: AppointmentId,
) -> Result<Appointment, ApiError> {
    appointments::allowed(app, ctx, id, Action::CheckInAtDesk).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let mut row = unit.appointment(id).await?.ok_or(Code::NotFound)?;
    if !matches!(row.appointment.status, AppointmentStatus::Booked | AppointmentStatus::InProgress) {
        return Err(ApiError::new(Code::WrongState, "this appointment is over"));
    }
    unit.check_in(&mut row).await?;
    let line = ctx.line("APPOINTMENT_CHECKED_IN").on(format!("appointment:{id}")).of(row.patient.id);
    unit.audit(line);
    unit.commit().await?;
    Ok(appointments::view(row))
}
