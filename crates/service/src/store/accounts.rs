//! People with an account.

use bedside_protocol::{Text, User, UserId};
use sqlx::{FromRow, Row, SqliteExecutor, sqlite::SqliteRow};

use super::{Store, StoreError, Unit, from_word, id, millis};

/// A person and the hash of their password.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who.
    pub user: User,
    /// PHC string of argon2id.
    pub password_hash: String,
    /// They have left: nobody signs in with it.
    pub is_disabled: bool,
    /// The practice has made sure whose it is.
    pub is_confirmed: bool,
}

/// Columns of a `users` row that [`user`] reads.
#[derive(FromRow)]
struct UserRow {
    id: String,
    role: String,
    name: String,
    specialization: Option<String>,
}

impl UserRow {
    fn read(self) -> Result<User, StoreError> {
        Ok(User {
            id: id(&self.id)?,
            role: from_word(&self.role)?,
            name: Text::new(self.name),
            specialization: self.specialization,
        })
    }
}

fn account(row: &SqliteRow) -> Result<Account, StoreError> {
    Ok(Account {
        password_hash: row.try_get("password_hash")?,
        is_disabled: row.try_get::<Option<i64>, _>("disabled_at")?.is_some(),
        is_confirmed: row.try_get::<Option<i64>, _>("confirmed_at")?.is_some(),
        user: UserRow::from_row(row)?.read()?,
    })
}

pub(super) async fn one_user<'c>(
    database: impl SqliteExecutor<'c>,
    user: UserId,
) -> Result<Option<User>, StoreError> {
    sqlx::query_as::<_, UserRow>("SELECT id, role, name, specialization FROM users WHERE id = $1")
        .bind(user.to_string())
        .fetch_optional(database)
        .await?
        .map(UserRow::read)
        .transpose()
}

impl Store {
    /// The account with this address, whatever its capitals.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let row: Option<SqliteRow> = sqlx::query(
            "SELECT id, role, name, specialization, password_hash, disabled_at, confirmed_at FROM users WHERE email = $1",
        )
        .bind(email)
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// Somebody's account.
    pub async fn account(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        let row: Option<SqliteRow> = sqlx::query(
            "SELECT id, role, name, specialization, password_hash, disabled_at, confirmed_at FROM users WHERE id = $1",
        )
        .bind(user.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// The person with this id.
    pub async fn user(&self, user: UserId) -> Result<Option<User>, StoreError> {
        one_user(&self.reader, user).await
    }
}

impl Unit {
    /// Makes an account, confirmed by the practice or not; `None` when the address has one already.
    pub async fn add_account(
        &mut self,
        user: &User,
        email: &str,
        password_hash: &str,
        is_confirmed: bool,
    ) -> Result<Option<UserId>, StoreError> {
        let done = sqlx::query(
            "INSERT INTO users (id, role, email, password_hash, name, specialization, created_at, confirmed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (email) DO NOTHING",
        )
        .bind(user.id.to_string())
        .bind(user.role.as_str())
        .bind(email)
        .bind(password_hash)
        .bind(user.name.reveal())
        .bind(user.specialization.as_deref())
        .bind(millis(self.now))
        .bind(is_confirmed.then(|| millis(self.now)))
        .execute(&mut *self.tx)
        .await?;
        Ok((done.rows_affected() == 1).then_some(user.id))
    }

    /// The practice has made sure whose account this is.
    pub async fn confirm(&mut self, user: UserId) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET confirmed_at = $1 WHERE id = $2")
            .bind(millis(self.now))
            .bind(user.to_string())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Takes an address from an account that nobody has confirmed; says whose that was. What they did stays with them.
    pub async fn free_address(&mut self, email: &str) -> Result<Option<UserId>, StoreError> {
        let freed: Option<(String,)> = sqlx::query_as(
            "UPDATE users SET email = 'no address: ' || id, disabled_at = $1
             WHERE email = $2 AND confirmed_at IS NULL RETURNING id",
        )
        .bind(millis(self.now))
        .bind(email)
        .fetch_optional(&mut *self.tx)
        .await?;
        freed.map(|(user,)| id(&user)).transpose()
    }

    /// Whether an account is open and has this password still (its PHC string).
    pub async fn has_password(&mut self, user: UserId, password_hash: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = sqlx::query_as(
            "SELECT 1 FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL",
        )
        .bind(user.to_string())
        .bind(password_hash)
        .fetch_optional(&mut *self.tx)
        .await?;
        Ok(found.is_some())
    }

    /// Keeps another password (its PHC string).
    pub async fn set_password(&mut self, user: UserId, password_hash: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2")
            .bind(password_hash)
            .bind(user.to_string())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// Nobody signs in with this account any more, or somebody may again.
    pub async fn set_disabled(&mut self, user: UserId, is_disabled: bool) -> Result<(), StoreError> {
        sqlx::query("UPDATE users SET disabled_at = $1 WHERE id = $2")
            .bind(is_disabled.then(|| millis(self.now)))
            .bind(user.to_string())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }
}
