//! Opening a database, and connections to it.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use bedside_redact::Secret;
use bedside_sealing::Keys;
use jiff::Timestamp;
use sqlx::{
    Connection as _, PgConnection, PgPool, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use url::Url;

use super::{
    InstanceId, News, People, Seats, StoreError, Unit,
    news::Changed,
    sql::{Connection, note_lost, sql, was_lost_lately},
};

/// Which database there is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Database {
    /// A file: for one service on one machine.
    Sqlite(PathBuf),
    /// A server: for several services, and for who has one already.
    Postgres {
        /// Where, as whom and which: `postgres://bedside@db.example/bedside`. It holds no password.
        url: Url,
        /// Its password. Without it, there is none, or PGPASSWORD or PGPASSFILE has it.
        password: Option<Password>,
    },
}

/// A password that nobody reads off a command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Password {
    /// In a file.
    File(PathBuf),
    /// In the environment, where it was found.
    Given(Secret<String>),
}

impl Password {
    /// The password itself.
    ///
    /// # Errors
    /// Where its file can't be read.
    pub(crate) fn read(&self) -> Result<Secret<String>, StoreError> {
        match self {
            Self::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    StoreError::Address(format!("{} can't be read: {error}", path.display()))
                })?;
                Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
            Self::Given(password) => Ok(password.clone()),
        }
    }
}

/// How long a change waits for those before it, or for another program that holds the database. A client gives up
/// a request after ten seconds.
const WAITS_FOR: Duration = Duration::from_secs(5);
/// The same, as PostgreSQL is told of locks.
const POSTGRES_LOCKS_FOR: &str = "5s";
/// The longest statement: none of ours takes a second on a machine that is well.
const POSTGRES_RUNS_FOR: &str = "8s";
/// A transaction in which nothing happens for so long has lost its service, and holds up the others.
const POSTGRES_IDLE_FOR: &str = "10s";
/// Statements that a connection keeps prepared: all that there are.
const STATEMENTS: usize = 256;
/// What a connection keeps of the file in memory, in KiB (below zero; SQLite's manual): all that a clinic's day is.
const SQLITE_CACHE: &str = "-16384";
/// Reads side by side: they go on beside the one that writes.
const SQLITE_READERS: u32 = 4;
/// Connections of one service to PostgreSQL that write, and that read. Apart, so that whoever holds one to write can
/// always have one to read. A PostgreSQL has 100 for all its clients: enough for four services and a backup.
const POSTGRES_WRITERS: u32 = 8;
const POSTGRES_READERS: u32 = 12;
/// How long after its last use a connection is taken to be there still. To ask is a way to the database and back, of
/// some ten that a change takes; under load nearly all are younger than that.
const POSTGRES_TRUSTED_FOR: Duration = Duration::from_millis(500);

/// The database. Reads are its own; everything that is written is written by a [`Unit`].
#[derive(Clone, Debug)]
pub struct Store {
    pools: Pools,
    instance: InstanceId,
    news: Arc<News>,
    people: Arc<People>,
    seats: Arc<Seats>,
    keys: Arc<Keys>,
}

#[derive(Clone, Debug)]
enum Pools {
    Sqlite {
        /// Of one connection: SQLite has one writer, and those who wait for it must not keep readers from theirs.
        writer: SqlitePool,
        reader: SqlitePool,
    },
    Postgres {
        writer: PgPool,
        reader: PgPool,
        /// How to connect to hear what other services say.
        listener: Box<PgConnectOptions>,
    },
}

impl Store {
    /// Opens a database, made where it is a file that is missing, and brings its schema up to date.
    /// What people write is sealed with `keys`.
    pub async fn open(database: &Database, keys: Arc<Keys>) -> Result<Self, StoreError> {
        let pools = match database {
            Database::Sqlite(path) => open_sqlite(path).await?,
            Database::Postgres { url, password } => open_postgres(url, password.as_ref()).await?,
        };
        let (instance, news) = (InstanceId::generate(), Arc::default());
        Ok(Self { pools, instance, news, people: Arc::default(), seats: Arc::default(), keys })
    }

    /// What has been stored here and is to be told.
    pub fn news(&self) -> &News {
        &self.news
    }

    /// What people write is sealed with these.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who is in which visit.
    pub fn whose_visits(&self) -> &People {
        &self.people
    }

    /// Lets SQLite look at what it keeps, so that it finds the shortest way to it as it grows. PostgreSQL does so itself.
    ///
    /// # Errors
    /// Where it can't be written.
    pub async fn optimize(&self) -> Result<(), StoreError> {
        if let Pools::Sqlite { writer, .. } = &self.pools {
            // As its manual has it (sqlite.org/pragma.html#pragma_optimize): all tables, a part of each.
            sqlx::query("PRAGMA optimize = 0x10012").execute(writer).await?;
        }
        Ok(())
    }

