//! People with an account.

use bedside_authz::Reach;
use bedside_protocol::{ClinicId, Role, Text, User, UserId, UserListing};

use super::{
    Store, StoreError, Unit,
    clinics::ReachParameters,
    contains, from_word,
    sql::{Connection, Row, sql},
};

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
    /// Whoever has it reads the mail of its address.
    pub is_address_confirmed: bool,
    /// Which clinic they belong to.
    pub clinic: Option<ClinicId>,
}

pub(super) fn read(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.get("id")?,
        role: from_word(&row.get::<String>("role")?)?,
        name: row.get("name")?,
        specialization: row.get("specialization")?,
    })
}

/// The patient of what was joined with theirs as `patient_name`.
pub(super) fn patient(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.get("patient_id")?,
        role: Role::Patient,
        name: row.get("patient_name")?,
        specialization: None,
    })
}

/// The doctor of what was joined with theirs as `doctor_name` and `doctor_specialization`.
pub(super) fn doctor(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.get("doctor_id")?,
        role: Role::Doctor,
        name: row.get("doctor_name")?,
        specialization: row.get("doctor_specialization")?,
    })
}

fn account(row: &Row) -> Result<Account, StoreError> {
    Ok(Account {
        password_hash: row.get("password_hash")?,
        is_disabled: row.get::<Option<i64>>("disabled_at")?.is_some(),
        is_confirmed: row.get::<Option<i64>>("confirmed_at")?.is_some(),
        is_address_confirmed: row.get::<Option<i64>>("address_confirmed_at")?.is_some(),
        clinic: row.get("clinic_id")?,
        user: read(row)?,
    })
}

/// An address as it is kept: its capitals mean nothing to anybody.
fn as_kept(email: &str) -> String {
    email.to_ascii_lowercase()
}

/// Accounts, as [`account`] reads them; what follows says which.
macro_rules! select {
    ($which:literal) => {
        sql!(
            "SELECT id, role, name, specialization, password_hash, disabled_at, confirmed_at,
            address_confirmed_at, clinic_id FROM users ",
            $which
        )
    };
}

pub(super) async fn one_user(database: &mut Connection, user: UserId) -> Result<Option<User>, StoreError> {
    let row = sql!("SELECT id, role, name, specialization FROM users WHERE id = $1")
        .bind(user)
        .fetch_optional(database)
        .await?;
    row.as_ref().map(read).transpose()
}

impl Store {
    /// The account with this address, whatever its capitals.
    pub async fn account_by_email(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let row = select!("WHERE email = $1")
            .bind(as_kept(email))
            .fetch_optional(&mut self.reader().await?)
            .await?;
        row.as_ref().map(account).transpose()
    }

    /// Somebody's account.
    pub async fn account(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        let row = select!("WHERE id = $1").bind(user).fetch_optional(&mut self.reader().await?).await?;
        row.as_ref().map(account).transpose()
    }

    /// A page of people by their names whose name has these words, or whose address is that: of these clinics, and
    /// patients of none.
    pub async fn people(
        &self,
        reach: Reach,
        role: Option<Role>,
        words: Option<&str>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<UserListing>, StoreError> {
        let reach = ReachParameters::from(reach);
        let rows = sql!(
            "SELECT u.* FROM users u WHERE (CAST($1 AS TEXT) IS NULL OR u.role = $1)
             AND (CAST($2 AS TEXT) IS NULL OR lower(u.name) LIKE $2 ESCAPE '\\' OR u.email = $3)
             AND (CAST($4 AS TEXT) IS NULL OR (u.name, u.id) > (SELECT name, id FROM users WHERE id = $4))
             AND ($5 OR u.clinic_id = $6 OR (u.clinic_id IS NULL AND ($7 OR u.role = 'PATIENT')))
             ORDER BY u.name, u.id LIMIT $8",
        )
        .bind(role.map(Role::as_str))
        .bind(words.map(contains))
        .bind(words.map(as_kept))
        .bind(after)
        .bind(reach.all)
        .bind(reach.clinic)
        .bind(reach.none)
        .bind(i64::from(limit))
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter()
            .map(|row| {
                let Account { user, is_confirmed, is_address_confirmed, is_disabled, .. } = account(row)?;
                Ok(UserListing { user, is_confirmed, is_address_confirmed, is_disabled })
            })
            .collect()
    }

    /// The person with this id.
    pub async fn user(&self, user: UserId) -> Result<Option<User>, StoreError> {
        one_user(&mut self.reader().await?, user).await
    }
}

impl Unit {
    /// What the doctors are called who work here.
    pub async fn doctors_names(&mut self) -> Result<Vec<Text>, StoreError> {
        let rows = sql!("SELECT name FROM users WHERE role = 'DOCTOR' AND disabled_at IS NULL")
            .fetch_all(&mut self.tx)
            .await?;
        rows.iter().map(|row| row.get("name")).collect()
    }

