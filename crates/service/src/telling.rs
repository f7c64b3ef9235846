//! Tells those who listen what has changed. What is to be told is stored with the change, so that it is told
//! although whoever made the change has hung up, and after a crash as well.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bedside_consult::line::is_in_line;
use bedside_protocol::{SessionId, UserId};

use crate::{App, error::ApiError, store::StoreError};

/// How often it is looked for what nobody told: a failure left it, or another service that has died.
const LOOKS_EVERY: Duration = Duration::from_secs(5);

/// A place in a doctor's line and the minutes to wait, as they were told last.
type AsTold = (u32, u32);

/// Doctors' lines as they were told last.
#[derive(Default)]
struct Lines(HashMap<UserId, HashMap<SessionId, AsTold>>);

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut lines = Lines::default();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = app.news.notified() => {}
            () = tokio::time::sleep(LOOKS_EVERY) => {}
        }
        if let Err(error) = tell(&app, &mut lines).await {
            tracing::error!(
                code = error.code.as_str(),
                "what has changed could not be told; it is tried again"
            );
        }
    }
}

async fn tell(app: &App, lines: &mut Lines) -> Result<(), ApiError> {
    let untold = app.store.untold().await?;
    if untold.is_empty() {
        return Ok(());
    }
    let changed: HashSet<SessionId> = untold.iter().map(|news| news.session).collect();
    let mut doctors = HashSet::new();
    for &session in &changed {
        let row = match app.store.session(session).await {
            Ok(Some(row)) => row,
            Ok(None) => continue,
            // It keeps nobody else from hearing.
            Err(error @ StoreError::Unreadable(_)) => {
                tracing::error!(%session, %error, "a change can't be told");
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        doctors.insert(row.doctor.id);
        if !is_in_line(&row.consultation) {
            app.announce(&row).await?;
        }
    }
    for doctor in doctors {
        // Everybody else's place may have changed; who has kept theirs hears nothing.
        let before = lines.0.remove(&doctor).unwrap_or_default();
        let mut now = HashMap::new();
        for (row, place) in app.line_of(doctor).await? {
            let Some(place) = place else { continue };
            let as_told = (place.number, place.minutes());
            if changed.contains(&row.id) || before.get(&row.id) != Some(&as_told) {
                app.announce_at(&row, Some(place));
                // Whose line it is hears of everybody in it: let their socket send some of it.
                tokio::task::yield_now().await;
            }
            now.insert(row.id, as_told);
        }
        if !now.is_empty() {
            lines.0.insert(doctor, now);
        }
    }
    Ok(app.store.told(&untold).await?)
}
