//! Appointments and consultation sessions.

use bedside_consult::Consultation;
use bedside_protocol::{
    AppointmentId, ConsultationMode, CreateAppointmentRequest, DeviceId, Party, Role, SessionId, Text, User,
    UserId,
};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use sqlx::{Row, SqliteExecutor, sqlite::SqliteRow};

use super::{Store, StoreError, Unit, from_word, id, instant, millis, word};

/// A stored session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Which.
    pub id: SessionId,
    /// Its appointment.
    pub appointment: AppointmentId,
    /// Who is seen.
    pub patient: User,
    /// Who sees.
    pub doctor: User,
    /// How they meet.
    pub mode: ConsultationMode,
    /// Name of the media room.
    pub room_name: String,
    /// Where it stands.
    pub consultation: Consultation,
    /// What it came to, and in which currency; once it has ended and where it was priced.
    pub charged: Option<(Decimal, String)>,
    /// The session that this one is a re-call of.
    pub recalled_from: Option<SessionId>,
    pub(crate) version: i64,
}

impl SessionRow {
    /// The side that `user` is on, if they are in it.
    pub fn party(&self, user: UserId) -> Option<Party> {
        if user == self.patient.id {
            Some(Party::Patient)
        } else if user == self.doctor.id {
            Some(Party::Doctor)
        } else {
            None
        }
    }

    /// The person on one side.
    pub const fn user(&self, party: Party) -> UserId {
        match party {
            Party::Patient => self.patient.id,
            Party::Doctor => self.doctor.id,
        }
    }
}

/// Sessions with the names of their two people, as [`read`] takes them; what follows says which.
macro_rules! select {
    ($which:literal) => {
        concat!(
            "SELECT s.*, p.name AS patient_name, d.name AS doctor_name, d.specialization AS doctor_specialization
             FROM consultation_sessions s JOIN users p ON p.id = s.patient_id JOIN users d ON d.id = s.doctor_id ",
            $which
        )
    };
}

fn read(row: &SqliteRow) -> Result<SessionRow, StoreError> {
    let at = |name: &str| -> Result<Option<Timestamp>, StoreError> {
        row.try_get::<Option<i64>, _>(name)?.map(instant).transpose()
    };
    let text = |name: &str| -> Result<String, StoreError> { Ok(row.try_get(name)?) };
    let flag = |name: &str| -> Result<bool, StoreError> { Ok(row.try_get::<i64, _>(name)? != 0) };
    let device = |name: &str| -> Result<Option<DeviceId>, StoreError> {
        row.try_get::<Option<String>, _>(name)?.map(|text| id(&text)).transpose()
    };
    let minutes: i64 = row.try_get("scheduled_minutes")?;
    let device_check: Option<String> = row.try_get("device_check")?;
    Ok(SessionRow {
        id: id(&text("id")?)?,
        appointment: id(&text("appointment_id")?)?,
        patient: User {
            id: id(&text("patient_id")?)?,
            role: Role::Patient,
            name: Text::new(text("patient_name")?),
            specialization: None,
        },
        doctor: User {
            id: id(&text("doctor_id")?)?,
            role: Role::Doctor,
            name: Text::new(text("doctor_name")?),
            specialization: row.try_get("doctor_specialization")?,
        },
        mode: from_word(&text("consultation_mode")?)?,
        room_name: text("room_name")?,
        charged: row
            .try_get::<Option<String>, _>("amount_charged")?
            .zip(row.try_get::<Option<String>, _>("currency")?)
            .map(|(amount, currency)| {
                let amount = amount.parse().map_err(|_| StoreError::Unreadable("amount"))?;
                Ok::<_, StoreError>((amount, currency))
            })
            .transpose()?,
        recalled_from: row
            .try_get::<Option<String>, _>("recalled_from")?
            .map(|text| id(&text))
            .transpose()?,
        version: row.try_get("version")?,
        consultation: Consultation {
            status: from_word(&text("status")?)?,
            end_reason: row.try_get::<Option<String>, _>("end_reason")?.map(|w| from_word(&w)).transpose()?,
            scheduled_start: instant(row.try_get("scheduled_start")?)?,
            scheduled_duration: SignedDuration::from_mins(minutes),
            waiting_since: at("waiting_since")?,
            ready: flag("ready")?,
            device_check: device_check
                .map(|json| serde_json::from_str(&json).map_err(|_| StoreError::Unreadable("device check")))
                .transpose()?,
            admitted: flag("admitted")?,
            admitted_at: at("admitted_at")?,
            patient_joined: flag("patient_joined")?,
            doctor_joined: flag("doctor_joined")?,
            patient_device: device("patient_device")?,
            doctor_device: device("doctor_device")?,
            started_at: at("started_at")?,
            ended_at: at("ended_at")?,
            clock_since: at("clock_since")?,
            clock_before: SignedDuration::from_millis(row.try_get("clock_before_ms")?),
            left_at: at("left_at")?,
        },
    })
}

