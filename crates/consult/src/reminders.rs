//! When people are reminded of an appointment.

use jiff::{SignedDuration, Timestamp};

/// A reminder, in the order in which they come (requirements §2.2: 24 h and 15 min before).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reminder {
    /// A day before.
    Day,
    /// A quarter of an hour before.
    Soon,
}

impl Reminder {
    /// How long before the start it comes.
    pub const fn before(self) -> SignedDuration {
        match self {
            Self::Day => SignedDuration::from_hours(24),
            Self::Soon => SignedDuration::from_mins(15),
        }
    }
}

/// The reminder that is due now of an appointment that was booked then, of which this was the last that was given.
/// Whoever books in the last day needs no reminder of the day before, and nobody one of what has begun.
pub fn due(
    start: Timestamp,
    booked_at: Timestamp,
    given: Option<Reminder>,
    now: Timestamp,
) -> Option<Reminder> {
    [Reminder::Soon, Reminder::Day].into_iter().find(|&reminder| {
        let at = start - reminder.before();
        given < Some(reminder) && booked_at < at && at <= now && now < start
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(minutes_before: i64) -> Timestamp {
        START - SignedDuration::from_mins(minutes_before)
    }

    #[test]
    fn one_a_day_before_and_one_soon_before() {
        let booked = at(3 * 24 * 60);
        assert_eq!(due(START, booked, None, at(24 * 60 + 1)), None);
        assert_eq!(due(START, booked, None, at(24 * 60)), Some(Reminder::Day));
        assert_eq!(due(START, booked, Some(Reminder::Day), at(16)), None);
        assert_eq!(due(START, booked, Some(Reminder::Day), at(15)), Some(Reminder::Soon));
        assert_eq!(due(START, booked, Some(Reminder::Soon), at(1)), None);
        assert_eq!(due(START, booked, None, at(10)), Some(Reminder::Soon), "the service was away: not both");
        assert_eq!(due(START, booked, None, START), None);
    }

    #[test]
    fn who_has_just_booked_is_not_reminded_of_it() {
        assert_eq!(due(START, at(60), None, at(59)), None);
        assert_eq!(due(START, at(60), None, at(15)), Some(Reminder::Soon));
        assert_eq!(due(START, at(10), None, at(9)), None);
    }

    proptest! {
        #[test]
        fn each_comes_at_most_once_and_in_order(booked in 0_i64..5_000, mut looks in prop::collection::vec(-100_i64..5_000, 0..40)) {
            looks.sort_unstable_by(|a, b| b.cmp(a));
            let mut given = None;
            for look in looks.into_iter().filter(|&look| look <= booked) {
                if let Some(reminder) = due(START, at(booked), given, at(look)) {
                    prop_assert!(given < Some(reminder));
                    prop_assert!(look > 0 && look <= reminder.before().as_mins());
                    given = Some(reminder);
                }
            }
        }
    }
}
