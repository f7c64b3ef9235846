//! What is kept: SQLite through sqlx, one file of queries for each topic.

mod accounts;
mod chat;
mod device_checks;
mod feedback;
mod quality;
mod sessions;
mod tokens;

use std::{path::Path, str::FromStr, time::Duration};

use jiff::Timestamp;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

pub use accounts::Account;
pub use chat::{NewMessage, StoredAttachment};
pub(crate) use device_checks::KEPT_FOR as DEVICE_CHECKS_KEPT_FOR;
pub use sessions::SessionRow;
pub use tokens::{Grant, MediaToken, NewTokens, Refreshed};

/// Something in the store that can't be read or written. Never the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is gone.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema can't be brought up to date.
    #[error("the database's schema can't be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A value that this version does not know.
    #[error("a stored {0} can't be read")]
    Unreadable(&'static str),
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens or creates the database at `path` and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(5));
        // SQLite has one writer; a few connections let reads go on beside it.
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.pool).await.is_ok()
    }

    /// Finishes what is being written and closes.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Adds a line to the audit log.
    pub async fn audit(
        &self,
        user: Option<bedside_protocol::UserId>,
        action: &'static str,
        session: Option<bedside_protocol::SessionId>,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO audit_log (at, user_id, action, session_id) VALUES (?, ?, ?, ?)")
            .bind(millis(Timestamp::now()))
            .bind(user.map(|id| id.to_string()))
            .bind(action)
            .bind(session.map(|id| id.to_string()))
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

/// An instant as it is stored.
fn millis(at: Timestamp) -> i64 {
    at.as_millisecond()
}

/// An instant as it was stored.
fn instant(millis: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|_| StoreError::Unreadable("instant"))
}

/// An id as it was stored.
fn id<T: FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Unreadable("id"))
}

/// The wire name of an enum: what is stored for it.
fn word<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::Unreadable("word")),
    }
}

/// The enum of a wire name.
fn from_word<T: serde::de::DeserializeOwned>(word: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|_| StoreError::Unreadable("word"))
}
