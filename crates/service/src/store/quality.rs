//! How visits were seen and heard.

use bedside_protocol::{Party, QualityReport, SessionId};

use super::{Store, StoreError, Unit, millis, word};

/// Reports kept of one side of a visit: more than twice the longest one's.
const MOST: i64 = 2_000;

impl Store {
    /// What one side told.
    pub async fn quality(&self, session: SessionId, party: Party) -> Result<Vec<QualityReport>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as(
            "SELECT report FROM quality_reports WHERE session_id = ? AND party = ? ORDER BY at",
        )
        .bind(session.to_string())
        .bind(word(&party)?)
        .fetch_all(&self.reader)
        .await?;
        let read = |(json,): (String,)| {
            serde_json::from_str(&json).map_err(|_| StoreError::Unreadable("quality report"))
        };
        rows.into_iter().map(read).collect()
    }
}

impl Unit {
    /// Keeps a report, unless this side told so many already.
    pub async fn add_quality(
        &mut self,
        session: SessionId,
        party: Party,
        report: &QualityReport,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(report).map_err(|_| StoreError::Unreadable("quality report"))?;
        sqlx::query(
            "INSERT INTO quality_reports (session_id, party, at, report) SELECT ?1, ?2, ?3, ?4
             WHERE (SELECT COUNT(*) FROM quality_reports WHERE session_id = ?1 AND party = ?2) < ?5",
        )
        .bind(session.to_string())
        .bind(word(&party)?)
        .bind(millis(self.now))
        .bind(json)
        .bind(MOST)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
