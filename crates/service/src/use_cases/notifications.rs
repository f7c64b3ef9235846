//! What people are told although they asked for nothing: written with what it is about, and sent afterwards.

use bedside_authz::Action;
use bedside_consult::reminders::{self, Reminder};
use bedside_protocol::{
    AppointmentId, AppointmentStatus, Code, Notification, NotificationKind, Party, ServerMessage, UserId,
    topic,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    App,
    ctx::Ctx,
    error::ApiError,
    store::{About, Channel, SessionRow, Unit},
};

/// How many of what one was told are listed.
const LISTED: u32 = 50;
/// When it is asked how a visit was: not while one is still putting the headset away.
const ASKED_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// Tells one of a visit's two something, once: in the app, and by the ways that the service has.
pub(super) async fn add(
    app: &App,
    unit: &mut Unit,
    row: &SessionRow,
    party: Party,
    kind: NotificationKind,
) -> Result<Option<(UserId, Notification)>, ApiError> {
    let user = row.user(party);
    let start = row.consultation.scheduled_start;
    let Some(notification) = unit.add_notification(user, kind, row.id, start).await? else { return Ok(None) };
    let not_before =
        if kind == NotificationKind::FeedbackRequest { unit.now + ASKED_AFTER } else { unit.now };
    for channel in app.outgoing.channels() {
        // A text message costs, and is read at once: only for what can't wait.
        let is_urgent = matches!(
            kind,
            NotificationKind::ReminderDay | NotificationKind::ReminderSoon | NotificationKind::DoctorWaits
        );
        if channel == Channel::Mail || is_urgent {
            unit.add_outgoing(user, About::Visit(kind), channel, Some(row.id), not_before).await?;
        }
    }
    Ok(Some((user, notification)))
}

/// Shows in the app what was told, once that is stored, and sends it.
pub(super) fn tell(app: &App, user: UserId, notification: Notification) {
    let visit = notification.session_id;
    let message = ServerMessage::Notification(Box::new(notification));
    app.publish_to(user, topic::NOTIFICATIONS, Some(visit), &message);
    app.outgoing.wake();
}

/// What one was told.
pub(crate) async fn list(app: &App, ctx: &Ctx) -> Result<Vec<Notification>, ApiError> {
    app.allow(ctx, Action::ListOwnNotifications).await?;
    Ok(app.store.notifications_of(ctx.user.id, LISTED).await?)
}

/// Reminds the patient of an appointment, if it is time to.
pub(crate) async fn remind(app: &App, id: AppointmentId) -> Result<(), ApiError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let row = unit.appointment(id).await?.ok_or(Code::NotFound)?;
    let Some((session, _)) = row.visit else { return Ok(()) };
    if row.appointment.status != AppointmentStatus::Booked {
        return Ok(());
    }
    let (given, booked_at) = unit.reminded(id).await?;
    let given = match given {
        0 => None,
        1 => Some(Reminder::Day),
        _ => Some(Reminder::Soon),
    };
    let Some(due) = reminders::due(row.appointment.start, booked_at, given, unit.now) else { return Ok(()) };
    let (number, kind) = match due {
        Reminder::Day => (1, NotificationKind::ReminderDay),
        Reminder::Soon => (2, NotificationKind::ReminderSoon),
    };
    unit.set_reminded(id, number).await?;
    // Read without its lock, which comes before the appointment's.
    let visit = app.store.session(session).await?.ok_or(Code::NotFound)?;
    let told = add(app, &mut unit, &visit, Party::Patient, kind).await?;
    unit.commit().await?;
    if let Some((user, notification)) = told {
        tell(app, user, notification);
    }
    Ok(())
}
