//! Who may do what: one table, from which the service's checks, its OpenAPI document, the page
//! `docs/who-may-do-what.md` and the tests of every route come.
//!
//! Somebody may do something by their role, or by the side that they are on in the visit that it is about. Whether the
//! visit's state allows it is not said here, but in `bedside-consult`.

use bedside_protocol::{Party, Role};

mod clinics;
mod page;

pub use clinics::{Reach, can_meet};
pub use page::page;

/// Whoever may do a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// Everybody, signed in or not.
    Anybody,
    /// Those with one of these roles, and those on one of these sides of the visit.
    These {
        /// By what they are.
        roles: &'static [Role],
        /// By their relation to the visit.
        sides: &'static [Party],
    },
}

const PEOPLE: &[Role] = &[Role::Patient, Role::Doctor, Role::ClinicAdmin];
const PEOPLE_AND_SERVICES: &[Role] = &[Role::Patient, Role::Doctor, Role::ClinicAdmin, Role::Service];
const PEOPLE_SERVICES_AND_GUESTS: &[Role] =
    &[Role::Patient, Role::Doctor, Role::ClinicAdmin, Role::Service, Role::Guest];
const PEOPLE_GUESTS_AND_KIOSKS: &[Role] =
    &[Role::Patient, Role::Doctor, Role::ClinicAdmin, Role::Guest, Role::Kiosk];
const EVERY_ROLE: &[Role] =
    &[Role::Patient, Role::Doctor, Role::ClinicAdmin, Role::Kiosk, Role::Guest, Role::Service];
const STAFF: &[Role] = &[Role::Doctor, Role::ClinicAdmin];
const STAFF_AND_SERVICES: &[Role] = &[Role::Doctor, Role::ClinicAdmin, Role::Service];
const ADMINISTRATOR: &[Role] = &[Role::ClinicAdmin];
const ADMINISTRATOR_AND_SERVICES: &[Role] = &[Role::ClinicAdmin, Role::Service];

const DOCTOR: &[Role] = &[Role::Doctor];
const PATIENT: &[Role] = &[Role::Patient];
const PATIENTS_AND_ADMINISTRATORS: &[Role] = &[Role::Patient, Role::ClinicAdmin];

const ANYBODY: Who = Who::Anybody;
const SIGNED_IN: Who = Who::These { roles: PEOPLE, sides: &[] };
const SIGNED_IN_OR_SERVICE: Who = Who::These { roles: PEOPLE_AND_SERVICES, sides: &[] };
const THE_PRACTICE: Who = Who::These { roles: STAFF, sides: &[] };
const THE_PRACTICE_OR_SERVICE: Who = Who::These { roles: STAFF_AND_SERVICES, sides: &[] };
const THE_TWO: Who = Who::These { roles: &[], sides: &[Party::Patient, Party::Doctor] };
const ITS_DOCTOR: Who = Who::These { roles: &[], sides: &[Party::Doctor] };
const ITS_PATIENT: Who = Who::These { roles: &[], sides: &[Party::Patient] };
const THE_TWO_AND_THE_DESK: Who =
    Who::These { roles: ADMINISTRATOR_AND_SERVICES, sides: &[Party::Patient, Party::Doctor] };

macro_rules! actions {
    ($($(#[doc = $doc:literal])+ $name:ident: $who:expr;)+) => {
        /// Something that can be asked of the service.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum Action {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Action {
            /// Every one, in the order of the page.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Whoever may do it.
            pub const fn who(self) -> Who {
                match self { $(Self::$name => $who,)+ }
            }

            /// What it is, in words.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => bare(concat!($($doc),+)),)+ }
            }
        }
    };
}

/// Without the space that a doc comment begins with, and the full stop that it ends with.
const fn bare(text: &str) -> &str {
    let (_, text) = text.split_at(1);
    let (text, _) = text.split_at(text.len() - 1);
    text
}

