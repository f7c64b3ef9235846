//! Tokens of sign-ins. Only their SHA-256 is stored.

use bedside_protocol::{ClinicId, Role, SessionId, SignIn, SignInId, Token, User, UserId};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{
    Store, StoreError, Unit,
    accounts::read as read_user,
    millis,
    sql::{Row, sql},
};

/// What an access token gives.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who signed in.
    pub user: User,
    /// The sign-in that the token belongs to.
    pub family: SignInId,
    /// Which clinic they belong to.
    pub clinic: Option<ClinicId>,
    /// The one visit that it is for, of somebody whom a link let in.
    pub visit: Option<SessionId>,
}

/// What came of using a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// It was the newest one; the family goes on.
    Rotated,
    /// It had been used before: somebody else has it. This family has ended.
    Reused(EndedFamily),
    /// Unknown, expired, or its family has ended.
    Refused,
}

/// A sign-in that was ended.
#[derive(Debug)]
pub struct EndedFamily {
    /// Which.
    pub family: SignInId,
    /// Whose.
    pub user: UserId,
}

/// What follows a refresh token.
#[derive(Debug)]
pub struct NewTokens<'a> {
    /// The client's secret for this use, by which it may ask again.
    pub attempt: Option<&'a Token>,
    /// The next access token.
    pub access: &'a Token,
    /// The next refresh token.
    pub refresh: &'a Token,
    /// How long the access token lasts.
    pub access_lasts: SignedDuration,
    /// How long the family may go unused.
    pub idle: SignedDuration,
}

/// How long after its use a refresh token may be shown again by somebody who had no answer: a
/// break of the network is at most that long before a client gives up.
pub(super) const REPEAT_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// How long a sign-in is kept after the last of its tokens could have ended.
const KEPT_FAMILIES: SignedDuration = SignedDuration::from_hours(48);

pub(super) fn hash(token: &Token) -> Vec<u8> {
    Sha256::digest(token.expose().as_bytes()).to_vec()
}

fn read_grant(row: &Row) -> Result<Grant, StoreError> {
    let mut user = read_user(row)?;
    let visit: Option<SessionId> = row.get("session_id")?;
    if visit.is_some() {
        user.role = Role::Guest;
    }
    Ok(Grant { user, family: row.get("family_id")?, clinic: row.get("clinic_id")?, visit })
}

impl Store {
    /// Who an access token belongs to, while it and its family last.
    pub async fn grant(&self, access: &Token, now: Timestamp) -> Result<Option<Grant>, StoreError> {
        let row = sql!(
            "SELECT u.id, u.role, u.name, u.specialization, u.clinic_id, f.id AS family_id, f.session_id FROM tokens t
             JOIN token_families f ON f.id = t.family_id JOIN users u ON u.id = f.user_id
             WHERE t.hash = $1 AND t.kind = 'access' AND t.expires_at > $2 AND f.ended_at IS NULL
             AND (f.lasts_until IS NULL OR f.lasts_until > $2) AND u.disabled_at IS NULL",
        )
        .bind(hash(access))
        .bind(now)
        .fetch_optional(&mut self.reader().await?)
        .await?;
        row.as_ref().map(read_grant).transpose()
    }

    /// Whose a refresh token is that was ever given and is remembered, whether or not it is good still.
    pub async fn holder(&self, refresh: &Token) -> Result<Option<Grant>, StoreError> {
        let row = sql!(
            "SELECT u.id, u.role, u.name, u.specialization, u.clinic_id, f.id AS family_id, f.session_id FROM tokens t
             JOIN token_families f ON f.id = t.family_id JOIN users u ON u.id = f.user_id
             WHERE t.hash = $1 AND t.kind = 'refresh'",
        )
        .bind(hash(refresh))
        .fetch_optional(&mut self.reader().await?)
        .await?;
        row.as_ref().map(read_grant).transpose()
    }

    /// Whether an access token was ever given or taken, and is remembered.
    pub async fn knows_access_token(&self, access: &Token) -> Result<bool, StoreError> {
        let found = sql!("SELECT family_id FROM tokens WHERE hash = $1")
            .bind(hash(access))
            .fetch_optional(&mut self.reader().await?)
            .await?;
        Ok(found.is_some())
    }

