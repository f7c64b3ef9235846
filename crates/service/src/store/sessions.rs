//! Appointments and consultation sessions.

use bedside_consult::{Consultation, Effect, Input, Refused, session::Limits};
use bedside_protocol::{
    AppointmentId, ConsultationMode, CreateAppointmentRequest, DeviceId, Party, Role, SessionId, UserId,
};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;
use sqlx::{Row, sqlite::SqliteRow};

use super::{Store, StoreError, from_word, id, instant, millis, word};

/// A stored session.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Which.
    pub id: SessionId,
    /// Its appointment.
    pub appointment: AppointmentId,
    /// Who is seen.
    pub patient: UserId,
    /// Who sees.
    pub doctor: UserId,
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
        if user == self.patient {
            Some(Party::Patient)
        } else if user == self.doctor {
            Some(Party::Doctor)
        } else {
            None
        }
    }

    /// The person on one side.
    pub const fn user(&self, party: Party) -> UserId {
        match party {
            Party::Patient => self.patient,
            Party::Doctor => self.doctor,
        }
    }
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
        patient: id(&text("patient_id")?)?,
        doctor: id(&text("doctor_id")?)?,
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

/// Says nothing about the session: a room name is seen by relays and logs.
fn new_room_name() -> String {
    format!("consultation-{}", uuid::Uuid::new_v4().simple())
}

impl Store {
    /// Stores an appointment. Its people must exist.
    pub async fn add_appointment(
        &self,
        request: &CreateAppointmentRequest,
        doctor: UserId,
        now: Timestamp,
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
        .bind(millis(now))
        .execute(&self.pool)
        .await?;
        Ok(appointment)
    }

