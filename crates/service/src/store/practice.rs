//! Doctors' practice hours, their queues and invitations.

use std::collections::HashMap;

use bedside_authz::Reach;
use bedside_consult::practice::{CLOSES_AFTER, Entry, Invitation, Practice};
use bedside_consult::session::INVITATION_LASTS;
use bedside_protocol::{
    AppointmentType, ClinicId, InvitationId, Role, ScheduleId, ScheduleStatus, SessionId, User, UserId,
};
use jiff::{Timestamp, civil::Date};

use super::{
    Store, StoreError, Unit, Untold,
    accounts::{doctor, patient},
    clinics::ReachParameters,
    from_word,
    sql::{Connection, Row, sql},
    unit::TELLS_WITHIN,
    word,
};

/// Practice hours, without who is in their queue.
#[derive(Clone, Debug)]
pub struct ScheduleHead {
    /// Which.
    pub id: ScheduleId,
    /// Who sees patients.
    pub doctor: User,
    /// The doctor's clinic, as it was.
    pub clinic: Option<ClinicId>,
    /// The day.
    pub date: Date,
    /// From when, as the practice's clock shows it.
    pub start_time: String,
    /// Until when.
    pub end_time: String,
    /// Where it stands.
    pub status: ScheduleStatus,
    /// Whether there are calls.
    pub appointment_type: AppointmentType,
    /// What whoever made it is.
    pub creator_type: Role,
    /// Who that was.
    pub creator_id: UserId,
    /// How many wait.
    pub waiting: u32,
    pub(crate) version: i64,
}

/// Practice hours with all that belongs to them.
#[derive(Clone, Debug)]
pub struct ScheduleRow {
    /// What it is.
    pub head: ScheduleHead,
    /// Where it stands, by its rules.
    pub practice: Practice,
    /// Who is in its queue, or was.
    pub patients: HashMap<UserId, User>,
    /// When the place of each number last changed.
    pub changed: HashMap<u32, Timestamp>,
    /// The visit of the last invitation.
    pub session: Option<SessionId>,
    /// As it is stored.
    stored: Practice,
    stored_session: Option<SessionId>,
}

/// An invitation and its two people.
#[derive(Clone, Debug)]
pub struct InvitationRow {
    /// What it is, by its rules.
    pub invitation: Invitation,
    /// Of which practice hours.
    pub schedule: ScheduleId,
    /// Of which clinic those are.
    pub clinic: Option<ClinicId>,
    /// Who asks.
    pub doctor: User,
    /// Who is asked.
    pub patient: User,
    /// The visit that came of it.
    pub session: Option<SessionId>,
    pub(crate) version: i64,
}

/// Which practice hours are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScheduleFilter {
    /// This doctor's.
    pub doctor: Option<UserId>,
    /// From this day on.
    pub from: Option<Date>,
    /// Until this day.
    pub to: Option<Date>,
    /// In this state.
    pub status: Option<ScheduleStatus>,
    /// After this one.
    pub after: Option<ScheduleId>,
}

fn small(number: u64) -> Result<u32, StoreError> {
    number.try_into().map_err(|_| StoreError::Unreadable("count"))
}

fn head(row: &Row) -> Result<ScheduleHead, StoreError> {
    let date: String = row.get("date")?;
    Ok(ScheduleHead {
        id: row.get("id")?,
        doctor: doctor(row)?,
        clinic: row.get("clinic_id")?,
        date: date.parse().map_err(|_| StoreError::Unreadable("date"))?,
        start_time: row.get("start_time")?,
        end_time: row.get("end_time")?,
        status: from_word(&row.get::<String>("status")?)?,
        appointment_type: from_word(&row.get::<String>("appointment_type")?)?,
        creator_type: from_word(&row.get::<String>("creator_type")?)?,
        creator_id: row.get("creator_id")?,
        waiting: small(row.get("waiting")?)?,
        version: row.get("version")?,
    })
}

/// Practice hours as [`head`] reads them; what follows says which.
macro_rules! select {
    ($($which:literal),+ $(,)?) => {
        sql!(
            "SELECT s.*, d.name AS doctor_name, d.specialization AS doctor_specialization,
             (SELECT COUNT(*) FROM queue_entries q WHERE q.schedule_id = s.id AND q.status IN ('WAITING', 'READY'))
             AS waiting FROM schedules s JOIN users d ON d.id = s.doctor_id ",
            $($which),+
        )
    };
}

