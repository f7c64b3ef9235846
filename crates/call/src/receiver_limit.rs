//! How much of the other end's picture this machine can draw: asked of it where the page falls behind,
//! as it can't see that from its own side. Where less does not help, it is taken back: a page that paints
//! slowly paints a small picture as slowly as a large one.

use std::time::{Duration, Instant};

use bedside_bwe::Bitrate;

/// A picture that waits for the page so long after it was due is one that the page can't keep up with:
/// a picture a little late is the rule, as the page tells of every second one only.
pub(crate) const BEHIND: Duration = Duration::from_millis(400);
/// Share of the pictures that come too late to be drawn from which fewer or smaller ones are better, where so
/// few a second are drawn that movement can't be judged.
const LATE: f64 = 1.0 / 3.0;
const FEW: u64 = 12;
/// Less has helped when this many times as many are drawn, or the oldest waits this much less.
const HELPED: f64 = 1.2;
/// And for so long: a window that opens holds up every page for a moment.
const BEHIND_FOR: Duration = Duration::from_millis(1_900);
/// How much less is asked for each time, and how long the other end is given to follow: so much that it sends a
/// smaller picture, as nothing else shows whether that helps.
const DOWN: f64 = 0.35;
const SETTLES_IN: Duration = Duration::from_secs(3);
/// Never less: the smallest picture that faces can be told by.
const LEAST: Bitrate = Bitrate::kbps(150);
/// How long all must have been drawn in time before more is tried; twice as long each time that it then
/// was too much.
const UP_AFTER: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(240);
const UP: f64 = 1.5;
/// More than anybody sends: with it a limit is lifted.
const UNLIMITED: Bitrate = Bitrate::kbps(10_000);
/// How many times that is said: a packet may be lost.
const LIFTED_TIMES: u32 = 3;

/// What became of the pictures of about a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Drawing {
    /// Pictures drawn.
    pub drawn: u64,
    /// Pictures that came too late to be drawn.
    pub late: u64,
    /// How long the picture has been due that the page has had for longest.
    pub behind: Duration,
    /// What was received of them.
    pub received: Bitrate,
}

impl Drawing {
    fn is_behind(&self) -> bool {
        if self.received == Bitrate::ZERO {
            return false; // Nothing comes: there is nothing to ask less of.
        }
        let all = self.drawn + self.late;
        self.behind > BEHIND || (self.drawn < FEW && self.late as f64 > all as f64 * LATE)
    }
}

/// Less was asked for.
#[derive(Clone, Copy, Debug)]
struct Lowered {
    limit_before: Option<Bitrate>,
    drawing_before: Drawing,
}

impl Lowered {
    fn has_helped(&self, drawing: &Drawing) -> bool {
        let before = &self.drawing_before;
        drawing.drawn > before.drawn && drawing.drawn as f64 >= before.drawn as f64 * HELPED
            || before.behind > BEHIND && drawing.behind.as_secs_f64() * HELPED <= before.behind.as_secs_f64()
    }
}

/// Decides what to ask of the other end.
#[derive(Debug)]
pub struct ReceiverLimit {
    limit: Option<Bitrate>,
    lowered: Option<Lowered>,
    /// Until then nothing is asked for, as it did not help.
    given_up_until: Option<Instant>,
    behind_since: Option<Instant>,
    well_since: Option<Instant>,
    changed_at: Option<Instant>,
    /// The last change was for more.
    was_raised: bool,
    rest: Duration,
    /// How many times it is still said that the limit was lifted.
    lifts: u32,
}

impl Default for ReceiverLimit {
    fn default() -> Self {
        Self {
            limit: None,
            lowered: None,
            given_up_until: None,
            behind_since: None,
            well_since: None,
            changed_at: None,
            was_raised: false,
            rest: UP_AFTER,
            lifts: 0,
        }
    }
}

impl ReceiverLimit {
    /// What is asked for.
    pub(crate) const fn limit(&self) -> Option<Bitrate> {
        self.limit
    }

