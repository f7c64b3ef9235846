//! Appointments, and when doctors can be booked.

use bedside_authz::Reach;
use bedside_consult::appointment::Appointment;
use bedside_protocol::{
    AppointmentId, AppointmentStatus, Availability, ClinicId, ConsultationMode, CreateAppointmentRequest,
    DoctorListing, PaymentStatus, Role, SessionId, Slot, Text, User, UserId,
};
use jiff::{SignedDuration, Timestamp};

use super::{
    Store, StoreError, Unit,
    accounts::{doctor, patient},
    clinics::ReachParameters,
    codes, contains, from_word,
    sql::{Connection, Row, sql},
    word,
};

/// An appointment with its two people and its visit.
#[derive(Clone, Debug)]
pub struct AppointmentRow {
    /// Which.
    pub id: AppointmentId,
    /// Who is seen.
    pub patient: User,
    /// Who sees.
    pub doctor: User,
    /// The doctor's clinic, as it was.
    pub clinic: Option<ClinicId>,
    /// How they meet in a call.
    pub mode: ConsultationMode,
    /// Where it stands, by its rules.
    pub appointment: Appointment,
    /// Why the patient comes.
    pub chief_complaint: Option<Text>,
    /// Its visit, where there is one, and the visit's room.
    pub visit: Option<(SessionId, String)>,
    /// When that began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What its patient says or shows at a kiosk. Those from before there were kiosks have none.
    pub check_in_code: Option<String>,
    /// When they came.
    pub checked_in_at: Option<Timestamp>,
}

/// Which appointments are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct AppointmentFilter {
    /// This patient's.
    pub patient: Option<UserId>,
    /// This doctor's.
    pub doctor: Option<UserId>,
    /// This clinic's.
    pub clinic: Option<ClinicId>,
    /// In this state.
    pub status: Option<AppointmentStatus>,
    /// From then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
    /// After this one.
    pub after: Option<AppointmentId>,
}

/// Appointments as [`read`] takes them; what follows says which.
macro_rules! select {
    ($($which:literal),+ $(,)?) => {
        sql!(
            "SELECT a.*, p.name AS patient_name, d.name AS doctor_name, d.specialization AS doctor_specialization,
             s.id AS session_id, s.room_name, s.started_at, s.ended_at FROM appointments a
             JOIN users p ON p.id = a.patient_id JOIN users d ON d.id = a.doctor_id
             LEFT JOIN consultation_sessions s ON s.appointment_id = a.id ",
            $($which),+
        )
    };
}

fn read(row: &Row) -> Result<AppointmentRow, StoreError> {
    let session: Option<SessionId> = row.get("session_id")?;
    Ok(AppointmentRow {
        id: row.get("id")?,
        patient: patient(row)?,
        doctor: doctor(row)?,
        clinic: row.get("clinic_id")?,
        mode: from_word(&row.get::<String>("consultation_mode")?)?,
        appointment: Appointment {
            status: from_word(&row.get::<String>("status")?)?,
            kind: from_word(&row.get::<String>("appointment_type")?)?,
            payment: from_word(&row.get::<String>("payment_status")?)?,
            payment_id: row.get("payment_id")?,
            start: row.get("scheduled_start_time")?,
            duration: SignedDuration::from_mins(row.get("scheduled_duration_minutes")?),
        },
        chief_complaint: row.get("chief_complaint")?,
        check_in_code: row.get("check_in_code")?,
        checked_in_at: row.get("checked_in_at")?,
        visit: session.zip(row.get("room_name")?),
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
    })
}

async fn one(database: &mut Connection, id: AppointmentId) -> Result<Option<AppointmentRow>, StoreError> {
    let row = select!("WHERE a.id = $1").bind(id).fetch_optional(database).await?;
    row.as_ref().map(read).transpose()
}

async fn taken(
    database: &mut Connection,
    doctor: UserId,
    within: Slot,
) -> Result<Vec<(AppointmentId, Slot)>, StoreError> {
    let rows = sql!(
        "SELECT id, scheduled_start_time, scheduled_duration_minutes FROM appointments
         WHERE doctor_id = $1 AND status IN ('BOOKED', 'IN_PROGRESS') AND scheduled_start_time < $2
         AND scheduled_start_time + scheduled_duration_minutes * 60000 > $3 ORDER BY scheduled_start_time",
    )
    .bind(doctor)
    .bind(within.end_time)
    .bind(within.start_time)
    .fetch_all(database)
    .await?;
    rows.iter()
        .map(|row| {
            let start: Timestamp = row.get("scheduled_start_time")?;
            let end = start + SignedDuration::from_mins(row.get("scheduled_duration_minutes")?);
            Ok((row.get("id")?, Slot { start_time: start, end_time: end }))
        })
        .collect()
}

