use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn somebody(number: u8) -> UserId {
    format!("{number:032x}").parse().unwrap()
}

fn invitation(number: u8) -> InvitationId {
    format!("{number:032x}").parse().unwrap()
}

/// Open, with these who are ready.
fn open(ready: &[u8]) -> Practice {
    let mut practice = Practice::upcoming(false);
    practice.apply(Input::Open, at(0)).unwrap();
    for &number in ready {
        practice.apply(Input::Join(somebody(number)), at(0)).unwrap();
        practice.apply(Input::Ready(somebody(number), true), at(0)).unwrap();
    }
    practice
}

fn invite(id: u8, patient: u8) -> Input {
    Input::Invite { id: invitation(id), patient: somebody(patient) }
}

fn status(practice: &Practice, patient: u8) -> EntryStatus {
    practice.entry(somebody(patient)).unwrap().status
}

#[test]
fn somebody_walks_in_and_is_seen() {
    let mut practice = open(&[1, 2]);
    assert_eq!((practice.waiting(), practice.place(2)), (2, Some(2)));
    practice.apply(invite(1, 1), at(10)).unwrap();
    assert_eq!(status(&practice, 1), EntryStatus::Ready, "until they say that they come");
    practice.apply(Input::Confirm(invitation(1)), at(20)).unwrap();
    assert_eq!((status(&practice, 1), practice.place(2)), (EntryStatus::InCall, Some(1)));
    practice.apply(Input::Activate(invitation(1)), at(21)).unwrap();
    practice.apply(Input::End(invitation(1)), at(600)).unwrap();
    assert_eq!(status(&practice, 1), EntryStatus::Done);
    practice.apply(invite(2, 2), at(601)).unwrap();
}

#[test]
fn a_confirmation_at_the_instant_of_expiry_is_too_late() {
    for (when, confirmed) in [(59, Ok(())), (60, Err(Refused::Expired)), (61, Err(Refused::Expired))] {
        let mut practice = open(&[1]);
        practice.apply(invite(1, 1), at(0)).unwrap();
        assert_eq!(practice.apply(Input::Confirm(invitation(1)), at(when)), confirmed, "after {when} s");
        if confirmed.is_err() {
            assert_eq!(status(&practice, 1), EntryStatus::Waiting, "they keep their place");
        }
    }
}

#[test]
fn one_is_invited_at_a_time() {
    let mut practice = open(&[1, 2]);
    practice.apply(invite(1, 1), at(0)).unwrap();
    assert_eq!(practice.apply(invite(2, 2), at(1)), Err(Refused::AlreadyInviting));
    practice.apply(invite(3, 1), at(1)).unwrap();
    assert_eq!(practice.invitation.unwrap().id, invitation(1), "invited twice is invited");
    practice.apply(Input::Decline(invitation(1)), at(2)).unwrap();
    assert_eq!(practice.apply(invite(4, 1), at(3)), Err(Refused::NotReady));
    practice.apply(invite(5, 2), at(3)).unwrap();
    practice.apply(Input::Confirm(invitation(5)), at(4)).unwrap();
    practice.apply(Input::Ready(somebody(1), true), at(5)).unwrap();
    assert_eq!(practice.apply(invite(6, 1), at(6)), Err(Refused::AlreadyInviting), "a visit runs");
}

#[test]
fn when_the_practice_closes_nobody_waits_and_a_visit_goes_on() {
    let mut practice = open(&[1, 2]);
    practice.apply(invite(1, 1), at(0)).unwrap();
    practice.apply(Input::Confirm(invitation(1)), at(1)).unwrap();
    practice.apply(Input::Close, at(2)).unwrap();
    assert_eq!((status(&practice, 1), status(&practice, 2)), (EntryStatus::InCall, EntryStatus::Done));
    practice.apply(Input::End(invitation(1)), at(3)).unwrap();
    assert_eq!(status(&practice, 1), EntryStatus::Done);
    assert_eq!(practice.apply(Input::Join(somebody(3)), at(4)), Err(Refused::NotOpen));
}

#[test]
fn nobody_waits_for_a_doctor_who_went_home() {
    let mut practice = open(&[1]);
    practice.apply(Input::Tick, at(24 * 3_600 - 1)).unwrap();
    assert_eq!(practice.waiting(), 1);
    practice.apply(Input::Tick, at(24 * 3_600)).unwrap();
    assert_eq!((practice.status, practice.waiting()), (ScheduleStatus::Completed, 0));
}

