//! How much of the other end's picture this machine can draw: asked of it where the page falls behind,
//! as it can't see that from its own side.

use std::time::{Duration, Instant};

use bedside_bwe::Bitrate;

/// A picture that waits for the page so long after it was due is one that the page can't keep up with:
/// a picture a little late is the rule, as the page tells of every second one only.
const BEHIND: Duration = Duration::from_millis(400);
/// Share of the pictures that come too late to be drawn from which fewer or smaller ones are better.
const LATE: f64 = 1.0 / 3.0;
/// And for so long: a window that opens holds up every page for a moment.
const BEHIND_FOR: Duration = Duration::from_millis(1_900);
/// How much less is asked for each time, and how long the other end is given to follow.
const DOWN: f64 = 0.7;
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
        self.behind > BEHIND || (all > 0 && self.late as f64 / all as f64 > LATE)
    }
}

/// Decides what to ask of the other end.
#[derive(Debug)]
pub struct ReceiverLimit {
    limit: Option<Bitrate>,
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
    /// Takes what was drawn of the last second; gives the most to ask for now, or nothing to say.
    pub fn on_drawn(&mut self, drawing: &Drawing, now: Instant) -> Option<Bitrate> {
        if drawing.is_behind() {
            self.well_since = None;
            let since = *self.behind_since.get_or_insert(now);
            let has_settled =
                self.changed_at.is_none_or(|at| now.saturating_duration_since(at) >= SETTLES_IN);
            if now.saturating_duration_since(since) >= BEHIND_FOR && has_settled {
                self.lower(drawing.received, now);
            }
        } else {
            self.behind_since = None;
            let since = *self.well_since.get_or_insert(now);
            if self.limit.is_some() && now.saturating_duration_since(since) >= self.rest {
                self.raise(now);
            }
        }
        self.lifts = self.lifts.saturating_sub(1);
        self.limit.or_else(|| (self.lifts > 0).then_some(UNLIMITED))
    }

    fn lower(&mut self, received: Bitrate, now: Instant) {
        if std::mem::take(&mut self.was_raised) {
            self.rest = (self.rest * 2).min(LONGEST_REST);
        }
        let before = received.min(self.limit.unwrap_or(Bitrate::MAX));
        self.limit = Some(before.scaled(DOWN).max(LEAST));
        self.changed_at = Some(now);
    }

    fn raise(&mut self, now: Instant) {
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
    }

    impl Page {
        fn new() -> Self {
            Self { limit: ReceiverLimit::default(), now: Instant::now(), asked: None }
        }

        /// Pictures of `sends`, or of what was asked for last, of which `draws` can be drawn.
        fn second(&mut self, sends: u64, draws: u64) -> Option<Bitrate> {
            let sent = Bitrate::kbps(sends).min(self.asked.unwrap_or(Bitrate::MAX));
            let late = if sent > Bitrate::kbps(draws) { 20 } else { 0 };
            let drawing = Drawing { drawn: 30 - late, late, behind: Duration::ZERO, received: sent };
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
            page.second(2_500, 900);
            let asked = page.asked.unwrap_or(Bitrate::kbps(2_500));
            late += u64::from(asked > Bitrate::kbps(900));
            assert!(second < 20 || asked >= Bitrate::kbps(400), "no less than is needed: {asked}");
        }
        assert!(late < 60, "of ten minutes, {late} s were too much");
    }

    #[test]
    fn pictures_that_wait_count_as_well_and_there_is_a_least() {
        let mut limit = ReceiverLimit::default();
        let mut now = Instant::now();
        let mut told = None;
        for _ in 0..60 {
            now += Duration::from_secs(1);
            let behind = Duration::from_millis(900);
            let drawing = Drawing { drawn: 30, late: 0, behind, received: Bitrate::kbps(600) };
            told = limit.on_drawn(&drawing, now);
        }
        assert_eq!(told, Some(LEAST));
    }

    #[test]
    fn a_moment_of_trouble_is_over_in_minutes() {
        let mut page = Page::new();
        for _ in 0..12 {
            page.second(2_500, 0);
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
            page.second(2_500, 1_000);
        }
        assert!(page.asked.unwrap() < Bitrate::kbps(2_000));
        let said: Vec<_> = (0..150).map(|_| page.second(2_500, 5_000)).collect();
        assert_eq!(said.iter().filter(|said| **said == Some(UNLIMITED)).count(), 3, "{said:?}");
        assert_eq!(said.last(), Some(&None));
    }
}
