//! The quality ladder: which picture a rate affords.

use std::time::{Duration, Instant};

use crate::Bitrate;

/// How long a larger picture must have been affordable before it is sent: going up and down again
/// looks worse than staying.
const UP_AFTER: Duration = Duration::from_secs(2);
/// Where there was none at all, it comes back sooner, if there is twice what the smallest needs: after a
/// break, the other side waits for it.
const BACK_AFTER: Duration = Duration::from_millis(200);
const BACK_MARGIN: f64 = 2.0;
/// By how much the rate must exceed a step's need before it is climbed.
const UP_MARGIN: f64 = 1.15;
/// How much less than its need a step is kept with: a rate that swings moves nothing.
const KEPT_DOWN_TO: f64 = 0.85;
/// Share of a frame's time that encoding may take, waiting for a core included; beyond it fewer frames are
/// sent. Encoding runs after everything else that a call needs, so that it is late first: at 0.25 a machine
/// that had a fifth of its time to spare sent a quarter of the picture. At 0.7 the page of such a machine
/// drew ten frames a second.
const BUSY: f64 = 0.5;
/// And at the slowest pace, beyond which a smaller one is sent: so much that ten frames a second are all there
/// are. A page that is busy paints as often as it can, whatever is left for others, and a small picture takes it
/// as long as a large one: at 0.9 a machine on a slow day sent 360p, and no more was drawn of it.
const TOO_SLOW: f64 = 1.5;
/// And for so long: what a window that opens takes for a moment is no sign of a slow machine.
const BUSY_FOR: Duration = Duration::from_millis(1_500);
/// In which a picture is sent, frames a second, one after the other, before it is made smaller, whether the sender's
/// machine is slow or the receiver's: movement can be judged by fifteen, and nothing brings back what a small picture
/// leaves out.
pub const PACES: [u32; 2] = [20, 15];
/// No fewer are sent, whatever the other end asks for: what is fewer is no movement.
const LEAST_PACE: u32 = 5;
/// Every machine can keep up with this step; below it only the network leads.
const ALWAYS: usize = 3;
/// How long a step that this machine could not afford is not tried again.
const MACHINE_REST: Duration = Duration::from_secs(60);
/// A step that was lost again so soon after it was climbed was refused by the network. It rests this
/// long, and twice as long each time.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);
const NETWORK_REST: Duration = Duration::from_secs(30);
const LONGEST_REST: Duration = Duration::from_secs(240);

/// One rung: a picture and what it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Largest width, pixels.
    pub width: usize,
    /// Largest height, pixels.
    pub height: usize,
    /// Frames a second.
    pub fps: u32,
    /// The rate from which it looks better than the step below.
    pub needs: Bitrate,
    /// The rate beyond which it looks no better.
    pub enough: Bitrate,
}

impl Step {
    /// The same in fewer frames. Half of them need three quarters of the rate: each differs more from the one
    /// before.
    fn at_pace(self, fps: u32) -> Self {
        let share = f64::midpoint(1.0, f64::from(fps) / f64::from(self.fps));
        Self { fps, enough: self.enough.scaled(share), ..self }
    }
}

const fn step(width: usize, height: usize, fps: u32, needs: u64, enough: u64) -> Step {
    Step { width, height, fps, needs: Bitrate::kbps(needs), enough: Bitrate::kbps(enough) }
}

/// From the smallest to the largest. Fifteen frames a second is the least that movement can be judged
/// by; below the first step there is audio only. By PSNR alone each would need less (docs/measured.md), but a
/// larger frame is lost more often.
pub const STEPS: [Step; 6] = [
    step(320, 180, 15, 50, 180),
    step(480, 270, 20, 110, 300),
    step(640, 360, 24, 180, 500),
    step(640, 360, 30, 300, 900),
    step(960, 540, 30, 500, 1_500),
    step(1280, 720, 30, 1_100, 2_500),
];

/// Where a call begins: looks right at once and fits most networks.
const FIRST: usize = 2;