async fn availability(database: &mut Connection, doctor: UserId) -> Result<Option<Availability>, StoreError> {
    let row = sql!("SELECT availability FROM doctor_availability WHERE doctor_id = $1")
        .bind(doctor)
        .fetch_optional(database)
        .await?;
    row.map(|row| {
        serde_json::from_str(&row.get::<String>("availability")?)
            .map_err(|_| StoreError::Unreadable("availability"))
    })
    .transpose()
}

impl Store {
    /// One appointment.
    pub async fn appointment(&self, id: AppointmentId) -> Result<Option<AppointmentRow>, StoreError> {
        one(&mut self.reader().await?, id).await
    }

    /// A page of appointments, by their time.
    pub async fn appointments(
        &self,
        filter: AppointmentFilter,
        limit: u32,
    ) -> Result<Vec<AppointmentRow>, StoreError> {
        let rows = select!(
            "WHERE (CAST($1 AS TEXT) IS NULL OR a.patient_id = $1) AND (CAST($2 AS TEXT) IS NULL OR a.doctor_id = $2)
             AND (CAST($3 AS TEXT) IS NULL OR a.status = $3)
             AND (CAST($4 AS BIGINT) IS NULL OR a.scheduled_start_time >= $4)
             AND (CAST($5 AS BIGINT) IS NULL OR a.scheduled_start_time < $5)
             AND (CAST($6 AS TEXT) IS NULL OR (a.scheduled_start_time, a.id) >
             (SELECT scheduled_start_time, id FROM appointments WHERE id = $6))
             AND (CAST($8 AS TEXT) IS NULL OR a.clinic_id = $8)
             ORDER BY a.scheduled_start_time, a.id LIMIT $7",
        )
        .bind(filter.patient)
        .bind(filter.doctor)
        .bind(filter.status.as_ref().map(word).transpose()?)
        .bind(filter.from)
        .bind(filter.to)
        .bind(filter.after)
        .bind(i64::from(limit))
        .bind(filter.clinic)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(read).collect()
    }

    /// When a doctor's time is taken, of what touches `within`.
    pub async fn taken(&self, doctor: UserId, within: Slot) -> Result<Vec<Slot>, StoreError> {
        let taken = taken(&mut self.reader().await?, doctor, within).await?;
        Ok(taken.into_iter().map(|(_, slot)| slot).collect())
    }

    /// When and how a doctor can be booked.
    pub async fn availability(&self, doctor: UserId) -> Result<Option<Availability>, StoreError> {
        availability(&mut self.reader().await?, doctor).await
    }

