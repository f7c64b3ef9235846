//! The service's database, seen from outside it: as a backup or an administrator has it.

use std::time::{Duration, Instant};

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

    /// Why a statement is refused.
    pub(crate) async fn refuses(&mut self, statement: &'static str) -> String {
        on!(self, connection => sqlx::query(statement).execute(connection).await.unwrap_err().to_string())
    }

    /// Waits for a number.
    pub(crate) async fn until(&mut self, statement: &'static str, is_it: impl Fn(i64) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let number = self.number(statement).await;
            if is_it(number) {
                return;
            }
            assert!(Instant::now() < deadline, "{statement} stays {number}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes away what keeps the audit log as it is.
    pub(crate) async fn unlock_audit_log(&mut self) {
        match self {
            Self::Sqlite(_) => self.run("DROP TRIGGER audit_log_is_append_only_update").await,
            Self::Postgres(_) => self.run("DROP TRIGGER audit_log_is_append_only ON audit_log").await,
        }
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
