//! Practice hours as they are shown: patients see nobody else's name.

use bedside_consult::practice::Entry;
use bedside_protocol::{
    Code, EntryStatus, Invitation, InvitationId, InvitationStatus, Queue, QueueEntry, Role, Schedule,
    ServerMessage, User, UserId, topic,
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    App,
    error::ApiError,
    store::{InvitationRow, ScheduleHead, ScheduleRow},
};

/// Whoever is done hears of it for this long: somebody may have told late.
const DONE_IS_NEWS_FOR: SignedDuration = SignedDuration::from_mins(1);

/// Who looks at a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Viewer {
    /// Whose practice it is, and the clinic.
    Practice,
    /// Somebody who may be in it.
    Patient(UserId),
    /// Everybody.
    Wall,
}

impl Viewer {
    pub(super) fn of(user: &User, row: &ScheduleRow) -> Self {
        match user.role {
            Role::ClinicAdmin => Self::Practice,
            Role::Doctor if row.head.doctor.id == user.id => Self::Practice,
            Role::Doctor => Self::Wall,
            Role::Patient => Self::Patient(user.id),
            // They may not, and have been refused.
            Role::Kiosk | Role::Guest | Role::Service => Self::Wall,
        }
    }

    fn sees(self, patient: UserId) -> bool {
        match self {
            Self::Practice => true,
            Self::Patient(user) => user == patient,
            Self::Wall => false,
        }
    }
}

pub(super) fn schedule(head: &ScheduleHead) -> Schedule {
    Schedule {
        id: head.id,
        doctor: head.doctor.clone(),
        date: head.date,
        start_time: head.start_time.clone(),
        end_time: head.end_time.clone(),
        status: head.status,
        appointment_type: head.appointment_type,
        creator_type: head.creator_type,
        creator_id: head.creator_id,
        // A doctor's own are at no clinic: nobody has to come to one.
        clinic_id: head.clinic.filter(|_| head.creator_type == Role::ClinicAdmin),
        waiting: head.waiting,
        revision: head.version.unsigned_abs(),
    }
}

pub(super) fn queue(row: &ScheduleRow, viewer: Viewer) -> Queue {
    let own_last = match viewer {
        Viewer::Patient(user) => row.practice.entry(user).map(|entry| entry.number),
        Viewer::Practice | Viewer::Wall => None,
    };
    let shown =
        |entry: &&Entry| entry.status != EntryStatus::Done || own_last.is_some_and(|own| own == entry.number);
    let entry = |entry: &Entry| QueueEntry {
        patient: row.patients.get(&entry.patient).filter(|_| viewer.sees(entry.patient)).cloned(),
        queue_number: entry.number,
        status: entry.status,
        is_ready: entry.status == EntryStatus::Ready,
        joined_at: entry.joined_at,
        place: row.practice.place(entry.number),
    };
    Queue {
        schedule_id: row.head.id,
        revision: row.head.version.unsigned_abs(),
        total: row.practice.waiting(),
        entries: row.practice.entries.iter().filter(shown).map(entry).collect(),
    }
}

pub(super) fn invitation(row: &InvitationRow) -> Invitation {
    let rules = &row.invitation;
    Invitation {
        id: rules.id,
        schedule_id: row.schedule,
        doctor: row.doctor.clone(),
        patient: row.patient.clone(),
        status: rules.status,
        created_at: rules.created_at,
        expires_at: (rules.status == InvitationStatus::Invited).then(|| rules.expires_at()),
        confirmed_at: rules.confirmed_at,
        ended_at: rules.ended_at,
        session_id: row.session,
        revision: row.version.unsigned_abs(),
    }
}

pub(super) async fn invitation_of(app: &App, id: InvitationId) -> Result<Invitation, ApiError> {
    let row = app.store.invitation(id).await?.ok_or(Code::NotFound)?;
    Ok(invitation(&row))
}

/// Tells practice hours, their queue and their invitation as they are now to everybody whom they concern.
pub(crate) fn announce(app: &App, row: &ScheduleRow) {
    let status = ServerMessage::ScheduleStatus(Box::new(schedule(&row.head)));
    let wall = topic::schedule(row.head.id);
    app.publish(&wall, &status);
    app.publish(&wall, &ServerMessage::Queue(queue(row, Viewer::Wall)));
    let doctor = row.head.doctor.id;
    app.publish_to(doctor, topic::NOTIFICATIONS, None, &status);
    app.publish_to(doctor, topic::NOTIFICATIONS, None, &ServerMessage::Queue(queue(row, Viewer::Practice)));
    let now = Timestamp::now();
    let is_news = |entry: &&Entry| {
        let changed = row.changed.get(&entry.number);
        entry.status != EntryStatus::Done
            || changed.is_some_and(|&at| now.duration_since(at) < DONE_IS_NEWS_FOR)
    };
    for entry in row.practice.entries.iter().filter(is_news) {
        let message = ServerMessage::Queue(queue(row, Viewer::Patient(entry.patient)));
        app.publish_to(entry.patient, topic::NOTIFICATIONS, None, &message);
    }
    announce_invitation(app, row, now);
}

fn announce_invitation(app: &App, row: &ScheduleRow, now: Timestamp) {
    let Some(rules) = row.practice.invitation else { return };
    let is_old = |at: Timestamp| now.duration_since(at) >= DONE_IS_NEWS_FOR;
    if rules.ended_at.is_some_and(is_old) {
        return;
    }
    let Some(patient) = row.patients.get(&rules.patient) else { return };
    let shown = Box::new(invitation(&InvitationRow {
        invitation: rules,
        schedule: row.head.id,
        clinic: row.head.clinic,
        doctor: row.head.doctor.clone(),
        patient: patient.clone(),
        session: row.session,
        version: row.head.version,
    }));
    let message = if rules.status == InvitationStatus::Invited {
        ServerMessage::Invitation(shown)
    } else {
        ServerMessage::InvitationStatus(shown)
    };
    for user in [rules.patient, row.head.doctor.id] {
        app.publish_to(user, topic::NOTIFICATIONS, None, &message);
    }
}