    /// What people sit at, as it was stored last.
    pub(crate) fn seats(&self) -> &Seats {
        &self.seats
    }

    /// This service, among those that share the database.
    pub const fn instance(&self) -> InstanceId {
        self.instance
    }

    /// A connection to listen with, of a database that is shared: a new one each time, as one that is half open lets
    /// go of nothing for a quarter of an hour.
    pub(super) fn listeners(&self) -> Option<PgPool> {
        match &self.pools {
            Pools::Sqlite { .. } => None,
            Pools::Postgres { listener, .. } => {
                let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(WAITS_FOR);
                Some(pool.connect_lazy_with(listener.as_ref().clone()))
            }
        }
    }

    /// Whether the database answers.
    pub async fn is_ready(&self) -> bool {
        let answers = async { sql!("SELECT 1").fetch_one(&mut self.reader().await?).await };
        answers.await.is_ok()
    }

    /// Whether others may write to it beside this service.
    pub const fn is_shared(&self) -> bool {
        matches!(self.pools, Pools::Postgres { .. })
    }

    /// Finishes what is being written and closes.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, reader } => {
                reader.close().await;
                writer.close().await;
            }
            Pools::Postgres { writer, reader, .. } => {
                reader.close().await;
                writer.close().await;
            }
        }
    }

    /// A connection to read with.
    pub(super) async fn reader(&self) -> Result<Connection, StoreError> {
        Ok(match &self.pools {
            Pools::Sqlite { reader, .. } => Connection::Sqlite(reader.acquire().await?),
            Pools::Postgres { reader, .. } => Connection::Postgres(reader.acquire().await?),
        })
    }

    /// A connection that writes, for what one statement does.
    pub(super) async fn writer(&self) -> Result<Connection, StoreError> {
        Ok(match &self.pools {
            Pools::Sqlite { writer, .. } => Connection::Sqlite(writer.acquire().await?),
            Pools::Postgres { writer, .. } => Connection::Postgres(writer.acquire().await?),
        })
    }

    /// Begins a change, when there is room for one: of SQLite, when the one before it is over.
    pub async fn begin(&self, now: Timestamp) -> Result<Unit, StoreError> {
        let tx = match &self.pools {
            // For writing from the beginning: of two that had read first, one could not go on.
            Pools::Sqlite { writer, .. } => {
                Connection::SqliteUnit(writer.begin_with("BEGIN IMMEDIATE").await?)
            }
            Pools::Postgres { writer, .. } => Connection::PostgresUnit(match writer.begin().await {
                // One that was lost since it was last used. From now on they are asked.
                Err(sqlx::Error::Io(_)) => {
                    note_lost();
                    writer.begin().await?
                }
                begun => begun?,
            }),
        };
        // As it is stored, so that what is answered now is what is read later.
        let now = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
        let (lines, events, changed) = (vec![], vec![], Changed::default());
        let (instance, news, keys) = (self.instance, self.news.clone(), self.keys.clone());
        Ok(Unit { tx, instance, now, lines, events, changed, news, keys })
    }
}

/// How a database is, as it was found.
#[derive(Clone, Copy, Debug)]
pub enum Schema {
    /// Nothing is there yet.
    Missing,
    /// An older version's.
    Older {
        /// Which it has.
        has: i64,
        /// Which this version has.
        wants: i64,
    },
    /// This version's.
    Current {
        /// Which.
        schema: i64,
        /// What its clock says, where it has one of its own.
        clock: Option<Timestamp>,
    },
    /// A newer version's.
    Newer(i64),
}

