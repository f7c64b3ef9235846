//! Services that share a database: which there are, and what only one of them does at a time.

use std::{fmt, time::Duration};

use bedside_protocol::{SessionId, UserId};
use jiff::Timestamp;

use super::{Store, StoreError, Unit, sql::sql};

/// One running service. A restart is another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, serde::Serialize, serde::Deserialize)]
pub struct InstanceId(uuid::Uuid);

impl InstanceId {
    pub(crate) fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl std::str::FromStr for InstanceId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.parse()?))
    }
}

/// Somebody in a visit's topic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Listener {
    /// Of which visit.
    pub session: SessionId,
    /// Who.
    pub user: UserId,
}

impl Store {
    /// Whether other services run on this database.
    pub async fn has_other_instances(&self, now: Timestamp) -> Result<bool, StoreError> {
        if !self.is_shared() {
            return Ok(false);
        }
        let others = sql!("SELECT id FROM instances WHERE id <> $1 AND expires_at > $2 LIMIT 1")
            .bind(self.instance().to_string())
            .bind(now);
        Ok(others.fetch_optional(&mut self.reader().await?).await?.is_some())
    }
}

impl Unit {
    /// This service runs for `lasts` more. False where the others had given it up, or did not know it.
    pub async fn renew_instance(&mut self, lasts: Duration) -> Result<bool, StoreError> {
        let until = self.now + lasts;
        let renewed = sql!("UPDATE instances SET expires_at = $1 WHERE id = $2")
            .bind(until)
            .bind(self.instance.to_string())
            .execute(&mut self.tx)
            .await?;
        if renewed == 0 {
            sql!("INSERT INTO instances (id, expires_at) VALUES ($1, $2)")
                .bind(self.instance.to_string())
                .bind(until)
                .execute(&mut self.tx)
                .await?;
        }
        Ok(renewed > 0)
    }

    /// Services of which nothing was heard in time are gone, and with them the sockets that they had: gives whose. Of a
    /// database that is not shared every other one is.
    pub async fn expire_instances(&mut self, is_shared: bool) -> Result<Vec<Listener>, StoreError> {
        let before = if is_shared { self.now } else { Timestamp::MAX };
        sql!("DELETE FROM instances WHERE expires_at < $1 AND id <> $2")
            .bind(before)
            .bind(self.instance.to_string())
            .execute(&mut self.tx)
            .await?;
        let rows = sql!(
            "UPDATE presence SET is_here = FALSE, since = $1
             WHERE is_here AND instance_id NOT IN (SELECT id FROM instances) RETURNING session_id, user_id",
        )
        .bind(self.now)
        .fetch_all(&mut self.tx)
        .await?;
        rows.iter()
            .map(|row| Ok(Listener { session: row.get("session_id")?, user: row.get("user_id")? }))
            .collect()
    }

    /// This service stops.
    pub async fn remove_instance(&mut self) -> Result<(), StoreError> {
        sql!("DELETE FROM instances WHERE id = $1")
            .bind(self.instance.to_string())
            .execute(&mut self.tx)
            .await?;
        sql!("DELETE FROM leases WHERE holder = $1")
            .bind(self.instance.to_string())
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Whether this service is the one that does what `name` says, until `lasts` from now.
    pub async fn lead(&mut self, name: &'static str, lasts: Duration) -> Result<bool, StoreError> {
        let taken = sql!(
            "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
             WHERE leases.holder = excluded.holder OR leases.expires_at < $4",
        )
        .bind(name)
        .bind(self.instance.to_string())
        .bind(self.now + lasts)
        .bind(self.now)
        .execute(&mut self.tx)
        .await?;
        Ok(taken > 0)
    }
}
