//! When a doctor can be booked: slots of their hours of the week, without those that are taken.

use bedside_protocol::{Availability, BookableHours, Slot, Weekday};
use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};

/// Hours that a doctor can enter.
const MOST_HOURS: usize = 50;

/// Why hours are refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadHours {
    /// There is no such zone, or this machine does not know it.
    #[error("there is no such time zone")]
    Zone,
    /// A slot too short or too long to be one.
    #[error("a slot has 5 to 120 minutes")]
    Slot,
    /// A time that is none, or hours that end before they start.
    #[error("hours are such as 09:00 to 12:30, on one day")]
    Hours,
    /// More than a week has.
    #[error("there are at most 50 hours")]
    TooMany,
}

/// Time of day, as people write it.
pub fn time(text: &str) -> Option<Time> {
    (text.len() == 5).then(|| Time::strptime("%H:%M", text).ok()).flatten()
}

fn zone(availability: &Availability) -> Result<TimeZone, BadHours> {
    TimeZone::get(&availability.time_zone).map_err(|_| BadHours::Zone)
}

fn hours(hours: &BookableHours) -> Option<(Time, Time)> {
    time(&hours.from).zip(time(&hours.to)).filter(|(from, to)| from < to)
}

fn is_on(day: Weekday, date: Date) -> bool {
    use jiff::civil::Weekday as Day;
    matches!(
        (day, date.weekday()),
        (Weekday::Monday, Day::Monday)
            | (Weekday::Tuesday, Day::Tuesday)
            | (Weekday::Wednesday, Day::Wednesday)
            | (Weekday::Thursday, Day::Thursday)
            | (Weekday::Friday, Day::Friday)
            | (Weekday::Saturday, Day::Saturday)
            | (Weekday::Sunday, Day::Sunday)
    )
}

/// Whether a doctor can be booked by these.
pub fn check(availability: &Availability) -> Result<(), BadHours> {
    zone(availability)?;
    if !(5..=120).contains(&availability.slot_minutes) {
        return Err(BadHours::Slot);
    }
    if availability.weekly.len() > MOST_HOURS {
        return Err(BadHours::TooMany);
    }
    availability.weekly.iter().all(|one| hours(one).is_some()).then_some(()).ok_or(BadHours::Hours)
}

/// What is free on these days, after `now` and beside what is taken, by its start. Where the clocks change, hours are
/// as long as they are that day.
pub fn slots(
    availability: &Availability,
    days: impl Iterator<Item = Date>,
    taken: &[Slot],
    now: Timestamp,
) -> Result<Vec<Slot>, BadHours> {
    let zone = zone(availability)?;
    let length = SignedDuration::from_mins(i64::from(availability.slot_minutes));
    let mut free = vec![];
    for date in days {
        for one in availability.weekly.iter().filter(|one| is_on(one.day, date)) {
            let Some((from, to)) = hours(one) else { continue };
            let instant = |time: Time| date.to_datetime(time).to_zoned(zone.clone()).map(|at| at.timestamp());
            let (Ok(mut start), Ok(end)) = (instant(from), instant(to)) else { continue };
            while let Ok(until) = start.checked_add(length)
                && until <= end
            {
                let slot = Slot { start_time: start, end_time: until };
                if start > now && !taken.iter().any(|other| overlap(&slot, other)) {
                    free.push(slot);
                }
                start = until;
            }
        }
    }
    free.sort_unstable_by_key(|slot| slot.start_time);
    // Hours that were entered twice, or that overlap.
    free.dedup();
    Ok(free)
}

/// Whether two share a moment.
pub fn overlap(one: &Slot, other: &Slot) -> bool {
    one.start_time < other.end_time && other.start_time < one.end_time
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    fn availability(zone: &str, hours: &[(Weekday, &str, &str)], slot_minutes: u16) -> Availability {
        Availability {
            time_zone: zone.to_owned(),
            slot_minutes,
            consultation_modes: vec![],
            weekly: hours
                .iter()
                .map(|&(day, from, to)| BookableHours { day, from: from.to_owned(), to: to.to_owned() })
                .collect(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn hours_are_the_practices_own() {
        let monday = availability("Europe/Berlin", &[(Weekday::Monday, "09:00", "09:50")], 20);
        let days = || [date(2026, 6, 1), date(2026, 6, 2)].into_iter();
        let free = slots(&monday, days(), &[], Timestamp::UNIX_EPOCH).unwrap();
        let starts: Vec<String> = free.iter().map(|slot| slot.start_time.to_string()).collect();
        assert_eq!(starts, ["2026-06-01T07:00:00Z", "2026-06-01T07:20:00Z"], "ten minutes are no slot");
        assert_eq!(slots(&monday, days(), &[], at("2026-06-01T07:00:00Z")).unwrap(), free[1..]);
        let taken = Slot { start_time: at("2026-06-01T07:39:00Z"), end_time: at("2026-06-01T08:00:00Z") };
        assert_eq!(slots(&monday, days(), &[taken], Timestamp::UNIX_EPOCH).unwrap(), free[..1]);
    }

    #[test]
    fn the_night_the_clocks_change_has_other_hours() {
        let sunday = availability("Europe/Berlin", &[(Weekday::Sunday, "01:00", "04:00")], 60);
        let on = |day: Date| slots(&sunday, [day].into_iter(), &[], Timestamp::UNIX_EPOCH).unwrap().len();
        assert_eq!((on(date(2026, 3, 29)), on(date(2026, 10, 25)), on(date(2026, 11, 1))), (2, 4, 3));
    }

    #[test]
    fn what_is_no_hours_is_refused() {
        let bad = |zone: &str, from: &str, to: &str, minutes: u16| {
            check(&availability(zone, &[(Weekday::Friday, from, to)], minutes))
        };
        assert_eq!(bad("Europe/Berlin", "09:00", "12:00", 15), Ok(()));
        assert_eq!(bad("Europe/Bedside", "09:00", "12:00", 15), Err(BadHours::Zone));
        assert_eq!(bad("Europe/Berlin", "9:00", "12:00", 15), Err(BadHours::Hours));
        assert_eq!(bad("Europe/Berlin", "12:00", "09:00", 15), Err(BadHours::Hours));
        assert_eq!(bad("Europe/Berlin", "09:00", "12:00", 4), Err(BadHours::Slot));
    }

    proptest! {
        #[test]
        fn what_is_free_can_be_booked(
            from in 0..20_u8, length in 1..4_u8, minutes in 5..=120_u16, taken in prop::collection::vec((0..1_440_i64, 1..180_i64), 0..8)
        ) {
            let hours = (format!("{from:02}:00"), format!("{:02}:00", from + length));
            let every_day = availability(
                "America/New_York",
                &[(Weekday::Tuesday, &hours.0, &hours.1), (Weekday::Tuesday, "08:30", "10:00")],
                minutes,
            );
            let midnight = at("2026-06-02T04:00:00Z");
            let taken: Vec<Slot> = taken
                .into_iter()
                .map(|(start, length)| Slot {
                    start_time: midnight + SignedDuration::from_mins(start),
                    end_time: midnight + SignedDuration::from_mins(start + length),
                })
                .collect();
            let free = slots(&every_day, [date(2026, 6, 2)].into_iter(), &taken, midnight).unwrap();
            for slot in &free {
                prop_assert!(!taken.iter().any(|other| overlap(slot, other)));
                prop_assert_eq!(slot.end_time.duration_since(slot.start_time).as_mins(), i64::from(minutes));
                prop_assert!(slot.start_time > midnight);
            }
            prop_assert!(free.is_sorted_by_key(|slot| slot.start_time));
        }
    }
}
