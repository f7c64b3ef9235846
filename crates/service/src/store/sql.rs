//! One text of each query for SQLite and PostgreSQL: what is bound, run and read, on whichever there is.
//!
//! A statement is written with [`sql!`], in what both understand: parameters are `$1`, `$2`; a parameter whose type
//! nothing tells is `CAST($1 AS BIGINT)`; `min` and `max` of two values are `CASE`; a flag is `NOT admitted`, never
//! `admitted = 0`; `ON CONFLICT` names its columns. A test prepares every one of them on both.

use std::{
    str::FromStr,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use jiff::Timestamp;
use sqlx::{
    Decode, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection, Transaction, Type,
    pool::PoolConnection,
    postgres::{PgArguments, PgRow},
    query::Query as SqlxQuery,
    sqlite::{SqliteArguments, SqliteRow},
};

use super::{StoreError, instant, millis};

/// A statement's text, from literals; see the module. In tests it is listed as well.
macro_rules! sql {
    ($($text:tt)+) => {{
        const TEXT: &str = concat!($($text)+);
        #[cfg(test)]
        #[linkme::distributed_slice($crate::store::sql::STATEMENTS)]
        static STATEMENT: &str = TEXT;
        $crate::store::sql::Query::new(TEXT)
    }};
}
pub(super) use sql;

/// Every statement there is.
#[cfg(test)]
#[linkme::distributed_slice]
pub(super) static STATEMENTS: [&str];

/// A connection to one of the two, alone or with a transaction.
#[derive(Debug)]
pub(super) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    SqliteUnit(Transaction<'static, Sqlite>),
    Postgres(PoolConnection<Postgres>),
    PostgresUnit(Transaction<'static, Postgres>),
}

/// Which of the two it is.
enum Raw<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Connection {
    fn raw(&mut self) -> Raw<'_> {
        match self {
            Self::Sqlite(connection) => Raw::Sqlite(connection),
            Self::SqliteUnit(transaction) => Raw::Sqlite(transaction),
            Self::Postgres(connection) => Raw::Postgres(connection),
            Self::PostgresUnit(transaction) => Raw::Postgres(transaction),
        }
    }

    /// Makes what a transaction has done so.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::SqliteUnit(transaction) => transaction.commit().await?,
            Self::PostgresUnit(transaction) => transaction.commit().await?,
            Self::Sqlite(_) | Self::Postgres(_) => {}
        }
        Ok(())
    }

    /// Whether changes are stored one after another, so that what is numbered later is stored later.
    pub(super) const fn has_one_writer(&self) -> bool {
        matches!(self, Self::Sqlite(_) | Self::SqliteUnit(_))
    }

    /// Keeps others from what a query finds until this is committed. SQLite has one writer: there is nobody to keep.
    ///
    /// `text` selects by one id and ends with `FOR NO KEY UPDATE`.
    pub(super) async fn lock(&mut self, text: &'static str, id: impl Bind) -> Result<(), StoreError> {
        if let Raw::Postgres(connection) = self.raw() {
            Query::new(text).bind(id).postgres().fetch_all(connection).await?;
        }
        Ok(())
    }

    /// What this transaction writes may be lost in a crash of the database: PostgreSQL then does not wait for its disk.
    pub(super) async fn needs_not_last(&mut self) -> Result<(), StoreError> {
        if let Raw::Postgres(connection) = self.raw() {
            sqlx::query("SET LOCAL synchronous_commit TO OFF").execute(connection).await?;
        }
        Ok(())
    }

    /// Says something to who listens, once this is committed. Nobody listens to SQLite.
    pub(super) async fn notify(&mut self, channel: &str, notice: &str) -> Result<(), StoreError> {
        if let Raw::Postgres(connection) = self.raw() {
            sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(notice).execute(connection).await?;
        }
        Ok(())
    }
}

