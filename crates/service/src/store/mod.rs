//! What is kept: SQLite through sqlx, one file of queries for each topic.

mod accounts;
mod chat;
mod device_checks;
mod feedback;
mod quality;
mod sessions;
mod tokens;
mod unit;

use std::{path::Path, str::FromStr, time::Duration};

use jiff::Timestamp;
use sqlx::{
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

pub use accounts::Account;
pub use chat::{NewMessage, StoredAttachment};
pub(crate) use device_checks::KEPT_FOR as DEVICE_CHECKS_KEPT_FOR;
pub use sessions::SessionRow;
pub use tokens::{Grant, MediaToken, NewTokens, Refreshed};
pub use unit::{AuditLine, Unit, Untold};

/// Something in the store that can't be read or written. Never the caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or is gone.
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// The schema can't be brought up to date.
    #[error("the database's schema can't be brought up to date: {0}")]
    Migration(#[from] MigrateError),
    /// A later version has been here.
    #[error(
        "the database is a newer version's of the service (schema {0}): start that version, or restore a backup of before"
    )]
    Newer(i64),
    /// A value that this version does not know.
    #[error("a stored {0} can't be read")]
    Unreadable(&'static str),
}

impl StoreError {
    /// Whether it is the database that can't do it now, and can later: locked by a backup, its disk full, or busy
    /// with others for too long.
    pub fn is_temporary(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => true,
            sqlx::Error::Database(error) => {
                // The extended codes have the plain one in their lowest byte (sqlite.org/rescode.html).
                let code = error.code().and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
                code.is_some_and(|code| {
                    matches!(code, SQLITE_BUSY | SQLITE_LOCKED | SQLITE_IOERR | SQLITE_FULL)
                })
            }
            _ => false,
        }
    }
}

const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_IOERR: u32 = 10;
const SQLITE_FULL: u32 = 13;

/// How long a change waits for those before it, or for another program that holds the database. A client gives up
/// a request after ten seconds.
const WAITS_FOR: Duration = Duration::from_secs(5);
/// Reads side by side: they go on beside the one that writes.
const READERS: u32 = 4;

/// The database. Reads are its own; everything that is written is written by a [`Unit`].
#[derive(Clone, Debug)]
pub struct Store {
    /// Of one connection: SQLite has one writer, and those who wait for it must not keep readers from theirs.
    writer: SqlitePool,
    reader: SqlitePool,
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
            .busy_timeout(WAITS_FOR);
        let pool = |size| SqlitePoolOptions::new().max_connections(size).acquire_timeout(WAITS_FOR);
        let writer = pool(1).connect_with(options.clone()).await?;
        sqlx::migrate!("./migrations").run(&writer).await.map_err(|error| match error {
            MigrateError::VersionMissing(version) => StoreError::Newer(version),
            error => error.into(),
        })?;
        let reader = pool(READERS).connect_with(options).await?;
        Ok(Self { writer, reader })
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> bool {
        sqlx::query("SELECT 1").execute(&self.reader).await.is_ok()
    }

    /// Finishes what is being written and closes.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
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
