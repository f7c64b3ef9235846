//! Visits in every order of what can happen to them.

use proptest::prelude::*;

use super::*;

const START: Timestamp = Timestamp::constant(1_800_000_000, 0);

fn at(seconds: i64) -> Timestamp {
    START + SignedDuration::from_secs(seconds)
}

fn visit() -> Consultation {
    Consultation::scheduled(START, SignedDuration::from_mins(15))
}

fn run(visit: &mut Consultation, inputs: &[(Input, i64)]) -> Vec<Effect> {
    inputs
        .iter()
        .flat_map(|&(input, seconds)| visit.apply(input, at(seconds), &Limits::default()).unwrap())
        .collect()
}

const ENTER: Input = Input::Enter { ready: Some(true), device_check: None };

#[test]
fn a_whole_visit() {
    let mut v = visit();
    let effects = run(
        &mut v,
        &[
            (ENTER, 0),
            (Input::Admit, 60),
            (Input::Join(Party::Patient), 61),
            (Input::Pause, 121),
            (Input::Resume, 181),
            (Input::End, 241),
        ],
    );
    assert_eq!(effects, [Effect::PatientArrived, Effect::Admitted, Effect::Started, Effect::Ended]);
    assert_eq!((v.status, v.end_reason), (SessionStatus::Completed, Some(EndReason::Completed)));
    assert_eq!(v.elapsed(at(9_999)), SignedDuration::from_secs(120), "the hold is not on the clock");
}

#[test]
fn the_waiting_room_opens_half_an_hour_before() {
    let mut v = visit();
    let early = v.apply(ENTER, at(-30 * 60 - 1), &Limits::default());
    assert_eq!((early, v.status), (Err(Refused::TooEarly), SessionStatus::Scheduled));
    run(&mut v, &[(ENTER, -30 * 60)]);
    assert_eq!(v.status, SessionStatus::Waiting);
}

#[test]
fn nobody_writes_long_before_or_after() {
    let mut v = visit();
    let limits = Limits::default();
    assert!(!v.may_write(at(-30 * 60 - 1), &limits) && v.may_write(at(-30 * 60), &limits));
    run(&mut v, &[(ENTER, 0)]);
    assert!(v.may_write(at(0), &limits));
    run(&mut v, &[(Input::Cancel(Party::Patient), 1)]);
    assert!(!v.may_write(at(1), &limits));
    assert!(!v.may_recall(at(2), &limits), "who called it off is not asked back");
}

#[test]
fn nobody_joins_before_being_admitted() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0)]);
    let before = v.clone();
    for party in [Party::Patient, Party::Doctor] {
        assert_eq!(v.apply(Input::Join(party), at(1), &Limits::default()), Err(Refused::NotAdmitted));
        assert!(!v.may_join(party));
    }
    assert_eq!(v, before, "a refusal changes nothing");
}

#[test]
fn leaving_the_waiting_room_takes_the_admission_back() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Admit, 1), (Input::Leave(Party::Patient), 2), (ENTER, 3)]);
    assert!(!v.may_join(Party::Patient));
    assert_eq!(v.status, SessionStatus::Waiting);
}

#[test]
fn a_calling_in_that_nobody_answers_is_taken_back() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Admit, 1), (Input::Leave(Party::Doctor), 30)]);
    assert_eq!((v.status, v.admitted, v.waiting_since), (SessionStatus::Waiting, false, Some(at(0))));
    run(&mut v, &[(Input::Admit, 60), (Input::Join(Party::Patient), 61)]);
    assert_eq!(v.status, SessionStatus::InProgress);
}

#[test]
fn whoever_says_not_now_waits_on_and_is_not_ready() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Admit, 10), (Input::Decline, 20)]);
    assert_eq!((v.status, v.admitted, v.ready), (SessionStatus::Waiting, false, false));
    assert_eq!(v.waiting_since, Some(at(0)), "their place in line is kept");
    run(&mut v, &[(Input::Decline, 21), (ENTER, 30), (Input::Admit, 40)]);
    assert!(v.ready && v.admitted);
    run(&mut v, &[(Input::Join(Party::Patient), 41)]);
    let before = v.clone();
    run(&mut v, &[(Input::Decline, 42)]);
    assert_eq!(v, before, "they have come in on another device");
}

