//! A doctor's practice hours: who waits in its queue, and who is invited out of it.
//!
//! ```text
//!  schedule     UPCOMING ──▶ ONLINE ──▶ COMPLETED
//!
//!  entry                       confirms
//!        WAITING ◀──▶ READY ─────────────▶ IN_CALL ──▶ DONE
//!           ▲           │ declines, expires    │          ▲
//!           ├───────────┘                      │          │ leaves, practice closes
//!           └────────── reset ◀────────────────┴──────────┘
//!
//!  invitation   INVITED ──▶ CONFIRMED ──▶ ACTIVE ──▶ ENDED
//!                  └──▶ DECLINED | EXPIRED | ENDED (taken back)
//! ```
//!
//! A doctor has one invitation open at a time, a patient one place in all queues (which the store holds: these rules
//! see one schedule). An invitation that has run out is expired whoever comes first, the clock or the patient: a
//! confirmation at that very instant is too late. When the practice closes, those who wait are done; a visit that runs
//! goes on.

use bedside_protocol::{EntryStatus, InvitationId, InvitationStatus, ScheduleStatus, UserId};
use jiff::{SignedDuration, Timestamp};

#[cfg(test)]
mod tests;

use crate::session::INVITATION_LASTS;

/// Practice hours that nobody closed are closed after this: nobody waits for a doctor who went home.
pub const CLOSES_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// One schedule, its queue and its last invitation.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Practice {
    /// Patients come into the doctor's room by their number: there is no call to confirm, and none to wait for.
    pub in_person: bool,
    /// Where it stands.
    pub status: ScheduleStatus,
    /// When it was opened.
    pub opened_at: Option<Timestamp>,
    /// The last number that was given.
    pub last_number: u32,
    /// Everybody who ever joined, by their numbers.
    pub entries: Vec<Entry>,
    /// The last invitation, open or not.
    pub invitation: Option<Invitation>,
}

/// Somebody in the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Who.
    pub patient: UserId,
    /// Their number.
    pub number: u32,
    /// Where they stand.
    pub status: EntryStatus,
    /// When they joined.
    pub joined_at: Timestamp,
}

/// An invitation out of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Invitation {
    /// Which.
    pub id: InvitationId,
    /// Who is asked.
    pub patient: UserId,
    /// Where it stands.
    pub status: InvitationStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was confirmed.
    pub confirmed_at: Option<Timestamp>,
    /// When it was over.
    pub ended_at: Option<Timestamp>,
}

impl Invitation {
    /// When it runs out.
    pub fn expires_at(&self) -> Timestamp {
        self.created_at.checked_add(INVITATION_LASTS).unwrap_or(Timestamp::MAX)
    }

    /// Whether the doctor can't invite anybody else.
    pub const fn is_open(&self) -> bool {
        matches!(
            self.status,
            InvitationStatus::Invited | InvitationStatus::Confirmed | InvitationStatus::Active
        )
    }
}

/// What can happen to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Input {
    /// The doctor opens it.
    Open,
    /// The doctor closes it.
    Close,
    /// Somebody joins the queue.
    Join(UserId),
    /// Somebody leaves it.
    Leave(UserId),
    /// Somebody says whether they can be invited.
    Ready(UserId, bool),
    /// The doctor invites one of those who are ready.
    Invite {
        /// The invitation's id, if it becomes one.
        id: InvitationId,
        /// Who.
        patient: UserId,
    },
    /// The patient comes.
    Confirm(InvitationId),
    /// The patient does not.
    Decline(InvitationId),
    /// Both are in the call.
    Activate(InvitationId),
    /// The visit is over, or the doctor takes the invitation back.
    End(InvitationId),
    /// The doctor lets somebody wait again, whatever came of their invitation.
    Reset(UserId),
    /// Time passes.
    Tick,
}

/// Why an input was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// It is not open.
    #[error("the practice is not open")]
    NotOpen,
    /// They are not in the queue.
    #[error("not in this queue")]
    NotInQueue,
    /// They have not said that they are ready.
    #[error("the patient is not ready")]
    NotReady,
    /// Somebody else is invited or in the call.
    #[error("another invitation is open")]
    AlreadyInviting,
    /// It has run out.
    #[error("the invitation has run out")]
    Expired,
    /// There is no such thing at this point.
    #[error("not at this point")]
    WrongState,
}

impl Practice {
    /// One that is not open yet.
    pub const fn upcoming(in_person: bool) -> Self {
        Self {
            in_person,
            status: ScheduleStatus::Upcoming,
            opened_at: None,
            last_number: 0,
            entries: Vec::new(),
            invitation: None,
        }
    }

    /// How many wait.
    pub fn waiting(&self) -> u32 {
        self.entries.iter().map(|entry| u32::from(waits(entry))).sum()
    }

