//! Chat messages, how far they have come, and what is attached to them.

use std::collections::HashMap;

use bedside_protocol::{
    Attachment, AttachmentId, ChatMessage, ChatPage, ClientMessageId, MessageId, MessageStatus, MessageType,
    OutgoingMessage, Party, SessionEventType, SessionId, Text, UserId,
};
use bedside_sealing::Keys;
use jiff::Timestamp;

use super::{
    SessionRow, Store, StoreError, Unit, from_word, sealed,
    sql::{Connection, Row, sql},
    word,
};

/// What came of storing a message.
#[derive(Debug)]
pub struct NewMessage {
    /// As stored.
    pub message: ChatMessage,
    /// Whether it was new; otherwise its writer sent it before.
    pub is_new: bool,
}

/// Keeps a visit as it is, and other messages and files out of it.
pub(super) const SESSION: &str = "SELECT id FROM consultation_sessions WHERE id = $1 FOR NO KEY UPDATE";

/// Messages, as [`message`] reads them; what follows says which.
macro_rules! select {
    ($which:literal) => {
        sql!(
            "SELECT m.id, m.session_id, m.seq, m.client_message_id, m.sender_id, u.name AS sender_name,
             m.message_type, m.content, m.sealed_with, m.created_at, m.delivered_at, m.read_at, m.deleted_at, a.id AS attachment_id,
             a.file_name, a.file_size, a.mime_type, a.has_thumbnail FROM chat_messages m JOIN users u ON u.id = m.sender_id
             LEFT JOIN attachments a ON a.id = m.attachment_id ",
            $which
        )
    };
}

/// Where a small picture of one is.
pub(crate) fn thumbnail_url(session: SessionId, id: AttachmentId) -> String {
    format!("/api/v1/consultations/sessions/{session}/attachments/{id}/thumbnail")
}

pub(super) fn attachment(row: &Row, session: SessionId) -> Result<Attachment, StoreError> {
    let id: AttachmentId = row.get("attachment_id")?;
    let has_thumbnail: bool = row.get("has_thumbnail")?;
    Ok(Attachment {
        attachment_id: id,
        thumbnail_url: has_thumbnail.then(|| thumbnail_url(session, id)),
        file_name: row.get("file_name")?,
        file_size: row.get("file_size")?,
        mime_type: row.get("mime_type")?,
    })
}

fn message(
    row: &Row,
    of: &SessionRow,
    progress: &HashMap<UserId, (u64, u64)>,
    keys: &Keys,
) -> Result<ChatMessage, StoreError> {
    let id: MessageId = row.get("id")?;
    let sender: UserId = row.get("sender_id")?;
    let seq = row.get("seq")?;
    let party = of.party(sender).unwrap_or(Party::Doctor);
    let (delivered, read) = progress.get(&of.user(party.other())).copied().unwrap_or_default();
    let has_attachment = row.get::<Option<String>>("attachment_id")?.is_some();
    Ok(ChatMessage {
        message_id: id,
        client_message_id: row.get("client_message_id")?,
        session_id: of.id,
        seq,
        sender_id: sender,
        sender_name: row.get("sender_name")?,
        sender_type: party,
        message_type: from_word(&row.get::<String>("message_type")?)?,
        content: sealed::read(keys, &sealed::of_message(id), row.get("content")?, row.get("sealed_with")?)?,
        attachment: has_attachment.then(|| attachment(row, of.id)).transpose()?,
        status: if seq <= read {
            MessageStatus::Read
        } else if seq <= delivered {
            MessageStatus::Delivered
        } else {
            MessageStatus::Sent
        },
        delivered_at: row.get("delivered_at")?,
        read_at: row.get("read_at")?,
        is_deleted: row.get::<Option<Timestamp>>("deleted_at")?.is_some(),
        timestamp: row.get("created_at")?,
    })
}

/// How far each side has got: delivered, read.
async fn chat_progress(
    database: &mut Connection,
    session: SessionId,
) -> Result<HashMap<UserId, (u64, u64)>, StoreError> {
    let rows = sql!("SELECT user_id, delivered_seq, read_seq FROM chat_progress WHERE session_id = $1")
        .bind(session)
        .fetch_all(database)
        .await?;
    rows.iter()
        .map(|row| Ok((row.get("user_id")?, (row.get("delivered_seq")?, row.get("read_seq")?))))
        .collect()
}

