//! People with an account.

use bedside_protocol::{Role, Text, User, UserId};
use jiff::Timestamp;
use sqlx::{FromRow, Row, sqlite::SqliteRow};

use super::{Store, StoreError, from_word, id, millis};

/// A person and the hash of their password.
#[derive(Clone, Debug)]
pub struct Account {
    /// Who.
    pub user: User,
    /// PHC string of argon2id.
    pub password_hash: String,
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

impl Store {
    /// Makes an account; `None` when the address has one already.
    pub async fn add_account(
        &self,
        user: &User,
        email: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<Option<UserId>, StoreError> {
        let done = sqlx::query(
            "INSERT INTO users (id, role, email, password_hash, name, specialization, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (email) DO NOTHING",
        )
        .bind(user.id.to_string())
        .bind(user.role.as_str())
        .bind(email)
        .bind(password_hash)
        .bind(user.name.reveal())
        .bind(user.specialization.as_deref())
        .bind(millis(now))
        .execute(&self.pool)
        .await?;
        Ok((done.rows_affected() == 1).then_some(user.id))
    }

    /// The account with this address, whatever its capitals.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let row: Option<SqliteRow> =
            sqlx::query("SELECT id, role, name, specialization, password_hash FROM users WHERE email = ?")
                .bind(email)
                .fetch_optional(&self.pool)
                .await?;
        row.map(|row| {
            Ok(Account {
                password_hash: row.try_get("password_hash")?,
                user: UserRow::from_row(&row)?.read()?,
            })
        })
        .transpose()
    }

    /// The person with this id.
    pub async fn user(&self, user: UserId) -> Result<Option<User>, StoreError> {
        sqlx::query_as::<_, UserRow>("SELECT id, role, name, specialization FROM users WHERE id = ?")
            .bind(user.to_string())
            .fetch_optional(&self.pool)
            .await?
            .map(UserRow::read)
            .transpose()
    }

    /// The person with this id, who has this role.
    pub async fn user_with_role(&self, user: UserId, role: Role) -> Result<Option<User>, StoreError> {
        Ok(self.user(user).await?.filter(|user| user.role == role))
    }
}
