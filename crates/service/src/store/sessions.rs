//! Appointments and consultation sessions.

use bedside_consult::Consultation;
use bedside_protocol::{
    AppointmentId, ClinicId, ConnectionQuality, ConsultationMode, Party, PaymentStatus, SessionId, User,
    UserId,
};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::{
    Attendance, Store, StoreError, Two, Unit,
    accounts::{doctor, patient},
    from_word,
    presence::{read_attendance, status_of},
    sql::{Connection, Row, sql},
    word,
};

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
    /// Whether its appointment is paid for.
    pub payment: PaymentStatus,
    /// Who is there.
    pub attendance: Attendance,
    /// The clinic it is of.
    pub clinic: Option<ClinicId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed; before that was kept, unknown.
    pub updated_at: Option<Timestamp>,
    /// How each side saw and heard it, once it has ended.
    pub heard: Heard,
    /// What was prescribed in it, in the system that keeps prescriptions.
    pub prescription: Option<String>,
    /// What was told last of the patient's place in the line.
    pub told: Option<AsTold>,
    pub(crate) version: i64,
}

/// How each side saw and heard a visit, where it said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heard {
    /// The patient.
    pub patient: Option<ConnectionQuality>,
    /// The doctor.
    pub doctor: Option<ConnectionQuality>,
}

/// An appointment that needs no payment, as it was made.
#[derive(Debug)]
pub struct NewAppointment {
    /// Which.
    pub id: AppointmentId,
    /// Who is seen.
    pub patient: User,
    /// Who sees.
    pub doctor: User,
    /// The doctor's clinic.
    pub clinic: Option<ClinicId>,
    /// How they meet.
    pub mode: ConsultationMode,
    /// When it is meant to start.
    pub start: Timestamp,
    /// How long it is meant to last.
    pub duration: SignedDuration,
}

/// A place in a doctor's line, as it was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsTold {
    /// Which, from 1.
    pub place: u32,
    /// Minutes to wait, about.
    pub minutes: u32,
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
    ($($which:literal),+ $(,)?) => {
        sql!(
            // All but the notes, which are long.
            "SELECT s.id, s.appointment_id, s.patient_id, s.doctor_id, s.consultation_mode, s.room_name, s.status,
             s.end_reason, s.scheduled_start, s.scheduled_minutes, s.waiting_since, s.ready, s.device_check, s.admitted,
             s.patient_joined, s.doctor_joined, s.started_at, s.ended_at, s.clock_since, s.clock_before_ms, s.version,
             s.left_at, s.admitted_at, s.amount_charged, s.currency, s.recalled_from, s.patient_device, s.doctor_device,
             s.told_place, s.told_minutes, s.created_at, s.updated_at, s.declined, s.patient_joined_at, s.doctor_joined_at,
             s.patient_connection_quality, s.doctor_connection_quality, s.prescription_id, p.name AS patient_name, d.name AS doctor_name, d.specialization AS doctor_specialization, ",
            status_of!("s.id", "s.patient_id"),
            " AS patient_presence, ",
            status_of!("s.id", "s.doctor_id"),
            " AS doctor_presence, a.payment_status, a.clinic_id, (SELECT max(w.since) FROM presence w WHERE w.session_id = s.id) AS presence_since
             FROM consultation_sessions s JOIN appointments a ON a.id = s.appointment_id
             JOIN users p ON p.id = s.patient_id JOIN users d ON d.id = s.doctor_id ",
            $($which),+
        )
    };
}

pub(super) use select;

pub(super) fn read(row: &Row) -> Result<SessionRow, StoreError> {
    let minutes: i64 = row.get("scheduled_minutes")?;
    let device_check: Option<String> = row.get("device_check")?;
    let amount = row.get::<Option<String>>("amount_charged")?.zip(row.get::<Option<String>>("currency")?);
    Ok(SessionRow {
        id: row.get("id")?,
        appointment: row.get("appointment_id")?,
        patient: patient(row)?,
        doctor: doctor(row)?,
        mode: from_word(&row.get::<String>("consultation_mode")?)?,
        room_name: row.get("room_name")?,
        charged: amount
            .map(|(amount, currency)| {
                let amount = amount.parse().map_err(|_| StoreError::Unreadable("amount"))?;
                Ok::<_, StoreError>((amount, currency))
            })
            .transpose()?,
        recalled_from: row.get("recalled_from")?,
        payment: from_word(&row.get::<String>("payment_status")?)?,
        clinic: row.get("clinic_id")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        heard: Heard {
            patient: quality(row, "patient_connection_quality")?,
            doctor: quality(row, "doctor_connection_quality")?,
        },
        prescription: row.get("prescription_id")?,
        attendance: read_attendance(row)?,
        told: as_told(row)?,
        version: row.get("version")?,
        consultation: Consultation {
            status: from_word(&row.get::<String>("status")?)?,
            end_reason: row.get::<Option<String>>("end_reason")?.map(|w| from_word(&w)).transpose()?,
            scheduled_start: row.get("scheduled_start")?,
            scheduled_duration: SignedDuration::from_mins(minutes),
            waiting_since: row.get("waiting_since")?,
            ready: row.get("ready")?,
            device_check: device_check
                .map(|json| serde_json::from_str(&json).map_err(|_| StoreError::Unreadable("device check")))
                .transpose()?,
            admitted: row.get("admitted")?,
            admitted_at: row.get("admitted_at")?,
            patient_joined: row.get("patient_joined")?,
            doctor_joined: row.get("doctor_joined")?,
            declined: row.get("declined")?,
            patient_joined_at: row.get("patient_joined_at")?,
            doctor_joined_at: row.get("doctor_joined_at")?,
            patient_device: row.get("patient_device")?,
            doctor_device: row.get("doctor_device")?,
            started_at: row.get("started_at")?,
            ended_at: row.get("ended_at")?,
            clock_since: row.get("clock_since")?,
            clock_before: SignedDuration::from_millis(row.get("clock_before_ms")?),
            left_at: row.get("left_at")?,
        },
    })
}