impl Store {
    /// A page of a visit's chat: up to `limit` messages before `before`, or after `after`, or
    /// the newest ones.
    pub async fn chat_page(
        &self,
        of: &SessionRow,
        before: Option<u64>,
        after: Option<u64>,
        limit: u32,
    ) -> Result<ChatPage, StoreError> {
        // One more than asked for tells whether there are more.
        let wanted = limit as usize;
        let (from, to, query) = match after {
            Some(after) => {
                let query =
                    select!("WHERE m.session_id = $1 AND m.seq BETWEEN $2 AND $3 ORDER BY m.seq LIMIT $4");
                (after.saturating_add(1), u64::MAX, query)
            }
            None => {
                let query = select!(
                    "WHERE m.session_id = $1 AND m.seq BETWEEN $2 AND $3 ORDER BY m.seq DESC LIMIT $4"
                );
                (0, before.map_or(u64::MAX, |before| before.saturating_sub(1)), query)
            }
        };
        let mut reader = self.reader().await?;
        let query = query.bind(of.id).bind(from).bind(to).bind(i64::from(limit) + 1);
        let rows = query.fetch_all(&mut reader).await?;
        let progress = chat_progress(&mut reader, of.id).await?;
        let deleted = sql!(
            "SELECT seq FROM chat_messages WHERE session_id = $1 AND deleted_at IS NOT NULL ORDER BY seq"
        )
        .bind(of.id)
        .fetch_all(&mut reader)
        .await?;
        let deleted = deleted.iter().map(|row| row.get("seq")).collect::<Result<Vec<u64>, _>>()?;
        let more = rows.len() > wanted;
        let mut items = rows
            .iter()
            .take(wanted)
            .map(|row| message(row, of, &progress, self.keys()))
            .collect::<Result<Vec<_>, _>>()?;
        if after.is_none() {
            items.reverse();
        }
        Ok(if after.is_some() {
            ChatPage { has_older: items.first().is_some_and(|m| m.seq > 1), has_newer: more, items, deleted }
        } else {
            ChatPage { has_older: more, has_newer: before.is_some(), items, deleted }
        })
    }

    /// How many messages a visit has that somebody wrote, or had before they were forgotten.
    pub async fn chat_count(&self, session: SessionId) -> Result<u64, StoreError> {
        let row = sql!(
            "SELECT s.forgotten_messages + (SELECT count(*) FROM chat_messages m WHERE m.session_id = s.id
             AND m.message_type <> 'system' AND m.deleted_at IS NULL) AS messages
             FROM consultation_sessions s WHERE s.id = $1"
        )
        .bind(session)
        .fetch_one(&mut self.reader().await?)
        .await?;
        row.get("messages")
    }
}