actions! {
    /// Ask whether the service is there, and whose it is.
    AskForService: ANYBODY;
    /// Make a patient's account for oneself.
    Register: ANYBODY;
    /// Sign in by a password or a link, renew a sign-in, sign out; choose a password by a mail.
    SignIn: ANYBODY;
    /// See who one is.
    SeeOneself: Who::These { roles: EVERY_ROLE, sides: &[] };
    /// See where one is signed in; end one's own sign-ins; change one's own password, name and how one is reached.
    KeepOwnAccount: SIGNED_IN;
    /// List what one was told.
    ListOwnNotifications: SIGNED_IN;
    /// Find people of one's clinic and of none by their names.
    FindPeople: THE_PRACTICE_OR_SERVICE;
    /// Make an account for a patient, or for somebody who has only the one visit.
    AddPatient: Who::These { roles: ADMINISTRATOR_AND_SERVICES, sides: &[] };
    /// Try the relay.
    TryRelay: Who::These { roles: PEOPLE_GUESTS_AND_KIOSKS, sides: &[] };
    /// Keep a check of one's devices and network.
    KeepDeviceCheck: Who::These { roles: PEOPLE_GUESTS_AND_KIOSKS, sides: &[] };
    /// Read the check that somebody reads out the code of.
    ReadDeviceCheck: THE_PRACTICE;
    /// Read who did or looked at what: an administrator of everybody, a patient of their own data.
    ReadAudit: Who::These { roles: PATIENTS_AND_ADMINISTRATORS, sides: &[] };
    /// Make an appointment: a patient for themselves in a free slot, a doctor for themselves, an administrator for anybody.
    MakeAppointment: SIGNED_IN_OR_SERVICE;
    /// List appointments: one's own, an administrator all.
    ListAppointments: SIGNED_IN_OR_SERVICE;
    /// See an appointment.
    ReadAppointment: THE_TWO_AND_THE_DESK;
    /// Move an appointment, a patient to a free slot; say why the patient comes.
    ChangeAppointment: THE_TWO_AND_THE_DESK;
    /// Call an appointment off.
    CancelAppointment: THE_TWO_AND_THE_DESK;
    /// Say that an appointment was paid for.
    VerifyPayment: Who::These { roles: ADMINISTRATOR_AND_SERVICES, sides: &[] };
    /// Check a patient in who is seen to have come.
    CheckInAtDesk: Who::These { roles: ADMINISTRATOR_AND_SERVICES, sides: &[Party::Doctor] };
    /// Check a patient in who reads out or shows the code of their appointment.
    CheckIn: Who::These { roles: &[Role::Kiosk], sides: &[] };
    /// Make a visit now.
    MakeInstantVisit: Who::These { roles: DOCTOR, sides: &[] };
    /// See who can be booked, and when.
    SeeDoctors: SIGNED_IN_OR_SERVICE;
    /// Say when a doctor can be booked: a doctor for themselves, an administrator for anybody.
    KeepAvailability: THE_PRACTICE;
    /// Make practice hours: a doctor for themselves, an administrator for any doctor.
    MakeSchedule: THE_PRACTICE;
    /// See practice hours and their queue; patients see names of nobody else.
    SeeSchedules: SIGNED_IN;
    /// Open and close practice hours, invite out of their queue, let somebody wait again.
    RunSchedule: Who::These { roles: ADMINISTRATOR, sides: &[Party::Doctor] };
    /// Join the queue of practice hours.
    JoinQueue: Who::These { roles: PATIENT, sides: &[] };
    /// Leave a queue that one is in, and say whether one is ready.
    KeepOwnPlace: ITS_PATIENT;
    /// See an invitation.
    SeeInvitation: THE_TWO;
    /// List one's own invitations.
    ListOwnInvitations: SIGNED_IN;
    /// Confirm or decline an invitation.
    AnswerInvitation: ITS_PATIENT;
    /// Take an invitation back, or end what came of it.
    EndInvitation: Who::These { roles: ADMINISTRATOR, sides: &[Party::Doctor] };
    /// Make the visit of an appointment.
    MakeVisit: THE_TWO_AND_THE_DESK;
    /// Let somebody into a visit in its patient's place who has no account or can't sign in, by a link.
    MakeLink: Who::These { roles: ADMINISTRATOR_AND_SERVICES, sides: &[Party::Doctor] };
    /// List one's own visits, an administrator those of the clinic; a guest, the one that their link is for.
    ListVisits: Who::These { roles: PEOPLE_SERVICES_AND_GUESTS, sides: &[] };
    /// List one's own past visits.
    ListOwnHistory: SIGNED_IN;
    /// See a visit.
    ReadVisit: THE_TWO;
    /// Hear of what happens in a visit.
    ListenToVisit: THE_TWO;
    /// Enter a visit: its waiting room, or its call once called in.
    Join: THE_TWO;
    /// Leave it.
    Leave: THE_TWO;
    /// Call the patient in.
    Admit: ITS_DOCTOR;
    /// Put a visit on hold, and take it off hold.
    Hold: ITS_DOCTOR;
    /// End it for both.
    End: ITS_DOCTOR;
    /// Ask its patient back after its end.
    Recall: ITS_DOCTOR;
    /// Say *Not now* to a calling-in.
    Decline: ITS_PATIENT;
    /// Call it off before it began.
    Cancel: THE_TWO;
    /// Send signals of the call.
    Signal: THE_TWO;
    /// Write and read its chat, and say how far one has read.
    Chat: THE_TWO;
    /// Send and read its files.
    Files: THE_TWO;
    /// Read who was in it, and what happened.
    ReadRecord: THE_TWO;
    /// Take all of it along, in the form that other clinical systems read.
    Export: THE_TWO;
    /// Tell and read how it is seen and heard.
    Quality: THE_TWO;
    /// Write and read the doctor's notes of a visit.
    KeepNotes: ITS_DOCTOR;
    /// Say what was prescribed in it.
    Prescribe: ITS_DOCTOR;
    /// Tell and read what went wrong in it.
    ReportIssues: THE_TWO;
    /// Read what it came to.
    ReadSummary: THE_TWO;
    /// Say how it was.
    GiveFeedback: ITS_PATIENT;
    /// Read what was said of it.
    ReadFeedback: THE_TWO;
    /// Say something to what was said.
    AnswerFeedback: ITS_DOCTOR;
    /// Read what patients said of a doctor, all together.
    ReadDoctorsFeedback: SIGNED_IN;
    /// See what a visit costs.
    SeePricing: SIGNED_IN_OR_SERVICE;
    /// Set what a visit costs: a doctor for themselves, an administrator for anybody.
    SetPricing: THE_PRACTICE;
}

