//! Chat messages, how far they have come, and what is attached to them.

use std::collections::HashMap;

use bedside_protocol::{
    Attachment, AttachmentId, ChatMessage, ChatPage, MessageId, MessageStatus, OutgoingMessage, Party,
    SessionId, User, UserId,
};

use super::{
    SessionRow, Store, StoreError, Unit, from_word,
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

/// An attachment and where it belongs.
#[derive(Debug)]
pub struct StoredAttachment {
    /// In which visit.
    pub session: SessionId,
    /// What it is.
    pub attachment: Attachment,
}

/// Keeps a visit as it is, and other messages and files out of it.
const SESSION: &str = "SELECT id FROM consultation_sessions WHERE id = $1 FOR NO KEY UPDATE";

/// Messages, as [`message`] reads them; what follows says which.
macro_rules! select {
    ($which:literal) => {
        sql!(
            "SELECT m.id, m.session_id, m.seq, m.client_message_id, m.sender_id, u.name AS sender_name,
             m.message_type, m.content, m.created_at, a.id AS attachment_id, a.file_name, a.file_size, a.mime_type
             FROM chat_messages m JOIN users u ON u.id = m.sender_id
             LEFT JOIN attachments a ON a.id = m.attachment_id ",
            $which
        )
    };
}

fn attachment(row: &Row) -> Result<Attachment, StoreError> {
    Ok(Attachment {
        attachment_id: row.get("attachment_id")?,
        file_name: row.get("file_name")?,
        file_size: row.get("file_size")?,
        mime_type: row.get("mime_type")?,
    })
}

fn message(
    row: &Row,
    of: &SessionRow,
    progress: &HashMap<UserId, (u64, u64)>,
) -> Result<ChatMessage, StoreError> {
    let sender: UserId = row.get("sender_id")?;
    let seq = row.get("seq")?;
    let party = of.party(sender).unwrap_or(Party::Doctor);
    let (delivered, read) = progress.get(&of.user(party.other())).copied().unwrap_or_default();
    let has_attachment = row.get::<Option<String>>("attachment_id")?.is_some();
    Ok(ChatMessage {
        message_id: row.get("id")?,
        client_message_id: row.get("client_message_id")?,
        session_id: of.id,
        seq,
        sender_id: sender,
        sender_name: row.get("sender_name")?,
        sender_type: party,
        message_type: from_word(&row.get::<String>("message_type")?)?,
        content: row.get("content")?,
        attachment: has_attachment.then(|| attachment(row)).transpose()?,
        status: if seq <= read {
            MessageStatus::Read
        } else if seq <= delivered {
            MessageStatus::Delivered
        } else {
            MessageStatus::Sent
        },
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
        let more = rows.len() > wanted;
        let mut items =
            rows.iter().take(wanted).map(|row| message(row, of, &progress)).collect::<Result<Vec<_>, _>>()?;
        if after.is_none() {
            items.reverse();
        }
        Ok(if after.is_some() {
            ChatPage { has_older: items.first().is_some_and(|m| m.seq > 1), has_newer: more, items }
        } else {
            ChatPage { has_older: more, has_newer: before.is_some(), items }
        })
    }

    /// How many messages a visit has.
    pub async fn chat_count(&self, session: SessionId) -> Result<u64, StoreError> {
        let row = sql!("SELECT count(*) AS messages FROM chat_messages WHERE session_id = $1")
            .bind(session)
            .fetch_one(&mut self.reader().await?)
            .await?;
        row.get("messages")
    }

    /// Bytes of all files of a visit.
    pub async fn attachment_bytes(&self, session: SessionId) -> Result<u64, StoreError> {
        let row = sql!(
            "SELECT CAST(coalesce(sum(file_size), 0) AS BIGINT) AS bytes FROM attachments WHERE session_id = $1"
        )
        .bind(session)
        .fetch_one(&mut self.reader().await?)
        .await?;
        row.get("bytes")
    }

    /// One attachment.
    pub async fn attachment(&self, which: AttachmentId) -> Result<Option<StoredAttachment>, StoreError> {
        let row = sql!(
            "SELECT id AS attachment_id, session_id, file_name, file_size, mime_type FROM attachments
             WHERE id = $1",
        )
        .bind(which)
        .fetch_optional(&mut self.reader().await?)
        .await?;
        row.map(|row| Ok(StoredAttachment { session: row.get("session_id")?, attachment: attachment(&row)? }))
            .transpose()
    }
}

impl Unit {
    /// Stores a message once: the same `client_message_id` from the same writer again gives the message as
    /// stored the first time, even after the visit's end. None where the visit has ended and had no such message.
    pub async fn add_message(
        &mut self,
        of: &SessionRow,
        sender: &User,
        outgoing: &OutgoingMessage,
    ) -> Result<Option<NewMessage>, StoreError> {
        // One after the other, as they are numbered; and an end of the visit comes before it or after it.
        self.tx.lock(SESSION, of.id).await?;
        let added = sql!(
            "INSERT INTO chat_messages (id, session_id, seq, client_message_id, sender_id, message_type, content,
             attachment_id, created_at)
             SELECT CAST($1 AS TEXT), id, (SELECT coalesce(max(seq), 0) + 1 FROM chat_messages
             WHERE session_id = $2), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT),
             CAST($7 AS TEXT), CAST($8 AS BIGINT) FROM consultation_sessions
             WHERE id = $2 AND ended_at IS NULL
             ON CONFLICT (session_id, sender_id, client_message_id) DO NOTHING",
        )
        .bind(MessageId::generate())
        .bind(of.id)
        .bind(outgoing.client_message_id)
        .bind(sender.id)
        .bind(word(&outgoing.message_type)?)
        .bind(outgoing.content.reveal())
        .bind(outgoing.attachment_id)
        .bind(self.now)
        .execute(&mut self.tx)
        .await?;
        let row = select!("WHERE m.session_id = $1 AND m.sender_id = $2 AND m.client_message_id = $3")
            .bind(of.id)
            .bind(sender.id)
            .bind(outgoing.client_message_id)
            .fetch_optional(&mut self.tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let progress = chat_progress(&mut self.tx, of.id).await?;
        Ok(Some(NewMessage { message: message(&row, of, &progress)?, is_new: added == 1 }))
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
        Ok((advanced == 1).then_some(seq.unsigned_abs()))
    }

    /// Notes an attachment whose bytes have been stored, unless the visit's would be more than `most` with it.
    pub async fn add_attachment(
        &mut self,
        session: SessionId,
        owner: UserId,
        attachment: &Attachment,
        most: u64,
    ) -> Result<bool, StoreError> {
        self.tx.lock(SESSION, session).await?;
        let added = sql!(
            "INSERT INTO attachments (id, session_id, owner_id, file_name, file_size, mime_type, created_at)
             SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT),
             CAST($6 AS TEXT), CAST($7 AS BIGINT)
             WHERE (SELECT coalesce(sum(file_size), 0) FROM attachments WHERE session_id = $2) + $5 <= $8",
        )
        .bind(attachment.attachment_id)
        .bind(session)
        .bind(owner)
        .bind(attachment.file_name.reveal())
        .bind(attachment.file_size)
        .bind(attachment.mime_type.as_str())
        .bind(self.now)
        .bind(most)
        .execute(&mut self.tx)
        .await?;
        Ok(added == 1)
    }
}