    /// The two people of an appointment, and how they meet.
    pub async fn appointment(
        &self,
        appointment: AppointmentId,
    ) -> Result<Option<(UserId, UserId, ConsultationMode)>, StoreError> {
        let row: Option<(String, String, String)> =
            sqlx::query_as("SELECT patient_id, doctor_id, consultation_mode FROM appointments WHERE id = ?")
                .bind(appointment.to_string())
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(patient, doctor, mode)| Ok((id(&patient)?, id(&doctor)?, from_word(&mode)?))).transpose()
    }

    /// The session of an appointment, made when there is none.
    pub async fn session_for(
        &self,
        appointment: AppointmentId,
        now: Timestamp,
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
        .bind(millis(now))
        .bind(appointment.to_string())
        .execute(&self.pool)
        .await?;
        let row = sqlx::query("SELECT * FROM consultation_sessions WHERE appointment_id = ?")
            .bind(appointment.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The session that re-calls the patient of `ended` now, made when there is none: planned for
    /// as long, and for the same two. An appointment of its own goes with it.
    pub async fn recall(&self, ended: &SessionRow, now: Timestamp) -> Result<SessionRow, StoreError> {
        let mut tx = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        let made: Option<SqliteRow> =
            sqlx::query("SELECT * FROM consultation_sessions WHERE recalled_from = ?")
                .bind(ended.id.to_string())
                .fetch_optional(&mut *tx)
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
        .bind(millis(now))
        .bind(ended.id.to_string())
        .execute(&mut *tx)
        .await?;
        let row = sqlx::query(
            "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode,
             room_name, status, scheduled_start, scheduled_minutes, created_at, recalled_from)
             SELECT ?1, id, patient_id, doctor_id, consultation_mode, ?2, 'SCHEDULED', scheduled_start_time,
             scheduled_duration_minutes, created_at, ?3 FROM appointments WHERE id = ?4 RETURNING *",
        )
        .bind(session.to_string())
        .bind(new_room_name())
        .bind(ended.id.to_string())
        .bind(appointment.to_string())
        .fetch_one(&mut *tx)
        .await?;
        let row = read(&row)?;
        tx.commit().await?;
        Ok(row)
    }

    /// One session.
    pub async fn session(&self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM consultation_sessions WHERE id = ?")
            .bind(session.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Every session of a person that is open, or was scheduled at or after `since`, by start.
    pub async fn sessions_of(
        &self,
        user: UserId,
        role: Role,
        since: Timestamp,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let query = match role {
            Role::Doctor => {
                "SELECT * FROM consultation_sessions WHERE doctor_id = ?1 AND (scheduled_start >= ?2
                 OR status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')) ORDER BY scheduled_start, id"
            }
            Role::Patient | Role::ClinicAdmin => {
                "SELECT * FROM consultation_sessions WHERE patient_id = ?1 AND (scheduled_start >= ?2
                 OR status IN ('WAITING', 'IN_PROGRESS', 'PAUSED')) ORDER BY scheduled_start, id"
            }
        };
        let rows =
            sqlx::query(query).bind(user.to_string()).bind(millis(since)).fetch_all(&self.pool).await?;
        rows.iter().map(read).collect()
    }

    /// Sessions that reached a final state after having been begun or missed, newest first.
    pub async fn history_of(
        &self,
        user: UserId,
        before: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM consultation_sessions WHERE (patient_id = ?1 OR doctor_id = ?1)
             AND ended_at IS NOT NULL AND (?2 IS NULL OR (ended_at, id) <
             (SELECT ended_at, id FROM consultation_sessions WHERE id = ?2))
             ORDER BY ended_at DESC, id DESC LIMIT ?3",
        )
        .bind(user.to_string())
        .bind(before.map(|id| id.to_string()))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Those who wait for a doctor and have not been called in.
    pub async fn waiting_for(&self, doctor: UserId) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM consultation_sessions WHERE doctor_id = ? AND status = 'WAITING' AND admitted = 0",
        )
        .bind(doctor.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Keeps what a visit came to, once.
    pub async fn keep_amount(
        &self,
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
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// Those who wait for the same doctor and are to be seen earlier, by their appointment and then
    /// by when they came; and the visits that the doctor is in.
    pub async fn ahead_of(&self, row: &SessionRow) -> Result<Vec<SessionRow>, StoreError> {
        let Some(since) = row.consultation.waiting_since else { return Ok(vec![]) };
        let rows = sqlx::query(
            "SELECT * FROM consultation_sessions WHERE doctor_id = ?1 AND id <> ?4 AND (
             status IN ('IN_PROGRESS', 'PAUSED') OR (status = 'WAITING'
             AND (admitted = 1 OR (scheduled_start, waiting_since, id) < (?2, ?3, ?4))))",
        )
        .bind(row.doctor.to_string())
        .bind(millis(row.consultation.scheduled_start))
        .bind(millis(since))
        .bind(row.id.to_string())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }

    /// Every session that is not final: what the timers look at.
    pub async fn open_sessions(&self) -> Result<Vec<SessionRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM consultation_sessions WHERE ended_at IS NULL")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// Applies an input to a session and stores what came of it. `Ok(None)`: no such session.
    pub async fn apply(
        &self,
        session: SessionId,
        input: Input,
        limits: &Limits,
        now: Timestamp,
    ) -> Result<Option<Result<(SessionRow, Vec<Effect>), Refused>>, StoreError> {
        loop {
            let Some(mut row) = self.session(session).await? else { return Ok(None) };
            let before = row.consultation.clone();
            let effects = match row.consultation.apply(input, now, limits) {
                Ok(effects) => effects,
                Err(refused) => return Ok(Some(Err(refused))),
            };
            // Another request may have changed it since it was read: then look again.
            if row.consultation == before {
                return Ok(Some(Ok((row, effects))));
            }
            if self.replace(&row).await? {
                row.version += 1;
                return Ok(Some(Ok((row, effects))));
            }
        }
    }

    /// Writes a session back, unless it has changed since it was read.
    async fn replace(&self, row: &SessionRow) -> Result<bool, StoreError> {
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
        .execute(&self.pool)
        .await?;
        Ok(done.rows_affected() == 1)
    }
}