/// Invitations as [`invitation_row`] reads them; what follows says which.
macro_rules! select_invitations {
    ($($which:literal),+ $(,)?) => {
        sql!(
            "SELECT i.*, s.doctor_id, s.version, s.clinic_id, d.name AS doctor_name, d.specialization AS doctor_specialization,
             p.name AS patient_name FROM invitations i JOIN schedules s ON s.id = i.schedule_id
             JOIN users d ON d.id = s.doctor_id JOIN users p ON p.id = i.patient_id ",
            $($which),+
        )
    };
}

fn invitation_row(row: &Row) -> Result<InvitationRow, StoreError> {
    let patient = patient(row)?;
    Ok(InvitationRow {
        invitation: Invitation {
            id: row.get("id")?,
            patient: patient.id,
            status: from_word(&row.get::<String>("status")?)?,
            created_at: row.get("created_at")?,
            confirmed_at: row.get("confirmed_at")?,
            ended_at: row.get("ended_at")?,
        },
        schedule: row.get("schedule_id")?,
        clinic: row.get("clinic_id")?,
        doctor: doctor(row)?,
        patient,
        session: row.get("session_id")?,
        version: row.get("version")?,
    })
}

async fn load(database: &mut Connection, id: ScheduleId) -> Result<Option<ScheduleRow>, StoreError> {
    let Some(row) = select!("WHERE s.id = $1").bind(id).fetch_optional(database).await? else {
        return Ok(None);
    };
    let appointment_type: AppointmentType = from_word(&row.get::<String>("appointment_type")?)?;
    let mut practice = Practice {
        in_person: appointment_type == AppointmentType::InPerson,
        status: from_word(&row.get::<String>("status")?)?,
        opened_at: row.get("opened_at")?,
        last_number: small(row.get("last_number")?)?,
        entries: vec![],
        invitation: None,
    };
    let (mut patients, mut changed) = (HashMap::new(), HashMap::new());
    let entries = sql!(
        "SELECT q.*, p.name AS patient_name FROM queue_entries q JOIN users p ON p.id = q.patient_id
         WHERE q.schedule_id = $1 ORDER BY q.queue_number",
    )
    .bind(id)
    .fetch_all(database)
    .await?;
    for entry in &entries {
        let user = patient(entry)?;
        let number = small(entry.get("queue_number")?)?;
        changed.insert(number, entry.get("changed_at")?);
        practice.entries.push(Entry {
            patient: user.id,
            number,
            status: from_word(&entry.get::<String>("status")?)?,
            joined_at: entry.get("joined_at")?,
        });
        patients.insert(user.id, user);
    }
    let last = select_invitations!("WHERE i.schedule_id = $1 ORDER BY i.created_at DESC, i.id DESC LIMIT 1")
        .bind(id)
        .fetch_optional(database)
        .await?;
    let last = last.as_ref().map(invitation_row).transpose()?;
    practice.invitation = last.as_ref().map(|row| row.invitation);
    let session = last.and_then(|row| row.session);
    Ok(Some(ScheduleRow {
        head: head(&row)?,
        stored: practice.clone(),
        practice,
        patients,
        changed,
        stored_session: session,
        session,
    }))
}

impl Store {
    /// Practice hours with their queue.
    pub async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRow>, StoreError> {
        load(&mut self.reader().await?, id).await
    }

    /// A page of practice hours, by their day and time.
    pub async fn schedules(
        &self,
        reach: Reach,
        filter: ScheduleFilter,
        limit: u32,
    ) -> Result<Vec<ScheduleHead>, StoreError> {
        let reach = ReachParameters::from(reach);
        let rows = select!(
            "WHERE (CAST($1 AS TEXT) IS NULL OR s.doctor_id = $1) AND (CAST($2 AS TEXT) IS NULL OR s.date >= $2)
             AND (CAST($3 AS TEXT) IS NULL OR s.date <= $3) AND (CAST($4 AS TEXT) IS NULL OR s.status = $4)
             AND (CAST($5 AS TEXT) IS NULL OR (s.date, s.start_time, s.id) >
             (SELECT date, start_time, id FROM schedules WHERE id = $5))
             AND ($7 OR s.clinic_id = $8 OR ($9 AND s.clinic_id IS NULL))
             ORDER BY s.date, s.start_time, s.id LIMIT $6",
        )
        .bind(filter.doctor)
        .bind(filter.from.map(|date| date.to_string()))
        .bind(filter.to.map(|date| date.to_string()))
        .bind(filter.status.as_ref().map(word).transpose()?)
        .bind(filter.after)
        .bind(i64::from(limit))
        .bind(reach.all)
        .bind(reach.clinic)
        .bind(reach.none)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(head).collect()
    }