#[test]
fn a_reset_lets_somebody_wait_again_under_their_number() {
    let mut practice = open(&[1, 2]);
    practice.apply(invite(1, 1), at(0)).unwrap();
    practice.apply(Input::Confirm(invitation(1)), at(1)).unwrap();
    practice.apply(Input::Reset(somebody(1)), at(2)).unwrap();
    assert_eq!((status(&practice, 1), practice.place(1)), (EntryStatus::Waiting, Some(1)));
    practice.apply(invite(2, 2), at(3)).unwrap();
    practice.apply(Input::Leave(somebody(2)), at(4)).unwrap();
    assert_eq!(practice.invitation.unwrap().status, InvitationStatus::Declined);
    practice.apply(Input::Reset(somebody(2)), at(5)).unwrap();
    assert_eq!(practice.place(2), Some(2));
}

#[test]
fn in_the_clinics_rooms_nobody_confirms() {
    let mut practice = open(&[1, 2]);
    practice.in_person = true;
    practice.apply(invite(1, 1), at(0)).unwrap();
    practice.apply(Input::Tick, at(3_000)).unwrap();
    assert_eq!(status(&practice, 1), EntryStatus::InCall);
    practice.apply(Input::End(invitation(1)), at(3_001)).unwrap();
    assert_eq!(status(&practice, 1), EntryStatus::Done);
    // Whoever is in the room when the practice closes stays in no queue.
    practice.apply(invite(2, 2), at(3_002)).unwrap();
    practice.apply(Input::Close, at(3_003)).unwrap();
    assert_eq!(status(&practice, 2), EntryStatus::Done);
}

fn input() -> impl Strategy<Value = Input> {
    let patient = 1..4_u8;
    let id = 1..6_u8;
    prop_oneof![
        Just(Input::Open),
        Just(Input::Close),
        Just(Input::Tick),
        patient.clone().prop_map(|n| Input::Join(somebody(n))),
        patient.clone().prop_map(|n| Input::Leave(somebody(n))),
        (patient.clone(), any::<bool>()).prop_map(|(n, ready)| Input::Ready(somebody(n), ready)),
        patient.clone().prop_map(|n| Input::Reset(somebody(n))),
        (id.clone(), patient).prop_map(|(id, n)| Input::Invite { id: invitation(id), patient: somebody(n) }),
        id.clone().prop_map(|n| Input::Confirm(invitation(n))),
        id.clone().prop_map(|n| Input::Decline(invitation(n))),
        id.clone().prop_map(|n| Input::Activate(invitation(n))),
        id.prop_map(|n| Input::End(invitation(n))),
    ]
}

/// What holds after everything.
fn check(practice: &Practice, now: Timestamp) {
    let numbers: Vec<u32> = practice.entries.iter().map(|entry| entry.number).collect();
    assert!(numbers.is_sorted() && numbers.iter().collect::<HashSet<_>>().len() == numbers.len());
    assert_eq!(numbers.last().copied().unwrap_or(0), practice.last_number, "no number is given twice");
    for patient in 1..4 {
        let places = practice
            .entries
            .iter()
            .filter(|entry| entry.patient == somebody(patient) && entry.status != EntryStatus::Done);
        assert!(places.count() <= 1, "one place each");
    }
    let in_call: Vec<UserId> = practice
        .entries
        .iter()
        .filter(|entry| entry.status == EntryStatus::InCall)
        .map(|entry| entry.patient)
        .collect();
    let called = practice.invitation.filter(|invitation| {
        matches!(invitation.status, InvitationStatus::Confirmed | InvitationStatus::Active)
    });
    assert_eq!(in_call, called.map(|invitation| vec![invitation.patient]).unwrap_or_default());
    if let Some(invitation) = practice.invitation {
        assert_eq!(invitation.is_open(), invitation.ended_at.is_none());
        if invitation.status == InvitationStatus::Invited {
            assert!(now < invitation.expires_at(), "nothing rings for ever");
            assert_eq!(practice.entry(invitation.patient).unwrap().status, EntryStatus::Ready);
        }
    }
    if practice.status != ScheduleStatus::Online {
        assert_eq!(practice.waiting(), 0, "nobody waits in vain");
    }
}

proptest! {
    #[test]
    fn nothing_is_ever_stuck_or_doubled(in_person: bool, steps in prop::collection::vec((input(), 0..90_i64), 0..60)) {
        let mut practice = Practice::upcoming(in_person);
        let mut now = 0;
        for (input, later) in steps {
            now += later;
            let before = practice.clone();
            let refused = practice.apply(input, at(now)).is_err();
            check(&practice, at(now));
            if refused {
                let mut by_time = before;
                by_time.apply(Input::Tick, at(now)).unwrap();
                prop_assert_eq!(&practice, &by_time, "what is refused changes nothing");
            }
        }
        // From wherever it stands, everybody comes out of it.
        if let Some(invitation) = practice.invitation {
            practice.apply(Input::End(invitation.id), at(now)).unwrap();
        }
        practice.apply(Input::Close, at(now)).unwrap();
        prop_assert!(practice.entries.iter().all(|entry| entry.status == EntryStatus::Done));
    }
}
