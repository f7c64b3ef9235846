//! Both databases understand every statement, and have the same columns.

use std::collections::BTreeSet;

use std::sync::Arc;

use bedside_protocol::{PaymentStatus, SessionId, SessionStatus};
use bedside_sealing::Keys;
use bedside_servers::Postgres;
use jiff::Timestamp;
use sqlx::{Connection, Executor, PgConnection, Row, SqlStr, SqliteConnection};

use super::{
    Chain, Database, Store,
    audit::{INSERTS, SEALS},
    records::EVENTS,
    sql::STATEMENTS,
};

/// Some.
pub(super) fn keys() -> Arc<Keys> {
    Arc::new(Keys::read(&bedside_sealing::new_key()).unwrap())
}

/// One of each, with today's schema.
async fn both(folder: &std::path::Path, server: &Postgres) -> (SqliteConnection, PgConnection) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = folder.join("both.sqlite");
    let address = format!("sqlite://{}", path.display());
    Store::open(&Database::Sqlite(path), keys()).await.unwrap().close().await;
    let url = server.database().unwrap();
    let postgres = Database::Postgres { url: url.parse().unwrap(), password: None };
    Store::open(&postgres, keys()).await.unwrap().close().await;
    (SqliteConnection::connect(&address).await.unwrap(), PgConnection::connect(&url).await.unwrap())
}

#[tokio::test]
async fn every_statement_is_understood_by_both() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start().unwrap());
    let (mut sqlite, mut postgres) = both(folder.path(), &server).await;
    assert!(STATEMENTS.len() > 40, "there are {} only", STATEMENTS.len());
    for statement in
        STATEMENTS.iter().copied().chain(INSERTS.iter().chain(&*SEALS).chain(&*EVENTS).map(String::as_str))
    {
        let on_sqlite = sqlite.prepare(SqlStr::from_static(statement)).await.err();
        let on_postgres = postgres.prepare(SqlStr::from_static(statement)).await.err();
        assert!(on_sqlite.is_none() && on_postgres.is_none(), "{statement}\n{on_sqlite:?}\n{on_postgres:?}");
    }
}

#[tokio::test]
async fn people_stay_when_their_table_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.sqlite");
    let address = format!("sqlite://{}?mode=rwc", path.display());
    let mut old = SqliteConnection::connect(&address).await.unwrap();
    // As it was before 0019, with a person and what hangs on them.
    let mut migrator = sqlx::migrate!("./migrations/sqlite");
    migrator.migrations.to_mut().retain(|migration| migration.version < 19);
    migrator.run(&mut old).await.unwrap();
    for statement in [
        "INSERT INTO users (id, role, email, password_hash, name, created_at, confirmed_at)
         VALUES ('1', 'DOCTOR', 'a@example.org', 'x', 'A', 1, 2)",
        "INSERT INTO token_families (id, user_id, created_at, last_used_at) VALUES ('2', '1', 1, 1)",
    ] {
        old.execute(statement).await.unwrap();
    }
    old.close().await.unwrap();
    Store::open(&Database::Sqlite(path), keys()).await.unwrap().close().await;
    let mut new = SqliteConnection::connect(&address).await.unwrap();
    let row =
        new.fetch_one("SELECT u.confirmed_at FROM users u JOIN token_families f ON f.user_id = u.id").await;
    assert_eq!(row.unwrap().get::<i64, _>(0), 2);
    assert!(new.fetch_all("PRAGMA foreign_key_check").await.unwrap().is_empty());
    let enforced = new.execute(
        "INSERT INTO token_families (id, user_id, created_at, last_used_at) VALUES ('3', '9', 1, 1)",
    );
    assert!(enforced.await.is_err(), "what refers to people still does");
    new.execute("INSERT INTO users (id, role, email, password_hash, name, created_at) VALUES ('4', 'KIOSK', 'k', '', 'K', 1)")
        .await
        .unwrap();
}

/// What a clinic has that began with the first schema that both databases share.
const FIRST: &[&str] = &[
    "INSERT INTO users (id, role, email, password_hash, name, created_at) VALUES
     ('01890a5d-0000-7000-8000-000000000001', 'PATIENT', 'p@example.org', 'x', 'P', 1),
     ('01890a5d-0000-7000-8000-000000000002', 'DOCTOR', 'd@example.org', 'x', 'D', 1)",
    "INSERT INTO appointments (id, patient_id, doctor_id, consultation_mode, scheduled_start_time,
     scheduled_duration_minutes, created_at) VALUES ('01890a5d-0000-7000-8000-000000000003',
     '01890a5d-0000-7000-8000-000000000001', '01890a5d-0000-7000-8000-000000000002', 'VIDEO', 1000, 15, 1)",
    "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode, room_name, status,
     end_reason, scheduled_start, scheduled_minutes, started_at, ended_at, clock_before_ms, created_at) VALUES
     ('01890a5d-0000-7000-8000-000000000004', '01890a5d-0000-7000-8000-000000000003',
     '01890a5d-0000-7000-8000-000000000001', '01890a5d-0000-7000-8000-000000000002', 'VIDEO', 'room', 'COMPLETED',
     'completed', 1000, 15, 2000, 62000, 60000, 1)",
    "INSERT INTO chat_messages (id, session_id, seq, client_message_id, sender_id, message_type, content, created_at)
     VALUES ('01890a5d-0000-7000-8000-000000000005', '01890a5d-0000-7000-8000-000000000004', 1, '01890a5d-0000-7000-8000-000000000006',
     '01890a5d-0000-7000-8000-000000000001', 'text', 'as it was written', 3000)",
    "INSERT INTO audit_log (at, user_id, action, session_id) VALUES (2000,
     '01890a5d-0000-7000-8000-000000000002', 'session.started', '01890a5d-0000-7000-8000-000000000004')",
];