    /// How many are to be seen up to and with somebody who waits.
    pub fn place(&self, number: u32) -> Option<u32> {
        let entry = self.entries.iter().find(|entry| entry.number == number).filter(|entry| waits(entry))?;
        let before = self.entries.iter().filter(|other| waits(other) && other.number <= entry.number);
        u32::try_from(before.count()).ok()
    }

    /// Somebody's place that is not done; or else the last that they had.
    pub fn entry(&self, patient: UserId) -> Option<&Entry> {
        let mut own = self.entries.iter().rev().filter(|entry| entry.patient == patient);
        own.next()
    }

    /// What time does first, and then the input. Where it is refused, only time has done something.
    pub fn apply(&mut self, input: Input, now: Timestamp) -> Result<(), Refused> {
        self.tick(now);
        match input {
            Input::Tick => Ok(()),
            Input::Open => self.open(now),
            Input::Close => {
                // Closed twice is closed.
                if self.status != ScheduleStatus::Completed {
                    self.shut(now);
                }
                Ok(())
            }
            Input::Join(patient) => self.join(patient, now),
            Input::Leave(patient) => self.leave(patient, now),
            Input::Ready(patient, ready) => self.ready(patient, ready, now),
            Input::Invite { id, patient } => self.invite(id, patient, now),
            Input::Confirm(id) => self.confirm(id, now),
            Input::Decline(id) => self.decline(id, now),
            Input::Activate(id) => self.activate(id),
            Input::End(id) => self.end(id, now),
            Input::Reset(patient) => self.reset(patient, now),
        }
    }

    fn tick(&mut self, now: Timestamp) {
        if let Some(invitation) = &self.invitation
            && invitation.status == InvitationStatus::Invited
            && now >= invitation.expires_at()
        {
            let patient = invitation.patient;
            self.over(InvitationStatus::Expired, now);
            self.set(patient, EntryStatus::Waiting);
        }
        let is_forgotten = self.opened_at.is_some_and(|at| now.duration_since(at) >= CLOSES_AFTER);
        if self.status == ScheduleStatus::Online && is_forgotten {
            self.shut(now);
        }
    }

    fn open(&mut self, now: Timestamp) -> Result<(), Refused> {
        match self.status {
            ScheduleStatus::Upcoming => {
                (self.status, self.opened_at) = (ScheduleStatus::Online, Some(now));
                Ok(())
            }
            ScheduleStatus::Online => Ok(()),
            ScheduleStatus::Completed => Err(Refused::WrongState),
        }
    }

    fn shut(&mut self, now: Timestamp) {
        self.status = ScheduleStatus::Completed;
        if self.invitation.is_some_and(|invitation| invitation.status == InvitationStatus::Invited) {
            self.over(InvitationStatus::Expired, now);
        }
        // A call goes on and ends with its visit; in a room there is nothing that would end it.
        if self.in_person
            && let Some(invitation) = self.invitation.filter(Invitation::is_open)
        {
            self.over(InvitationStatus::Ended, now);
            self.set(invitation.patient, EntryStatus::Done);
        }
        for entry in self.entries.iter_mut().filter(|entry| waits(entry)) {
            entry.status = EntryStatus::Done;
        }
    }

    /// Joined twice is joined; whoever is done gets a new number.
    fn join(&mut self, patient: UserId, now: Timestamp) -> Result<(), Refused> {
        if self.status != ScheduleStatus::Online {
            return Err(Refused::NotOpen);
        }
        if self.current(patient).is_some() {
            return Ok(());
        }
        self.last_number += 1;
        let number = self.last_number;
        self.entries.push(Entry { patient, number, status: EntryStatus::Waiting, joined_at: now });
        Ok(())
    }

    fn leave(&mut self, patient: UserId, now: Timestamp) -> Result<(), Refused> {
        match self.current(patient).ok_or(Refused::NotInQueue)?.status {
            EntryStatus::InCall => Err(Refused::WrongState),
            _ => {
                if self.is_invited(patient) {
                    self.over(InvitationStatus::Declined, now);
                }
                self.set(patient, EntryStatus::Done);
                Ok(())
            }
        }
    }

    fn ready(&mut self, patient: UserId, ready: bool, now: Timestamp) -> Result<(), Refused> {
        match (self.current(patient).ok_or(Refused::NotInQueue)?.status, ready) {
            (EntryStatus::InCall, _) => Err(Refused::WrongState),
            (_, true) => {
                self.set(patient, EntryStatus::Ready);
                Ok(())
            }
            (_, false) => {
                // Whoever is not ready any more does not come.
                if self.is_invited(patient) {
                    self.over(InvitationStatus::Declined, now);
                }
                self.set(patient, EntryStatus::Waiting);
                Ok(())
            }
        }
    }

