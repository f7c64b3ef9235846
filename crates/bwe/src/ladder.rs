//! The quality ladder: which picture a bitrate affords. Sound comes first, always.

use std::time::{Duration, Instant};

/// What the sound and everybody's headers are left, in bits a second.
const AUDIO: u32 = 50_000;
/// How long a larger picture must have been affordable before it is sent: going up and down
/// again looks worse than staying.
const UP_AFTER: Duration = Duration::from_secs(3);
/// By how much the estimate must exceed a step's need before it is climbed.
const UP_MARGIN: f32 = 1.15;
/// Share of a frame's time that encoding may take; beyond it this machine can't afford the step.
/// Decoding, drawing and sound need as much again, and a machine at its limit makes all of them late.
const BUSY: f32 = 0.25;
/// How long a step that this machine could not afford is not tried again.
const REST: Duration = Duration::from_secs(60);

/// One rung: a picture and what it needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Step {
    /// Largest width.
    pub width: usize,
    /// Largest height.
    pub height: usize,
    /// Pictures a second.
    pub fps: u32,
    /// Bits a second from which it looks better than the step below.
    pub needs: u32,
    /// Bits a second beyond which it looks no better.
    pub enough: u32,
}

const fn step(width: usize, height: usize, fps: u32, needs: u32, enough: u32) -> Step {
    Step { width, height, fps, needs, enough }
}

/// From the smallest to the largest. Fifteen pictures a second is the least that movement can be
/// judged by; below the first step there is sound only.
pub const STEPS: [Step; 6] = [
    step(320, 180, 15, 60_000, 180_000),
    step(480, 270, 20, 150_000, 350_000),
    step(640, 360, 24, 250_000, 500_000),
    step(640, 360, 30, 350_000, 900_000),
    step(960, 540, 30, 900_000, 1_500_000),
    step(1280, 720, 30, 1_400_000, 2_500_000),
];

/// Where a call begins: looks right at once and fits most networks.
const FIRST: usize = 3;

/// Chooses the step.
#[derive(Debug)]
pub struct Ladder {
    at: Option<usize>,
    up_since: Option<Instant>,
    no_higher_than: Option<(usize, Instant)>,
}

impl Default for Ladder {
    fn default() -> Self {
        Self { at: Some(FIRST), up_since: None, no_higher_than: None }
    }
}

/// What to send now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Choice {
    /// The picture; none when only sound is affordable.
    pub step: Option<Step>,
    /// Bits a second for it.
    pub bitrate: u32,
}

impl Ladder {
    /// The choice for an estimate of `available` bits a second. `encoding` is the mean time that
    /// a picture has lately taken to encode.
    pub fn choose(&mut self, available: u32, encoding: Duration, now: Instant) -> Choice {
        let video = available.saturating_sub(AUDIO);
        let affordable = STEPS.iter().rposition(|step| video >= step.needs);
        let busy = self.at.is_some_and(|at| encoding.as_secs_f32() * STEPS[at].fps as f32 > BUSY);
        // Where a call begins every machine can keep up; below it only the network leads.
        if let Some(at) = self.at.filter(|at| busy && *at > FIRST) {
            self.no_higher_than = Some((at - 1, now));
            self.at = Some(at - 1);
        }
        if self.no_higher_than.is_some_and(|(_, since)| now.saturating_duration_since(since) > REST) {
            self.no_higher_than = None;
        }
        let top = self.no_higher_than.map_or(STEPS.len() - 1, |(top, _)| top);
        match (self.at, affordable) {
            (Some(at), Some(can)) if can >= at => {
                let next = (at + 1).min(top);
                let wants = next > at && video as f32 > STEPS[next].needs as f32 * UP_MARGIN;
                self.climb(wants, next, now);
            }
            // Down at once: what can't be sent in time is of no use.
            (Some(_), lower) => {
                self.at = lower;
                self.up_since = None;
            }
            (None, Some(_)) => self.climb(video as f32 > STEPS[0].needs as f32 * UP_MARGIN, 0, now),
            (None, None) => self.up_since = None,
        }
        let step = self.at.map(|at| STEPS[at]);
        Choice { step, bitrate: step.map_or(0, |step| video.clamp(step.needs.min(video), step.enough)) }
    }

    fn climb(&mut self, wants: bool, to: usize, now: Instant) {
        if !wants {
            self.up_since = None;
            return;
        }
        let since = *self.up_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= UP_AFTER {
            self.at = Some(to);
            self.up_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settle(
        ladder: &mut Ladder,
        available: u32,
        encoding: Duration,
        start: Instant,
        seconds: u64,
    ) -> Choice {
        let mut choice = ladder.choose(available, encoding, start);
        for tenth in 1..=seconds * 10 {
            choice = ladder.choose(available, encoding, start + Duration::from_millis(tenth * 100));
        }
        choice
    }

    const QUICK: Duration = Duration::from_millis(2);

    #[test]
    fn starts_in_the_middle_and_climbs() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        assert_eq!(ladder.choose(500_000, QUICK, start).step.unwrap().height, 360);
        let top = settle(&mut ladder, 4_000_000, QUICK, start, 15);
        assert_eq!((top.step.unwrap().height, top.bitrate), (720, 2_500_000));
    }

    #[test]
    fn falls_at_once_and_leaves_the_sound_its_share() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        settle(&mut ladder, 4_000_000, QUICK, start, 15);
        let later = start + Duration::from_secs(20);
        let low = ladder.choose(300_000, QUICK, later);
        assert_eq!((low.step.unwrap().height, low.bitrate), (360, 250_000));
        let none = ladder.choose(100_000, QUICK, later);
        assert_eq!(none, Choice { step: None, bitrate: 0 }, "only sound");
    }

    #[test]
    fn a_slow_machine_stays_where_it_can_keep_up() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        settle(&mut ladder, 4_000_000, QUICK, start, 15);
        let at = start + Duration::from_secs(20);
        let lower = ladder.choose(4_000_000, Duration::from_millis(25), at);
        assert_eq!(lower.step.unwrap().height, 540);
        let still = settle(&mut ladder, 4_000_000, Duration::from_millis(6), at, 30);
        assert_eq!(still.step.unwrap().height, 540, "not tried again so soon");
    }

    #[test]
    fn does_not_flutter() {
        let start = Instant::now();
        let mut ladder = Ladder::default();
        let mut changes = 0;
        let mut last = ladder.choose(500_000, QUICK, start).step;
        for tenth in 0..600_u64 {
            let available = if (tenth / 10) % 2 == 0 { 1_300_000 } else { 700_000 };
            let step = ladder.choose(available, QUICK, start + Duration::from_millis(tenth * 100)).step;
            changes += u32::from(step != last);
            last = step;
        }
        assert_eq!(changes, 0, "an estimate that swings every second moves nothing");
    }
}