fn quality(row: &Row, column: &str) -> Result<Option<ConnectionQuality>, StoreError> {
    row.get::<Option<String>>(column)?.map(|word| from_word(&word)).transpose()
}

fn as_told(row: &Row) -> Result<Option<AsTold>, StoreError> {
    let (place, minutes): (Option<u64>, Option<u64>) = (row.get("told_place")?, row.get("told_minutes")?);
    let small = |number: u64| number.try_into().map_err(|_| StoreError::Unreadable("place in line"));
    place
        .zip(minutes)
        .map(|(place, minutes)| Ok(AsTold { place: small(place)?, minutes: small(minutes)? }))
        .transpose()
}

async fn one_session(
    database: &mut Connection,
    session: SessionId,
) -> Result<Option<SessionRow>, StoreError> {
    let row = select!("WHERE s.id = $1").bind(session).fetch_optional(database).await?;
    row.as_ref().map(read).transpose()
}

/// Says nothing about the session: a room name is seen by relays and logs.
fn new_room_name() -> String {
    format!("consultation-{}", uuid::Uuid::new_v4().simple())
}

impl Store {
    /// One session.
    pub async fn session(&self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        let row = one_session(&mut self.reader().await?, session).await?;
        if let Some(row) = &row {
            self.whose_visits().remember(session, Two { patient: row.patient.id, doctor: row.doctor.id });
        }
        Ok(row)
    }
}

