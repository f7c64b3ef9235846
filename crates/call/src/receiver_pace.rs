//! How many of the other end's pictures a second this machine's window can draw. Without a GPU each costs about
//! the same, whatever its size: fewer are asked for before smaller ones ([`ReceiverLimit`](crate::ReceiverLimit)), and
//! none is encoded, sent and decoded to be drawn by nobody.

use std::time::{Duration, Instant};

use bedside_bwe::ladder::PACES;

use crate::Drawing;

/// Share of the pictures that come too late to be drawn from which fewer are better: every fourth.
const LATE: f64 = 0.25;
/// And for so long: a window that opens holds up every page for a moment.
const LATE_FOR: Duration = Duration::from_millis(1_900);
/// How long the other end is given to follow.
const SETTLES_IN: Duration = Duration::from_secs(3);
/// Fewer than these a second tell of nothing.
const TELLING: u64 = 8;
/// How long all must have been drawn in time before more are asked for; twice as long each time that they were too
/// many so soon after it.
const UP_AFTER: Duration = Duration::from_secs(30);
const TOO_MANY_WITHIN: Duration = Duration::from_secs(20);
const LONGEST_REST: Duration = Duration::from_secs(240);

/// Decides how many pictures a second to ask for.
#[derive(Debug)]
pub struct ReceiverPace {
    /// Which of [`PACES`]; none while as many are drawn as come.
    at: Option<usize>,
    late_since: Option<Instant>,
    well_since: Option<Instant>,
    changed_at: Option<Instant>,
    raised_at: Option<Instant>,
    rest: Duration,
}

impl Default for ReceiverPace {
    fn default() -> Self {
        Self {
            at: None,
            late_since: None,
            well_since: None,
            changed_at: None,
            raised_at: None,
            rest: UP_AFTER,
        }
    }
}

impl ReceiverPace {
    /// The most to ask for now, pictures a second; none where there is no limit.
    pub fn pace(&self) -> Option<u32> {
        self.at.map(|at| PACES[at])
    }

    /// Whether no fewer are asked for, and the other end has had time to follow.
    pub fn is_exhausted(&self, now: Instant) -> bool {
        self.is_slowest() && self.has_settled(now)
    }

    fn is_slowest(&self) -> bool {
        self.at.is_some_and(|at| at + 1 == PACES.len())
    }

    fn has_settled(&self, now: Instant) -> bool {
        self.changed_at.is_none_or(|at| now.saturating_duration_since(at) >= SETTLES_IN)
    }

    /// Whether so many came too late that fewer are better.
    pub fn are_late(drawing: &Drawing) -> bool {
        drawing.late as f64 > (drawing.drawn + drawing.late) as f64 * LATE
    }

    /// Takes what was drawn of the last second.
    pub fn on_drawn(&mut self, drawing: &Drawing, now: Instant) {
        let all = drawing.drawn + drawing.late;
        if all < TELLING {
            (self.late_since, self.well_since) = (None, None);
            return;
        }
        if Self::are_late(drawing) {
            self.well_since = None;
            let since = *self.late_since.get_or_insert(now);
            let is_long = now.saturating_duration_since(since) >= LATE_FOR;
            if is_long && self.has_settled(now) && !self.is_slowest() {
                let was_too_many = |at| now.saturating_duration_since(at) < TOO_MANY_WITHIN;
                self.rest = if self.raised_at.take().is_some_and(was_too_many) {
                    (self.rest * 2).min(LONGEST_REST)
                } else {
                    UP_AFTER
                };
                self.change(Some(self.at.map_or(0, |at| at + 1)), now);
            }
        } else {
            self.late_since = None;
            let since = *self.well_since.get_or_insert(now);
            if self.at.is_some() && now.saturating_duration_since(since) >= self.rest {
                self.raised_at = Some(now);
                self.change(self.at.and_then(|at| at.checked_sub(1)), now);
            }
        }
    }

    fn change(&mut self, at: Option<usize>, now: Instant) {
        self.at = at;
        (self.changed_at, self.late_since, self.well_since) = (Some(now), None, None);
    }
}

#[cfg(test)]
mod tests {
    use bedside_bwe::Bitrate;

    use super::*;

    /// What is asked for, second by second, of a window that draws so many of what is asked for, of thirty at the most.
    fn asked(seconds: u64, draws: impl Fn(u64) -> u64) -> Vec<Option<u32>> {
        let (mut pace, began) = (ReceiverPace::default(), Instant::now());
        let second = |second| {
            let sent = u64::from(pace.pace().unwrap_or(30));
            let drawn = draws(second).min(sent);
            let drawing =
                Drawing { drawn, late: sent - drawn, behind: Duration::ZERO, received: Bitrate::kbps(1_000) };
            pace.on_drawn(&drawing, began + Duration::from_secs(second));
            pace.pace()
        };
        (0..seconds).map(second).collect()
    }

    #[test]
    fn what_is_drawn_is_not_limited_nor_for_a_moment_that_it_is_not() {
        assert!(asked(300, |second| if second % 7 == 0 { 5 } else { 27 }).iter().all(Option::is_none));
    }

    #[test]
    fn a_window_is_sent_as_many_as_it_draws_and_more_are_tried_seldom() {
        for (draws, wanted) in [(18, 20), (13, 15), (5, 15)] {
            let asked = asked(900, |_| draws);
            assert_eq!(asked[12], Some(wanted), "{draws}: {:?}", &asked[..20]);
            let more = asked[12..].iter().filter(|pace| pace.is_none_or(|pace| pace > wanted)).count();
            assert!(more < 60, "{draws} drawn: more for {more} of 900 s");
        }
    }

    #[test]
    fn a_moment_of_trouble_is_over_in_two_minutes() {
        let asked = asked(140, |second| if second < 12 { 9 } else { 30 });
        assert_eq!((asked[12], asked[139]), (Some(15), None));
    }

    #[test]
    fn what_was_too_much_once_is_forgotten_by_the_next_trouble() {
        // Thirty are too many for two minutes; then all is well but for a moment much later.
        let draws = |second: u64| {
            if second < 120 {
                13
            } else if (600..612).contains(&second) {
                9
            } else {
                30
            }
        };
        let asked = asked(760, draws);
        assert_eq!((asked[599], asked[613], asked[740]), (None, Some(15), None));
    }

    #[test]
    fn few_that_come_say_nothing() {
        let mut pace = ReceiverPace::default();
        let now = Instant::now();
        for second in 0..20 {
            let drawing = Drawing { drawn: 0, late: 4, behind: Duration::ZERO, received: Bitrate::kbps(100) };
            pace.on_drawn(&drawing, now + Duration::from_secs(second));
        }
        assert_eq!(pace.pace(), None);
    }
}
