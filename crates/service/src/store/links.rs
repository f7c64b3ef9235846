//! Links into one visit, in its patient's place. They open once, and only their SHA-256 is stored.

use bedside_protocol::{LinkId, LinkListing, Role, SessionId, SignInId, Token, UserId};
use jiff::{SignedDuration, Timestamp};

use super::{
    Store, StoreError, Unit,
    sql::{Row, sql},
    tokens::{REPEAT_WITHIN, hash},
};

/// What came of opening a link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Which.
    pub link: LinkId,
    /// The visit that it is for.
    pub session: SessionId,
    /// The sign-in that came of opening it before, whose answer was lost.
    pub before: Option<SignInId>,
}

impl Store {
    /// Whether a link was ever made and is remembered, whether or not it opens still.
    pub async fn knows_link(&self, token: &Token) -> Result<bool, StoreError> {
        let found = sql!("SELECT id FROM visit_links WHERE hash = $1")
            .bind(hash(token))
            .fetch_optional(&mut self.reader().await?)
            .await?;
        Ok(found.is_some())
    }

    /// Links into a visit, the newest first.
    pub async fn links_of(&self, session: SessionId) -> Result<Vec<LinkListing>, StoreError> {
        let rows = sql!(
            "SELECT id, expires_at, opened_at, ended_at FROM visit_links WHERE session_id = $1
             ORDER BY created_at DESC, id DESC"
        )
        .bind(session)
        .fetch_all(&mut self.reader().await?)
        .await?;
        let read = |row: &Row| {
            Ok(LinkListing {
                link_id: row.get("id")?,
                expires_at: row.get("expires_at")?,
                opened_at: row.get("opened_at")?,
                ended_at: row.get("ended_at")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

impl Unit {
    /// Keeps a link into a visit.
    pub async fn add_link(
        &mut self,
        token: &Token,
        session: SessionId,
        by: UserId,
        lasts: SignedDuration,
    ) -> Result<LinkId, StoreError> {
        let link = LinkId::generate();
        sql!(
            "INSERT INTO visit_links (id, hash, session_id, made_by, created_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)"
        )
        .bind(link)
        .bind(hash(token))
        .bind(session)
        .bind(by)
        .bind(self.now)
        .bind(self.now + lasts)
        .execute(&mut self.tx)
        .await?;
        Ok(link)
    }

    /// Opens a link; none where there is no such one, it has run out, was taken back or was opened. Whose answer was
    /// lost may open it again within a minute, with the same attempt, which nobody else knows.
    pub async fn open_link(
        &mut self,
        token: &Token,
        attempt: Option<&Token>,
    ) -> Result<Option<Opened>, StoreError> {
        self.tx.lock("SELECT id FROM visit_links WHERE hash = $1 FOR NO KEY UPDATE", hash(token)).await?;
        let row = sql!(
            "SELECT id, session_id, expires_at, opened_at, ended_at, attempt, family_id FROM visit_links
             WHERE hash = $1"
        )
        .bind(hash(token))
        .fetch_optional(&mut self.tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let opened =
            Opened { link: row.get("id")?, session: row.get("session_id")?, before: row.get("family_id")? };
        let attempt = attempt.map(hash);
        let may_open = match row.get::<Option<Timestamp>>("opened_at")? {
            None => row.get::<Timestamp>("expires_at")? > self.now,
            Some(at) => {
                let is_same = attempt.is_some() && attempt == row.get::<Option<Vec<u8>>>("attempt")?;
                is_same && self.now < at + REPEAT_WITHIN
            }
        };
        if !may_open || row.get::<Option<Timestamp>>("ended_at")?.is_some() {
            return Ok(None);
        }
        sql!("UPDATE visit_links SET opened_at = COALESCE(opened_at, $1), attempt = $2 WHERE id = $3")
            .bind(self.now)
            .bind(attempt)
            .bind(opened.link)
            .execute(&mut self.tx)
            .await?;
        Ok(Some(opened))
    }

    /// This sign-in came of opening a link.
    pub async fn link_signed_in(&mut self, link: LinkId, family: SignInId) -> Result<(), StoreError> {
        sql!("UPDATE visit_links SET family_id = $1 WHERE id = $2")
            .bind(family)
            .bind(link)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// A code let somebody in: kept as a link that was opened, so that it is seen and can be ended like one.
    pub async fn add_opened_link(
        &mut self,
        session: SessionId,
        by: UserId,
        family: SignInId,
    ) -> Result<(), StoreError> {
        // What opens it is known to nobody.
        let token = Token::new(LinkId::generate().to_string() + &LinkId::generate().to_string());
        let link = self.add_link(&token, session, by, SignedDuration::ZERO).await?;
        sql!("UPDATE visit_links SET opened_at = $1, family_id = $2 WHERE id = $3")
            .bind(self.now)
            .bind(family)
            .bind(link)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Ends the links into a visit that those with this role have made, and the sign-ins that came of them; says which.
    pub async fn end_links_by(
        &mut self,
        session: SessionId,
        role: Role,
    ) -> Result<Vec<SignInId>, StoreError> {
        let rows = sql!(
            "UPDATE visit_links SET ended_at = $1 WHERE session_id = $2 AND ended_at IS NULL
             AND made_by IN (SELECT id FROM users WHERE role = $3) RETURNING family_id"
        )
        .bind(self.now)
        .bind(session)
        .bind(role.as_str())
        .fetch_all(&mut self.tx)
        .await?;
        let mut ended = vec![];
        for row in &rows {
            if let Some(family) = row.get::<Option<SignInId>>("family_id")? {
                self.end_family(family).await?;
                ended.push(family);
            }
        }
        Ok(ended)
    }

    /// Takes a link into this visit back, and ends the sign-in that came of it, and says which; none where there is no
    /// such link that goes on.
    pub async fn end_link(
        &mut self,
        session: SessionId,
        link: LinkId,
    ) -> Result<Option<Option<SignInId>>, StoreError> {
        let ended = sql!(
            "UPDATE visit_links SET ended_at = $1 WHERE id = $2 AND session_id = $3 AND ended_at IS NULL
             RETURNING family_id"
        )
        .bind(self.now)
        .bind(link)
        .bind(session)
        .fetch_optional(&mut self.tx)
        .await?;
        let Some(row) = ended else { return Ok(None) };
        let family: Option<SignInId> = row.get("family_id")?;
        if let Some(family) = family {
            self.end_family(family).await?;
        }
        Ok(Some(family))
    }
}