    /// One invitation.
    pub async fn invitation(&self, id: InvitationId) -> Result<Option<InvitationRow>, StoreError> {
        let row =
            select_invitations!("WHERE i.id = $1").bind(id).fetch_optional(&mut self.reader().await?).await?;
        row.as_ref().map(invitation_row).transpose()
    }

    /// The invitations of somebody that ring, or that a visit goes on from.
    pub async fn open_invitations_of(&self, user: UserId) -> Result<Vec<InvitationRow>, StoreError> {
        let rows = select_invitations!(
            "WHERE (i.patient_id = $1 OR s.doctor_id = $1) AND i.status IN ('INVITED', 'CONFIRMED', 'ACTIVE')
             ORDER BY i.created_at",
        )
        .bind(user)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(invitation_row).collect()
    }

    /// What time does something to: invitations that have run out, and practices that nobody closed.
    pub async fn due_schedules(&self, now: Timestamp) -> Result<Vec<ScheduleId>, StoreError> {
        let rows = sql!(
            "SELECT id FROM schedules WHERE status = 'ONLINE' AND opened_at <= $1
             UNION SELECT schedule_id FROM invitations WHERE status = 'INVITED' AND created_at <= $2",
        )
        .bind(now - CLOSES_AFTER)
        .bind(now - INVITATION_LASTS)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter().map(|row| row.get("id")).collect()
    }

    /// Practice hours whose change was not told yet, as [`Store::untold`] has visits.
    pub async fn untold_schedules(&self, now: Timestamp) -> Result<Vec<Untold<ScheduleId>>, StoreError> {
        let rows = sql!(
            "SELECT schedule_id, version FROM untold_schedules WHERE teller = $1 OR tell_before < $2
             ORDER BY schedule_id"
        )
        .bind(self.instance().to_string())
        .bind(now)
        .fetch_all(&mut self.reader().await?)
        .await?;
        rows.iter()
            .map(|row| Ok(Untold { what: row.get("schedule_id")?, version: row.get("version")? }))
            .collect()
    }

    /// These have been told.
    pub async fn told_schedules(&self, told: &[Untold<ScheduleId>]) -> Result<(), StoreError> {
        let mut unit = self.begin(Timestamp::now()).await?;
        for Untold { what, version } in told {
            sql!("DELETE FROM untold_schedules WHERE schedule_id = $1 AND version = $2")
                .bind(*what)
                .bind(*version)
                .execute(&mut unit.tx)
                .await?;
        }
        unit.commit().await
    }
}

impl Unit {
    /// Makes practice hours that are not open yet.
    pub async fn add_schedule(&mut self, head: &ScheduleHead) -> Result<(), StoreError> {
        sql!(
            "INSERT INTO schedules (id, doctor_id, date, start_time, end_time, status, appointment_type, creator_type,
             creator_id, created_at, clinic_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        )
        .bind(head.id)
        .bind(head.doctor.id)
        .bind(head.date.to_string())
        .bind(head.start_time.as_str())
        .bind(head.end_time.as_str())
        .bind(word(&head.status)?)
        .bind(word(&head.appointment_type)?)
        .bind(word(&head.creator_type)?)
        .bind(head.creator_id)
        .bind(self.now)
        .bind(head.clinic)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }

    /// Practice hours, as they are and stay until this is committed.
    pub async fn schedule(&mut self, id: ScheduleId) -> Result<Option<ScheduleRow>, StoreError> {
        self.tx.lock("SELECT id FROM schedules WHERE id = $1 FOR NO KEY UPDATE", id).await?;
        load(&mut self.tx, id).await
    }

