//! A change and all that goes with it: state, audit lines, amounts, and whom it is to be told to.
//! Everything that is written is written here, and all of one change is there or none of it.

use std::{sync::Arc, time::Duration};

use bedside_protocol::SessionId;
use bedside_sealing::Keys;
use jiff::Timestamp;

use super::{
    AsTold, AuditLine, InstanceId, News, SessionRow, Store, StoreError,
    news::Changed,
    records::NewEvent,
    sql::{Connection, sql},
};

/// A change under way. Nobody else sees what it has written before it is committed; dropped, it never was.
#[derive(Debug)]
pub struct Unit {
    pub(super) tx: Connection,
    /// The service that makes it.
    pub(super) instance: InstanceId,
    /// When the change is made: the same instant for all of it.
    pub now: Timestamp,
    /// Lines of the audit log, which are written with the end of it: together, where each alone would be a way to the
    /// database and back.
    pub(super) lines: Vec<(AuditLine, Timestamp)>,
    /// What happened, likewise.
    pub(super) events: Vec<NewEvent>,
    /// What is to be told of it.
    pub(super) changed: Changed,
    /// Who is told that there is something to tell.
    pub(super) news: Arc<News>,
    /// What people write is sealed with these.
    pub(super) keys: Arc<Keys>,
}

impl Store {
    /// Sessions whose change is stored and was not told yet, with the version to tell: this service's, and others'
    /// that have not told theirs in time.
    pub async fn untold(&self, now: Timestamp) -> Result<Vec<Untold<SessionId>>, StoreError> {
        let rows = sql!("SELECT session_id, version FROM untold_sessions WHERE teller = $1 OR tell_before < $2 ORDER BY session_id")
            .bind(self.instance().to_string())
            .bind(now)
            .fetch_all(&mut self.reader().await?)
            .await?;
        rows.iter()
            .map(|row| Ok(Untold { what: row.get("session_id")?, version: row.get("version")? }))
            .collect()
    }

    /// These have been told, and these places in line. One that has changed again meanwhile is told again.
    pub async fn told(
        &self,
        told: &[Untold<SessionId>],
        places: &[(SessionId, AsTold)],
    ) -> Result<(), StoreError> {
        let mut unit = self.begin(Timestamp::now()).await?;
        // What is lost of it is told once more.
        unit.tx.needs_not_last().await?;
        // First the visits and then their news, as a change has them: so neither waits for the other in a circle.
        for &(session, place) in places {
            unit.keep_told(session, place).await?;
        }
        for Untold { what, version } in told {
            sql!("DELETE FROM untold_sessions WHERE session_id = $1 AND version = $2")
                .bind(*what)
                .bind(*version)
                .execute(&mut unit.tx)
                .await?;
        }
        unit.commit().await
    }
}

/// How long a service has to tell what it has changed, before another one may: longer than a busy one takes.
pub(super) const TELLS_WITHIN: Duration = Duration::from_secs(3);

/// Something whose listeners have not heard of this version of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Untold<Id> {
    /// Which.
    pub what: Id,
    /// As it had it when it was stored.
    pub version: i64,
}

impl Unit {
    /// Makes it so.
    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.write_lines().await?;
        self.write_events().await?;
        self.tx.commit().await?;
        self.news.add(self.changed);
        Ok(())
    }

    /// Whoever listens to this session is to be told of it as it is now, once all this is committed.
    pub async fn tell(&mut self, row: &SessionRow) -> Result<(), StoreError> {
        sql!(
            "INSERT INTO untold_sessions (session_id, version, teller, tell_before) VALUES ($1, $2, $3, $4)
             ON CONFLICT (session_id) DO UPDATE SET version = excluded.version, teller = excluded.teller,
             tell_before = excluded.tell_before",
        )
        .bind(row.id)
        .bind(row.version)
        .bind(self.instance.to_string())
        .bind(self.now + TELLS_WITHIN)
        .execute(&mut self.tx)
        .await?;
        self.changed.sessions.push(Untold { what: row.id, version: row.version });
        Ok(())
    }
}
