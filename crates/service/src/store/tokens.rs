//! Login and media tokens. Only their SHA-256 is stored.

use bedside_protocol::{SessionId, Token, User, UserId};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::{Store, StoreError, id, millis};

/// What an access token gives.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Who signed in.
    pub user: User,
    /// The sign-in that the token belongs to.
    pub family: String,
}

/// What came of using a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// It was the newest one; the family goes on.
    Rotated(Grant),
    /// It had been used before: somebody else has it. The family has ended.
    Reused,
    /// Unknown, expired, or its family has ended.
    Refused,
}

fn hash(token: &Token) -> Vec<u8> {
    Sha256::digest(token.expose().as_bytes()).to_vec()
}

impl Store {
    /// Starts a family for a new sign-in.
    pub async fn start_family(&self, user: UserId, now: Timestamp) -> Result<String, StoreError> {
        let family = uuid::Uuid::now_v7().to_string();
        sqlx::query("INSERT INTO token_families (id, user_id, created_at, last_used_at) VALUES (?, ?, ?, ?)")
            .bind(&family)
            .bind(user.to_string())
            .bind(millis(now))
            .bind(millis(now))
            .execute(&self.pool)
            .await?;
        Ok(family)
    }

    /// Stores one login token of a family; `kind` is `access` or `refresh`.
    pub async fn add_token(
        &self,
        family: &str,
        kind: &'static str,
        token: &Token,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO tokens (hash, family_id, kind, expires_at) VALUES (?, ?, ?, ?)")
            .bind(hash(token))
            .bind(family)
            .bind(kind)
            .bind(millis(expires_at))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Who an access token belongs to, while it and its family last.
    pub async fn grant(&self, access: &Token, now: Timestamp) -> Result<Option<Grant>, StoreError> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT f.user_id, f.id FROM tokens t JOIN token_families f ON f.id = t.family_id
             WHERE t.hash = ? AND t.kind = 'access' AND t.expires_at > ? AND f.ended_at IS NULL",
        )
        .bind(hash(access))
        .bind(millis(now))
        .fetch_optional(&self.pool)
        .await?;
        let Some((user, family)) = row else { return Ok(None) };
        Ok(self.user(id(&user)?).await?.map(|user| Grant { user, family }))
    }

    /// Uses a refresh token once. `idle` is how long a family may go unused.
    pub async fn use_refresh_token(
        &self,
        refresh: &Token,
        idle: SignedDuration,
        now: Timestamp,
    ) -> Result<Refreshed, StoreError> {
        type Row = (String, String, i64, Option<i64>, Option<i64>, i64);
        let hash = hash(refresh);
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let row: Option<Row> = sqlx::query_as(
            "SELECT f.id, f.user_id, t.expires_at, t.used_at, f.ended_at, f.last_used_at
             FROM tokens t JOIN token_families f ON f.id = t.family_id
             WHERE t.hash = ? AND t.kind = 'refresh'",
        )
        .bind(&hash)
        .fetch_optional(&mut *tx)
        .await?;
        let Some((family, user, expires_at, used_at, ended_at, last_used_at)) = row else {
            return Ok(Refreshed::Refused);
        };
        if used_at.is_some() {
            sqlx::query("UPDATE token_families SET ended_at = coalesce(ended_at, ?) WHERE id = ?")
                .bind(millis(now))
                .bind(&family)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            return Ok(Refreshed::Reused);
        }
        if ended_at.is_some()
            || expires_at <= millis(now)
            || last_used_at + idle.as_millis() as i64 <= millis(now)
        {
            return Ok(Refreshed::Refused);
        }
        sqlx::query("UPDATE tokens SET used_at = ? WHERE hash = ?")
            .bind(millis(now))
            .bind(&hash)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE token_families SET last_used_at = ? WHERE id = ?")
            .bind(millis(now))
            .bind(&family)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        let user = self.user(id(&user)?).await?;
        Ok(user.map_or(Refreshed::Refused, |user| Refreshed::Rotated(Grant { user, family })))
    }

    /// Ends the family that a refresh token belongs to; an unknown one is no error.
    pub async fn end_family_of(&self, refresh: &Token, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE token_families SET ended_at = coalesce(ended_at, ?)
             WHERE id = (SELECT family_id FROM tokens WHERE hash = ? AND kind = 'refresh')",
        )
        .bind(millis(now))
        .bind(hash(refresh))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Whether a sign-in has not been ended.
    pub async fn family_is_live(&self, family: &str) -> Result<bool, StoreError> {
        let found: Option<(i64,)> =
            sqlx::query_as("SELECT 1 FROM token_families WHERE id = ? AND ended_at IS NULL")
                .bind(family)
                .fetch_optional(&self.pool)
                .await?;
        Ok(found.is_some())
    }

    /// Forgets tokens that ended before `before`: login tokens a day after their end, so that
    /// the reuse of a recent refresh token is still recognised.
    pub async fn forget_tokens(&self, before: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM tokens WHERE expires_at < ?")
            .bind(millis(before))
            .execute(&self.pool)
            .await?;
        sqlx::query("DELETE FROM media_tokens WHERE expires_at < ?")
            .bind(millis(before))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Stores a media token.
    pub async fn add_media_token(
        &self,
        token: &Token,
        session: SessionId,
        user: UserId,
        expires_at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO media_tokens (hash, session_id, user_id, expires_at) VALUES (?, ?, ?, ?)")
            .bind(hash(token))
            .bind(session.to_string())
            .bind(user.to_string())
            .bind(millis(expires_at))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Whether a media token is for this session and person and has not ended. Whether they are
    /// still admitted is the session's to say.
    pub async fn media_token_is_valid(
        &self,
        token: &Token,
        session: SessionId,
        user: UserId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = sqlx::query_as(
            "SELECT 1 FROM media_tokens WHERE hash = ? AND session_id = ? AND user_id = ? AND expires_at > ?",
        )
        .bind(hash(token))
        .bind(session.to_string())
        .bind(user.to_string())
        .bind(millis(now))
        .fetch_optional(&self.pool)
        .await?;
        Ok(found.is_some())
    }
}