async fn one_session<'c>(
    database: impl SqliteExecutor<'c>,
    session: SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    let row =
        sqlx::query(select!("WHERE s.id = $1")).bind(session.to_string()).fetch_optional(database).await?;
    row.as_ref().map(read).transpose()
}

/// Says nothing about the session: a room name is seen by relays and logs.
fn new_room_name() -> String {
    format!("consultation-{}", uuid::Uuid::new_v4().simple())
}

impl Store {
    /// The two people of an appointment, and how they meet.
    pub async fn appointment(
        &self,
        appointment: AppointmentId,
    ) -> Result<Option<(UserId, UserId, ConsultationMode)>, StoreError> {
        let row: Option<(String, String, String)> =
            sqlx::query_as("SELECT patient_id, doctor_id, consultation_mode FROM appointments WHERE id = ?")
                .bind(appointment.to_string())
                .fetch_optional(&self.reader)
                .await?;
        row.map(|(patient, doctor, mode)| Ok((id(&patient)?, id(&doctor)?, from_word(&mode)?))).transpose()
    }

    /// One session.
    pub async fn session(&self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        one_session(&self.reader, session).await
    }

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
        macro_rules! of {
            ($column:literal) => {
                concat!(
                    select!("WHERE "),
                    $column,
                    " = $1 AND (s.scheduled_start >= $2 OR s.status IN ('WAITING', 'IN_PROGRESS', 'PAUSED'))
                    AND (CAST($3 AS TEXT) IS NULL OR (s.scheduled_start, s.id) >
                    (SELECT scheduled_start, id FROM consultation_sessions WHERE id = $3))
                    ORDER BY s.scheduled_start, s.id LIMIT $4"
                )
            };
        }
        let query = if role == Role::Doctor { of!("s.doctor_id") } else { of!("s.patient_id") };
        let rows = sqlx::query(query)
            .bind(user.to_string())
            .bind(millis(since))
            .bind(after.map(|id| id.to_string()))
            .bind(i64::from(limit))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Sessions that reached a final state after having been begun or missed, newest first.
    pub async fn history_of(
        &self,
        user: UserId,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE (s.patient_id = $1 OR s.doctor_id = $1) AND s.ended_at IS NOT NULL
                AND (CAST($2 AS TEXT) IS NULL OR (s.ended_at, s.id) <
                (SELECT ended_at, id FROM consultation_sessions WHERE id = $2))
                ORDER BY s.ended_at DESC, s.id DESC LIMIT $3"
        ))
        .bind(user.to_string())
        .bind(before.map(|id| id.to_string()))
        .bind(i64::from(limit))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(read).collect()
    }

    /// A doctor's open visits that have begun or wait, in the order in which they are to be seen: by their
    /// appointment, and then by when they came.
    pub async fn line_of(&self, doctor: UserId) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE s.doctor_id = $1 AND s.ended_at IS NULL AND s.status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')
            ORDER BY s.scheduled_start, s.waiting_since, s.id"
        ))
        .bind(doctor.to_string())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(read).collect()
    }

    /// What time may do something to: sessions that have begun or wait, and those that were to begin before `before`.
    pub async fn due_sessions(&self, before: Timestamp) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE s.ended_at IS NULL AND (s.status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')
            OR (s.status = 'SCHEDULED' AND s.scheduled_start < $1))"
        ))
        .bind(millis(before))
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(read).collect()
    }
}

