//! Tells those who listen what has changed. What is to be told is stored with the change, so that it is told
//! although whoever made the change has hung up, and after a crash as well.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bedside_consult::line::is_in_line;
use bedside_protocol::{Code, SessionId, SessionStatus};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    App,
    error::ApiError,
    store::{AsTold, SessionRow, StoreError, Untold},
    use_cases::practice,
};

/// How often it is looked for what nobody told: a failure left it, or another service that has died.
const LOOKS_EVERY: Duration = Duration::from_secs(2);
/// How long it is remembered here that something was told, before that is stored: what is told in that time shares one
/// commit, and what a crash takes of it is told once more. Far shorter than another service waits before it tells it.
const MARKS_EVERY: Duration = Duration::from_millis(250);

/// Runs until the service stops.
pub(crate) async fn run(app: Arc<App>) {
    let mut told = Told::default();
    let mut looks = tokio::time::interval(LOOKS_EVERY);
    loop {
        let looks_for_more = tokio::select! {
            () = app.stop.cancelled() => break,
            () = app.store.news().wait() => false,
            () = told.is_due() => false,
            _ = looks.tick() => true,
        };
        let telling = async {
            let mut untold = app.store.news().take();
            if looks_for_more {
                untold.extend(app.store.untold(Timestamp::now()).await?);
            }
            tell(&app, untold, &mut told).await?;
            if app.store.news().take_schedules() || looks_for_more {
                tell_practices(&app).await?;
            }
            if told.marked_at.is_some_and(|at| at <= Instant::now()) {
                told.mark(&app).await?;
            }
            Ok::<_, ApiError>(())
        };
        if let Err(error) = telling.await {
            tracing::error!(
                code = error.code.as_str(),
                "what has changed could not be told; it is tried again"
            );
        }
    }
    if let Err(error) = told.mark(&app).await {
        tracing::warn!(code = error.code.as_str(), "what was told last is told once more");
    }
}

/// What was told, and is not stored as told yet.
#[derive(Default)]
struct Told {
    sessions: HashMap<SessionId, i64>,
    places: HashMap<SessionId, AsTold>,
    /// When it is to be stored; none while there is nothing.
    marked_at: Option<Instant>,
}

impl Told {
    /// Waits until it is to be stored.
    async fn is_due(&self) {
        match self.marked_at {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    /// What was told last of a patient's place.
    fn place(&self, row: &SessionRow) -> Option<AsTold> {
        self.places.get(&row.id).copied().or(row.told)
    }

    /// Stores it.
    async fn mark(&mut self, app: &App) -> Result<(), ApiError> {
        if self.marked_at.is_none() {
            return Ok(());
        }
        // Again later, where it fails.
        self.marked_at = Some(Instant::now() + LOOKS_EVERY);
        let sessions: Vec<_> =
            self.sessions.iter().map(|(&what, &version)| Untold { what, version }).collect();
        let mut places: Vec<_> = self.places.iter().map(|(&session, &place)| (session, place)).collect();
        // In one order, so that of two services neither waits for the other.
        places.sort_unstable_by_key(|&(session, _)| session);
        app.store.told(&sessions, &places).await?;
        *self = Self::default();
        Ok(())
    }
}

async fn tell(app: &App, untold: Vec<Untold<SessionId>>, told: &mut Told) -> Result<(), ApiError> {
    let is_new = |news: &Untold<SessionId>| told.sessions.get(&news.what).is_none_or(|&at| at < news.version);
    let untold: Vec<_> = untold.into_iter().filter(is_new).collect();
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
        if row.consultation.status != SessionStatus::Scheduled || told.place(&row).is_some() {
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
            let as_told = AsTold { place: place.number, minutes: place.minutes() };
            let has_moved = told.place(&row) != Some(as_told);
            if has_moved {
                places.push((row.id, as_told));
            }
            if has_moved || changed.contains(&row.id) {
                app.announce_at(&row, Some(place));
                // Whose line it is hears of everybody in it: let their socket send some of it.
                tokio::task::yield_now().await;
            }
        }
    }
    if !app.bus.flush().await {
        return Err(Code::Unavailable.into());
    }
    told.sessions.extend(untold.iter().map(|news| (news.what, news.version)));
    told.places.extend(places);
    told.marked_at.get_or_insert_with(|| Instant::now() + MARKS_EVERY);
    Ok(())
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