    fn invite(&mut self, id: InvitationId, patient: UserId, now: Timestamp) -> Result<(), Refused> {
        // Invited twice is invited.
        if self.is_invited(patient) {
            return Ok(());
        }
        if self.status != ScheduleStatus::Online {
            return Err(Refused::NotOpen);
        }
        if self.invitation.is_some_and(|invitation| invitation.is_open()) {
            return Err(Refused::AlreadyInviting);
        }
        if self.current(patient).ok_or(Refused::NotInQueue)?.status != EntryStatus::Ready {
            return Err(Refused::NotReady);
        }
        let (status, confirmed_at) = if self.in_person {
            (InvitationStatus::Active, Some(now))
        } else {
            (InvitationStatus::Invited, None)
        };
        self.invitation =
            Some(Invitation { id, patient, status, created_at: now, confirmed_at, ended_at: None });
        if self.in_person {
            self.set(patient, EntryStatus::InCall);
        }
        Ok(())
    }

    /// Confirmed twice is confirmed.
    fn confirm(&mut self, id: InvitationId, now: Timestamp) -> Result<(), Refused> {
        let invitation = self.known(id)?;
        match invitation.status {
            InvitationStatus::Invited => {
                (invitation.status, invitation.confirmed_at) = (InvitationStatus::Confirmed, Some(now));
                let patient = invitation.patient;
                self.set(patient, EntryStatus::InCall);
                Ok(())
            }
            InvitationStatus::Confirmed | InvitationStatus::Active => Ok(()),
            InvitationStatus::Expired => Err(Refused::Expired),
            InvitationStatus::Ended | InvitationStatus::Declined => Err(Refused::WrongState),
        }
    }

    /// Declined twice is declined, and one that has run out as well.
    fn decline(&mut self, id: InvitationId, now: Timestamp) -> Result<(), Refused> {
        let invitation = self.known(id)?;
        match invitation.status {
            InvitationStatus::Invited => {
                let patient = invitation.patient;
                self.over(InvitationStatus::Declined, now);
                self.set(patient, EntryStatus::Waiting);
                Ok(())
            }
            InvitationStatus::Declined | InvitationStatus::Expired => Ok(()),
            _ => Err(Refused::WrongState),
        }
    }

    fn activate(&mut self, id: InvitationId) -> Result<(), Refused> {
        let invitation = self.known(id)?;
        match invitation.status {
            InvitationStatus::Confirmed | InvitationStatus::Active => {
                invitation.status = InvitationStatus::Active;
                Ok(())
            }
            _ => Err(Refused::WrongState),
        }
    }

    /// Ended twice is ended, and so is what is over in another way.
    fn end(&mut self, id: InvitationId, now: Timestamp) -> Result<(), Refused> {
        let invitation = *self.known(id)?;
        if !invitation.is_open() {
            return Ok(());
        }
        self.over(InvitationStatus::Ended, now);
        if invitation.status != InvitationStatus::Invited {
            self.set(invitation.patient, EntryStatus::Done);
        }
        Ok(())
    }

    fn reset(&mut self, patient: UserId, now: Timestamp) -> Result<(), Refused> {
        let entry = *self.entry(patient).ok_or(Refused::NotInQueue)?;
        if self.status != ScheduleStatus::Online {
            return Err(Refused::NotOpen);
        }
        if let Some(invitation) = self.invitation.filter(|open| open.is_open() && open.patient == patient) {
            let is_ringing = invitation.status == InvitationStatus::Invited;
            self.over(if is_ringing { InvitationStatus::Expired } else { InvitationStatus::Ended }, now);
        }
        if let Some(entry) = self.entries.iter_mut().find(|other| other.number == entry.number) {
            entry.status = EntryStatus::Waiting;
        }
        Ok(())
    }

    /// Somebody's place that is not done.
    fn current(&self, patient: UserId) -> Option<&Entry> {
        self.entry(patient).filter(|entry| entry.status != EntryStatus::Done)
    }

    fn is_invited(&self, patient: UserId) -> bool {
        self.invitation.is_some_and(|invitation| {
            invitation.patient == patient && invitation.status == InvitationStatus::Invited
        })
    }

    fn known(&mut self, id: InvitationId) -> Result<&mut Invitation, Refused> {
        self.invitation.as_mut().filter(|invitation| invitation.id == id).ok_or(Refused::WrongState)
    }

    /// The invitation is over.
    const fn over(&mut self, status: InvitationStatus, now: Timestamp) {
        if let Some(invitation) = &mut self.invitation {
            invitation.status = status;
            invitation.ended_at = Some(now);
        }
    }

    fn set(&mut self, patient: UserId, status: EntryStatus) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.patient == patient) {
            entry.status = status;
        }
    }
}

const fn waits(entry: &Entry) -> bool {
    matches!(entry.status, EntryStatus::Waiting | EntryStatus::Ready)
}
