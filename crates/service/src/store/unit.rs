//! A change and all that goes with it: state, audit lines, amounts, and whom it is to be told to.
//! Everything that is written is written here, and all of one change is there or none of it.

use bedside_protocol::{SessionId, UserId};
use jiff::Timestamp;

use super::{
    SessionRow, Store, StoreError,
    sql::{Connection, sql},
};

/// A change under way. Nobody else sees what it has written before it is committed; dropped, it never was.
#[derive(Debug)]
pub struct Unit {
    pub(super) tx: Connection,
    /// When the change is made: the same instant for all of it.
    pub now: Timestamp,
}

/// Who did what, and to which visit.
#[derive(Clone, Copy, Debug)]
pub struct AuditLine {
    /// None where time itself did it.
    pub user: Option<UserId>,
    /// Such as `session.admitted`.
    pub action: &'static str,
    /// None where it was to no visit.
    pub session: Option<SessionId>,
}

impl Store {
    /// Sessions whose change is stored and was not told yet, with the version to tell.
    pub async fn untold(&self) -> Result<Vec<Untold>, StoreError> {
        let mut reader = self.reader().await?;
        let rows = sql!("SELECT session_id, version FROM untold_sessions").fetch_all(&mut reader).await?;
        rows.iter()
            .map(|row| Ok(Untold { session: row.get("session_id")?, version: row.get("version")? }))
            .collect()
    }

    /// These have been told. One that has changed again meanwhile is told again.
    pub async fn told(&self, told: &[Untold]) -> Result<(), StoreError> {
        let mut unit = self.begin(Timestamp::now()).await?;
        for Untold { session, version } in told {
            sql!("DELETE FROM untold_sessions WHERE session_id = $1 AND version = $2")
                .bind(*session)
                .bind(*version)
                .execute(&mut unit.tx)
                .await?;
        }
        unit.commit().await
    }
}

/// A session whose listeners have not heard of this version of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Untold {
    /// Which.
    pub session: SessionId,
    /// As the session had it when it was stored.
    pub version: i64,
}

impl Unit {
    /// Makes it so.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }

    /// Adds a line to the audit log.
    pub async fn audit(&mut self, line: AuditLine) -> Result<(), StoreError> {
        self.audit_at(line, self.now).await
    }

    /// Adds a line of what was done at another time.
    pub async fn audit_at(&mut self, line: AuditLine, at: Timestamp) -> Result<(), StoreError> {
        sql!("INSERT INTO audit_log (at, user_id, action, session_id) VALUES ($1, $2, $3, $4)")
            .bind(at)
            .bind(line.user)
            .bind(line.action)
            .bind(line.session)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Whoever listens to this session is to be told of it as it is now, once all this is committed.
    pub async fn tell(&mut self, row: &SessionRow) -> Result<(), StoreError> {
        sql!(
            "INSERT INTO untold_sessions (session_id, version) VALUES ($1, $2)
             ON CONFLICT (session_id) DO UPDATE SET version = excluded.version",
        )
        .bind(row.id)
        .bind(row.version)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}