/// Statements that insert one row, two, and so on up to `N`, of so many columns: `into` is the table and their names.
pub(super) fn inserts<const N: usize>(into: &str, columns: usize) -> [String; N] {
    std::array::from_fn(|last| {
        let row = |row: usize| {
            let values: Vec<String> = (1..=columns).map(|at| format!("${}", row * columns + at)).collect();
            format!("({})", values.join(", "))
        };
        let rows: Vec<String> = (0..=last).map(row).collect();
        format!("INSERT INTO {into} VALUES {}", rows.join(", "))
    })
}

/// When a connection to PostgreSQL was last found lost, in milliseconds after [`BEGAN`]: where one is, others are.
static LOST_AT: AtomicU64 = AtomicU64::new(u64::MAX);
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
/// How long connections are asked afterwards whether they are there, before they are used: longer than a restart takes.
const DISTRUSTED_FOR: Duration = Duration::from_secs(30);

/// A connection was found lost.
pub(super) fn note_lost() {
    LOST_AT.store(BEGAN.elapsed().as_millis() as u64, Ordering::Relaxed);
}

/// Whether one was lately.
pub(super) fn was_lost_lately() -> bool {
    let at = LOST_AT.load(Ordering::Relaxed);
    at != u64::MAX && BEGAN.elapsed().saturating_sub(Duration::from_millis(at)) < DISTRUSTED_FOR
}

/// What a statement came to; that its connection is lost is remembered.
fn noted<T>(outcome: Result<T, sqlx::Error>) -> Result<T, sqlx::Error> {
    let is_lost = |error: &sqlx::Error| match error {
        sqlx::Error::Io(_) => true,
        // The database ends it, or begins (57P01 to 57P03).
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    };
    if outcome.as_ref().is_err_and(is_lost) {
        note_lost();
    }
    outcome
}

/// A statement and what is bound to it.
pub(super) struct Query {
    text: &'static str,
    values: Vec<Value>,
}

/// One value, of the kinds that both databases have.
pub(super) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Flag(Option<bool>),
    Bytes(Option<Vec<u8>>),
}

impl Query {
    pub(super) const fn new(text: &'static str) -> Self {
        Self { text, values: Vec::new() }
    }

    /// The next parameter.
    pub(super) fn bind(mut self, value: impl Bind) -> Self {
        self.values.push(value.value());
        self
    }

    fn sqlite(self) -> SqlxQuery<'static, Sqlite, SqliteArguments> {
        self.values.into_iter().fold(sqlx::query(self.text), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }

    fn postgres(self) -> SqlxQuery<'static, Postgres, PgArguments> {
        self.values.into_iter().fold(sqlx::query(self.text), |query, value| match value {
            Value::Text(text) => query.bind(text),
            Value::Int(number) => query.bind(number),
            Value::Flag(flag) => query.bind(flag),
            Value::Bytes(bytes) => query.bind(bytes),
        })
    }

    /// Runs it; gives how many rows it has changed.
    pub(super) async fn execute(self, on: &mut Connection) -> Result<u64, StoreError> {
        Ok(match on.raw() {
            Raw::Sqlite(connection) => self.sqlite().execute(connection).await?.rows_affected(),
            Raw::Postgres(connection) => noted(self.postgres().execute(connection).await)?.rows_affected(),
        })
    }

    /// The row that it finds, if there is one.
    pub(super) async fn fetch_optional(self, on: &mut Connection) -> Result<Option<Row>, StoreError> {
        Ok(match on.raw() {
            Raw::Sqlite(connection) => self.sqlite().fetch_optional(connection).await?.map(Row::Sqlite),
            Raw::Postgres(connection) => {
                noted(self.postgres().fetch_optional(connection).await)?.map(Row::Postgres)
            }
        })
    }

    /// The row that there always is.
    pub(super) async fn fetch_one(self, on: &mut Connection) -> Result<Row, StoreError> {
        Ok(self.fetch_optional(on).await?.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// All rows that it finds.
    pub(super) async fn fetch_all(self, on: &mut Connection) -> Result<Vec<Row>, StoreError> {
        Ok(match on.raw() {
            Raw::Sqlite(connection) => {
                self.sqlite().fetch_all(connection).await?.into_iter().map(Row::Sqlite).collect()
            }
            Raw::Postgres(connection) => {
                noted(self.postgres().fetch_all(connection).await)?.into_iter().map(Row::Postgres).collect()
            }
        })
    }
}

/// A row of either.
pub(super) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    /// The value of a column.
    pub(super) fn get<T: Column>(&self, name: &str) -> Result<T, StoreError> {
        T::read(match self {
            Self::Sqlite(row) => row.try_get(name)?,
            Self::Postgres(row) => row.try_get(name)?,
        })
    }
}