#[test]
fn a_clock_that_jumps_ahead_is_charged_no_more_than_the_visit_may_last() {
    let most = SignedDuration::from_mins(15 + 30);
    let begin = [(ENTER, 0), (Input::Admit, 0), (Input::Join(Party::Patient), 0)];
    let jump = 30 * 24 * 3600;
    for then in [
        vec![(Input::End, jump)],
        vec![(Input::Pause, jump), (Input::End, jump + 1)],
        vec![(Input::Tick, jump)],
    ] {
        let mut v = visit();
        run(&mut v, &begin);
        run(&mut v, &then);
        assert_eq!((v.status, v.elapsed(at(2 * jump))), (SessionStatus::Completed, most), "{then:?}");
    }
}

#[test]
fn ready_can_be_taken_back() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Enter { ready: None, device_check: None }, 5)]);
    assert!(v.ready, "whoever says nothing of it takes nothing back");
    run(&mut v, &[(Input::Enter { ready: Some(false), device_check: None }, 10)]);
    assert_eq!((v.status, v.ready, v.waiting_since), (SessionStatus::Waiting, false, Some(at(0))));
}

#[test]
fn a_visit_that_a_not_now_kept_from_being_held_says_so() {
    let declined = [(ENTER, 0), (Input::Admit, 10), (Input::Decline, 20)];
    let day = 24 * 3600;
    for (then, status, reason) in [
        ((Input::Tick, day), SessionStatus::NoShow, EndReason::Declined),
        ((Input::Cancel(Party::Doctor), 30), SessionStatus::Cancelled, EndReason::Declined),
        ((Input::Cancel(Party::Patient), 30), SessionStatus::Cancelled, EndReason::Cancelled),
    ] {
        let mut v = visit();
        run(&mut v, &declined);
        run(&mut v, &[then]);
        assert_eq!((v.status, v.end_reason), (status, Some(reason)), "{then:?}");
    }
    let mut gone = visit();
    run(&mut gone, &declined);
    run(&mut gone, &[(Input::Leave(Party::Patient), 30), (Input::Tick, day)]);
    assert_eq!((gone.status, gone.end_reason), (SessionStatus::NoShow, Some(EndReason::Declined)));
    for again in [ENTER, Input::Admit] {
        let mut v = visit();
        run(&mut v, &declined);
        run(&mut v, &[(again, 30), (Input::Tick, day)]);
        run(&mut v, &[(Input::Tick, 2 * day)]);
        assert_eq!(v.end_reason, Some(EndReason::NoShow), "{again:?} is a later word");
    }
}

#[test]
fn a_doctor_who_is_gone_when_the_patient_confirms_starts_no_clock() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::CallTogether, 0), (Input::Join(Party::Patient), 2)]);
    assert_eq!((v.status, v.doctor_joined), (SessionStatus::Waiting, false));
    run(&mut v, &[(Input::Join(Party::Doctor), 30)]);
    assert_eq!((v.status, v.started_at), (SessionStatus::InProgress, Some(at(30))));
    assert_eq!((v.patient_joined_at, v.doctor_joined_at), (Some(at(2)), Some(at(30))));
    let mut alone = visit();
    run(
        &mut alone,
        &[(ENTER, 0), (Input::CallTogether, 0), (Input::Join(Party::Patient), 2), (Input::Tick, 90)],
    );
    assert_eq!((alone.status, alone.admitted), (SessionStatus::Waiting, false), "the patient waits on");
    assert_eq!(alone.patient_joined_at, None, "no call came about");
}