    /// A person's sign-ins that go on, the newest first; `this` is the one that asks.
    pub async fn sign_ins_of(
        &self,
        user: UserId,
        this: SignInId,
        idle: SignedDuration,
        now: Timestamp,
    ) -> Result<Vec<SignIn>, StoreError> {
        let rows = sql!(
            "SELECT id, created_at, last_used_at FROM token_families WHERE user_id = $1 AND ended_at IS NULL
             AND CASE WHEN lasts_until IS NULL THEN last_used_at > $2 ELSE lasts_until > $3 END
             ORDER BY last_used_at DESC, id DESC",
        )
        .bind(user)
        .bind(now - idle)
        .bind(now)
        .fetch_all(&mut self.reader().await?)
        .await?;
        let read = |row: &Row| {
            let id = row.get("id")?;
            let (created_at, last_used_at) = (row.get("created_at")?, row.get("last_used_at")?);
            Ok(SignIn { is_this: id == this, id, created_at, last_used_at })
        };
        rows.iter().map(read).collect()
    }

    /// Whether a sign-in goes on: it was not ended, and was used within `idle`, or has an end of its own to come.
    pub async fn family_is_live(
        &self,
        family: SignInId,
        idle: SignedDuration,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let found = sql!(
            "SELECT id FROM token_families WHERE id = $1 AND ended_at IS NULL
             AND CASE WHEN lasts_until IS NULL THEN last_used_at > $2 ELSE lasts_until > $3 END",
        )
        .bind(family)
        .bind(now - idle)
        .bind(now)
        .fetch_optional(&mut self.reader().await?)
        .await?;
        Ok(found.is_some())
    }
}

impl Unit {
    /// Starts a family for a new sign-in, which goes on while it is used.
    pub async fn start_family(&mut self, user: UserId) -> Result<SignInId, StoreError> {
        self.start_family_for(user, None, None).await
    }

    /// The same, for one visit only where there is one, and until a time of its own where there is one.
    pub async fn start_family_for(
        &mut self,
        user: UserId,
        visit: Option<SessionId>,
        until: Option<Timestamp>,
    ) -> Result<SignInId, StoreError> {
        let family = SignInId::generate();
        sql!(
            "INSERT INTO token_families (id, user_id, created_at, last_used_at, session_id, lasts_until)
             VALUES ($1, $2, $3, $3, $4, $5)"
        )
        .bind(family)
        .bind(user)
        .bind(self.now)
        .bind(visit)
        .bind(until)
        .execute(&mut self.tx)
        .await?;
        Ok(family)
    }

