//! How visits were seen and heard.

use bedside_protocol::{Party, QualityReport, SessionId};

use super::{
    Store, StoreError, Unit,
    sql::{Connection, Row, sql},
    word,
};

/// Reports kept of one side of a visit: more than twice the longest one's.
const MOST: i64 = 2_000;

impl Store {
    /// What one side told.
    pub async fn quality(&self, session: SessionId, party: Party) -> Result<Vec<QualityReport>, StoreError> {
        told(&mut self.reader().await?, session, party).await
    }
}

async fn told(
    database: &mut Connection,
    session: SessionId,
    party: Party,
) -> Result<Vec<QualityReport>, StoreError> {
    let rows = sql!("SELECT report FROM quality_reports WHERE session_id = $1 AND party = $2 ORDER BY at")
        .bind(session)
        .bind(word(&party)?)
        .fetch_all(database)
        .await?;
    let read = |row: &Row| {
        serde_json::from_str(&row.get::<String>("report")?)
            .map_err(|_| StoreError::Unreadable("quality report"))
    };
    rows.iter().map(read).collect()
}

impl Unit {
    /// What one side told.
    pub async fn quality(
        &mut self,
        session: SessionId,
        party: Party,
    ) -> Result<Vec<QualityReport>, StoreError> {
        told(&mut self.tx, session, party).await
    }

    /// Keeps a report, unless this side told so many already.
    pub async fn add_quality(
        &mut self,
        session: SessionId,
        party: Party,
        report: &QualityReport,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(report).map_err(|_| StoreError::Unreadable("quality report"))?;
        sql!(
            "INSERT INTO quality_reports (session_id, party, at, report)
             SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT)
             WHERE (SELECT count(*) FROM quality_reports WHERE session_id = $1 AND party = $2) < $5",
        )
        .bind(session)
        .bind(word(&party)?)
        .bind(self.now)
        .bind(json)
        .bind(MOST)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}
