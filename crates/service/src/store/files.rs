//! What is known of the files of visits. Their bytes are elsewhere.

use bedside_protocol::{Attachment, AttachmentId, ImageView, SessionId, SharedImage, UserId};
use jiff::Timestamp;

use super::{
    Store, StoreError, Unit,
    chat::{SESSION, attachment, thumbnail_url},
    sql::{Row, sql},
};

/// An attachment and where it belongs.
#[derive(Debug)]
pub struct StoredAttachment {
    /// In which visit.
    pub session: SessionId,
    /// What it is.
    pub attachment: Attachment,
    /// Who sent it.
    pub owner: UserId,
    /// Whether it was shared to be looked at in full, and not in the chat.
    pub is_shared: bool,
}

/// A file whose bytes have been stored.
#[derive(Debug)]
pub struct NewAttachment<'a> {
    /// In which visit.
    pub session: SessionId,
    /// Who sent it.
    pub owner: UserId,
    /// What it is.
    pub attachment: &'a Attachment,
    /// Pixels across and down, of a picture.
    pub size: Option<(u32, u32)>,
    /// Whether it is to be looked at in full, and not in the chat.
    pub is_shared: bool,
    /// Bytes that the visit's files may come to with it.
    pub most: u64,
}

fn image(row: &Row, views: Vec<ImageView>) -> Result<SharedImage, StoreError> {
    let (image_id, session_id): (AttachmentId, SessionId) = (row.get("id")?, row.get("session_id")?);
    let pixels = |name: &str| {
        let pixels = row.get::<Option<u64>>(name)?.unwrap_or(0);
        u32::try_from(pixels).map_err(|_| StoreError::Unreadable("picture"))
    };
    let has_thumbnail: bool = row.get("has_thumbnail")?;
    Ok(SharedImage {
        image_id,
        session_id,
        file_name: row.get("file_name")?,
        file_size: row.get("file_size")?,
        mime_type: row.get("mime_type")?,
        width: pixels("width")?,
        height: pixels("height")?,
        thumbnail_url: has_thumbnail.then(|| thumbnail_url(session_id, image_id)),
        shared_by: row.get("owner_id")?,
        shared_at: row.get("created_at")?,
        views,
    })
}