    /// Stores one login token of a family; `kind` is `access` or `refresh`.
    pub async fn add_token(
        &mut self,
        family: SignInId,
        kind: &'static str,
        token: &Token,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sql!("INSERT INTO tokens (hash, family_id, kind, expires_at) VALUES ($1, $2, $3, $4)")
            .bind(hash(token))
            .bind(family)
            .bind(kind)
            .bind(expires_at)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Stores an access token that somebody else has made; false where it is stored already.
    pub async fn add_token_once(
        &mut self,
        family: SignInId,
        token: &Token,
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let added = sql!(
            "INSERT INTO tokens (hash, family_id, kind, expires_at) VALUES ($1, $2, 'access', $3)
             ON CONFLICT (hash) DO NOTHING"
        )
        .bind(hash(token))
        .bind(family)
        .bind(expires_at)
        .execute(&mut self.tx)
        .await?;
        Ok(added == 1)
    }

    /// Uses a refresh token, and stores what follows it, in one.
    ///
    /// An answer that was lost on its way is asked for again with the same token and the same attempt, which nobody
    /// else knows. For a minute, and as long as nobody has used what was given instead, that is no reuse; what was
    /// given is then no longer good.
    pub async fn use_refresh_token(
        &mut self,
        refresh: &Token,
        next: &NewTokens<'_>,
    ) -> Result<Refreshed, StoreError> {
        let (token, at) = (hash(refresh), millis(self.now));
        let of_token = "SELECT id FROM token_families
            WHERE id = (SELECT family_id FROM tokens WHERE hash = $1) FOR NO KEY UPDATE";
        self.tx.lock(of_token, token.clone()).await?;
        let row = sql!(
            "SELECT f.id, f.user_id, t.expires_at, t.used_at, f.ended_at, f.last_used_at, f.lasts_until, t.attempt
             FROM tokens t JOIN token_families f ON f.id = t.family_id
             WHERE t.hash = $1 AND t.kind = 'refresh'",
        )
        .bind(token.clone())
        .fetch_optional(&mut self.tx)
        .await?;
        let Some(row) = row else { return Ok(Refreshed::Refused) };
        let (family, user): (SignInId, UserId) = (row.get("id")?, row.get("user_id")?);
        let used_at: Option<i64> = row.get("used_at")?;
        let first_attempt: Option<Vec<u8>> = row.get("attempt")?;
        let attempt = next.attempt.map(hash);
        let idle = next.idle.as_millis() as i64;
        let has_ended = row.get::<Option<i64>>("ended_at")?.is_some()
            || row.get::<i64>("expires_at")? <= at
            || match row.get::<Option<i64>>("lasts_until")? {
                Some(until) => until <= at,
                None => row.get::<i64>("last_used_at")? + idle <= at,
            };
        if let Some(used) = used_at {
            let went_on = sql!("SELECT hash FROM tokens WHERE follows = $1 AND used_at IS NOT NULL LIMIT 1")
                .bind(token.clone())
                .fetch_optional(&mut self.tx)
                .await?
                .is_some();
            let is_same = attempt.is_some() && attempt == first_attempt;
            if has_ended || went_on || !is_same || at - used > REPEAT_WITHIN.as_millis() as i64 {
                sql!("UPDATE token_families SET ended_at = coalesce(ended_at, $1) WHERE id = $2")
                    .bind(at)
                    .bind(family)
                    .execute(&mut self.tx)
                    .await?;
                return Ok(Refreshed::Reused(EndedFamily { family, user }));
            }
            // What was given before has ended and follows nothing: whoever shows up with it is
            // not the owner.
            sql!("UPDATE tokens SET used_at = $1, expires_at = $1, follows = NULL WHERE follows = $2")
                .bind(at)
                .bind(token.clone())
                .execute(&mut self.tx)
                .await?;
        } else if has_ended {
            return Ok(Refreshed::Refused);
        } else {
            sql!("UPDATE tokens SET used_at = $1, attempt = $2 WHERE hash = $3")
                .bind(at)
                .bind(attempt)
                .bind(token.clone())
                .execute(&mut self.tx)
                .await?;
        }
        let following = [
            ("access", next.access, self.now + next.access_lasts),
            ("refresh", next.refresh, self.now + next.idle),
        ];
        for (kind, given, expires_at) in following {
            sql!(
                "INSERT INTO tokens (hash, family_id, kind, expires_at, follows) VALUES ($1, $2, $3, $4, $5)",
            )
            .bind(hash(given))
            .bind(family)
            .bind(kind)
            .bind(expires_at)
            .bind(token.clone())
            .execute(&mut self.tx)
            .await?;
        }
        sql!("UPDATE token_families SET last_used_at = $1 WHERE id = $2")
            .bind(at)
            .bind(family)
            .execute(&mut self.tx)
            .await?;
        Ok(Refreshed::Rotated)
    }

    /// Ends the family that a refresh token belongs to, and says which; one that is unknown, or has ended
    /// already, is no error.
    pub async fn end_family_of(&mut self, refresh: &Token) -> Result<Option<EndedFamily>, StoreError> {
        let ended = sql!(
            "UPDATE token_families SET ended_at = $1 WHERE ended_at IS NULL
             AND id = (SELECT family_id FROM tokens WHERE hash = $2 AND kind = 'refresh') RETURNING id, user_id",
        )
        .bind(self.now)
        .bind(hash(refresh))
        .fetch_optional(&mut self.tx)
        .await?;
        ended.map(|row| Ok(EndedFamily { family: row.get("id")?, user: row.get("user_id")? })).transpose()
    }

    /// Ends a sign-in, if it goes on.
    pub async fn end_family(&mut self, family: SignInId) -> Result<(), StoreError> {
        sql!("UPDATE token_families SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL")
            .bind(self.now)
            .bind(family)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Ends a sign-in of this person's; false where they have no such one that goes on.
    pub async fn end_sign_in(&mut self, user: UserId, sign_in: SignInId) -> Result<bool, StoreError> {
        let ended = sql!(
            "UPDATE token_families SET ended_at = $1 WHERE id = $2 AND user_id = $3 AND ended_at IS NULL",
        )
        .bind(self.now)
        .bind(sign_in)
        .bind(user)
        .execute(&mut self.tx)
        .await?;
        Ok(ended == 1)
    }

    /// Ends all of a person's sign-ins but `except`; says which.
    pub async fn end_sign_ins_of(
        &mut self,
        user: UserId,
        except: Option<SignInId>,
    ) -> Result<Vec<SignInId>, StoreError> {
        let ended = sql!(
            "UPDATE token_families SET ended_at = $1 WHERE user_id = $2 AND ended_at IS NULL AND id <> $3 RETURNING id",
        )
        .bind(self.now)
        .bind(user)
        .bind(except.map(|id| id.to_string()).unwrap_or_default())
        .fetch_all(&mut self.tx)
        .await?;
        ended.iter().map(|row| row.get("id")).collect()
    }

    /// Forgets tokens that ended before `before`: login tokens a day after their end, so that
    /// the reuse of a recent refresh token is still recognised.
    pub async fn forget_tokens(&mut self, before: Timestamp) -> Result<(), StoreError> {
        sql!("DELETE FROM tokens WHERE expires_at < $1").bind(before).execute(&mut self.tx).await?;
        sql!("DELETE FROM visit_links WHERE expires_at < $1").bind(before).execute(&mut self.tx).await?;
        // Its tokens have ended with it.
        sql!(
            "DELETE FROM token_families WHERE last_used_at < $1
             AND NOT EXISTS (SELECT 1 FROM tokens WHERE family_id = token_families.id)",
        )
        .bind(before - KEPT_FAMILIES)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bedside_protocol::{Role, Text};
    use bedside_sealing::Keys;

    use super::*;
    use crate::store::Database;

    #[tokio::test]
    async fn reuse_is_seen_even_within_one_millisecond() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Arc::new(Keys::read(&bedside_sealing::new_key()).unwrap());
        let store = Store::open(&Database::Sqlite(folder.path().join("tokens.db")), keys).await.unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let user = User {
            id: UserId::generate(),
            role: Role::Patient,
            name: Text::new("Anyone"),
            specialization: None,
        };
        let mut unit = store.begin(now).await.unwrap();
        unit.add_account(&user, "anyone@example.org", "", true, None).await.unwrap();
        let family = unit.start_family(user.id).await.unwrap();
        let hour = SignedDuration::from_hours(1);
        unit.add_token(family, "refresh", &"first".into(), now + hour).await.unwrap();
        unit.commit().await.unwrap();
        let turn = async |used: &str, given: &str| {
            let access = Token::new(format!("access to {given}"));
            let attempt = Token::new("the client's secret");
            let (refresh, attempt) = (&given.into(), Some(&attempt));
            let next = NewTokens { attempt, access: &access, refresh, access_lasts: hour, idle: hour };
            let mut unit = store.begin(now).await.unwrap();
            let refreshed = unit.use_refresh_token(&used.into(), &next).await.unwrap();
            unit.commit().await.unwrap();
            refreshed
        };
        assert!(matches!(turn("first", "second").await, Refreshed::Rotated));
        assert!(matches!(turn("first", "second again").await, Refreshed::Rotated), "an answer was lost");
        assert!(store.grant(&"access to second".into(), now).await.unwrap().is_none());
        assert!(matches!(turn("second again", "third").await, Refreshed::Rotated));
        assert!(matches!(turn("first", "fourth").await, Refreshed::Reused(_)), "it was answered");
        assert!(matches!(turn("third", "fifth").await, Refreshed::Refused), "the family has ended");
    }
}