#[test]
fn whoever_came_after_both_were_called_in_is_not_sent_away_by_another_device() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::CallTogether, 0), (Input::Join(Party::Patient), 2)]);
    let before = v.clone();
    run(&mut v, &[(Input::Decline, 3)]);
    assert_eq!(v, before);
    let effects = run(&mut v, &[(Input::Admit, 4)]);
    assert_eq!((v.status, effects), (SessionStatus::InProgress, vec![Effect::Started]), "the doctor comes");
}

#[test]
fn a_no_to_nothing_is_no_reason() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Decline, 5), (Input::Tick, 24 * 3600)]);
    assert_eq!(v.end_reason, Some(EndReason::NoShow));
}

#[test]
fn a_calling_in_waits_a_minute() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Admit, 10), (Input::Tick, 70)]);
    assert!(v.admitted);
    run(&mut v, &[(Input::Tick, 71)]);
    assert_eq!((v.status, v.admitted), (SessionStatus::Waiting, false));
    run(&mut v, &[(Input::Admit, 80), (Input::Join(Party::Patient), 85), (Input::Tick, 300)]);
    assert_eq!(v.status, SessionStatus::InProgress, "whoever has joined is not called any more");
}

#[test]
fn leaving_a_waiting_room_whose_doctor_is_late_is_no_no_show() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Leave(Party::Patient), 40 * 60), (Input::Tick, 41 * 60)]);
    assert_eq!(v.status, SessionStatus::Scheduled);
    run(&mut v, &[(Input::Tick, 55 * 60 + 1)]);
    assert_eq!(v.status, SessionStatus::NoShow);
}

#[test]
fn the_end_of_time_is_no_panic() {
    let mut v = Consultation::scheduled(Timestamp::MAX, SignedDuration::from_mins(15));
    assert!(v.apply(Input::Tick, at(0), &Limits::default()).is_ok());
}

#[test]
fn both_can_come_back_until_it_is_ended() {
    let mut v = visit();
    run(
        &mut v,
        &[
            (ENTER, 0),
            (Input::Admit, 1),
            (Input::Join(Party::Patient), 2),
            (Input::Leave(Party::Patient), 3),
            (Input::Leave(Party::Doctor), 4),
            (Input::Join(Party::Patient), 5),
            (Input::Join(Party::Doctor), 6),
        ],
    );
    assert_eq!(v.status, SessionStatus::InProgress);
    assert!(v.patient_joined && v.doctor_joined);
}

#[test]
fn who_left_is_named_when_time_runs_out() {
    let mut v = visit();
    run(
        &mut v,
        &[
            (ENTER, 0),
            (Input::Admit, 1),
            (Input::Join(Party::Patient), 2),
            (Input::Leave(Party::Patient), 3),
            (Input::Tick, 2 + 45 * 60 + 1),
        ],
    );
    assert_eq!(v.end_reason, Some(EndReason::PatientLeft));
}

#[test]
fn a_visit_in_which_nobody_is_any_more_ends() {
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Admit, 1), (Input::Join(Party::Patient), 10)]);
    let absent = Input::Absent { since: at(70) };
    let soon = v.apply(absent, at(70 + 600), &Limits::default());
    assert_eq!(soon, Err(Refused::WrongState(SessionStatus::InProgress)), "both may still come back");
    let mut left = v.clone();
    run(&mut v, &[(absent, 70 + 601)]);
    assert_eq!((v.status, v.end_reason), (SessionStatus::Failed, Some(EndReason::ConnectionLost)));
    assert_eq!(v.elapsed(at(9_999)), SignedDuration::from_secs(60), "what nobody had is not charged");
    run(&mut left, &[(Input::Leave(Party::Doctor), 80), (Input::Absent { since: at(80) }, 700)]);
    assert_eq!((left.status, left.end_reason), (SessionStatus::Completed, Some(EndReason::DoctorLeft)));
}

