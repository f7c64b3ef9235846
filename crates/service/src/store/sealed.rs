//! What is kept sealed in the database: texts, and which keys they are sealed with.

use bedside_protocol::{MessageId, SessionId, Text};
use bedside_sealing::{Keys, SealedText};
use jiff::Timestamp;

use super::{
    Store, StoreError, Unit,
    sql::{Row, sql},
};

/// Rows that are sealed anew in one go.
const TOGETHER: i64 = 200;

/// What a message's words are sealed for.
pub(super) fn of_message(message: MessageId) -> String {
    format!("chat:{message}")
}

/// What a doctor's notes of a visit are sealed for.
pub(super) fn of_notes(session: SessionId) -> String {
    format!("notes:{session}")
}

/// The text of two columns, opened: what has no key was written before there were any.
pub(super) fn read(
    keys: &Keys,
    what_for: &str,
    text: String,
    key: Option<String>,
) -> Result<Text, StoreError> {
    match key {
        None => Ok(Text::new(text)),
        Some(key) => Ok(Text::new(keys.open_text(what_for, &SealedText { key, text })?)),
    }
}

impl Store {
    /// Keys that something may be sealed with.
    pub async fn keys_used(&self) -> Result<Vec<String>, StoreError> {
        let rows = sql!("SELECT id FROM sealing_keys ORDER BY first_used_at, id")
            .fetch_all(&mut self.reader().await?)
            .await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Those of them that are not here.
    pub async fn keys_missing(&self) -> Result<Vec<String>, StoreError> {
        let used = self.keys_used().await?;
        Ok(used.into_iter().filter(|id| !self.keys().ids().any(|known| known.to_string() == *id)).collect())
    }

    /// Seals messages and notes with the key that seals now, some of them; gives how many had another or none.
    pub async fn seal_some_anew(&self) -> Result<u64, StoreError> {
        let key = self.keys().sealing().to_string();
        let mut unit = self.begin(Timestamp::now()).await?;
        let messages = sql!(
            "SELECT id, content, sealed_with FROM chat_messages
             WHERE deleted_at IS NULL AND (sealed_with IS NULL OR sealed_with <> $1) LIMIT $2"
        )
        .bind(key.as_str())
        .bind(TOGETHER)
        .fetch_all(&mut unit.tx)
        .await?;
        let read_row = |row: &Row, what_for: &str, text: &str, key: &str| {
            read(self.keys(), what_for, row.get(text)?, row.get(key)?)
        };
        for row in &messages {
            let id: MessageId = row.get("id")?;
            let words = read_row(row, &of_message(id), "content", "sealed_with")?;
            let SealedText { key, text } = self.keys().seal_text(&of_message(id), words.reveal());
            // One that was taken back meanwhile stays so.
            sql!(
                "UPDATE chat_messages SET content = $1, sealed_with = $2 WHERE id = $3 AND deleted_at IS NULL"
            )
            .bind(text)
            .bind(key)
            .bind(id)
            .execute(&mut unit.tx)
            .await?;
        }
        let notes = sql!(
            "SELECT id, notes, notes_sealed_with, notes_at FROM consultation_sessions
             WHERE notes IS NOT NULL AND (notes_sealed_with IS NULL OR notes_sealed_with <> $1) LIMIT $2"
        )
        .bind(key.as_str())
        .bind(TOGETHER)
        .fetch_all(&mut unit.tx)
        .await?;
        for row in &notes {
            let id: SessionId = row.get("id")?;
            let words = read_row(row, &of_notes(id), "notes", "notes_sealed_with")?;
            let SealedText { key, text } = self.keys().seal_text(&of_notes(id), words.reveal());
            // What was written meanwhile stays.
            sql!(
                "UPDATE consultation_sessions SET notes = $1, notes_sealed_with = $2
                 WHERE id = $3 AND notes_at = $4"
            )
            .bind(text)
            .bind(key)
            .bind(id)
            .bind(row.get::<Option<Timestamp>>("notes_at")?)
            .execute(&mut unit.tx)
            .await?;
        }
        unit.commit().await?;
        Ok((messages.len() + notes.len()) as u64)
    }
}

impl Unit {
    /// The key that seals may have sealed something from now on.
    pub async fn use_key(&mut self) -> Result<(), StoreError> {
        sql!("INSERT INTO sealing_keys (id, first_used_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING")
            .bind(self.keys.sealing().to_string())
            .bind(self.now)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Only the key that seals now has sealed anything: everything has been sealed anew.
    pub async fn forget_other_keys(&mut self) -> Result<(), StoreError> {
        sql!("DELETE FROM sealing_keys WHERE id <> $1")
            .bind(self.keys.sealing().to_string())
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }
}