impl Store {
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
            "SELECT id AS attachment_id, session_id, owner_id, file_name, file_size, mime_type, has_thumbnail, is_shared
             FROM attachments WHERE id = $1",
        )
        .bind(which)
        .fetch_optional(&mut self.reader().await?)
        .await?;
        let read = |row: Row| {
            let session = row.get("session_id")?;
            let (owner, is_shared) = (row.get("owner_id")?, row.get("is_shared")?);
            Ok(StoredAttachment { session, owner, attachment: attachment(&row, session)?, is_shared })
        };
        row.map(read).transpose()
    }

    /// The pictures of a visit that were shared to be looked at in full, the first first, and who has.
    pub async fn images(&self, session: SessionId) -> Result<Vec<SharedImage>, StoreError> {
        let mut reader = self.reader().await?;
        let rows = sql!(
            "SELECT id, session_id, owner_id, file_name, file_size, mime_type, width, height, has_thumbnail, created_at
             FROM attachments WHERE session_id = $1 AND is_shared ORDER BY created_at, id"
        )
        .bind(session)
        .fetch_all(&mut reader)
        .await?;
        let views = sql!(
            "SELECT v.attachment_id, v.user_id, v.viewed_at, v.views FROM image_views v
             JOIN attachments a ON a.id = v.attachment_id WHERE a.session_id = $1 ORDER BY v.viewed_at, v.user_id"
        )
        .bind(session)
        .fetch_all(&mut reader)
        .await?;
        let view = |row: &Row| {
            let count = row.get::<u64>("views")?.try_into().unwrap_or(u32::MAX);
            let view = ImageView { user_id: row.get("user_id")?, viewed_at: row.get("viewed_at")?, count };
            Ok((row.get::<AttachmentId>("attachment_id")?, view))
        };
        let views = views.iter().map(view).collect::<Result<Vec<_>, StoreError>>()?;
        let read = |row: &Row| {
            let id: AttachmentId = row.get("id")?;
            image(row, views.iter().filter(|(of, _)| *of == id).map(|(_, view)| *view).collect())
        };
        rows.iter().map(read).collect()
    }

    /// Files that nothing points to any more, some of them.
    pub async fn files_to_remove(&self, limit: u32) -> Result<Vec<AttachmentId>, StoreError> {
        let rows = sql!("SELECT id FROM files_to_remove ORDER BY id LIMIT $1")
            .bind(i64::from(limit))
            .fetch_all(&mut self.reader().await?)
            .await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Visits that ended before `before` and whose chat is still there, some of them.
    pub async fn chats_kept_since(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<SessionId>, StoreError> {
        let rows = sql!(
            "SELECT id FROM consultation_sessions WHERE ended_at < $1 AND chat_forgotten_at IS NULL
             ORDER BY ended_at LIMIT $2"
        )
        .bind(before)
        .bind(i64::from(limit))
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(|row| row.get("id")).collect()
    }
}

impl Unit {
    /// Notes an attachment whose bytes have been stored, unless the visit's would be more than it may have.
    pub async fn add_attachment(&mut self, new: NewAttachment<'_>) -> Result<bool, StoreError> {
        let NewAttachment { session, owner, attachment, size, is_shared, most } = new;
        self.tx.lock(SESSION, session).await?;
        let (width, height) = size.unzip();
        let added = sql!(
            "INSERT INTO attachments (id, session_id, owner_id, file_name, file_size, mime_type, created_at, width,
             height, has_thumbnail, is_shared)
             SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT),
             CAST($6 AS TEXT), CAST($7 AS BIGINT), CAST($9 AS BIGINT), CAST($10 AS BIGINT), CAST($11 AS BOOLEAN),
             CAST($12 AS BOOLEAN)
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
        .bind(width.map(u64::from))
        .bind(height.map(u64::from))
        .bind(attachment.thumbnail_url.is_some())
        .bind(is_shared)
        .execute(&mut self.tx)
        .await?;
        Ok(added == 1)
    }

    /// Somebody has looked at a picture in full.
    pub async fn note_view(&mut self, image: AttachmentId, by: UserId) -> Result<(), StoreError> {
        sql!(
            "INSERT INTO image_views (attachment_id, user_id, viewed_at) VALUES ($1, $2, $3)
             ON CONFLICT (attachment_id, user_id) DO UPDATE SET views = image_views.views + 1"
        )
        .bind(image)
        .bind(by)
        .bind(self.now)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Forgets a file that no message has any more; its bytes are removed afterwards. One that another message has stays.
    pub(super) async fn forget_attachment(&mut self, which: AttachmentId) -> Result<(), StoreError> {
        let other = sql!("SELECT id FROM chat_messages WHERE attachment_id = $1 LIMIT 1")
            .bind(which)
            .fetch_optional(&mut self.tx)
            .await?;
        if other.is_some() {
            return Ok(());
        }
        sql!("INSERT INTO files_to_remove (id) VALUES ($1) ON CONFLICT (id) DO NOTHING")
            .bind(which)
            .execute(&mut self.tx)
            .await?;
        sql!("DELETE FROM attachments WHERE id = $1").bind(which).execute(&mut self.tx).await?;
        Ok(())
    }

    /// A file's bytes are gone.
    pub async fn file_was_removed(&mut self, which: AttachmentId) -> Result<(), StoreError> {
        sql!("DELETE FROM files_to_remove WHERE id = $1").bind(which).execute(&mut self.tx).await?;
        Ok(())
    }

    /// Forgets what was written and sent in a visit; how many messages there were is kept.
    pub async fn forget_chat(&mut self, session: SessionId) -> Result<(), StoreError> {
        self.tx.lock(SESSION, session).await?;
        sql!(
            "UPDATE consultation_sessions SET chat_forgotten_at = $1, forgotten_messages = forgotten_messages
             + (SELECT count(*) FROM chat_messages m WHERE m.session_id = $2 AND m.message_type <> 'system'
             AND m.deleted_at IS NULL) WHERE id = $2"
        )
        .bind(self.now)
        .bind(session)
        .execute(&mut self.tx)
        .await?;
        sql!(
            "INSERT INTO files_to_remove (id) SELECT id FROM attachments WHERE session_id = $1
             ON CONFLICT (id) DO NOTHING"
        )
        .bind(session)
        .execute(&mut self.tx)
        .await?;
        sql!("DELETE FROM chat_messages WHERE session_id = $1").bind(session).execute(&mut self.tx).await?;
        sql!("DELETE FROM attachments WHERE session_id = $1").bind(session).execute(&mut self.tx).await?;
        Ok(())
    }
}