    /// The invitation that a visit came of, and its practice hours.
    pub async fn invitation_of(
        &mut self,
        session: SessionId,
    ) -> Result<Option<(ScheduleId, InvitationId)>, StoreError> {
        let row = sql!("SELECT schedule_id, id FROM invitations WHERE session_id = $1")
            .bind(session)
            .fetch_optional(&mut self.tx)
            .await?;
        row.map(|row| Ok((row.get("schedule_id")?, row.get("id")?))).transpose()
    }

    /// Writes practice hours back that have changed since they were read here, and that this is to be told. Gives
    /// whether they have.
    pub async fn keep_schedule(&mut self, row: &mut ScheduleRow) -> Result<bool, StoreError> {
        if row.practice == row.stored && row.session == row.stored_session {
            return Ok(false);
        }
        self.keep_entries(row).await?;
        self.keep_invitation(row).await?;
        row.head.version += 1;
        row.head.status = row.practice.status;
        row.head.waiting = row.practice.waiting();
        sql!(
            "UPDATE schedules SET status = $1, opened_at = $2, last_number = $3, version = $4 WHERE id = $5",
        )
        .bind(word(&row.practice.status)?)
        .bind(row.practice.opened_at)
        .bind(u64::from(row.practice.last_number))
        .bind(row.head.version)
        .bind(row.head.id)
        .execute(&mut self.tx)
        .await?;
        sql!(
            "INSERT INTO untold_schedules (schedule_id, version, teller, tell_before) VALUES ($1, $2, $3, $4)
             ON CONFLICT (schedule_id) DO UPDATE SET version = excluded.version, teller = excluded.teller,
             tell_before = excluded.tell_before",
        )
        .bind(row.head.id)
        .bind(row.head.version)
        .bind(self.instance.to_string())
        .bind(self.now + TELLS_WITHIN)
        .execute(&mut self.tx)
        .await?;
        self.changed.schedules = true;
        row.stored = row.practice.clone();
        row.stored_session = row.session;
        Ok(true)
    }

    async fn keep_entries(&mut self, row: &mut ScheduleRow) -> Result<(), StoreError> {
        let changed = row.practice.entries.iter().filter(|entry| !row.stored.entries.contains(entry));
        for entry in changed {
            row.changed.insert(entry.number, self.now);
            sql!(
                "INSERT INTO queue_entries (schedule_id, queue_number, patient_id, status, joined_at, changed_at)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (schedule_id, queue_number)
                 DO UPDATE SET status = excluded.status, changed_at = excluded.changed_at",
            )
            .bind(row.head.id)
            .bind(u64::from(entry.number))
            .bind(entry.patient)
            .bind(word(&entry.status)?)
            .bind(entry.joined_at)
            .bind(self.now)
            .execute(&mut self.tx)
            .await?;
        }
        Ok(())
    }

    async fn keep_invitation(&mut self, row: &ScheduleRow) -> Result<(), StoreError> {
        let Some(invitation) = &row.practice.invitation else { return Ok(()) };
        if row.stored.invitation == row.practice.invitation && row.stored_session == row.session {
            return Ok(());
        }
        // One that had run out when another took its place.
        sql!(
            "UPDATE invitations SET status = 'EXPIRED', ended_at = $1, changed_at = $1
             WHERE schedule_id = $2 AND id <> $3 AND status IN ('INVITED', 'CONFIRMED', 'ACTIVE')",
        )
        .bind(self.now)
        .bind(row.head.id)
        .bind(invitation.id)
        .execute(&mut self.tx)
        .await?;
        sql!(
            "INSERT INTO invitations (id, schedule_id, patient_id, status, created_at, confirmed_at, ended_at,
             changed_at, session_id) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (id) DO UPDATE SET status = excluded.status, confirmed_at = excluded.confirmed_at,
             ended_at = excluded.ended_at, changed_at = excluded.changed_at, session_id = excluded.session_id",
        )
        .bind(invitation.id)
        .bind(row.head.id)
        .bind(invitation.patient)
        .bind(word(&invitation.status)?)
        .bind(invitation.created_at)
        .bind(invitation.confirmed_at)
        .bind(invitation.ended_at)
        .bind(self.now)
        .bind(row.session)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}