impl Store {
    /// Copies a database that is a file, as it is at one moment, while others write to it.
    pub async fn copy_sqlite(from: &Path, to: &Path) -> Result<(), StoreError> {
        let options = SqliteConnectOptions::new().filename(from).busy_timeout(WAITS_FOR);
        let mut connection = SqliteConnection::connect_with(&options).await?;
        let to = to.to_str().ok_or_else(|| StoreError::Address("the folder's name is no text".to_owned()))?;
        sqlx::query("VACUUM INTO $1").bind(to).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Looks how a database is, and changes nothing.
    pub async fn schema(database: &Database) -> Result<Schema, StoreError> {
        const NEWEST: &str = "SELECT MAX(version) FROM _sqlx_migrations";
        let (has, wants, clock) = match database {
            Database::Sqlite(path) => {
                if !path.exists() {
                    return Ok(Schema::Missing);
                }
                let options =
                    SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(WAITS_FOR);
                let mut connection = SqliteConnection::connect_with(&options).await?;
                let has = sqlx::query_scalar::<_, Option<i64>>(NEWEST).fetch_one(&mut connection).await?;
                (has, newest(&SQLITE), None)
            }
            Database::Postgres { url, password } => {
                let options = postgres_options(url, password.as_ref())?;
                let mut connection = PgConnection::connect_with(&options).await?;
                let there = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
                if !sqlx::query_scalar::<_, bool>(there).fetch_one(&mut connection).await? {
                    return Ok(Schema::Missing);
                }
                let has = sqlx::query_scalar::<_, Option<i64>>(NEWEST).fetch_one(&mut connection).await?;
                let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT";
                let clock = sqlx::query_scalar::<_, i64>(clock).fetch_one(&mut connection).await?;
                (has, newest(&POSTGRES), Some(super::instant(clock)?))
            }
        };
        Ok(match has {
            None => Schema::Missing,
            Some(has) if has < wants => Schema::Older { has, wants },
            Some(has) if has > wants => Schema::Newer(has),
            Some(schema) => Schema::Current { schema, clock },
        })
    }
}

/// What brings each up to date.
static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

/// What PostgreSQL is told while the schema is brought up to date.
const NO_LIMITS: [(&str, &str); 3] =
    [("lock_timeout", "0"), ("statement_timeout", "0"), ("idle_in_transaction_session_timeout", "0")];

fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn newer(error: MigrateError) -> StoreError {
    match error {
        MigrateError::VersionMissing(version) => StoreError::Newer(version),
        error => error.into(),
    }
}

async fn open_sqlite(path: &Path) -> Result<Pools, StoreError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("cache_size", SQLITE_CACHE)
        .statement_cache_capacity(STATEMENTS)
        .busy_timeout(WAITS_FOR);
    // A connection to a file is not lost: to ask each time whether it is would be half of a short read.
    let pool = |size| {
        let options = SqlitePoolOptions::new().max_connections(size).acquire_timeout(WAITS_FOR);
        options.test_before_acquire(false)
    };
    // A transaction that SQLite itself takes back, as with a full disk, is one that sqlx goes on believing in: nothing
    // could be written through that connection any more.
    let writer = pool(1).before_acquire(|connection, _| {
        let is_free = !connection.is_in_transaction();
        Box::pin(async move { Ok(is_free) })
    });
    let writer = writer.connect_with(options.clone()).await?;
    SQLITE.run(&writer).await.map_err(newer)?;
    let reader = pool(SQLITE_READERS).connect_with(options).await?;
    Ok(Pools::Sqlite { writer, reader })
}

fn postgres_options(url: &Url, password: Option<&Password>) -> Result<PgConnectOptions, StoreError> {
    if url.password().is_some() {
        let why = "its address must hold no password, which others could see: put it into a file of its own";
        return Err(StoreError::Address(why.into()));
    }
    let mut options = PgConnectOptions::from_str(url.as_str())?.options([
        ("lock_timeout", POSTGRES_LOCKS_FOR),
        ("statement_timeout", POSTGRES_RUNS_FOR),
        ("idle_in_transaction_session_timeout", POSTGRES_IDLE_FOR),
    ]);
    if let Some(password) = password {
        options = options.password(password.read()?.expose());
    }
    Ok(options)
}

async fn open_postgres(url: &Url, password: Option<&Password>) -> Result<Pools, StoreError> {
    let options = postgres_options(url, password)?;
    // Under a lock: several services may start at once. What brings years of visits up to date takes its time.
    let first = PgPoolOptions::new().max_connections(1).acquire_timeout(WAITS_FOR);
    let first = first.connect_with(options.clone().options(NO_LIMITS)).await?;
    POSTGRES.run(&first).await.map_err(newer)?;
    first.close().await;
    let options = options.statement_cache_capacity(STATEMENTS);
    let pool = |size| {
        let options = PgPoolOptions::new().max_connections(size).acquire_timeout(WAITS_FOR);
        options.test_before_acquire(false).before_acquire(|connection, about| {
            Box::pin(async move {
                if about.idle_for < POSTGRES_TRUSTED_FOR && !was_lost_lately() {
                    return Ok(true);
                }
                // One that is lost is made anew.
                Ok(connection.ping().await.is_ok())
            })
        })
    };
    let writer = pool(POSTGRES_WRITERS).connect_with(options.clone()).await?;
    let reader = pool(POSTGRES_READERS).connect_with(options.clone()).await?;
    Ok(Pools::Postgres { writer, reader, listener: Box::new(options) })
}
