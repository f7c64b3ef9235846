//! A change and all that goes with it: state, audit lines, amounts, and whom it is to be told to.
//! Everything that is written is written here, and all of one change is there or none of it.

use bedside_protocol::SessionId;
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