    /// Makes an account, confirmed by the practice or not; `None` when the address has one already.
    pub async fn add_account(
        &mut self,
        user: &User,
        email: &str,
        password_hash: &str,
        is_confirmed: bool,
        clinic: Option<ClinicId>,
    ) -> Result<Option<UserId>, StoreError> {
        let added = sql!(
            "INSERT INTO users (id, role, email, password_hash, name, specialization, created_at, confirmed_at,
             clinic_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (email) DO NOTHING",
        )
        .bind(user.id)
        .bind(user.role.as_str())
        .bind(as_kept(email))
        .bind(password_hash)
        .bind(user.name.reveal())
        .bind(user.specialization.as_deref())
        .bind(self.now)
        .bind(is_confirmed.then_some(self.now))
        .bind(clinic)
        .execute(&mut self.tx)
        .await?;
        Ok((added == 1).then_some(user.id))
    }

    /// The account of whom another issuer calls this.
    pub async fn outside_account(
        &mut self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<Account>, StoreError> {
        let row = select!(
            "WHERE id = (SELECT user_id FROM outside_accounts o WHERE o.issuer = $1 AND o.subject = $2)"
        )
        .bind(issuer)
        .bind(subject)
        .fetch_optional(&mut self.tx)
        .await?;
        row.as_ref().map(account).transpose()
    }

    /// Another issuer calls somebody this; false where it calls somebody so.
    pub async fn add_outside_account(
        &mut self,
        issuer: &str,
        subject: &str,
        user: UserId,
    ) -> Result<bool, StoreError> {
        let added = sql!(
            "INSERT INTO outside_accounts (issuer, subject, user_id) VALUES ($1, $2, $3)
             ON CONFLICT (issuer, subject) DO NOTHING"
        )
        .bind(issuer)
        .bind(subject)
        .bind(user)
        .execute(&mut self.tx)
        .await?;
        Ok(added == 1)
    }

    /// The practice has made sure whose account this is.
    pub async fn confirm(&mut self, user: UserId) -> Result<(), StoreError> {
        sql!("UPDATE users SET confirmed_at = $1 WHERE id = $2")
            .bind(self.now)
            .bind(user)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Whoever has this address reads its mail. An account that was nobody's for sure until now keeps nothing else that
    /// somebody wrote into it.
    pub async fn confirm_address(&mut self, user: UserId) -> Result<(), StoreError> {
        sql!(
            "UPDATE users SET phone = CASE WHEN confirmed_at IS NULL AND address_confirmed_at IS NULL THEN NULL
             ELSE phone END, address_confirmed_at = $1 WHERE id = $2"
        )
        .bind(self.now)
        .bind(user)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Whether an address is somebody's whom nobody has confirmed, who has an appointment or waits in a queue.
    pub async fn is_in_use(&mut self, email: &str) -> Result<bool, StoreError> {
        let found = sql!(
            "SELECT u.id FROM users u WHERE u.email = $1 AND u.confirmed_at IS NULL AND (
             EXISTS (SELECT 1 FROM appointments a WHERE a.patient_id = u.id)
             OR EXISTS (SELECT 1 FROM queue_entries q WHERE q.patient_id = u.id))"
        )
        .bind(as_kept(email))
        .fetch_optional(&mut self.tx)
        .await?;
        Ok(found.is_some())
    }

    /// Takes an address from an account that nobody has confirmed, nor its mail; says whose that was. What they did stays
    /// with them.
    pub async fn free_address(&mut self, email: &str) -> Result<Option<UserId>, StoreError> {
        let freed = sql!(
            "UPDATE users SET email = 'no address: ' || id, disabled_at = $1
             WHERE email = $2 AND confirmed_at IS NULL AND address_confirmed_at IS NULL RETURNING id",
        )
        .bind(self.now)
        .bind(as_kept(email))
        .fetch_optional(&mut self.tx)
        .await?;
        freed.map(|row| row.get("id")).transpose()
    }

    /// Whether an account is open and has this password still (its PHC string), and will until this is committed.
    pub async fn has_password(&mut self, user: UserId, password_hash: &str) -> Result<bool, StoreError> {
        self.tx.lock("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", user).await?;
        let found =
            sql!("SELECT id FROM users WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL",)
                .bind(user)
                .bind(password_hash)
                .fetch_optional(&mut self.tx)
                .await?;
        Ok(found.is_some())
    }

    /// Keeps another name.
    pub async fn set_name(&mut self, user: UserId, name: &str) -> Result<(), StoreError> {
        sql!("UPDATE users SET name = $1 WHERE id = $2").bind(name).bind(user).execute(&mut self.tx).await?;
        Ok(())
    }

    /// Keeps another password (its PHC string).
    pub async fn set_password(&mut self, user: UserId, password_hash: &str) -> Result<(), StoreError> {
        sql!("UPDATE users SET password_hash = $1 WHERE id = $2")
            .bind(password_hash)
            .bind(user)
            .execute(&mut self.tx)
            .await?;
        self.forget_mail_tokens(user).await
    }

    /// Nobody signs in with this account any more, or somebody may again.
    pub async fn set_disabled(&mut self, user: UserId, is_disabled: bool) -> Result<(), StoreError> {
        sql!("UPDATE users SET disabled_at = $1 WHERE id = $2")
            .bind(is_disabled.then_some(self.now))
            .bind(user)
            .execute(&mut self.tx)
            .await?;
        self.forget_mail_tokens(user).await
    }
}
