//! Who is present in a visit: who has a socket in its topic, through any of the services.

use std::time::Duration;

use bedside_protocol::{Party, PresenceStatus, SessionEventType};
use jiff::Timestamp;

use super::{
    SessionRow, StoreError, Unit,
    instances::Listener,
    sql::{Row, sql},
};

/// Who is present in a visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attendance {
    /// The patient.
    pub patient: PresenceStatus,
    /// The doctor.
    pub doctor: PresenceStatus,
    /// Whether the patient was there and has left, or has been away for too long.
    pub patient_has_left: bool,
    /// Whether the doctor was.
    pub doctor_has_left: bool,
    /// When that last changed; none where nobody was ever there.
    pub since: Option<Timestamp>,
}

impl Attendance {
    /// Of a visit that nobody has come to.
    pub const fn nobody() -> Self {
        let status = PresenceStatus::Disconnected;
        Self { patient: status, doctor: status, patient_has_left: false, doctor_has_left: false, since: None }
    }

    /// Whether one side was there and is gone.
    pub const fn has_left(&self, party: Party) -> bool {
        match party {
            Party::Patient => self.patient_has_left,
            Party::Doctor => self.doctor_has_left,
        }
    }

    /// One side.
    pub const fn of(&self, party: Party) -> PresenceStatus {
        match party {
            Party::Patient => self.patient,
            Party::Doctor => self.doctor,
        }
    }
}

/// How a status is read: the least of what its rows say.
pub(super) const HERE: i64 = 0;
pub(super) const RECONNECTING: i64 = 1;
pub(super) const LEFT: i64 = 2;

/// The status of one side, as a query's column: see [`HERE`], [`RECONNECTING`] and [`LEFT`].
macro_rules! status_of {
    ($session:literal, $user:literal) => {
        concat!(
            "(SELECT CAST(min(CASE WHEN w.has_left THEN 2 WHEN w.is_here THEN 0 ELSE 1 END) AS BIGINT) ",
            "FROM presence w WHERE w.session_id = ",
            $session,
            " AND w.user_id = ",
            $user,
            ")"
        )
    };
}
pub(super) use status_of;

pub(super) const fn status(read: Option<i64>) -> PresenceStatus {
    match read {
        Some(HERE) => PresenceStatus::Connected,
        Some(RECONNECTING) => PresenceStatus::Reconnecting,
        _ => PresenceStatus::Disconnected,
    }
}

pub(super) fn read_attendance(row: &Row) -> Result<Attendance, StoreError> {
    let (patient, doctor) = (row.get("patient_presence")?, row.get("doctor_presence")?);
    Ok(Attendance {
        patient: status(patient),
        doctor: status(doctor),
        patient_has_left: patient == Some(LEFT),
        doctor_has_left: doctor == Some(LEFT),
        since: row.get("presence_since")?,
    })
}

impl Unit {
    /// Whether somebody is present.
    async fn presence(&mut self, of: Listener) -> Result<PresenceStatus, StoreError> {
        let row = sql!("SELECT ", status_of!("$1", "$2"), " AS status")
            .bind(of.session)
            .bind(of.user)
            .fetch_one(&mut self.tx)
            .await?;
        Ok(status(row.get("status")?))
    }

    /// Who is present in a visit.
    pub async fn attendance(&mut self, of: &SessionRow) -> Result<Attendance, StoreError> {
        let row = sql!(
            "SELECT ",
            status_of!("$1", "$2"),
            " AS patient_presence, ",
            status_of!("$1", "$3"),
            " AS doctor_presence, (SELECT max(w.since) FROM presence w WHERE w.session_id = $1) AS presence_since",
        )
        .bind(of.id)
        .bind(of.patient.id)
        .bind(of.doctor.id)
        .fetch_one(&mut self.tx)
        .await?;
        read_attendance(&row)
    }