    /// A page of doctors by their names, whose name or speciality has these words.
    pub async fn doctors(
        &self,
        reach: Reach,
        words: Option<&str>,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Vec<DoctorListing>, StoreError> {
        let reach = ReachParameters::from(reach);
        let rows = sql!(
            "SELECT u.id, u.name, u.specialization, a.doctor_id IS NOT NULL AS is_bookable,
             (SELECT s.id FROM schedules s WHERE s.doctor_id = u.id AND s.status = 'ONLINE') AS open_schedule
             FROM users u LEFT JOIN doctor_availability a ON a.doctor_id = u.id
             WHERE u.role = 'DOCTOR' AND u.disabled_at IS NULL
             AND (CAST($1 AS TEXT) IS NULL OR lower(u.name) LIKE $1 ESCAPE '\\'
             OR lower(COALESCE(u.specialization, '')) LIKE $1 ESCAPE '\\')
             AND (CAST($2 AS TEXT) IS NULL OR (u.name, u.id) > (SELECT name, id FROM users WHERE id = $2))
             AND ($4 OR u.clinic_id = $5 OR ($6 AND u.clinic_id IS NULL))
             ORDER BY u.name, u.id LIMIT $3",
        )
        .bind(words.map(contains))
        .bind(after)
        .bind(i64::from(limit))
        .bind(reach.all)
        .bind(reach.clinic)
        .bind(reach.none)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(DoctorListing {
                    doctor: User {
                        id: row.get("id")?,
                        role: Role::Doctor,
                        name: row.get("name")?,
                        specialization: row.get("specialization")?,
                    },
                    open_schedule_id: row.get("open_schedule")?,
                    is_bookable: row.get("is_bookable")?,
                })
            })
            .collect()
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
        let payment =
            if request.payment_required { PaymentStatus::Pending } else { PaymentStatus::NotRequired };
        loop {
            let added = sql!(
                "INSERT INTO appointments (id, patient_id, doctor_id, consultation_mode, scheduled_start_time,
                 scheduled_duration_minutes, created_at, appointment_type, chief_complaint, payment_status, clinic_id,
                 check_in_code)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, (SELECT clinic_id FROM users WHERE id = $3), $11)
                 ON CONFLICT (check_in_code) DO NOTHING",
            )
            .bind(appointment)
            .bind(request.patient_id)
            .bind(doctor)
            .bind(word(&request.consultation_mode)?)
            .bind(request.scheduled_start_time)
            .bind(i64::from(request.scheduled_duration_minutes))
            .bind(self.now)
            .bind(word(&request.appointment_type)?)
            .bind(request.chief_complaint.as_ref().map(|text| text.reveal().to_owned()))
            .bind(word(&payment)?)
            .bind(codes::new())
            .execute(&mut self.tx)
            .await?;
            if added == 1 {
                return Ok(appointment);
            }
        }
    }

    /// An appointment, as it is and stays until this is committed.
    pub async fn appointment(&mut self, id: AppointmentId) -> Result<Option<AppointmentRow>, StoreError> {
        self.tx.lock("SELECT id FROM appointments WHERE id = $1 FOR NO KEY UPDATE", id).await?;
        one(&mut self.tx, id).await
    }

    /// The appointment that a patient says this code of, however it was typed, as it is and stays until this is
    /// committed.
    pub async fn appointment_of_code(&mut self, typed: &str) -> Result<Option<AppointmentRow>, StoreError> {
        let row = sql!("SELECT id FROM appointments WHERE check_in_code = $1")
            .bind(codes::as_kept(typed))
            .fetch_optional(&mut self.tx)
            .await?;
        let Some(row) = row else { return Ok(None) };
        self.appointment(row.get("id")?).await
    }

    /// The patient of an appointment has come.
    pub async fn check_in(&mut self, row: &mut AppointmentRow) -> Result<(), StoreError> {
        row.checked_in_at = Some(*row.checked_in_at.get_or_insert(self.now));
        sql!("UPDATE appointments SET checked_in_at = $1 WHERE id = $2")
            .bind(row.checked_in_at)
            .bind(row.id)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }

    /// Writes an appointment back.
    pub async fn keep_appointment(&mut self, row: &AppointmentRow) -> Result<(), StoreError> {
        let appointment = &row.appointment;
        sql!(
            "UPDATE appointments SET status = $1, payment_status = $2, payment_id = $3, scheduled_start_time = $4,
             scheduled_duration_minutes = $5, chief_complaint = $6 WHERE id = $7",
        )
        .bind(word(&appointment.status)?)
        .bind(word(&appointment.payment)?)
        .bind(appointment.payment_id.as_deref())
        .bind(appointment.start)
        .bind(appointment.duration.as_mins())
        .bind(row.chief_complaint.as_ref().map(|text| text.reveal().to_owned()))
        .bind(row.id)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// When a doctor can be booked, and what of `within` is taken by others than `besides`; nobody else books them
    /// until this is committed.
    pub async fn bookable(
        &mut self,
        doctor: UserId,
        within: Slot,
        besides: Option<AppointmentId>,
    ) -> Result<(Option<Availability>, Vec<Slot>), StoreError> {
        self.tx.lock("SELECT id FROM users WHERE id = $1 FOR NO KEY UPDATE", doctor).await?;
        let taken = taken(&mut self.tx, doctor, within).await?;
        let others = taken.into_iter().filter(|(id, _)| Some(*id) != besides).map(|(_, slot)| slot);
        Ok((availability(&mut self.tx, doctor).await?, others.collect()))
    }

    /// Keeps when and how a doctor can be booked.
    pub async fn set_availability(
        &mut self,
        doctor: UserId,
        availability: &Availability,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_string(availability).map_err(|_| StoreError::Unreadable("availability"))?;
        sql!(
            "INSERT INTO doctor_availability (doctor_id, availability) VALUES ($1, $2)
             ON CONFLICT (doctor_id) DO UPDATE SET availability = excluded.availability",
        )
        .bind(doctor)
        .bind(json)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}
