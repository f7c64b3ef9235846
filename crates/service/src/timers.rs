//! What happens because time passes: no-shows, time limits, lost participants, old tokens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_consult::{Input, reminders::Reminder};
use bedside_protocol::{PresenceStatus, SessionId, SessionStatus};
use jiff::{SignedDuration, Timestamp};

use crate::{
    App,
    error::ApiError,
    folder::Room,
    instances,
    store::{DEVICE_CHECKS_KEPT_FOR, SessionRow},
    use_cases::{change::Change, files, notifications, practice},
};

/// How often open sessions are looked at: far finer than any limit, which are minutes.
const EVERY: Duration = Duration::from_secs(5);
/// How often SQLite looks at what it keeps: it takes milliseconds, and a practice grows by a day's visits a day.
const OPTIMIZES_EVERY: Duration = Duration::from_secs(24 * 3_600);
/// How long somebody who dropped out counts as reconnecting (requirements §2.2).
const RECONNECTION_WINDOW: Duration = Duration::from_secs(60);
/// How long it is known when somebody was last there: longer than any visit.
const PRESENCE_KEPT_FOR: Duration = Duration::from_secs(24 * 3_600);

/// How long people can read what they were told.
const NOTIFICATIONS_KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);
/// Reminders given in one go: others are given a moment later.
const REMINDED_TOGETHER: u32 = 200;

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut interval = tokio::time::interval(EVERY);
    let mut room = Room::default();
    let mut optimized = None::<Instant>;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        room.look(&app.config.data, Instant::now());
        if optimized.is_none_or(|at| at.elapsed() >= OPTIMIZES_EVERY) {
            optimized = Some(Instant::now());
            if let Err(error) = app.store.optimize().await {
                tracing::warn!(%error, "the database could not look at what it keeps");
            }
        }
        if let Err(error) = tick(&app).await {
            tracing::error!(code = error.code.as_str(), "the timers could not look at the sessions");
        }
    }
}

/// Since when neither side of a running visit is there.
fn absent_since(row: &SessionRow) -> Option<Timestamp> {
    let there = row.attendance;
    let is_running = matches!(row.consultation.status, SessionStatus::InProgress | SessionStatus::Paused);
    let is_absent = ![there.patient, there.doctor].contains(&PresenceStatus::Connected);
    // Neither ever was: they only ask.
    (is_running && is_absent).then(|| there.since.or(row.consultation.started_at)).flatten()
}

async fn tick(app: &App) -> Result<(), ApiError> {
    let now = Timestamp::now();
    let mut unit = app.store.begin(now).await?;
    // One of several services is enough.
    if !unit.lead("timers", instances::LEASE).await? {
        return Ok(());
    }
    let lost = if app.store.is_shared() { unit.expire_instances(true).await? } else { vec![] };
    let given_up = unit.expire_presence(RECONNECTION_WINDOW, PRESENCE_KEPT_FOR).await?;
    unit.forget_tokens(now - SignedDuration::from_hours(24)).await?;
    unit.forget_device_checks(now - DEVICE_CHECKS_KEPT_FOR).await?;
    unit.forget_notifications(now - NOTIFICATIONS_KEPT_FOR).await?;
    unit.commit().await?;
    for listener in lost.into_iter().chain(given_up) {
        app.tell_presence_of(listener).await;
    }
    let open = app.store.due_sessions(now - app.config.limits().no_show_after).await?;
    for row in open {
        if app.stop.is_cancelled() {
            return Ok(());
        }
        let absent = absent_since(&row).map(|since| Input::Absent { since });
        for input in [Some(Input::Tick), absent].into_iter().flatten() {
            let mut later = row.consultation.clone();
            if later.apply(input, now, &app.config.limits()).is_ok() && later != row.consultation {
                // One that can't be stored must not keep the others waiting.
                if let Err(error) = by_time(app, row.id, input).await {
                    tracing::error!(session = %row.id, code = error.code.as_str(), "a timer's change was not stored");
                }
            }
        }
    }
    let (day, soon) = (Reminder::Day.before(), Reminder::Soon.before());
    for appointment in app.store.to_remind(now, day, soon, REMINDED_TOGETHER).await? {
        if let Err(error) = notifications::remind(app, appointment).await {
            tracing::error!(%appointment, code = error.code.as_str(), "a reminder was not stored");
        }
    }
    for schedule in app.store.due_schedules(now).await? {
        if let Err(error) = practice::by_time(app, schedule).await {
            tracing::error!(%schedule, code = error.code.as_str(), "a timer's change was not stored");
        }
    }
    // Last: a bucket that does not answer keeps nobody's visit waiting.
    files::remove_some(app).await;
    if app.config.chat_days > 0 {
        let kept = SignedDuration::from_hours(24 * i64::from(app.config.chat_days));
        // Before there was time, nobody wrote anything.
        files::forget_chats(app, now.checked_sub(kept).unwrap_or(Timestamp::MIN)).await?;
    }
    Ok(())
}

/// What time itself does to a visit.
async fn by_time(app: &App, visit: SessionId, input: Input) -> Result<(), ApiError> {
    let mut change = Change::begin(app, visit, None).await?;
    change.apply(input).await?;
    change.commit().await?;
    Ok(())
}
