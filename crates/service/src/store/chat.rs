//! Chat messages, how far they have come, and what is attached to them.

use std::collections::HashMap;

use bedside_protocol::{
    Attachment, AttachmentId, ChatMessage, ChatPage, MessageId, MessageStatus, OutgoingMessage, Party,
    SessionId, Text, User, UserId,
};
use sqlx::{FromRow, Row, SqliteExecutor, sqlite::SqliteRow};

use super::{SessionRow, Store, StoreError, Unit, from_word, id, instant, millis, word};

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

const MESSAGE: &str = "SELECT m.id, m.session_id, m.seq, m.client_message_id, m.sender_id, u.name AS sender_name,
    m.message_type, m.content, m.created_at, a.id AS attachment_id, a.file_name, a.file_size, a.mime_type
    FROM chat_messages m JOIN users u ON u.id = m.sender_id LEFT JOIN attachments a ON a.id = m.attachment_id";

fn attachment(row: &SqliteRow) -> Result<Attachment, StoreError> {
    let size: i64 = row.try_get("file_size")?;
    Ok(Attachment {
        attachment_id: id(&row.try_get::<String, _>("attachment_id")?)?,
        file_name: Text::new(row.try_get::<String, _>("file_name")?),
        file_size: size.unsigned_abs(),
        mime_type: row.try_get("mime_type")?,
    })
}

fn message(
    row: &SqliteRow,
    of: &SessionRow,
    progress: &HashMap<UserId, (u64, u64)>,
) -> Result<ChatMessage, StoreError> {
    let sender: UserId = id(&row.try_get::<String, _>("sender_id")?)?;
    let seq = row.try_get::<i64, _>("seq")?.unsigned_abs();
    let party = of.party(sender).unwrap_or(Party::Doctor);
    let (delivered, read) = progress.get(&of.user(party.other())).copied().unwrap_or_default();
    let has_attachment = row.try_get::<Option<String>, _>("attachment_id")?.is_some();
    Ok(ChatMessage {
        message_id: id(&row.try_get::<String, _>("id")?)?,
        client_message_id: id(&row.try_get::<String, _>("client_message_id")?)?,
        session_id: of.id,
        seq,
        sender_id: sender,
        sender_name: Text::new(row.try_get::<String, _>("sender_name")?),
        sender_type: party,
        message_type: from_word(&row.try_get::<String, _>("message_type")?)?,
        content: Text::new(row.try_get::<String, _>("content")?),
        attachment: has_attachment.then(|| attachment(row)).transpose()?,
        status: if seq <= read {
            MessageStatus::Read
        } else if seq <= delivered {
            MessageStatus::Delivered
        } else {
            MessageStatus::Sent
        },
        timestamp: instant(row.try_get("created_at")?)?,
    })
}

