//! Doctors' notes of visits, and what went wrong in them.

use bedside_protocol::{Issue, IssueId, IssueRequest, Notes, SessionId, Text, UserId};

use super::{Store, StoreError, Unit, from_word, sealed, sql::sql, word};

/// Issues kept of one visit: more than two people have to say.
const MOST_ISSUES: i64 = 200;

impl Store {
    /// What the doctor wrote down of a visit.
    pub async fn notes(&self, session: SessionId) -> Result<Option<Notes>, StoreError> {
        let row = sql!("SELECT notes, notes_sealed_with, notes_at FROM consultation_sessions WHERE id = $1")
            .bind(session)
            .fetch_optional(&mut self.reader().await?)
            .await?;
        row.map(|row| {
            let notes = row.get::<Option<String>>("notes")?.unwrap_or_default();
            let notes =
                sealed::read(self.keys(), &sealed::of_notes(session), notes, row.get("notes_sealed_with")?)?;
            Ok(Notes { session_id: session, notes, updated_at: row.get("notes_at")? })
        })
        .transpose()
    }

    /// What went wrong in a visit, by when it was told.
    pub async fn issues(&self, session: SessionId) -> Result<Vec<Issue>, StoreError> {
        let rows = sql!(
            "SELECT id, user_id, issue_type, description, created_at FROM session_issues WHERE session_id = $1
             ORDER BY created_at, id",
        )
        .bind(session)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(Issue {
                    id: row.get("id")?,
                    session_id: session,
                    user_id: row.get("user_id")?,
                    issue_type: from_word(&row.get::<String>("issue_type")?)?,
                    description: row.get("description")?,
                    created_at: row.get("created_at")?,
                })
            })
            .collect()
    }
}

impl Unit {
    /// Keeps what the doctor wrote down of a visit, in place of what was there.
    pub async fn set_notes(&mut self, session: SessionId, notes: &Text) -> Result<(), StoreError> {
        let sealed = self.keys.seal_text(&sealed::of_notes(session), notes.reveal());
        sql!(
            "UPDATE consultation_sessions SET notes = $1, notes_at = $2, notes_sealed_with = $3 WHERE id = $4"
        )
        .bind(sealed.text)
        .bind(self.now)
        .bind(sealed.key)
        .bind(session)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Keeps what was prescribed in a visit.
    pub async fn set_prescription(
        &mut self,
        session: SessionId,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        sql!("UPDATE consultation_sessions SET prescription_id = $1, updated_at = $2 WHERE id = $3")
            .bind(name.map(str::to_owned))
            .bind(self.now)
            .bind(session)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Keeps what somebody tells that went wrong; none where so much was told already.
    pub async fn add_issue(
        &mut self,
        session: SessionId,
        user: UserId,
        request: IssueRequest,
    ) -> Result<Option<Issue>, StoreError> {
        let issue = Issue {
            id: IssueId::generate(),
            session_id: session,
            user_id: user,
            issue_type: request.issue_type,
            description: request.description,
            created_at: self.now,
        };
        let added = sql!(
            "INSERT INTO session_issues (id, session_id, user_id, issue_type, description, created_at)
             SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT),
             CAST($6 AS BIGINT) WHERE (SELECT COUNT(*) FROM session_issues WHERE session_id = $2) < $7",
        )
        .bind(issue.id)
        .bind(session)
        .bind(user)
        .bind(word(&issue.issue_type)?)
        .bind(issue.description.as_ref().map(|text| text.reveal().to_owned()))
        .bind(self.now)
        .bind(MOST_ISSUES)
        .execute(&mut self.tx)
        .await?;
        Ok((added == 1).then_some(issue))
    }
}
