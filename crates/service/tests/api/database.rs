//! The service's database, seen from outside it: as a backup or an administrator has it.

use bedside_service::store::Database;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::common::Clinic;

/// A connection of one's own.
pub(crate) enum Outside {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Runs this on whichever there is.
macro_rules! on {
    ($outside:expr, $connection:ident => $what:expr) => {
        match $outside {
            Outside::Sqlite($connection) => $what,
            Outside::Postgres($connection) => $what,
        }
    };
}

impl Outside {
    pub(crate) async fn of(clinic: &Clinic) -> Self {
        match &clinic.service.config.database {
            Database::Sqlite(path) => {
                let address = format!("sqlite://{}", path.display());
                Self::Sqlite(SqliteConnection::connect(&address).await.unwrap())
            }
            Database::Postgres { url, .. } => {
                Self::Postgres(PgConnection::connect(url.as_str()).await.unwrap())
            }
        }
    }

    pub(crate) async fn run(&mut self, statement: impl Into<String>) {
        let statement = sqlx::AssertSqlSafe(statement.into());
        on!(self, connection => drop(sqlx::query(statement).execute(connection).await.unwrap()));
    }

    /// One number.
    pub(crate) async fn number(&mut self, statement: &'static str) -> i64 {
        on!(self, connection => sqlx::query_scalar(statement).fetch_one(connection).await.unwrap())
    }

    /// A column of texts.
    pub(crate) async fn texts(&mut self, statement: &'static str) -> Vec<String> {
        on!(self, connection => sqlx::query_scalar(statement).fetch_all(connection).await.unwrap())
    }

    /// Keeps everybody from writing, as a backup or a change of the schema does.
    pub(crate) async fn hold(&mut self) {
        match self {
            Self::Sqlite(_) => self.run("BEGIN IMMEDIATE").await,
            Self::Postgres(_) => {
                self.run("BEGIN").await;
                self.run("LOCK TABLE audit_log, consultation_sessions IN EXCLUSIVE MODE").await;
            }
        }
    }

    pub(crate) async fn release(&mut self) {
        self.run("ROLLBACK").await;
    }
}
