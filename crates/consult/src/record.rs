//! What goes into the record of a visit: read off how it was before a change and how it is after it.

use bedside_protocol::{Party, SessionEventType, SessionStatus};

use crate::Consultation;

/// Something that happened, and whom it is about; time itself has no side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Happening {
    /// What.
    pub kind: SessionEventType,
    /// About whom.
    pub party: Option<Party>,
}

impl Happening {
    const fn of(kind: SessionEventType, party: Party) -> Self {
        Self { kind, party: Some(party) }
    }

    /// Whether the two read of it in their chat: what changes who hears them.
    pub const fn is_said(self) -> bool {
        use SessionEventType as Type;
        matches!(
            self.kind,
            Type::PatientJoined
                | Type::DoctorJoined
                | Type::PatientLeft
                | Type::DoctorLeft
                | Type::Hold
                | Type::Resume
                | Type::Ended
                | Type::FileRefused
        )
    }
}

/// What happened between the two, in the order in which it does.
pub fn between(before: &Consultation, after: &Consultation) -> Vec<Happening> {
    use SessionEventType as Type;
    let mut happened = vec![];
    let is = |status| (before.status == status, after.status == status);
    if before.waiting_since.is_none() && after.waiting_since.is_some() {
        happened.push(Happening::of(Type::PatientWaiting, Party::Patient));
    }
    if !before.admitted && after.admitted {
        happened.push(Happening::of(Type::PatientAdmitted, Party::Patient));
    }
    let kinds = [
        (Party::Doctor, Type::DoctorJoined, Type::DoctorLeft),
        (Party::Patient, Type::PatientJoined, Type::PatientLeft),
    ];
    for (party, joined, left) in kinds {
        match (before.has_joined(party), after.has_joined(party)) {
            (false, true) => happened.push(Happening::of(joined, party)),
            (true, false) if !after.status.is_final() => happened.push(Happening::of(left, party)),
            _ => {}
        }
    }
    // Out of the waiting room, where nobody has joined yet.
    let is_out = before.status == SessionStatus::Waiting && after.status == SessionStatus::Scheduled;
    if is_out && !before.patient_joined {
        happened.push(Happening::of(Type::PatientLeft, Party::Patient));
    }
    match is(SessionStatus::Paused) {
        (false, true) => happened.push(Happening::of(Type::Hold, Party::Doctor)),
        (true, false) if after.status == SessionStatus::InProgress => {
            happened.push(Happening::of(Type::Resume, Party::Doctor));
        }
        _ => {}
    }
    if !before.status.is_final() && after.status.is_final() {
        happened.push(Happening { kind: Type::Ended, party: None });
    }
    happened
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::{Input, session::Limits};

    fn told(inputs: &[Input]) -> Vec<&'static str> {
        let start = Timestamp::UNIX_EPOCH;
        let mut visit = Consultation::scheduled(start, SignedDuration::from_mins(15));
        let mut told = vec![];
        for &input in inputs {
            let before = visit.clone();
            visit.apply(input, start, &Limits::default()).unwrap();
            told.extend(between(&before, &visit).into_iter().map(|happening| happening.kind.as_str()));
        }
        told
    }

    #[test]
    fn a_visit_is_told_in_its_order() {
        let enter = Input::Enter { ready: Some(true), device_check: None };
        let joins = [enter, Input::Admit, Input::Join(Party::Patient), Input::Join(Party::Patient)];
        let rest = [Input::Pause, Input::Resume, Input::Leave(Party::Patient), Input::End];
        assert_eq!(
            told(&[joins, rest].concat()),
            [
                "patient_waiting",
                "patient_admitted",
                "doctor_joined",
                "patient_joined",
                "hold",
                "resume",
                "patient_left",
                "ended"
            ]
        );
    }

    #[test]
    fn whoever_leaves_the_waiting_room_has_left_once() {
        let enter = Input::Enter { ready: None, device_check: None };
        assert_eq!(told(&[enter, Input::Leave(Party::Patient)]), ["patient_waiting", "patient_left"]);
        assert_eq!(told(&[Input::Cancel(Party::Doctor)]), ["ended"]);
    }
}