/// Chooses the step.
#[derive(Debug)]
pub struct Ladder {
    at: Option<usize>,
    up_since: Option<(usize, Instant)>,
    climbed_at: Option<Instant>,
    busy_since: Option<Instant>,
    /// The highest step allowed, and until when no higher.
    ceiling: Option<(usize, Instant)>,
    /// Which of the slower paces this machine keeps to, and until when.
    pace: Option<(usize, Instant)>,
    /// Until when the smallest picture is not tried on a rate that was just enough for it and did not hold.
    hidden_until: Option<Instant>,
    /// How long the next step that the network refuses rests.
    next_rest: Duration,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            at: Some(FIRST),
            up_since: None,
            climbed_at: None,
            busy_since: None,
            ceiling: None,
            pace: None,
            hidden_until: None,
            next_rest: NETWORK_REST,
        }
    }
}

/// What the ladder goes by.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Means {
    /// What the picture is given.
    pub rate: Bitrate,
    /// What the network was seen to carry of it: nothing is climbed on a guess.
    pub proven: Bitrate,
    /// The mean time that a frame has lately taken to encode.
    pub encoding: Duration,
    /// The most frames a second that the other end's window can draw, where it said so.
    pub pace: Option<u32>,
}

/// What to send now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The picture; none when only audio is affordable.
    pub step: Option<Step>,
    /// The rate for it.
    pub bitrate: Bitrate,
}

impl Ladder {
    /// The least that a picture is of use with: more while there is none, so that it does not come
    /// and go.
    pub fn least(&self) -> Bitrate {
        STEPS[0].needs.scaled(if self.at.is_none() { self.first_margin() } else { KEPT_DOWN_TO })
    }

    /// What the smallest picture must have of its need to be shown again.
    const fn first_margin(&self) -> f64 {
        if self.hidden_until.is_some() { BACK_MARGIN } else { UP_MARGIN }
    }

    /// The choice for these means.
    pub fn choose(&mut self, means: &Means, now: Instant) -> Choice {
        self.ceiling = self.ceiling.filter(|(_, until)| now < *until);
        self.pace = self.pace.filter(|(_, until)| now < *until);
        self.hidden_until = self.hidden_until.filter(|until| now < *until);
        self.heed_machine(means, now);
        let kept = self.at.and_then(|at| {
            let keeps = |step: &Step| means.rate.as_f64() >= step.needs.as_f64() * KEPT_DOWN_TO;
            STEPS[..=at].iter().rposition(keeps)
        });
        if kept < self.at {
            // Down at once: what can't be sent in time is of no use.
            self.fall(kept, now);
        } else {
            self.climb(means, now);
        }
        let step = self.at.map(|at| STEPS[at].at_pace(self.fps(at, means.pace)));
        Choice { step, bitrate: step.map_or(Bitrate::ZERO, |step| means.rate.min(step.enough)) }
    }

    /// Frames a second of a step, as this machine can and the other end wants.
    fn fps(&self, at: usize, wanted: Option<u32>) -> u32 {
        let pace = self.pace.filter(|_| at >= ALWAYS).map_or(u32::MAX, |(pace, _)| PACES[pace]);
        STEPS[at].fps.min(pace).min(wanted.unwrap_or(u32::MAX).max(LEAST_PACE))
    }

    fn heed_machine(&mut self, means: &Means, now: Instant) {
        let Some(at) = self.at.filter(|at| *at > ALWAYS) else {
            self.busy_since = None;
            return;
        };
        let slower = self.pace.map_or(0, |(pace, _)| pace + 1);
        let most = if slower < PACES.len() { BUSY } else { TOO_SLOW };
        if means.encoding.as_secs_f64() * f64::from(self.fps(at, means.pace)) <= most {
            self.busy_since = None;
        } else if now.saturating_duration_since(*self.busy_since.get_or_insert(now)) >= BUSY_FOR {
            let rest = now + MACHINE_REST;
            if slower < PACES.len() {
                self.pace = Some((slower, rest));
            } else {
                self.ceiling = Some((at - 1, rest));
                self.at = Some(at - 1);
            }
            self.busy_since = None;
        }
    }

