//! The record of a visit: who was in it, and what happened.

use std::sync::LazyLock;

use bedside_protocol::{DeviceType, Participant, SessionEvent, SessionEventType, SessionId, Text, UserId};

use super::{
    SessionRow, Store, StoreError, Unit, from_word,
    sql::{Query, Row, inserts, sql},
    word,
};

/// What somebody sits at, as their client says.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct SitsAt {
    /// The kind of device.
    pub device_type: Option<DeviceType>,
    /// Browser or app.
    pub browser: Option<Text>,
    /// Operating system.
    pub os: Option<Text>,
}

/// Something that happened, to be stored with the change that it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewEvent {
    session: SessionId,
    kind: SessionEventType,
    user: Option<UserId>,
}

/// Events that one statement writes at the most: more than one change is of.
const INSERTED: usize = 8;
/// What writes one event, two, and so on.
pub(super) static EVENTS: LazyLock<[String; INSERTED]> =
    LazyLock::new(|| inserts("session_events (session_id, event_type, user_id, created_at)", 4));

fn event(row: &Row) -> Result<SessionEvent, StoreError> {
    Ok(SessionEvent {
        id: row.get("id")?,
        event_type: row
            .get::<String>("event_type")?
            .parse()
            .map_err(|_| StoreError::Unreadable("session event"))?,
        user_id: row.get("user_id")?,
        created_at: row.get("created_at")?,
    })
}

impl SitsAt {
    /// Whether nothing was said.
    pub const fn is_unsaid(&self) -> bool {
        self.device_type.is_none() && self.browser.is_none() && self.os.is_none()
    }
}

impl Store {
    /// Who was in the call of a visit, in the order in which they came; what they measured is not among it.
    pub async fn participants(&self, of: &SessionRow) -> Result<Vec<Participant>, StoreError> {
        let rows = sql!(
            "SELECT user_id, joined_at, left_at, rejoin_count, device_type, browser, os FROM session_participants
             WHERE session_id = $1 ORDER BY joined_at, user_id"
        )
        .bind(of.id)
        .fetch_all(&mut self.reader().await?)
        .await?;
        let read = |row: &Row| {
            let user_id: UserId = row.get("user_id")?;
            Ok(Participant {
                user_id,
                party: of.party(user_id).ok_or(StoreError::Unreadable("participant"))?,
                joined_at: row.get("joined_at")?,
                left_at: row.get("left_at")?,
                rejoin_count: row.get::<u64>("rejoin_count")?.try_into().unwrap_or(u32::MAX),
                device_type: row
                    .get::<Option<String>>("device_type")?
                    .map(|word| from_word(&word))
                    .transpose()?,
                browser: row.get("browser")?,
                os: row.get("os")?,
                avg_audio_level: None,
                avg_video_bitrate: None,
                packet_loss_percent: None,
            })
        };
        rows.iter().map(read).collect()
    }

    /// What happened in a visit after an event, in order.
    pub async fn events(
        &self,
        session: SessionId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<SessionEvent>, StoreError> {
        let rows = sql!(
            "SELECT id, event_type, user_id, created_at FROM session_events WHERE session_id = $1 AND id > $2
             ORDER BY id LIMIT $3"
        )
        .bind(session)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(event).collect()
    }
}

impl Unit {
    /// Something happened in a visit: written with the end of the change.
    pub fn happened(&mut self, session: SessionId, kind: SessionEventType, user: Option<UserId>) {
        self.events.push(NewEvent { session, kind, user });
    }

    /// Writes what happened.
    pub(super) async fn write_events(&mut self) -> Result<(), StoreError> {
        for events in self.events.chunks(INSERTED) {
            let mut query = Query::new(&EVENTS[events.len() - 1]);
            for event in events {
                query = query.bind(event.session).bind(event.kind.as_str()).bind(event.user).bind(self.now);
            }
            query.execute(&mut self.tx).await?;
        }
        Ok(())
    }

    /// Somebody has switched one of these on or off, unless that is known already. Where nothing is known it is taken
    /// to be as the first of `both` says.
    pub async fn switched(
        &mut self,
        session: SessionId,
        user: UserId,
        both: [SessionEventType; 2],
        is_as_first: bool,
    ) -> Result<(), StoreError> {
        let [first, second] = both.map(SessionEventType::as_str);
        sql!(
            "INSERT INTO session_events (session_id, event_type, user_id, created_at)
             SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS BIGINT)
             WHERE coalesce((SELECT e.event_type FROM session_events e WHERE e.session_id = $1 AND e.user_id = $3
             AND e.event_type IN ($5, $6) ORDER BY e.id DESC LIMIT 1), $5) <> $2"
        )
        .bind(session)
        .bind(if is_as_first { first } else { second })
        .bind(user)
        .bind(self.now)
        .bind(first)
        .bind(second)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Somebody has entered the call, the first time or again.
    pub async fn participant_joined(
        &mut self,
        session: SessionId,
        user: UserId,
        at: &SitsAt,
    ) -> Result<(), StoreError> {
        sql!(
            "INSERT INTO session_participants (session_id, user_id, joined_at, device_type, browser, os)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (session_id, user_id) DO UPDATE SET left_at = NULL,
             rejoin_count = session_participants.rejoin_count + 1,
             device_type = coalesce(excluded.device_type, session_participants.device_type),
             browser = coalesce(excluded.browser, session_participants.browser),
             os = coalesce(excluded.os, session_participants.os)"
        )
        .bind(session)
        .bind(user)
        .bind(self.now)
        .bind(at.device_type.as_ref().map(word).transpose()?)
        .bind(at.browser.as_ref().map(Text::reveal))
        .bind(at.os.as_ref().map(Text::reveal))
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Whoever is in the call sits at this now.
    pub async fn participant_sits_at(
        &mut self,
        session: SessionId,
        user: UserId,
        at: &SitsAt,
    ) -> Result<(), StoreError> {
        sql!(
            "UPDATE session_participants SET device_type = coalesce($1, device_type), browser = coalesce($2, browser),
             os = coalesce($3, os) WHERE session_id = $4 AND user_id = $5"
        )
        .bind(at.device_type.as_ref().map(word).transpose()?)
        .bind(at.browser.as_ref().map(Text::reveal))
        .bind(at.os.as_ref().map(Text::reveal))
        .bind(session)
        .bind(user)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Somebody has left it, or everybody.
    pub async fn participant_left(
        &mut self,
        session: SessionId,
        user: Option<UserId>,
    ) -> Result<(), StoreError> {
        sql!(
            "UPDATE session_participants SET left_at = $1 WHERE session_id = $2 AND left_at IS NULL
             AND (CAST($3 AS TEXT) IS NULL OR user_id = $3)"
        )
        .bind(self.now)
        .bind(session)
        .bind(user)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}
