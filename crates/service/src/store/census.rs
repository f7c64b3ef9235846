//! How much there is of what changes by the minute.

use std::time::Duration;

use jiff::Timestamp;

use super::{Store, StoreError, sql::sql};

/// Of all services on the database.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// Open visits, by their status.
    pub visits: Vec<(String, u64)>,
    /// How long somebody waits who waits longest.
    pub longest_wait: Duration,
    /// Changes that were not told yet.
    pub untold: u64,
    /// Mails and text messages on their way.
    pub outgoing_waiting: u64,
    /// Those that won't go out.
    pub outgoing_given_up: u64,
    /// Services that run.
    pub instances: u64,
}

/// Those that people are in, or may be at any moment: all that come would be more than anybody counts.
const OPEN: [&str; 3] = ["WAITING", "IN_PROGRESS", "PAUSED"];

impl Store {
    /// Counts.
    pub async fn census(&self, now: Timestamp) -> Result<Census, StoreError> {
        let reader = &mut self.reader().await?;
        let rows = sql!(
            "SELECT status, COUNT(*) AS visits, MIN(waiting_since) AS since FROM consultation_sessions
             WHERE status IN ('WAITING', 'IN_PROGRESS', 'PAUSED') GROUP BY status"
        )
        .fetch_all(reader)
        .await?;
        let mut census =
            Census { visits: OPEN.map(|status| (status.to_owned(), 0)).into(), ..Census::default() };
        for row in &rows {
            let status: String = row.get("status")?;
            if status == "WAITING"
                && let Some(since) = row.get::<Option<Timestamp>>("since")?
            {
                census.longest_wait = now.duration_since(since).try_into().unwrap_or_default();
            }
            let count = row.get("visits")?;
            if let Some(entry) = census.visits.iter_mut().find(|(known, _)| *known == status) {
                entry.1 = count;
            }
        }
        let row = sql!(
            "SELECT (SELECT COUNT(*) FROM untold_sessions) + (SELECT COUNT(*) FROM untold_schedules) AS untold,
             (SELECT COUNT(*) FROM outgoing WHERE given_up_at IS NULL) AS waiting,
             (SELECT COUNT(*) FROM outgoing WHERE given_up_at IS NOT NULL) AS given_up,
             (SELECT COUNT(*) FROM instances WHERE expires_at > $1) AS instances"
        )
        .bind(now)
        .fetch_one(reader)
        .await?;
        census.untold = row.get("untold")?;
        census.outgoing_waiting = row.get("waiting")?;
        census.outgoing_given_up = row.get("given_up")?;
        census.instances = row.get("instances")?;
        Ok(census)
    }
}