/// How far each side has got: delivered, read.
async fn chat_progress<'c>(
    database: impl SqliteExecutor<'c>,
    session: SessionId,
) -> Result<HashMap<UserId, (u64, u64)>, StoreError> {
    #[derive(FromRow)]
    struct Progress {
        user_id: String,
        delivered_seq: i64,
        read_seq: i64,
    }
    let rows: Vec<Progress> =
        sqlx::query_as("SELECT user_id, delivered_seq, read_seq FROM chat_progress WHERE session_id = $1")
            .bind(session.to_string())
            .fetch_all(database)
            .await?;
    rows.into_iter()
        .map(|row| Ok((id(&row.user_id)?, (row.delivered_seq.unsigned_abs(), row.read_seq.unsigned_abs()))))
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
        let (from, to, order) = match after {
            Some(after) => (after as i64 + 1, i64::MAX, "ASC"),
            None => (0, before.map_or(i64::MAX, |before| before as i64 - 1), "DESC"),
        };
        let query = format!(
            "{MESSAGE} WHERE m.session_id = ? AND m.seq BETWEEN ? AND ? ORDER BY m.seq {order} LIMIT ?"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(of.id.to_string())
            .bind(from)
            .bind(to)
            .bind(i64::from(limit) + 1)
            .fetch_all(&self.reader)
            .await?;
        let progress = chat_progress(&self.reader, of.id).await?;
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
        let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM chat_messages WHERE session_id = ?")
            .bind(session.to_string())
            .fetch_one(&self.reader)
            .await?;
        Ok(count.unsigned_abs())
    }

    /// Bytes of all files of a visit.
    pub async fn attachment_bytes(&self, session: SessionId) -> Result<u64, StoreError> {
        let (sum,): (i64,) =
            sqlx::query_as("SELECT coalesce(sum(file_size), 0) FROM attachments WHERE session_id = ?")
                .bind(session.to_string())
                .fetch_one(&self.reader)
                .await?;
        Ok(sum.unsigned_abs())
    }

    /// One attachment.
    pub async fn attachment(&self, which: AttachmentId) -> Result<Option<StoredAttachment>, StoreError> {
        let row = sqlx::query(
            "SELECT id AS attachment_id, session_id, file_name, file_size, mime_type FROM attachments WHERE id = ?",
        )
        .bind(which.to_string())
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| {
            Ok(StoredAttachment {
                session: id(&row.try_get::<String, _>("session_id")?)?,
                attachment: attachment(&row)?,
            })
        })
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
        // In one statement with the look whether it is open: an end side by side comes before it or after it.
        let done = sqlx::query(
            "INSERT INTO chat_messages (id, session_id, seq, client_message_id, sender_id, message_type, content,
             attachment_id, created_at) SELECT $1, $2, (SELECT coalesce(max(seq), 0) + 1 FROM chat_messages
             WHERE session_id = $2), $3, $4, $5, $6, $7, $8 FROM consultation_sessions
             WHERE id = $2 AND ended_at IS NULL
             ON CONFLICT (session_id, sender_id, client_message_id) DO NOTHING",
        )
        .bind(MessageId::generate().to_string())
        .bind(of.id.to_string())
        .bind(outgoing.client_message_id.to_string())
        .bind(sender.id.to_string())
        .bind(word(&outgoing.message_type)?)
        .bind(outgoing.content.reveal())
        .bind(outgoing.attachment_id.map(|id| id.to_string()))
        .bind(millis(self.now))
        .execute(&mut *self.tx)
        .await?;
        let query =
            format!("{MESSAGE} WHERE m.session_id = $1 AND m.sender_id = $2 AND m.client_message_id = $3");
        let row = sqlx::query(sqlx::AssertSqlSafe(query))
            .bind(of.id.to_string())
            .bind(sender.id.to_string())
            .bind(outgoing.client_message_id.to_string())
            .fetch_optional(&mut *self.tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        let progress = chat_progress(&mut *self.tx, of.id).await?;
        Ok(Some(NewMessage { message: message(&row, of, &progress)?, is_new: done.rows_affected() == 1 }))
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
        let (top,): (i64,) =
            sqlx::query_as("SELECT coalesce(max(seq), 0) FROM chat_messages WHERE session_id = $1")
                .bind(session.to_string())
                .fetch_one(&mut *self.tx)
                .await?;
        let seq = i64::try_from(seq).map_or(top, |seq| seq.min(top));
        let read = if status == MessageStatus::Read { seq } else { 0 };
        let done = sqlx::query(
            "INSERT INTO chat_progress (session_id, user_id, delivered_seq, read_seq) VALUES ($1, $2, $3, $4)
             ON CONFLICT (session_id, user_id) DO UPDATE SET
             delivered_seq = CASE WHEN excluded.delivered_seq > chat_progress.delivered_seq
             THEN excluded.delivered_seq ELSE chat_progress.delivered_seq END,
             read_seq = CASE WHEN excluded.read_seq > chat_progress.read_seq
             THEN excluded.read_seq ELSE chat_progress.read_seq END
             WHERE excluded.delivered_seq > chat_progress.delivered_seq
             OR excluded.read_seq > chat_progress.read_seq",
        )
        .bind(session.to_string())
        .bind(user.to_string())
        .bind(seq)
        .bind(read)
        .execute(&mut *self.tx)
        .await?;
        Ok((done.rows_affected() == 1).then_some(seq.unsigned_abs()))
    }

    /// Notes an attachment whose bytes have been stored, unless the visit's would be more than `most` with it.
    pub async fn add_attachment(
        &mut self,
        session: SessionId,
        owner: UserId,
        attachment: &Attachment,
        most: u64,
    ) -> Result<bool, StoreError> {
        let size = i64::try_from(attachment.file_size).unwrap_or(i64::MAX);
        let done = sqlx::query(
            "INSERT INTO attachments (id, session_id, owner_id, file_name, file_size, mime_type, created_at)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE (SELECT coalesce(sum(file_size), 0) FROM attachments WHERE session_id = $2) + $5 <= $8",
        )
        .bind(attachment.attachment_id.to_string())
        .bind(session.to_string())
        .bind(owner.to_string())
        .bind(attachment.file_name.reveal())
        .bind(size)
        .bind(&attachment.mime_type)
        .bind(millis(self.now))
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