/// What can be bound to a statement.
pub(super) trait Bind {
    /// None of it: what NULL is typed as.
    const NULL: Value;

    fn value(self) -> Value;
}

/// What can be read from a column.
pub(super) trait Column: Sized {
    /// As both databases have it.
    type Stored: for<'r> Decode<'r, Sqlite> + Type<Sqlite> + for<'r> Decode<'r, Postgres> + Type<Postgres>;

    fn read(stored: Self::Stored) -> Result<Self, StoreError>;
}

impl<T: Bind> Bind for Option<T> {
    const NULL: Value = T::NULL;

    fn value(self) -> Value {
        self.map_or(T::NULL, T::value)
    }
}

impl<T: Column> Column for Option<T> {
    type Stored = Option<T::Stored>;

    fn read(stored: Self::Stored) -> Result<Self, StoreError> {
        stored.map(T::read).transpose()
    }
}

/// What the databases have themselves.
macro_rules! plain {
    ($($type:ty => $kind:ident),+) => {$(
        impl Bind for $type {
            const NULL: Value = Value::$kind(None);

            fn value(self) -> Value {
                Value::$kind(Some(self))
            }
        }

        impl Column for $type {
            type Stored = Self;

            fn read(stored: Self) -> Result<Self, StoreError> {
                Ok(stored)
            }
        }
    )+};
}
plain!(String => Text, i64 => Int, bool => Flag, Vec<u8> => Bytes);

impl Bind for &str {
    const NULL: Value = Value::Text(None);

    fn value(self) -> Value {
        self.to_owned().value()
    }
}

impl Bind for u64 {
    const NULL: Value = Value::Int(None);

    /// What is more than a column holds is as much as it holds.
    fn value(self) -> Value {
        i64::try_from(self).unwrap_or(i64::MAX).value()
    }
}

impl Column for u64 {
    type Stored = i64;

    fn read(stored: i64) -> Result<Self, StoreError> {
        stored.try_into().map_err(|_| StoreError::Unreadable("count"))
    }
}

impl Bind for Timestamp {
    const NULL: Value = Value::Int(None);

    fn value(self) -> Value {
        millis(self).value()
    }
}

impl Column for Timestamp {
    type Stored = i64;

    fn read(stored: i64) -> Result<Self, StoreError> {
        instant(stored)
    }
}

/// Ids are kept as text.
macro_rules! ids {
    ($($type:ident),+) => {$(
        impl Bind for bedside_protocol::$type {
            const NULL: Value = Value::Text(None);

            fn value(self) -> Value {
                self.to_string().value()
            }
        }

        impl Column for bedside_protocol::$type {
            type Stored = String;

            fn read(stored: String) -> Result<Self, StoreError> {
                Self::from_str(&stored).map_err(|_| StoreError::Unreadable("id"))
            }
        }
    )+};
}
ids!(
    AppointmentId,
    AttachmentId,
    ClientMessageId,
    ClinicId,
    DeviceId,
    InvitationId,
    IssueId,
    LinkId,
    MessageId,
    NotificationId,
    ScheduleId,
    SessionId,
    SignInId,
    UserId
);

impl Column for bedside_protocol::Text {
    type Stored = String;

    fn read(stored: String) -> Result<Self, StoreError> {
        Ok(Self::new(stored))
    }
}