    fn fall(&mut self, to: Option<usize>, now: Instant) {
        if let Some(at) = self.at
            && self
                .climbed_at
                .take()
                .is_some_and(|since| now.saturating_duration_since(since) < REFUSED_WITHIN)
        {
            let until = now + self.next_rest;
            match at.checked_sub(1) {
                Some(below) => self.ceiling = Some((below, until)),
                // A break takes it too: where there is much again after it, it comes back at once.
                None => self.hidden_until = Some(until),
            }
            self.next_rest = (self.next_rest * 2).min(LONGEST_REST);
        }
        self.at = to;
        self.up_since = None;
    }

    fn climb(&mut self, means: &Means, now: Instant) {
        let top = self.ceiling.map_or(STEPS.len() - 1, |(top, _)| top);
        let affordable = |step: &Step| {
            // Audio alone can't show that there is room for the first picture.
            let is_proven = means.proven >= step.needs || *step == STEPS[0];
            let margin = if self.at.is_none() { self.first_margin() } else { UP_MARGIN };
            means.rate >= step.needs.scaled(margin) && is_proven
        };
        let Some(to) = STEPS[..=top].iter().rposition(affordable).filter(|to| Some(*to) > self.at) else {
            self.up_since = None;
            return;
        };
        let (_, since) = *self.up_since.get_or_insert((to, now));
        self.up_since = Some((to, since));
        let is_back = self.at.is_none() && means.rate >= STEPS[0].needs.scaled(BACK_MARGIN);
        if now.saturating_duration_since(since) >= if is_back { BACK_AFTER } else { UP_AFTER } {
            self.at = Some(to);
            self.climbed_at = Some(now);
            self.up_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(2);

    fn means(rate: u64, encoding: Duration) -> Means {
        Means { rate: Bitrate::kbps(rate), proven: Bitrate::kbps(rate), encoding, pace: None }
    }

    fn settle(ladder: &mut Ladder, means: &Means, start: Instant, seconds: u64) -> Choice {
        let mut choice = ladder.choose(means, start);
        for tenth in 1..=seconds * 10 {
            choice = ladder.choose(means, start + Duration::from_millis(tenth * 100));
        }
        choice
    }

    #[test]
    fn starts_in_the_middle_and_climbs_to_what_was_shown_to_be_carried() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        assert_eq!(ladder.choose(&means(400, QUICK), start).step.unwrap().height, 360);
        let guessed = Means { proven: Bitrate::kbps(450), ..means(4_000, QUICK) };
        assert_eq!(settle(&mut ladder, &guessed, start, 10).step.unwrap().height, 360);
        let later = start + Duration::from_secs(11);
        let top = settle(&mut ladder, &means(4_000, QUICK), later, 3);
        assert_eq!((top.step.unwrap().height, top.bitrate), (720, Bitrate::kbps(2_500)));
    }

    #[test]
    fn falls_at_once_and_down_to_audio_only() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        settle(&mut ladder, &means(4_000, QUICK), start, 15);
        let later = start + Duration::from_secs(60);
        let low = ladder.choose(&means(250, QUICK), later);
        assert_eq!((low.step.unwrap().height, low.bitrate), (360, Bitrate::kbps(250)));
        assert_eq!(ladder.choose(&means(35, QUICK), later), Choice { step: None, bitrate: Bitrate::ZERO });
    }

