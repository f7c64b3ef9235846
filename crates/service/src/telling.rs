//! Tells those who listen what has changed. What is to be told is stored with the change, so that it is told
//! although whoever made the change has hung up, and after a crash as well.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bedside_consult::line::is_in_line;
use bedside_protocol::{Code, SessionId, SessionStatus};
use jiff::Timestamp;

use crate::{
    App,
    error::ApiError,
    store::{AsTold, StoreError},
    use_cases::practice,
};

/// How often it is looked for what nobody told: a failure left it, or another service that has died.
const LOOKS_EVERY: Duration = Duration::from_secs(2);

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = app.news.notified() => {}
            () = tokio::time::sleep(LOOKS_EVERY) => {}
        }
        let told = async {
            tell(&app).await?;
            tell_practices(&app).await
        };
        if let Err(error) = told.await {
            tracing::error!(
                code = error.code.as_str(),
                "what has changed could not be told; it is tried again"
            );
        }
    }
}

async fn tell(app: &App) -> Result<(), ApiError> {
    let untold = app.store.untold(Timestamp::now()).await?;
    if untold.is_empty() {
        return Ok(());
    }
    let changed: HashSet<SessionId> = untold.iter().map(|news| news.what).collect();
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
        // One that nobody has come to yet changes nobody's place.
        if row.consultation.status != SessionStatus::Scheduled || row.told.is_some() {
            doctors.insert(row.doctor.id);
        }
        if !is_in_line(&row.consultation) {
            app.announce(&row).await?;
        }
    }
    let mut places = vec![];
    for doctor in doctors {
        // Everybody else's place may have changed; who has kept theirs hears nothing.
        for (row, place) in app.line_of(doctor).await? {
            let Some(place) = place else { continue };
            let told = AsTold { place: place.number, minutes: place.minutes() };
            if row.told != Some(told) {
                places.push((row.id, told));
            }
            if changed.contains(&row.id) || row.told != Some(told) {
                app.announce_at(&row, Some(place));
                // Whose line it is hears of everybody in it: let their socket send some of it.
                tokio::task::yield_now().await;
            }
        }
    }
    if !app.bus.flush().await {
        return Err(Code::Unavailable.into());
    }
    // In one order, so that of two services neither waits for the other.
    places.sort_unstable_by_key(|(session, _): &(SessionId, AsTold)| *session);
    Ok(app.store.told(&untold, &places).await?)
}

async fn tell_practices(app: &App) -> Result<(), ApiError> {
    let untold = app.store.untold_schedules(Timestamp::now()).await?;
    if untold.is_empty() {
        return Ok(());
    }
    for news in &untold {
        match app.store.schedule(news.what).await {
            Ok(Some(row)) => practice::announce(app, &row),
            Ok(None) => {}
            Err(error @ StoreError::Unreadable(_)) => {
                tracing::error!(schedule = %news.what, %error, "a change can't be told");
            }
            Err(error) => return Err(error.into()),
        }
    }
    if !app.bus.flush().await {
        return Err(Code::Unavailable.into());
    }
    Ok(app.store.told_schedules(&untold).await?)
}
