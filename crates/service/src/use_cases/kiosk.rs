//! Checking in: at a kiosk by the code of the appointment, and at the desk.

use bedside_authz::Action;
use bedside_protocol::{Appointment, AppointmentId, AppointmentStatus, CheckIn, CheckInRequest, Code};
use jiff::{SignedDuration, Timestamp};

use super::{appointments, links};
use crate::{App, ctx::Ctx, error::ApiError};

/// How long before its start somebody can check in for an appointment, and after: who comes on another day is told so
/// by the code not being known.
const EARLIEST: SignedDuration = SignedDuration::from_hours(12);
const LATEST: SignedDuration = SignedDuration::from_hours(6);

/// Checks somebody in at a kiosk, and lets them into their visit and into nothing else, where they have one.
pub(crate) async fn check_in(app: &App, ctx: &Ctx, request: &CheckInRequest) -> Result<CheckIn, ApiError> {
    app.allow(ctx, Action::CheckIn).await?;
    // Nobody tries codes until one fits.
    app.sign_ins.admit(ctx.origin, &ctx.user.id.to_string()).await?;
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
    let mut row = row.ok_or(Code::NotFound)?;
    app.sign_ins.was_right(ctx.origin, &ctx.user.id.to_string());
    unit.check_in(&mut row).await?;
    let line = ctx.line("appointment.checked-in").on(format!("appointment:{}", row.id)).of(row.patient.id);
    unit.audit(&line).await?;
    let sign_in = match &row.visit {
        Some((session, _)) => Some(links::sign_in(app, &mut unit, *session, &row.patient).await?.tokens),
        None => None,
    };
    unit.commit().await?;
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
    let line = ctx.line("appointment.checked-in").on(format!("appointment:{id}")).of(row.patient.id);
    unit.audit(&line).await?;
    unit.commit().await?;
    Ok(appointments::view(row))
}