    /// Takes what was drawn of the last second; gives the most to ask for now, or nothing to say.
    pub fn on_drawn(&mut self, drawing: &Drawing, now: Instant) -> Option<Bitrate> {
        self.given_up_until = self.given_up_until.filter(|until| now < *until);
        let has_settled = self.changed_at.is_none_or(|at| now.saturating_duration_since(at) >= SETTLES_IN);
        if drawing.is_behind() && self.given_up_until.is_some() {
            (self.well_since, self.behind_since) = (None, None);
        } else if drawing.is_behind() {
            self.well_since = None;
            let since = *self.behind_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= BEHIND_FOR && has_settled {
                match self.lowered.filter(|lowered| !lowered.has_helped(drawing)) {
                    Some(lowered) => self.give_up(lowered, now),
                    None => self.lower(drawing, now),
                }
            }
        } else {
            self.behind_since = None;
            if has_settled {
                // It has helped. What comes later is another matter.
                self.lowered = None;
            }
            let since = *self.well_since.get_or_insert(now);
            if self.limit.is_some() && now.saturating_duration_since(since) >= self.rest {
                self.raise(now);
            }
        }
        self.lifts = self.lifts.saturating_sub(1);
        self.limit.or_else(|| (self.lifts > 0).then_some(UNLIMITED))
    }

