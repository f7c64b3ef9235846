//! What happens because time passes: no-shows, time limits, lost participants, old tokens.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_consult::Input;
use bedside_protocol::{PresenceStatus, SessionId, SessionStatus};
use jiff::{SignedDuration, Timestamp};

use crate::{
    App,
    error::ApiError,
    folder::Room,
    store::{DEVICE_CHECKS_KEPT_FOR, SessionRow},
    use_cases::change::Change,
};

/// How often open sessions are looked at: far finer than any limit, which are minutes.
const EVERY: Duration = Duration::from_secs(5);

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut interval = tokio::time::interval(EVERY);
    let mut absences = Absences::default();
    let mut room = Room::default();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        room.look(&app.config.data, Instant::now());
        if let Err(error) = tick(&app, &mut absences).await {
            tracing::error!(code = error.code.as_str(), "the timers could not look at the sessions");
        }
    }
}

/// Since when neither side of a running visit is connected. After a restart it counts anew: both
/// have as long to come back as if they had just gone.
#[derive(Default)]
struct Absences(HashMap<SessionId, Timestamp>);

impl Absences {
    /// Looks at the open visits as they are now.
    fn look(
        &mut self,
        open: &[SessionRow],
        presence: impl Fn(&SessionRow) -> [PresenceStatus; 2],
        now: Timestamp,
    ) {
        let absent = open.iter().filter(|row| {
            matches!(row.consultation.status, SessionStatus::InProgress | SessionStatus::Paused)
                && !presence(row).contains(&PresenceStatus::Connected)
        });
        self.0 = absent.map(|row| (row.id, self.0.get(&row.id).copied().unwrap_or(now))).collect();
    }
}

async fn tick(app: &App, absences: &mut Absences) -> Result<(), ApiError> {
    let now = Timestamp::now();
    let open = app.store.due_sessions(now - app.config.limits().no_show_after).await?;
    absences.look(
        &open,
        |row| [row.patient.id, row.doctor.id].map(|user| app.hub.presence(row.id, user)),
        now,
    );
    for row in open {
        if app.stop.is_cancelled() {
            return Ok(());
        }
        let absent = absences.0.get(&row.id).map(|&since| Input::Absent { since });
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
    for change in app.hub.expire_absent() {
        if let Some(row) = app.store.session(change.0).await? {
            app.tell_presence(&row, change);
            app.announce(&row).await?;
        }
    }
    let mut unit = app.store.begin(now).await?;
    unit.forget_tokens(now - SignedDuration::from_hours(24)).await?;
    unit.forget_device_checks(now - DEVICE_CHECKS_KEPT_FOR).await?;
    Ok(unit.commit().await?)
}

/// What time itself does to a visit.
async fn by_time(app: &App, visit: SessionId, input: Input) -> Result<(), ApiError> {
    let mut change = Change::begin(app, visit, None).await?;
    change.apply(input).await?;
    change.commit().await?;
    Ok(())
}