#[test]
fn a_patient_is_recalled_within_the_hour() {
    let limits = Limits::default();
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (Input::Admit, 1), (Input::Join(Party::Patient), 10)]);
    assert!(!v.may_recall(at(20), &limits), "it goes on");
    assert_eq!(v.ends_by_itself(&limits), Some(at(10 + 45 * 60)));
    run(&mut v, &[(Input::End, 60)]);
    assert!(v.may_recall(at(60 + 3_600), &limits) && !v.may_recall(at(60 + 3_601), &limits));
    assert_eq!(v.ends_by_itself(&limits), None);
}

#[test]
fn no_show_after_a_quarter_of_an_hour() {
    let mut v = visit();
    run(&mut v, &[(Input::Tick, 15 * 60)]);
    assert_eq!(v.status, SessionStatus::Scheduled);
    run(&mut v, &[(Input::Tick, 15 * 60 + 1)]);
    assert_eq!(v.status, SessionStatus::NoShow);
}

fn device(number: char) -> DeviceId {
    format!("00000000-0000-7000-8000-00000000000{number}").parse().unwrap()
}

fn any_device() -> impl Strategy<Value = DeviceId> {
    prop_oneof![Just('1'), Just('2')].prop_map(device)
}

const fn sit(device: DeviceId, enters: bool, on_purpose: bool) -> Input {
    Input::Sit { party: Party::Patient, device, enters, on_purpose }
}

#[test]
fn the_device_that_joined_last_on_purpose_has_the_call() {
    let (first, second) = (device('1'), device('2'));
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (sit(first, false, true), 0), (Input::Admit, 10)]);
    run(&mut v, &[(sit(second, false, false), 11)]);
    assert_eq!(v.patient_device, Some(first), "only one prepares");
    // Answered on the other device.
    run(&mut v, &[(sit(second, true, true), 12), (Input::Join(Party::Patient), 12)]);
    assert_eq!(v.patient_device, Some(second));
    // Declined on the first: nothing.
    let before = v.clone();
    run(&mut v, &[(Input::LeaveOn(Party::Patient, first), 13), (sit(first, true, false), 14)]);
    run(&mut v, &[(sit(first, false, true), 15)]);
    assert_eq!(v, before);
    // Taken back.
    run(&mut v, &[(sit(first, true, true), 20), (Input::LeaveOn(Party::Patient, second), 21)]);
    assert_eq!((v.patient_device, v.patient_joined), (Some(first), true));
    run(&mut v, &[(Input::LeaveOn(Party::Patient, first), 22)]);
    assert!(!v.patient_joined);
}

#[test]
fn a_decline_counts_on_either_device_while_nobody_has_answered() {
    let (first, second) = (device('1'), device('2'));
    let mut v = visit();
    run(&mut v, &[(ENTER, 0), (sit(first, false, true), 0), (Input::Admit, 10)]);
    run(&mut v, &[(Input::LeaveOn(Party::Patient, second), 12)]);
    assert!(!v.admitted);
    assert_eq!(v.patient_device, None, "whoever waits next may be on any");
}

fn any_input() -> impl Strategy<Value = Input> {
    let party = prop_oneof![Just(Party::Patient), Just(Party::Doctor)];
    prop_oneof![
        any::<Option<bool>>().prop_map(|ready| Input::Enter { ready, device_check: None }),
        Just(Input::Admit),
        Just(Input::CallTogether),
        Just(Input::CallOff),
        party.clone().prop_map(Input::Join),
        party.clone().prop_map(Input::Leave),
        (party.clone(), any_device()).prop_map(|(party, device)| Input::LeaveOn(party, device)),
        (party.clone(), any_device(), any::<bool>(), any::<bool>())
            .prop_map(|(party, device, enters, on_purpose)| Input::Sit { party, device, enters, on_purpose }),
        Just(Input::Pause),
        Just(Input::Decline),
        Just(Input::Resume),
        Just(Input::End),
        party.prop_map(Input::Cancel),
        (-900_i64..3600).prop_map(|since| Input::Absent { since: at(since) }),
        Just(Input::Tick),
    ]
}