#[tokio::test]
async fn what_the_first_schema_kept_is_there_in_both() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start().unwrap());
    let _ = rustls::crypto::ring::default_provider().install_default();
    macro_rules! began {
        ($connection:ty, $address:expr, $migrations:literal, $with_record:expr) => {{
            let mut first = <$connection>::connect($address).await.unwrap();
            for (until, statements) in [(12, FIRST), (23, RECORD)] {
                let mut migrator = sqlx::migrate!($migrations);
                migrator.migrations.to_mut().retain(|migration| migration.version <= until);
                migrator.run(&mut first).await.unwrap();
                for &statement in statements {
                    first.execute(statement).await.unwrap();
                }
                if !$with_record {
                    break;
                }
            }
            first.close().await.unwrap();
        }};
    }
    let second = |millis: i64| Some(Timestamp::from_millisecond(millis).unwrap());
    for with_record in [false, true] {
        let path = folder.path().join(format!("first-{with_record}.sqlite"));
        let url = server.database().unwrap();
        let address = format!("sqlite://{}?mode=rwc", path.display());
        began!(SqliteConnection, &address, "./migrations/sqlite", with_record);
        began!(PgConnection, &url, "./migrations/postgres", with_record);
        let postgres = Database::Postgres { url: url.parse().unwrap(), password: None };
        for database in [Database::Sqlite(path), postgres] {
            let store = Store::open(&database, keys()).await.unwrap();
            let id = "01890a5d-0000-7000-8000-000000000004".parse().map(SessionId).unwrap();
            let visit = store.session(id).await.unwrap().unwrap();
            let c = &visit.consultation;
            assert_eq!((c.status, c.started_at), (SessionStatus::Completed, second(2_000)));
            let doctor = if with_record { second(1_900) } else { second(2_000) };
            assert_eq!((c.patient_joined_at, c.doctor_joined_at), (second(2_000), doctor));
            assert_eq!((visit.payment, visit.updated_at), (PaymentStatus::NotRequired, second(62_000)));
            let chat = store.chat_page(&visit, None, None, 10).await.unwrap();
            assert_eq!(chat.items[0].content.reveal(), "as it was written");
            assert!(matches!(store.audit_chain().await.unwrap(), Chain::Whole { .. }));
            // And goes on: a change of today's is stored.
            let mut unit = store.begin(Timestamp::now()).await.unwrap();
            unit.set_prescription(id, Some("rx-1")).await.unwrap();
            unit.commit().await.unwrap();
            store.close().await;
        }
    }
}

/// What a visit's record adds to it, with a calling-in that came to nothing before the one that did.
const RECORD: &[&str] = &[
    "INSERT INTO session_events (session_id, event_type, user_id, created_at) VALUES
     ('01890a5d-0000-7000-8000-000000000004', 'doctor_joined', '01890a5d-0000-7000-8000-000000000002', 1100),
     ('01890a5d-0000-7000-8000-000000000004', 'doctor_joined', '01890a5d-0000-7000-8000-000000000002', 1900),
     ('01890a5d-0000-7000-8000-000000000004', 'patient_joined', '01890a5d-0000-7000-8000-000000000001', 2000),
     ('01890a5d-0000-7000-8000-000000000004', 'patient_joined', '01890a5d-0000-7000-8000-000000000001', 9000)",
];

#[tokio::test]
async fn both_have_the_same_columns() {
    let (folder, server) = (tempfile::tempdir().unwrap(), Postgres::start().unwrap());
    let (mut sqlite, mut postgres) = both(folder.path(), &server).await;
    let of_sqlite = sqlite
        .fetch_all(
            "SELECT t.name || '.' || c.name || CASE WHEN c.\"notnull\" OR c.pk THEN ' NOT NULL' ELSE '' END
             FROM pragma_table_list t JOIN pragma_table_info(t.name) c
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE '_sqlx%'",
        )
        .await
        .unwrap();
    let of_postgres = postgres
        .fetch_all(
            "SELECT table_name || '.' || column_name || CASE WHEN is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END
             FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE '_sqlx%'",
        )
        .await
        .unwrap();
    let of_sqlite: BTreeSet<String> = of_sqlite.iter().map(|row| row.get(0)).collect();
    let of_postgres: BTreeSet<String> = of_postgres.iter().map(|row| row.get(0)).collect();
    let differ: Vec<&String> = of_sqlite.symmetric_difference(&of_postgres).collect();
    assert!(differ.is_empty(), "{differ:#?}");
}