impl Unit {
    /// Stores a message once: the same `client_message_id` from the same writer again gives the message as
    /// stored the first time, even after the visit's end. None where the visit has ended and had no such message.
    pub async fn add_message(
        &mut self,
        of: &SessionRow,
        sender: UserId,
        outgoing: &OutgoingMessage,
    ) -> Result<Option<NewMessage>, StoreError> {
        let id = MessageId::generate();
        let sealed = self.keys.seal_text(&sealed::of_message(id), outgoing.content.reveal());
        // One after the other, as they are numbered; and an end of the visit comes before it or after it.
        self.tx.lock(SESSION, of.id).await?;
        let added = sql!(
            "INSERT INTO chat_messages (id, session_id, seq, client_message_id, sender_id, message_type, content,
             attachment_id, created_at, sealed_with)
             SELECT CAST($1 AS TEXT), id, (SELECT coalesce(max(seq), 0) + 1 FROM chat_messages
             WHERE session_id = $2), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT),
             CAST($7 AS TEXT), CAST($8 AS BIGINT), CAST($9 AS TEXT) FROM consultation_sessions
             WHERE id = $2 AND ended_at IS NULL
             ON CONFLICT (session_id, sender_id, client_message_id) DO NOTHING",
        )
        .bind(id)
        .bind(of.id)
        .bind(outgoing.client_message_id)
        .bind(sender)
        .bind(word(&outgoing.message_type)?)
        .bind(sealed.text)
        .bind(outgoing.attachment_id)
        .bind(self.now)
        .bind(sealed.key)
        .execute(&mut self.tx)
        .await?;
        let row = select!("WHERE m.session_id = $1 AND m.sender_id = $2 AND m.client_message_id = $3")
            .bind(of.id)
            .bind(sender)
            .bind(outgoing.client_message_id)
            .fetch_optional(&mut self.tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let progress = chat_progress(&mut self.tx, of.id).await?;
        Ok(Some(NewMessage { message: message(&row, of, &progress, &self.keys)?, is_new: added == 1 }))
    }

    /// Notes how far a participant has got, at most to the newest message; never goes back. Gives how far that is
    /// when it is news.
    pub async fn advance_chat(
        &mut self,
        session: SessionId,
        user: UserId,
        seq: u64,
        status: MessageStatus,
    ) -> Result<Option<u64>, StoreError> {
        let top: i64 = sql!("SELECT coalesce(max(seq), 0) AS top FROM chat_messages WHERE session_id = $1")
            .bind(session)
            .fetch_one(&mut self.tx)
            .await?
            .get("top")?;
        let seq = i64::try_from(seq).map_or(top, |seq| seq.min(top));
        let read = if status == MessageStatus::Read { seq } else { 0 };
        let advanced = sql!(
            "INSERT INTO chat_progress (session_id, user_id, delivered_seq, read_seq) VALUES ($1, $2, $3, $4)
             ON CONFLICT (session_id, user_id) DO UPDATE SET
             delivered_seq = CASE WHEN excluded.delivered_seq > chat_progress.delivered_seq
             THEN excluded.delivered_seq ELSE chat_progress.delivered_seq END,
             read_seq = CASE WHEN excluded.read_seq > chat_progress.read_seq
             THEN excluded.read_seq ELSE chat_progress.read_seq END
             WHERE excluded.delivered_seq > chat_progress.delivered_seq
             OR excluded.read_seq > chat_progress.read_seq",
        )
        .bind(session)
        .bind(user)
        .bind(seq)
        .bind(read)
        .execute(&mut self.tx)
        .await?;
        if advanced == 0 {
            return Ok(None);
        }
        sql!(
            "UPDATE chat_messages SET delivered_at = coalesce(delivered_at, $1),
             read_at = CASE WHEN seq <= $2 THEN coalesce(read_at, $1) ELSE read_at END
             WHERE session_id = $3 AND sender_id <> $4 AND seq <= $5
             AND (delivered_at IS NULL OR (read_at IS NULL AND seq <= $2))"
        )
        .bind(self.now)
        .bind(read)
        .bind(session)
        .bind(user)
        .bind(seq)
        .execute(&mut self.tx)
        .await?;
        Ok(Some(seq.unsigned_abs()))
    }

    /// Stores a message that nobody wrote, about somebody in a visit. None where the visit has ended.
    pub async fn add_system_message(
        &mut self,
        of: &SessionRow,
        about: UserId,
        what: SessionEventType,
    ) -> Result<Option<ChatMessage>, StoreError> {
        let outgoing = OutgoingMessage {
            session_id: of.id,
            client_message_id: ClientMessageId::generate(),
            message_type: MessageType::System,
            content: Text::new(what.as_str()),
            attachment_id: None,
        };
        Ok(self.add_message(of, about, &outgoing).await?.map(|new| new.message))
    }

    /// Takes a message back that `writer` wrote: its words are gone, and its file with it. None where there is no such
    /// message of theirs, or the visit has ended.
    pub async fn delete_message(
        &mut self,
        of: &SessionRow,
        writer: UserId,
        message_id: MessageId,
    ) -> Result<Option<ChatMessage>, StoreError> {
        self.tx.lock(SESSION, of.id).await?;
        let row = select!(
            "WHERE m.session_id = $1 AND m.sender_id = $2 AND m.id = $3 AND m.message_type <> 'system'
             AND EXISTS (SELECT 1 FROM consultation_sessions s WHERE s.id = m.session_id AND s.ended_at IS NULL)"
        )
        .bind(of.id)
        .bind(writer)
        .bind(message_id)
        .fetch_optional(&mut self.tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let progress = chat_progress(&mut self.tx, of.id).await?;
        let mut taken_back = message(&row, of, &progress, &self.keys)?;
        sql!(
            "UPDATE chat_messages SET content = '', sealed_with = NULL, attachment_id = NULL, deleted_at = coalesce(deleted_at, $1)
             WHERE id = $2"
        )
        .bind(self.now)
        .bind(message_id)
        .execute(&mut self.tx)
        .await?;
        if let Some(attachment) = taken_back.attachment.take() {
            self.forget_attachment(attachment.attachment_id).await?;
        }
        taken_back.content = Text::default();
        taken_back.is_deleted = true;
        Ok(Some(taken_back))
    }
}
