//! What happens because time passes: no-shows, time limits, lost participants, old tokens.

use std::{sync::Arc, time::Duration};

use bedside_consult::Input;
use jiff::{SignedDuration, Timestamp};

use crate::App;

/// How often open sessions are looked at: far finer than any limit, which are minutes.
const EVERY: Duration = Duration::from_secs(5);

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut interval = tokio::time::interval(EVERY);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        if let Err(error) = tick(&app).await {
            tracing::error!(code = error.code.as_str(), "the timers could not look at the sessions");
        }
    }
}

async fn tick(app: &App) -> Result<(), crate::error::ApiError> {
    let now = Timestamp::now();
    for row in app.store.open_sessions().await? {
        let mut later = row.consultation.clone();
        if later.apply(Input::Tick, now, &app.config.limits()).is_ok() && later != row.consultation {
            // One that can't be stored must not keep the others waiting.
            if let Err(error) = app.apply(row.id, Input::Tick, None).await {
                tracing::error!(session = %row.id, code = error.code.as_str(), "a timer's change was not stored");
            }
        }
    }
    for session in app.hub.expire_absent() {
        if let Some(row) = app.store.session(session).await? {
            app.announce(&row).await?;
        }
    }
    app.store.forget_tokens(now - SignedDuration::from_hours(24)).await?;
    Ok(())
}