    /// Somebody has come to listen through this service, or nobody does any more. Gives whether that changes who is
    /// present, which goes into the visit's record.
    pub async fn set_listening(&mut self, of: Listener, is_here: bool) -> Result<bool, StoreError> {
        // Two services whose sockets come and go at once must each see what the other did.
        let lock = "SELECT id FROM consultation_sessions WHERE id = $1 FOR NO KEY UPDATE";
        self.tx.lock(lock, of.session).await?;
        let before = self.presence(of).await?;
        sql!(
            "INSERT INTO presence (session_id, user_id, instance_id, is_here, since) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (session_id, user_id, instance_id)
             DO UPDATE SET is_here = excluded.is_here, since = excluded.since",
        )
        .bind(of.session)
        .bind(of.user)
        .bind(self.instance.to_string())
        .bind(is_here)
        .bind(self.now)
        .execute(&mut self.tx)
        .await?;
        if is_here {
            sql!("UPDATE presence SET has_left = FALSE WHERE session_id = $1 AND user_id = $2 AND has_left")
                .bind(of.session)
                .bind(of.user)
                .execute(&mut self.tx)
                .await?;
        }
        let after = self.presence(of).await?;
        let kind = match (before, after) {
            (PresenceStatus::Reconnecting, PresenceStatus::Connected) => {
                SessionEventType::ParticipantReconnected
            }
            (_, PresenceStatus::Connected) => SessionEventType::ParticipantConnected,
            (_, PresenceStatus::Reconnecting) => SessionEventType::ParticipantReconnecting,
            (_, PresenceStatus::Disconnected) => SessionEventType::ParticipantDisconnected,
        };
        if after != before {
            self.happened(of.session, kind, Some(of.user));
        }
        Ok(after != before)
    }

    /// Somebody left on purpose, whether or not they still listen: they are not waited for. Gives whether that changes
    /// who is present.
    pub async fn leave_presence(&mut self, of: Listener) -> Result<bool, StoreError> {
        let before = self.presence(of).await?;
        sql!(
            "UPDATE presence SET has_left = TRUE, since = $1
             WHERE session_id = $2 AND user_id = $3 AND NOT has_left"
        )
        .bind(self.now)
        .bind(of.session)
        .bind(of.user)
        .execute(&mut self.tx)
        .await?;
        Ok(before != PresenceStatus::Disconnected)
    }

    /// Somebody who listens joined: they are there again, even if they had left. Gives whether they had.
    pub async fn return_presence(&mut self, of: Listener) -> Result<bool, StoreError> {
        let returned = sql!(
            "UPDATE presence SET has_left = FALSE, since = $1 WHERE session_id = $2 AND user_id = $3 AND has_left
             AND EXISTS (SELECT 1 FROM presence o WHERE o.session_id = $2 AND o.user_id = $3 AND o.is_here)",
        )
        .bind(self.now)
        .bind(of.session)
        .bind(of.user)
        .execute(&mut self.tx)
        .await?;
        Ok(returned > 0)
    }

    /// Gives up on those who have been away for `window`, and gives who they are. Forgets what was long ago.
    pub async fn expire_presence(
        &mut self,
        window: Duration,
        kept_for: Duration,
    ) -> Result<Vec<Listener>, StoreError> {
        let rows = sql!(
            "UPDATE presence SET has_left = TRUE WHERE NOT has_left AND NOT is_here AND since < $1
             AND NOT EXISTS (SELECT 1 FROM presence o WHERE o.session_id = presence.session_id
             AND o.user_id = presence.user_id AND (o.is_here OR o.since >= $1)) RETURNING session_id, user_id",
        )
        .bind(self.now - window)
        .fetch_all(&mut self.tx)
        .await?;
        sql!("DELETE FROM presence WHERE NOT is_here AND since < $1")
            .bind(self.now - kept_for)
            .execute(&mut self.tx)
            .await?;
        let lost = rows
            .iter()
            .map(|row| Ok(Listener { session: row.get("session_id")?, user: row.get("user_id")? }))
            .collect::<Result<Vec<_>, StoreError>>()?;
        for Listener { session, user } in &lost {
            self.happened(*session, SessionEventType::ParticipantDisconnected, Some(*user));
        }
        Ok(lost)
    }
}