impl Unit {
    /// Stores an appointment. Its people must exist.
    pub async fn add_appointment(
        &mut self,
        request: &CreateAppointmentRequest,
        doctor: UserId,
    ) -> Result<AppointmentId, StoreError> {
        let appointment = AppointmentId::generate();
        sqlx::query(
            "INSERT INTO appointments (id, patient_id, doctor_id, consultation_mode, scheduled_start_time,
             scheduled_duration_minutes, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(appointment.to_string())
        .bind(request.patient_id.to_string())
        .bind(doctor.to_string())
        .bind(word(&request.consultation_mode)?)
        .bind(millis(request.scheduled_start_time))
        .bind(i64::from(request.scheduled_duration_minutes))
        .bind(millis(self.now))
        .execute(&mut *self.tx)
        .await?;
        Ok(appointment)
    }

    /// The session of an appointment, made when there is none.
    pub async fn session_for(
        &mut self,
        appointment: AppointmentId,
    ) -> Result<Option<SessionRow>, StoreError> {
        let session = SessionId::generate();
        sqlx::query(
            "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode,
             room_name, status, scheduled_start, scheduled_minutes, created_at)
             SELECT ?, id, patient_id, doctor_id, consultation_mode, ?, 'SCHEDULED', scheduled_start_time,
             scheduled_duration_minutes, ? FROM appointments WHERE id = ?
             ON CONFLICT (appointment_id) DO NOTHING",
        )
        .bind(session.to_string())
        .bind(new_room_name())
        .bind(millis(self.now))
        .bind(appointment.to_string())
        .execute(&mut *self.tx)
        .await?;
        let row = sqlx::query(select!("WHERE s.appointment_id = $1"))
            .bind(appointment.to_string())
            .fetch_optional(&mut *self.tx)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The session that re-calls the patient of `ended` now, made when there is none: planned for
    /// as long, and for the same two. An appointment of its own goes with it.
    pub async fn recall(&mut self, ended: &SessionRow) -> Result<SessionRow, StoreError> {
        let made: Option<SqliteRow> = sqlx::query(select!("WHERE s.recalled_from = $1"))
            .bind(ended.id.to_string())
            .fetch_optional(&mut *self.tx)
            .await?;
        if let Some(row) = made {
            return read(&row);
        }
        let (appointment, session) = (AppointmentId::generate(), SessionId::generate());
        sqlx::query(
            "INSERT INTO appointments (id, patient_id, doctor_id, consultation_mode, scheduled_start_time,
             scheduled_duration_minutes, created_at) SELECT ?1, patient_id, doctor_id, consultation_mode, ?2,
             scheduled_minutes, ?2 FROM consultation_sessions WHERE id = ?3",
        )
        .bind(appointment.to_string())
        .bind(millis(self.now))
        .bind(ended.id.to_string())
        .execute(&mut *self.tx)
        .await?;
        sqlx::query(
            "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode,
             room_name, status, scheduled_start, scheduled_minutes, created_at, recalled_from)
             SELECT $1, id, patient_id, doctor_id, consultation_mode, $2, 'SCHEDULED', scheduled_start_time,
             scheduled_duration_minutes, created_at, $3 FROM appointments WHERE id = $4",
        )
        .bind(session.to_string())
        .bind(new_room_name())
        .bind(ended.id.to_string())
        .bind(appointment.to_string())
        .execute(&mut *self.tx)
        .await?;
        one_session(&mut *self.tx, session).await?.ok_or(sqlx::Error::RowNotFound.into())
    }

    /// Keeps what a visit came to, once.
    pub async fn keep_amount(
        &mut self,
        session: SessionId,
        amount: Decimal,
        currency: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE consultation_sessions SET amount_charged = ?, currency = ?
             WHERE id = ? AND amount_charged IS NULL",
        )
        .bind(amount.to_string())
        .bind(currency)
        .bind(session.to_string())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// One session, as it is and stays until this is committed.
    pub async fn session(&mut self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        one_session(&mut *self.tx, session).await
    }

    /// Writes a session back, which has changed since it was read here; gives it with its new version.
    pub async fn replace(&mut self, mut row: SessionRow) -> Result<SessionRow, StoreError> {
        let c = &row.consultation;
        let done = sqlx::query(
            "UPDATE consultation_sessions SET status = ?, end_reason = ?, waiting_since = ?, ready = ?,
             device_check = ?, admitted = ?, patient_joined = ?, doctor_joined = ?, started_at = ?, ended_at = ?,
             clock_since = ?, clock_before_ms = ?, left_at = ?, admitted_at = ?, patient_device = ?, doctor_device = ?,
             version = version + 1 WHERE id = ? AND version = ?",
        )
        .bind(word(&c.status)?)
        .bind(c.end_reason.as_ref().map(word).transpose()?)
        .bind(c.waiting_since.map(millis))
        .bind(c.ready)
        .bind(
            c.device_check
                .map(|check| serde_json::to_string(&check).map_err(|_| StoreError::Unreadable("device check")))
                .transpose()?,
        )
        .bind(c.admitted)
        .bind(c.patient_joined)
        .bind(c.doctor_joined)
        .bind(c.started_at.map(millis))
        .bind(c.ended_at.map(millis))
        .bind(c.clock_since.map(millis))
        .bind(c.clock_before.as_millis() as i64)
        .bind(c.left_at.map(millis))
        .bind(c.admitted_at.map(millis))
        .bind(c.patient_device.map(|device| device.to_string()))
        .bind(c.doctor_device.map(|device| device.to_string()))
        .bind(row.id.to_string())
        .bind(row.version)
        .execute(&mut *self.tx)
        .await?;
        if done.rows_affected() != 1 {
            // Nobody else writes while this is under way.
            return Err(sqlx::Error::RowNotFound.into());
        }
        row.version += 1;
        Ok(row)
    }
}