    fn lower(&mut self, drawing: &Drawing, now: Instant) {
        if std::mem::take(&mut self.was_raised) {
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
        self.lowered = Some(Lowered { limit_before: self.limit, drawing_before: *drawing });
        let before = drawing.received.min(self.limit.unwrap_or(Bitrate::MAX));
        self.limit = Some(before.scaled(DOWN).max(LEAST));
        self.changed_at = Some(now);
    }

    fn give_up(&mut self, lowered: Lowered, now: Instant) {
        self.limit = lowered.limit_before;
        if self.limit.is_none() {
            self.lifts = LIFTED_TIMES + 1;
        }
        self.lowered = None;
        (self.changed_at, self.behind_since) = (Some(now), None);
        self.given_up_until = Some(now + LONGEST_REST);
    }

    fn raise(&mut self, now: Instant) {
        self.lowered = None;
        let more = self.limit.map(|limit| limit.scaled(UP));
        self.limit = more.filter(|limit| *limit < crate::MOST_CAMERA);
        self.was_raised = true;
        if self.limit.is_none() {
            self.lifts = LIFTED_TIMES + 1;
            self.rest = UP_AFTER;
        }
        (self.changed_at, self.well_since) = (Some(now), Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page that draws so much of a second's pictures, which come as asked for.
    struct Page {
        limit: ReceiverLimit,
        now: Instant,
        asked: Option<Bitrate>,
        drawn: u64,
    }

    impl Page {
        fn new() -> Self {
            Self { limit: ReceiverLimit::default(), now: Instant::now(), asked: None, drawn: 0 }
        }

        /// Pictures of `sends`, or of what was asked for last, of which `draws` can be drawn.
        fn second(&mut self, sends: u64, draws: u64) -> Option<Bitrate> {
            let sent = Bitrate::kbps(sends).min(self.asked.unwrap_or(Bitrate::MAX));
            let share = Bitrate::kbps(draws).as_f64() / sent.as_f64();
            let drawn = (30.0 * share.min(1.0)) as u64;
            self.drawn = drawn;
            let drawing = Drawing { drawn, late: 30 - drawn, behind: Duration::ZERO, received: sent };
            self.now += Duration::from_secs(1);
            let said = self.limit.on_drawn(&drawing, self.now);
            self.asked = said.or(self.asked);
            said
        }
    }

    #[test]
    fn what_a_page_draws_is_not_limited_nor_for_a_moment_that_it_does_not() {
        let mut page = Page::new();
        for second in 0..300 {
            let draws = if second % 7 == 0 { 500 } else { 3_000 };
            assert_eq!(page.second(2_500, draws), None);
        }
    }

    #[test]
    fn a_page_that_falls_behind_is_sent_what_it_can_draw_and_more_is_tried_seldom() {
        let mut page = Page::new();
        let mut late = 0;
        for second in 0..600 {
            page.second(2_500, 500);
            let asked = page.asked.unwrap_or(Bitrate::kbps(2_500));
            late += u64::from(page.drawn < FEW);
            assert!(second < 20 || asked >= Bitrate::kbps(400), "no less than is needed: {asked}");
        }
        assert!(late < 60, "of ten minutes, {late} s were too much");
    }

    #[test]
    fn pictures_that_wait_count_as_well_and_there_is_a_least() {
        let mut limit = ReceiverLimit::default();
        let mut now = Instant::now();
        let mut told = None;
        for second in 0..60 {
            now += Duration::from_secs(1);
            let behind = Duration::from_secs_f64(90.0 * 0.9_f64.powi(second));
            let drawing = Drawing { drawn: 30, late: 0, behind, received: Bitrate::kbps(600) };
            told = limit.on_drawn(&drawing, now);
            if behind < BEHIND * 2 {
                break;
            }
        }
        assert_eq!(told, Some(LEAST));
    }

    /// What is asked for over so many seconds of a page that draws so many of thirty pictures of a rate.
    fn asked_by(seconds: usize, draws: impl Fn(Bitrate) -> u64) -> Vec<Option<Bitrate>> {
        let (mut limit, mut now) = (ReceiverLimit::default(), Instant::now());
        let second = |_| {
            now += Duration::from_secs(1);
            let received = limit.limit.unwrap_or(Bitrate::kbps(2_000));
            let drawn = draws(received);
            limit.on_drawn(&Drawing { drawn, late: 30 - drawn, behind: Duration::ZERO, received }, now)
        };
        (0..seconds).map(second).collect()
    }

    #[test]
    fn what_has_helped_stays_where_still_less_does_not() {
        let asked = asked_by(120, |received| if received < Bitrate::kbps(1_000) { 11 } else { 9 });
        let less = |most: &Option<Bitrate>| most.is_some_and(|most| most < Bitrate::kbps(300));
        assert!(asked.iter().any(less), "less is tried: {asked:?}");
        assert_eq!(asked.last(), Some(&Some(Bitrate::kbps(700))), "{asked:?}");
    }

    #[test]
    fn what_does_not_help_is_taken_back() {
        // Ten a second, however small they are.
        let asked = asked_by(60, |_| 10);
        let limited = asked.iter().flatten().filter(|most| **most < UNLIMITED).count();
        assert!((1..=8).contains(&limited), "{asked:?}");
        assert_eq!(asked.last(), Some(&None));
    }

    #[test]
    fn a_moment_of_trouble_is_over_in_minutes() {
        let mut page = Page::new();
        for _ in 0..12 {
            page.second(2_500, 300);
        }
        let asked = page.asked.unwrap();
        assert!(asked < Bitrate::kbps(1_000), "{asked}");
        assert!((0..180).any(|_| page.second(2_500, 5_000) == Some(UNLIMITED)), "{asked}");
    }

    #[test]
    fn nothing_is_asked_while_nothing_comes() {
        let (mut limit, mut now) = (ReceiverLimit::default(), Instant::now());
        for _ in 0..10 {
            now += Duration::from_secs(1);
            let behind = Duration::from_secs(9);
            let drawing = Drawing { drawn: 0, late: 0, behind, received: Bitrate::ZERO };
            assert_eq!(limit.on_drawn(&drawing, now), None);
        }
    }

    #[test]
    fn a_limit_that_is_not_needed_is_lifted_and_the_other_end_told() {
        let mut page = Page::new();
        for _ in 0..5 {
            page.second(2_500, 900);
        }
        assert!(page.asked.unwrap() < Bitrate::kbps(2_000));
        let said: Vec<_> = (0..150).map(|_| page.second(2_500, 5_000)).collect();
        assert_eq!(said.iter().filter(|said| **said == Some(UNLIMITED)).count(), 3, "{said:?}");
        assert_eq!(said.last(), Some(&None));
    }
}
