//! A doctor's line: who waits in which place, and for how long.

use bedside_protocol::SessionStatus;
use jiff::{SignedDuration, Timestamp};

use crate::Consultation;

/// A place in the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// From 1.
    pub number: u32,
    /// How long they can expect to wait: until the planned time at the earliest, and for what is left of the
    /// planned time of each visit before theirs.
    pub wait: SignedDuration,
}

impl Place {
    /// Whole minutes to wait; one begun counts.
    pub fn minutes(self) -> u32 {
        u32::try_from((self.wait.as_secs() + 59) / 60).unwrap_or(u32::MAX)
    }
}

/// The places of a doctor's open visits, which are given in the order in which they are to be seen. None for those
/// who don't wait in the line: whom the doctor sees now or has called in. They are seen before everybody else.
pub fn places<'a>(
    visits: impl Iterator<Item = &'a Consultation> + Clone,
    now: Timestamp,
) -> Vec<Option<Place>> {
    let sum = |sum: SignedDuration, visit: &Consultation| sum.saturating_add(visit.time_to_come(now));
    let mut before = visits.clone().filter(|visit| !is_in_line(visit)).fold(SignedDuration::ZERO, sum);
    let mut number = 0;
    let place = |visit: &'a Consultation| {
        is_in_line(visit).then(|| {
            number += 1;
            let wait = before.max(visit.scheduled_start.duration_since(now));
            before = sum(before, visit);
            Place { number, wait }
        })
    };
    visits.map(place).collect()
}

/// Whether a patient waits, and has not been called in.
pub fn is_in_line(visit: &Consultation) -> bool {
    visit.status == SessionStatus::Waiting && !visit.admitted
}

#[cfg(test)]
mod tests {
    use bedside_protocol::Party;

    use super::*;
    use crate::{Input, session::Limits};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// A visit of a quarter of an hour, planned for `start`, after these inputs at their times.
    fn visit(start: i64, inputs: &[(Input, i64)]) -> Consultation {
        let mut visit = Consultation::scheduled(at(start), SignedDuration::from_mins(15));
        for &(input, when) in inputs {
            visit.apply(input, at(when), &Limits::default()).unwrap();
        }
        visit
    }

    #[test]
    fn everybody_waits_for_what_is_before_them() {
        let enter = Input::Enter { ready: Some(true), device_check: None };
        let running = visit(
            0,
            &[
                (enter, 0),
                (Input::Admit, 1),
                (Input::Join(Party::Patient), 2),
                (Input::Join(Party::Doctor), 2),
            ],
        );
        assert_eq!(running.status, SessionStatus::InProgress);
        let (first, second, later) =
            (visit(0, &[(enter, 0)]), visit(60, &[(enter, 0)]), visit(1_800, &[(enter, 0)]));
        let now = at(602);
        let places = places([&running, &first, &second, &later].into_iter(), now);
        let expected = [(1, 5), (2, 20), (3, 35)];
        assert_eq!(places[0], None, "is being seen");
        for (place, (number, minutes)) in places[1..].iter().zip(expected) {
            let place = place.unwrap();
            assert_eq!((place.number, place.minutes()), (number, minutes));
        }
    }

    #[test]
    fn nobody_is_seen_before_their_time() {
        let early = visit(1_800, &[(Input::Enter { ready: Some(true), device_check: None }, 0)]);
        assert_eq!(
            places([&early].into_iter(), at(1)),
            [Some(Place { number: 1, wait: SignedDuration::from_secs(1_799) })]
        );
    }

    #[test]
    fn who_runs_over_is_waited_for_no_longer() {
        let enter = Input::Enter { ready: Some(true), device_check: None };
        let over = visit(
            0,
            &[
                (enter, 0),
                (Input::Admit, 1),
                (Input::Join(Party::Patient), 2),
                (Input::Join(Party::Doctor), 2),
            ],
        );
        let next = visit(0, &[(enter, 0)]);
        let places = places([&over, &next].into_iter(), at(1_200));
        assert_eq!(places[1], Some(Place { number: 1, wait: SignedDuration::ZERO }), "at any moment");
    }
}
