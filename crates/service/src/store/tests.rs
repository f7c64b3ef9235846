//! Both databases understand every statement, and have the same columns.

use std::collections::BTreeSet;

use std::sync::Arc;

use bedside_sealing::Keys;
use bedside_servers::Postgres;
use sqlx::{Connection, Executor, PgConnection, Row, SqlStr, SqliteConnection};

use super::{
    Database, Store,
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
    let postgres = Database::Postgres { url: url.parse().unwrap(), password_file: None };
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
