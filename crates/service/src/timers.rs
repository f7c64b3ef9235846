//! What happens because time passes: no-shows, time limits, lost participants, old tokens.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bedside_consult::Input;
use bedside_protocol::{PresenceStatus, SessionId, SessionStatus};
use jiff::{SignedDuration, Timestamp};

use crate::{
    App,
    store::{DEVICE_CHECKS_KEPT_FOR, SessionRow},
};

/// How often open sessions are looked at: far finer than any limit, which are minutes.
const EVERY: Duration = Duration::from_secs(5);

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut interval = tokio::time::interval(EVERY);
    let mut absences = Absences::default();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = interval.tick() => {}
        }
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

async fn tick(app: &App, absences: &mut Absences) -> Result<(), crate::error::ApiError> {
    let now = Timestamp::now();
    let open = app.store.open_sessions().await?;
    absences.look(&open, |row| [row.patient, row.doctor].map(|user| app.hub.presence(row.id, user)), now);
    for row in open {
        let absent = absences.0.get(&row.id).map(|&since| Input::Absent { since });
        for input in [Some(Input::Tick), absent].into_iter().flatten() {
            let mut later = row.consultation.clone();
            if later.apply(input, now, &app.config.limits()).is_ok() && later != row.consultation {
                // One that can't be stored must not keep the others waiting.
                if let Err(error) = app.apply(row.id, input, None).await {
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
    app.store.forget_tokens(now - SignedDuration::from_hours(24)).await?;
    app.store.forget_device_checks(now - DEVICE_CHECKS_KEPT_FOR).await?;
    Ok(())
}