impl Unit {
    /// The session of an appointment, made when there is none.
    pub async fn session_for(
        &mut self,
        appointment: AppointmentId,
    ) -> Result<Option<SessionRow>, StoreError> {
        let session = SessionId::generate();
        sql!(
            "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode,
             room_name, status, scheduled_start, scheduled_minutes, created_at)
             SELECT CAST($1 AS TEXT), id, patient_id, doctor_id, consultation_mode, CAST($2 AS TEXT), 'SCHEDULED',
             scheduled_start_time, scheduled_duration_minutes, CAST($3 AS BIGINT) FROM appointments WHERE id = $4
             ON CONFLICT (appointment_id) DO NOTHING",
        )
        .bind(session)
        .bind(new_room_name())
        .bind(self.now)
        .bind(appointment)
        .execute(&mut self.tx)
        .await?;
        let row =
            select!("WHERE s.appointment_id = $1").bind(appointment).fetch_optional(&mut self.tx).await?;
        row.as_ref().map(read).transpose()
    }

    /// The session of an appointment that was made just now, which has none.
    pub async fn add_session(&mut self, of: NewAppointment) -> Result<SessionRow, StoreError> {
        let NewAppointment { id: appointment, patient, doctor, clinic, mode, start, duration } = of;
        let (id, room_name) = (SessionId::generate(), new_room_name());
        sql!(
            "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode,
             room_name, status, scheduled_start, scheduled_minutes, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, 'SCHEDULED', $7, $8, $9)",
        )
        .bind(id)
        .bind(appointment)
        .bind(patient.id)
        .bind(doctor.id)
        .bind(word(&mode)?)
        .bind(room_name.clone())
        .bind(start)
        .bind(duration.as_mins())
        .bind(self.now)
        .execute(&mut self.tx)
        .await?;
        Ok(SessionRow {
            id,
            appointment,
            patient,
            doctor,
            mode,
            room_name,
            consultation: Consultation::scheduled(start, duration),
            charged: None,
            recalled_from: None,
            payment: PaymentStatus::NotRequired,
            clinic,
            created_at: self.now,
            updated_at: None,
            heard: Heard::default(),
            prescription: None,
            attendance: Attendance::nobody(),
            told: None,
            version: 0,
        })
    }

    /// The session that re-calls the patient of `ended` now, made when there is none: planned for
    /// as long, and for the same two. An appointment of its own goes with it.
    pub async fn recall(&mut self, ended: &SessionRow) -> Result<SessionRow, StoreError> {
        let made = select!("WHERE s.recalled_from = $1").bind(ended.id).fetch_optional(&mut self.tx).await?;
        if let Some(row) = made {
            return read(&row);
        }
        let (appointment, session) = (AppointmentId::generate(), SessionId::generate());
        sql!(
            "INSERT INTO appointments (id, patient_id, doctor_id, consultation_mode, scheduled_start_time,
             scheduled_duration_minutes, created_at, clinic_id) SELECT CAST($1 AS TEXT), s.patient_id, s.doctor_id,
             s.consultation_mode, CAST($2 AS BIGINT), s.scheduled_minutes, CAST($2 AS BIGINT), a.clinic_id
             FROM consultation_sessions s JOIN appointments a ON a.id = s.appointment_id WHERE s.id = $3",
        )
        .bind(appointment)
        .bind(self.now)
        .bind(ended.id)
        .execute(&mut self.tx)
        .await?;
        sql!(
            "INSERT INTO consultation_sessions (id, appointment_id, patient_id, doctor_id, consultation_mode,
             room_name, status, scheduled_start, scheduled_minutes, created_at, recalled_from)
             SELECT CAST($1 AS TEXT), id, patient_id, doctor_id, consultation_mode, CAST($2 AS TEXT), 'SCHEDULED',
             scheduled_start_time, scheduled_duration_minutes, created_at, CAST($3 AS TEXT) FROM appointments WHERE id = $4",
        )
        .bind(session)
        .bind(new_room_name())
        .bind(ended.id)
        .bind(appointment)
        .execute(&mut self.tx)
        .await?;
        one_session(&mut self.tx, session).await?.ok_or(sqlx::Error::RowNotFound.into())
    }

    /// This has been told of the patient's place in the line.
    pub async fn keep_told(&mut self, session: SessionId, told: AsTold) -> Result<(), StoreError> {
        sql!("UPDATE consultation_sessions SET told_place = $1, told_minutes = $2 WHERE id = $3")
            .bind(u64::from(told.place))
            .bind(u64::from(told.minutes))
            .bind(session)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Keeps what a visit came to, once.
    pub async fn keep_amount(
        &mut self,
        session: SessionId,
        amount: Decimal,
        currency: &str,
    ) -> Result<(), StoreError> {
        sql!(
            "UPDATE consultation_sessions SET amount_charged = $1, currency = $2
             WHERE id = $3 AND amount_charged IS NULL",
        )
        .bind(amount.to_string())
        .bind(currency)
        .bind(session)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// One session, as it is and stays until this is committed.
    pub async fn session(&mut self, session: SessionId) -> Result<Option<SessionRow>, StoreError> {
        self.tx.lock("SELECT id FROM consultation_sessions WHERE id = $1 FOR NO KEY UPDATE", session).await?;
        one_session(&mut self.tx, session).await
    }

    /// Writes a session back, which has changed since it was read here; gives it with its new version.
    pub async fn replace(&mut self, mut row: SessionRow) -> Result<SessionRow, StoreError> {
        let c = &row.consultation;
        let replaced = sql!(
            "UPDATE consultation_sessions SET status = $1, end_reason = $2, waiting_since = $3, ready = $4,
             device_check = $5, admitted = $6, patient_joined = $7, doctor_joined = $8, started_at = $9, ended_at = $10,
             clock_since = $11, clock_before_ms = $12, left_at = $13, admitted_at = $14, patient_device = $15, doctor_device = $16,
             scheduled_start = $17, scheduled_minutes = $18, declined = $19, patient_joined_at = $20, doctor_joined_at = $21,
             patient_connection_quality = $22, doctor_connection_quality = $23, updated_at = $24, version = version + 1
             WHERE id = $25 AND version = $26",
        )
        .bind(word(&c.status)?)
        .bind(c.end_reason.as_ref().map(word).transpose()?)
        .bind(c.waiting_since)
        .bind(c.ready)
        .bind(
            c.device_check
                .map(|check| serde_json::to_string(&check).map_err(|_| StoreError::Unreadable("device check")))
                .transpose()?,
        )
        .bind(c.admitted)
        .bind(c.patient_joined)
        .bind(c.doctor_joined)
        .bind(c.started_at)
        .bind(c.ended_at)
        .bind(c.clock_since)
        .bind(c.clock_before.as_millis() as i64)
        .bind(c.left_at)
        .bind(c.admitted_at)
        .bind(c.patient_device)
        .bind(c.doctor_device)
        .bind(c.scheduled_start)
        .bind(c.scheduled_duration.as_mins())
        .bind(c.declined)
        .bind(c.patient_joined_at)
        .bind(c.doctor_joined_at)
        .bind(row.heard.patient.as_ref().map(word).transpose()?)
        .bind(row.heard.doctor.as_ref().map(word).transpose()?)
        .bind(self.now)
        .bind(row.id)
        .bind(row.version)
        .execute(&mut self.tx)
        .await?;
        if replaced != 1 {
            // Nobody else writes while this is under way.
            return Err(sqlx::Error::RowNotFound.into());
        }
        row.version += 1;
        row.updated_at = Some(self.now);
        Ok(row)
    }
}
