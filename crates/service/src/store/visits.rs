//! Lists of visits.

use bedside_protocol::{ClinicId, HistoryFilter, Role, SessionId, SessionStatus, UserId};
use jiff::Timestamp;

use super::{
    SessionRow, Store, StoreError, contains,
    presence::status_of,
    sessions::{read, select},
    sql::sql,
    word,
};

/// Whose visits somebody may ask for.
#[derive(Clone, Copy, Debug, Default)]
pub enum Whose {
    /// A doctor their own.
    Doctor(UserId),
    /// A patient theirs.
    Patient(UserId),
    /// The desk all.
    #[default]
    Everybody,
}

/// Which visits are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct VisitFilter {
    /// Whose.
    pub whose: Whose,
    /// This patient's.
    pub patient: Option<UserId>,
    /// This doctor's.
    pub doctor: Option<UserId>,
    /// This clinic's.
    pub clinic: Option<ClinicId>,
    /// In this state.
    pub status: Option<SessionStatus>,
    /// Planned from then on.
    pub from: Option<Timestamp>,
    /// Planned before then.
    pub to: Option<Timestamp>,
    /// After this one.
    pub after: Option<SessionId>,
}

impl Store {
    /// A person's sessions that are open, or were scheduled at or after `since`: up to `limit` by their start, after
    /// `after` where there is one.
    pub async fn sessions_of(
        &self,
        user: UserId,
        role: Role,
        since: Timestamp,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        // In two, each along an index: in one, all that there are would be sorted for a page.
        macro_rules! of {
            ($column:literal, $which:literal, $order:literal) => {
                select!(
                    "WHERE ",
                    $column,
                    " = $1 AND ",
                    $which,
                    " AND (CAST($3 AS TEXT) IS NULL OR (s.scheduled_start, s.id) >
                    (SELECT scheduled_start, id FROM consultation_sessions WHERE id = $3))
                    ORDER BY ",
                    $order,
                    ", s.id LIMIT $4",
                )
            };
        }
        macro_rules! both {
            ($column:literal) => {
                [
                    of!(
                        $column,
                        // By a sum, so that SQLite does not take the index of all that there ever were.
                        "s.scheduled_start + 0 < $2 AND s.ended_at IS NULL AND s.status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')",
                        "s.scheduled_start + 0"
                    ),
                    of!($column, "s.scheduled_start >= $2", "s.scheduled_start"),
                ]
            };
        }
        let queries = if role == Role::Doctor { both!("s.doctor_id") } else { both!("s.patient_id") };
        let reader = &mut self.reader().await?;
        let mut found = vec![];
        for query in queries {
            let left = i64::from(limit) - found.len() as i64;
            if left > 0 {
                let rows = query.bind(user).bind(since).bind(after).bind(left).fetch_all(reader).await?;
                found.extend(rows.iter().map(read).collect::<Result<Vec<_>, _>>()?);
            }
        }
        Ok(found)
    }

    /// A page of visits, by their planned start.
    pub async fn visits(&self, filter: VisitFilter, limit: u32) -> Result<Vec<SessionRow>, StoreError> {
        // Each along an index: in one, none would be used.
        macro_rules! of {
            ($whose:literal, $which:literal, $start:literal) => {
                select!(
                    "WHERE ",
                    $whose,
                    $which,
                    " AND (CAST($2 AS TEXT) IS NULL OR s.patient_id = $2) AND (CAST($3 AS TEXT) IS NULL OR s.doctor_id = $3)
                    AND (CAST($4 AS TEXT) IS NULL OR a.clinic_id = $4) AND (CAST($5 AS TEXT) IS NULL OR s.status = $5)
                    AND ",
                    $start,
                    " >= $6 AND ",
                    $start,
                    " >= COALESCE((SELECT scheduled_start FROM consultation_sessions WHERE id = $8), $6) AND ",
                    $start,
                    " < $7 AND (CAST($8 AS TEXT) IS NULL OR (s.scheduled_start, s.id) >
                    (SELECT scheduled_start, id FROM consultation_sessions WHERE id = $8)) ORDER BY ",
                    $start,
                    ", s.id LIMIT $9",
                )
            };
        }
        macro_rules! of_these {
            ($whose:literal, $is_open:expr) => {
                if $is_open {
                    of!(
                        $whose,
                        " AND s.ended_at IS NULL AND s.status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')",
                        // A sum, so that SQLite does not take the index of all that there ever were.
                        "s.scheduled_start + 0"
                    )
                } else {
                    of!($whose, "", "s.scheduled_start")
                }
            };
        }
        let is_open = matches!(
            filter.status,
            Some(SessionStatus::Waiting | SessionStatus::InProgress | SessionStatus::Paused)
        );
        let (query, whose) = match filter.whose {
            Whose::Doctor(user) => (of_these!("s.doctor_id = $1", is_open), Some(user)),
            Whose::Patient(user) => (of_these!("s.patient_id = $1", is_open), Some(user)),
            Whose::Everybody => (of_these!("CAST($1 AS TEXT) IS NULL", is_open), None),
        };
        let rows = query
            .bind(whose)
            .bind(filter.patient)
            .bind(filter.doctor)
            .bind(filter.clinic)
            .bind(filter.status.as_ref().map(word).transpose()?)
            .bind(filter.from.unwrap_or(Timestamp::MIN))
            .bind(filter.to.unwrap_or(Timestamp::MAX))
            .bind(filter.after)
            .bind(i64::from(limit))
            .fetch_all(&mut self.reader().await?)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Sessions that reached a final state after having been begun or missed, newest first.
    pub async fn history_of(
        &self,
        user: UserId,
        filter: &HistoryFilter,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let rows = select!(
            "WHERE (s.patient_id = $1 OR s.doctor_id = $1) AND s.ended_at IS NOT NULL
                AND (CAST($2 AS TEXT) IS NULL OR (s.ended_at, s.id) <
                (SELECT ended_at, id FROM consultation_sessions WHERE id = $2))
                AND (CAST($4 AS BIGINT) IS NULL OR s.ended_at >= $4)
                AND (CAST($5 AS BIGINT) IS NULL OR s.ended_at < $5)
                AND (CAST($6 AS TEXT) IS NULL OR s.doctor_id = $6)
                AND (CAST($7 AS TEXT) IS NULL OR s.patient_id = $7)
                AND (CAST($8 AS TEXT) IS NULL OR s.consultation_mode = $8)
                AND (CAST($9 AS TEXT) IS NULL OR s.status = $9)
                AND (CAST($10 AS TEXT) IS NULL
                OR lower(CASE WHEN s.patient_id = $1 THEN d.name ELSE p.name END) LIKE $10 ESCAPE '\\')
                ORDER BY s.ended_at DESC, s.id DESC LIMIT $3",
        )
        .bind(user)
        .bind(before)
        .bind(i64::from(limit))
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.doctor_id)
        .bind(filter.patient_id)
        .bind(filter.mode.as_ref().map(word).transpose()?)
        .bind(filter.status.as_ref().map(word).transpose()?)
        .bind(filter.query.as_ref().map(|words| contains(words.reveal())))
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(read).collect()
    }

    /// A doctor's open visits that have begun or wait, in the order in which they are to be seen: by their
    /// appointment, and then by when they came.
    pub async fn line_of(&self, doctor: UserId) -> Result<Vec<SessionRow>, StoreError> {
        let rows = select!(
            // By a sum, so that SQLite does not take the index of all that there ever were for its order.
            "WHERE s.doctor_id = $1 AND s.ended_at IS NULL AND s.status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')
            ORDER BY s.scheduled_start + 0, s.waiting_since, s.id",
        )
        .bind(doctor)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(read).collect()
    }

    /// What time may do something to: sessions that have begun or wait, and those that were to begin before `before`.
    pub async fn due_sessions(&self, before: Timestamp) -> Result<Vec<SessionRow>, StoreError> {
        let rows = select!(
            "WHERE s.ended_at IS NULL AND (s.status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')
            OR (s.status = 'SCHEDULED' AND s.scheduled_start < $1))",
        )
        .bind(before)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(read).collect()
    }
}