proptest! {
    /// Whatever order things happen in, the session stays consistent, a final state never
    /// changes, and each side has a way on, a way back in and a way out.
    #[test]
    fn any_order_ends_in_a_legal_state(steps in prop::collection::vec((any_input(), 0_i64..600), 0..60)) {
        let limits = Limits::default();
        let mut v = visit();
        let mut now = 0;
        for (input, wait) in steps {
            now += wait;
            let before = v.clone();
            let outcome = v.apply(input, at(now), &limits);
            if outcome.is_err() {
                prop_assert_eq!(&v, &before, "a refusal changes nothing");
            }
            if before.status.is_final() {
                prop_assert_eq!(&v, &before, "a final session never changes");
            }
            if let Input::Sit { party, device, on_purpose: false, .. } = input {
                let kept = before.device(party).unwrap_or(device);
                prop_assert!(outcome.is_err() || v.device(party) == Some(kept), "no app takes a place by itself");
            }
            if let Input::LeaveOn(party, device) = input
                && before.has_joined(party) && before.device(party).is_some_and(|has| has != device)
            {
                prop_assert_eq!(&v, &before, "leaving where one is not changes nothing");
            }
            prop_assert_eq!(v.status.is_final(), v.end_reason.is_some());
            prop_assert_eq!(v.status.is_final(), v.ended_at.is_some());
            prop_assert_eq!(v.clock_since.is_some(), v.status == SessionStatus::InProgress);
            // But for the time in which nobody was there.
            let forgives = matches!(input, Input::Absent { .. });
            // Nor for what is beyond the visit's longest: the service looks every few seconds, these steps do not.
            let read = at(now - wait);
            let read = before.ends_by_itself(&limits).map_or(read, |longest| read.min(longest));
            prop_assert!(forgives || v.elapsed(at(now)) >= before.elapsed(read), "the clock never runs back");
            prop_assert!(!v.elapsed(at(now)).is_negative());
            prop_assert_eq!(v.admitted, v.admitted_at.is_some());
            for (party, since) in [(Party::Patient, v.patient_joined_at), (Party::Doctor, v.doctor_joined_at)] {
                prop_assert!(!v.has_joined(party) || since.is_some(), "whoever is in the call once came");
                prop_assert!(v.started_at.is_none() || since.is_some(), "it takes two to begin");
            }
            if v.admitted {
                prop_assert!(matches!(
                    v.status,
                    SessionStatus::Waiting | SessionStatus::InProgress | SessionStatus::Paused
                ));
            }
            if !v.status.is_final() {
                never_stuck(&v, now, &limits)?;
            }
        }
    }
}

/// From any open state the patient can get into the call with the doctor's help, and the
/// visit can be brought to an end; left alone for long enough it ends by itself.
fn never_stuck(v: &Consultation, now: i64, limits: &Limits) -> Result<(), TestCaseError> {
    let mut on = v.clone();
    for input in [ENTER, Input::Admit, Input::Join(Party::Doctor), Input::Join(Party::Patient)] {
        prop_assert!(on.apply(input, at(now), limits).is_ok(), "{input:?} from {:?}", on.status);
    }
    prop_assert!(on.may_join(Party::Patient) && on.may_join(Party::Doctor));
    prop_assert!(on.apply(Input::End, at(now), limits).is_ok());

    // And each alone has a way out, whatever the other one does or fails to.
    let mut patient = v.clone();
    prop_assert!(patient.apply(Input::Leave(Party::Patient), at(now), limits).is_ok());
    let mut doctor = v.clone();
    prop_assert!(doctor.apply(Input::Leave(Party::Doctor), at(now), limits).is_ok());
    prop_assert!(!doctor.doctor_joined);
    let way_out = match v.status {
        SessionStatus::Scheduled | SessionStatus::Waiting => Input::Cancel(Party::Doctor),
        _ => Input::End,
    };
    prop_assert!(doctor.apply(way_out, at(now), limits).is_ok());

    let mut alone = v.clone();
    prop_assert!(alone.apply(Input::Tick, at(now + 24 * 3600), limits).is_ok());
    prop_assert!(alone.status.is_final());
    Ok(())
}