    #[test]
    fn a_slow_machine_stays_where_it_can_keep_up() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        settle(&mut ladder, &means(4_000, QUICK), start, 15);
        let at = start + Duration::from_secs(20);
        let shown = |choice: Choice| choice.step.map(|step| (step.height, step.fps));
        let slow = means(4_000, Duration::from_millis(25));
        assert_eq!(shown(ladder.choose(&slow, at)), Some((720, 30)), "for a moment");
        assert_eq!(shown(settle(&mut ladder, &slow, at, 20)), Some((720, 20)), "fewer frames first");
        let at = at + Duration::from_secs(20);
        let slower = means(4_000, Duration::from_millis(105));
        assert_eq!(shown(settle(&mut ladder, &slower, at, 4)), Some((540, 15)), "then a smaller one");
        let at = at + Duration::from_secs(4);
        assert_eq!(shown(settle(&mut ladder, &slower, at, 4)), Some((360, 15)), "which every machine can");
        let at = at + Duration::from_secs(4);
        let idle = means(4_000, Duration::from_millis(6));
        assert_eq!(shown(settle(&mut ladder, &idle, at, 30)), Some((360, 15)), "not tried again so soon");
        let at = at + Duration::from_secs(30);
        assert_eq!(shown(settle(&mut ladder, &idle, at, 40)), Some((720, 30)));
    }

    #[test]
    fn no_more_frames_are_chosen_than_the_other_end_draws() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        let shown = |choice: Choice| choice.step.map(|step| (step.height, step.fps));
        // So slow that thirty a second would be too many: fifteen are none too many for it.
        let means = Means { pace: Some(15), ..means(4_000, Duration::from_millis(30)) };
        assert_eq!(shown(settle(&mut ladder, &means, start, 20)), Some((720, 15)));
        let after = Means { encoding: QUICK, pace: None, ..means };
        assert_eq!(shown(ladder.choose(&after, start + Duration::from_secs(20))), Some((720, 30)), "at once");
        let none = Means { pace: Some(0), ..after };
        assert_eq!(shown(ladder.choose(&none, start + Duration::from_secs(21))), Some((720, 5)));
    }

    #[test]
    fn a_step_that_the_network_refused_rests_longer_each_time() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        let mut climbs = vec![];
        let mut last = ladder.choose(&means(400, QUICK), start).step;
        for tenth in 0..3_000_u64 {
            let is_up = last.is_some_and(|step| step.height >= 540);
            let rate = if is_up { 400 } else { 1_000 };
            let step = ladder.choose(&means(rate, QUICK), start + Duration::from_millis(tenth * 100)).step;
            if step.is_some_and(|step| step.height >= 540) && !is_up {
                climbs.push(tenth / 10);
            }
            last = step;
        }
        let waits: Vec<u64> = climbs.windows(2).map(|two| two[1] - two[0]).collect();
        assert!(climbs.len() <= 5 && waits.is_sorted() && waits[0] >= 30, "{climbs:?}");
    }

    #[test]
    fn after_a_break_a_picture_is_back_at_once() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        ladder.choose(&means(700, QUICK), start);
        let broken = start + Duration::from_secs(5);
        assert!(ladder.choose(&means(10, QUICK), broken).step.is_none());
        let back = settle(&mut ladder, &means(240, QUICK), start + Duration::from_secs(15), 0);
        assert!(back.step.is_none());
        let soon = ladder.choose(&means(240, QUICK), start + Duration::from_millis(15_250));
        assert!(soon.step.is_some(), "in a quarter of a second");
        // Where there is only just enough for it, it does not come and go.
        ladder.choose(&means(10, QUICK), start + Duration::from_secs(20));
        let little = start + Duration::from_secs(30);
        assert!(settle(&mut ladder, &means(70, QUICK), little, 1).step.is_none());
    }

    #[test]
    fn a_picture_that_the_network_hardly_carries_does_not_come_and_go() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        let (mut shown, mut times) = (true, 0);
        for tenth in 0..600_u64 {
            let rate = if shown { 30 } else { 80 };
            let step = ladder.choose(&means(rate, QUICK), start + Duration::from_millis(tenth * 100)).step;
            times += u32::from(!shown && step.is_some());
            shown = step.is_some();
        }
        assert!((1..=2).contains(&times), "shown {times} times in a minute");
    }

    #[test]
    fn does_not_flutter() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        let mut changes = 0;
        let mut last = ladder.choose(&means(400, QUICK), start).step;
        for tenth in 0..600_u64 {
            let rate = if (tenth / 10) % 2 == 0 { 1_300 } else { 320 };
            let step = ladder.choose(&means(rate, QUICK), start + Duration::from_millis(tenth * 100)).step;
            changes += u32::from(step != last);
            last = step;
        }
        assert_eq!(changes, 0, "an estimate that swings every second moves nothing");
    }
}
