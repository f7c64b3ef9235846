//! What can go wrong with what is kept.

use bedside_sealing::SealingError;
use sqlx::migrate::MigrateError;

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
    /// A text that can't be opened.
    #[error("what is stored can't be opened: {0}")]
    Sealed(#[from] SealingError),
    /// A file that can't be read or written.
    #[error("a file failed: {0}")]
    File(#[from] std::io::Error),
    /// Its address or its password.
    #[error("the database can't be reached: {0}")]
    Address(String),
}

const SQLITE_BUSY: u32 = 5;
const SQLITE_LOCKED: u32 = 6;
const SQLITE_IOERR: u32 = 10;
const SQLITE_FULL: u32 = 13;

/// Beginnings of PostgreSQL's codes for what passes (its manual, appendix A): the connection, a transaction that can
/// be tried again, resources such as its disk, a lock held for too long, somebody who stops it or a statement, and one
/// that only reads, as a copy does until it takes over.
const POSTGRES_PASSES: [&str; 6] = ["08", "40", "53", "55P03", "57", "25006"];

impl StoreError {
    /// Whether there can be only one of what was to be written, and somebody was before.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if error.is_unique_violation())
    }

    /// Whether it is the database that can't do it now, and can later: locked by a backup, its disk full, away, or
    /// busy with others for too long.
    pub fn is_temporary(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::PoolTimedOut
            | sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => {
                let Some(code) = error.code() else { return false };
                if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                    return POSTGRES_PASSES.iter().any(|kind| code.starts_with(kind));
                }
                // The extended codes have the plain one in their lowest byte (sqlite.org/rescode.html).
                code.parse::<u32>().is_ok_and(|code| {
                    matches!(code & 0xff, SQLITE_BUSY | SQLITE_LOCKED | SQLITE_IOERR | SQLITE_FULL)
                })
            }
            _ => false,
        }
    }
}