/// That somebody may do something. Made only by [`decide`].
#[derive(Clone, Copy, Debug)]
pub struct Allowed(());

/// Why they may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// It is about a visit that they have no part in.
    #[error("not one of the two in this visit")]
    NotAParticipant,
    /// They are something else, or on the other side.
    #[error("not for this account")]
    Forbidden,
}

/// Whether somebody who is signed in with this role may do something to a visit that they are on this side of; `side`
/// is none where they have no part in it, or it is about none.
///
/// # Errors
/// Who may not, and whether it is for what they are or for want of a part in it.
pub fn decide(action: Action, role: Role, side: Option<Party>) -> Result<Allowed, Denied> {
    match action.who() {
        Who::Anybody => Ok(Allowed(())),
        Who::These { roles, sides } => {
            if roles.contains(&role) || side.is_some_and(|side| sides.contains(&side)) {
                return Ok(Allowed(()));
            }
            Err(if !sides.is_empty() && side.is_none() { Denied::NotAParticipant } else { Denied::Forbidden })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_opens_no_visit_of_others() {
        for &action in Action::ALL {
            let Who::These { roles: &[], .. } = action.who() else { continue };
            for &role in EVERY_ROLE {
                assert_eq!(
                    decide(action, role, None).unwrap_err(),
                    Denied::NotAParticipant,
                    "{action:?} {role:?}"
                );
            }
        }
    }

    #[test]
    fn each_side_has_its_own() {
        let may = |action, side| decide(action, Role::Patient, Some(side)).is_ok();
        assert!(may(Action::Admit, Party::Doctor) && !may(Action::Admit, Party::Patient));
        assert!(may(Action::Decline, Party::Patient) && !may(Action::Decline, Party::Doctor));
        assert_eq!(decide(Action::Admit, Role::Doctor, Some(Party::Patient)).unwrap_err(), Denied::Forbidden);
        assert!(decide(Action::MakeVisit, Role::ClinicAdmin, None).is_ok());
        assert_eq!(decide(Action::MakeVisit, Role::Doctor, None).unwrap_err(), Denied::NotAParticipant);
        assert_eq!(decide(Action::MakeSchedule, Role::Patient, None).unwrap_err(), Denied::Forbidden);
    }

    #[test]
    fn every_action_says_what_it_is() {
        for action in Action::ALL {
            let says = action.says();
            assert!(!says.starts_with(' ') && !says.ends_with('.') && says.len() > 3, "{says}");
        }
    }
}
