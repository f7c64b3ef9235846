//! A change and all that goes with it: state, audit lines, amounts, and whom it is to be told to.
//! Everything that is written is written here, and all of one change is there or none of it.

use bedside_protocol::{SessionId, UserId};
use jiff::Timestamp;
use sqlx::{Sqlite, Transaction};

use super::{SessionRow, Store, StoreError, millis};

/// A change under way. Nobody else sees what it has written before it is committed; dropped, it never was.
#[derive(Debug)]
pub struct Unit {
    pub(super) tx: Transaction<'static, Sqlite>,
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
    /// Begins a change, when the one before it is over.
    pub async fn begin(&self, now: Timestamp) -> Result<Unit, StoreError> {
        // For writing from the beginning: of two that had read first, one could not go on.
        Ok(Unit { tx: self.writer.begin_with("BEGIN IMMEDIATE").await?, now })
    }

    /// Sessions whose change is stored and was not told yet, with the version to tell.
    pub async fn untold(&self) -> Result<Vec<Untold>, StoreError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT session_id, version FROM untold_sessions").fetch_all(&self.reader).await?;
        rows.into_iter()
            .map(|(session, version)| Ok(Untold { session: super::id(&session)?, version }))
            .collect()
    }

    /// These have been told. One that has changed again meanwhile is told again.
    pub async fn told(&self, told: &[Untold]) -> Result<(), StoreError> {
        let mut unit = self.begin(Timestamp::now()).await?;
        for Untold { session, version } in told {
            sqlx::query("DELETE FROM untold_sessions WHERE session_id = $1 AND version = $2")
                .bind(session.to_string())
                .bind(version)
                .execute(&mut *unit.tx)
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
        Ok(self.tx.commit().await?)
    }

    /// Adds a line to the audit log.
    pub async fn audit(&mut self, line: AuditLine) -> Result<(), StoreError> {
        self.audit_at(line, self.now).await
    }

    /// Adds a line of what was done at another time.
    pub async fn audit_at(&mut self, line: AuditLine, at: Timestamp) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit_log (at, user_id, action, session_id) VALUES ($1, $2, $3, $4)")
            .bind(millis(at))
            .bind(line.user.map(|id| id.to_string()))
            .bind(line.action)
            .bind(line.session.map(|id| id.to_string()))
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Whoever listens to this session is to be told of it as it is now, once all this is committed.
    pub async fn tell(&mut self, row: &SessionRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO untold_sessions (session_id, version) VALUES ($1, $2)
             ON CONFLICT (session_id) DO UPDATE SET version = excluded.version",
        )
        .bind(row.id.to_string())
        .bind(row.version)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
