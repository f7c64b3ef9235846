//! The rate by delay: down to what arrives when a queue grows, up again carefully (AIMD).

use std::time::{Duration, Instant};

use crate::{Bitrate, trendline::BandwidthUsage};

/// What is left of the acknowledged rate after a step down (draft-ietf-rmcat-gcc-02 §5.5: beta).
const BACK_OFF: f64 = 0.85;
/// One step leaves at least this share of the target: what arrives is little as well when little is
/// sent. And this where overload is beyond doubt.
const LEAST_LEFT: f64 = 0.6;
const LEAST_LEFT_IN_OVERLOAD: f64 = 0.3;
/// Share of what the path carries that is sent at the least while a long queue is emptied.
const LEAST_WHILE_DRAINING: f64 = 0.3;
/// It is empty.
const DRAINED: Duration = Duration::from_millis(40);
/// Growth in a second far from where congestion was met last (§5.5: eta).
const GROWTH: f64 = 1.08;
/// The target grows to no more than this much of what is acknowledged, and a little: more was not
/// tried, so nothing is known of it.
const PROVEN: f64 = 1.5;
const PROVEN_AND: Bitrate = Bitrate::kbps(10);
/// Up to here it grows all the same, where the path was not seen to be narrower: audio alone can't
/// show that there is room for a picture again.
pub(crate) const UNPROVEN: Bitrate = Bitrate::kbps(180);
/// How long a path that was seen to be narrow is taken to be so.
const NARROW_FOR: Duration = Duration::from_secs(12);
/// The least that it grows by in a second, near to where congestion was met: a packet of audio.
const LEAST_STEP: Bitrate = Bitrate::kbps(4);
/// A packet, for the additive step of about half of one in a response time.
const PACKET_BITS: f64 = 9_600.0;
/// A response takes a round trip and this long to show.
const RESPONSE: Duration = Duration::from_millis(100);
/// What is between two steps down: a round trip within these bounds.
const SOONEST: Duration = Duration::from_millis(10);
const LATEST: Duration = Duration::from_millis(300);

/// How the rate moves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Until the queue has been seen to stand still.
    Hold,
    Increase,
}

/// What the path carried when it was full: a mean and how far it strays, kbit/s.
#[derive(Clone, Copy, Debug)]
struct LinkCapacity {
    estimate: f64,
    deviation: f64,
}

impl LinkCapacity {
    /// Share of a new sample.
    const SHARE: f64 = 0.05;

    fn update(known: Option<Self>, sample: Bitrate) -> Self {
        let sample = sample.as_f64() / 1e3;
        let Some(known) = known else { return Self { estimate: sample, deviation: 0.4 } };
        let estimate = (1.0 - Self::SHARE) * known.estimate + Self::SHARE * sample;
        let error = estimate - sample;
        let normalised = error * error / estimate.max(1.0);
        let deviation = (1.0 - Self::SHARE) * known.deviation + Self::SHARE * normalised;
        Self { estimate, deviation: deviation.clamp(0.4, 2.5) }
    }

    /// What it may carry at the most, without being another path.
    fn upper(&self) -> Bitrate {
        Bitrate::from_f64((self.estimate + self.reach() / 2.0) * 1e3)
    }

    fn reach(&self) -> f64 {
        3.0 * (self.deviation * self.estimate).sqrt()
    }

    fn is_below(&self, rate: Bitrate) -> bool {
        rate.as_f64() / 1e3 > self.estimate + self.reach()
    }

    fn is_above(&self, rate: Bitrate) -> bool {
        rate.as_f64() / 1e3 < self.estimate - self.reach()
    }
}

/// What the rate is moved by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateInput {
    pub(crate) usage: BandwidthUsage,
    /// Packets overflow a queue: not only does one grow.
    pub(crate) is_overload: bool,
    pub(crate) acked: Option<Bitrate>,
    /// The same over the last half second.
    pub(crate) recent: Option<Bitrate>,
    /// What arrives just now, where a long queue fills.
    pub(crate) flooded_to: Option<Bitrate>,
    /// How long the packet that left last waited.
    pub(crate) waits: Duration,
    pub(crate) rtt: Duration,
    /// What is allowed in all: this may be the higher half.
    pub(crate) target: Bitrate,
}

/// The half of the estimate that goes by delay.
#[derive(Debug)]
pub(crate) struct RateControl {
    target: Bitrate,
    state: State,
    link: Option<LinkCapacity>,
    changed_at: Option<Instant>,
    lowered_at: Option<Instant>,
    /// A long queue is being emptied: what the path carries.
    draining: Option<Bitrate>,
}

impl RateControl {
    pub(crate) const fn new(start: Bitrate) -> Self {
        Self {
            target: start,
            state: State::Increase,
            link: None,
            changed_at: None,
            lowered_at: None,
            draining: None,
        }
    }

    pub(crate) const fn target(&self) -> Bitrate {
        self.target
    }

    /// A probe, or another half, showed so much.
    pub(crate) fn set_target(&mut self, target: Bitrate, now: Instant) {
        self.draining = None;
        self.move_to(target, now);
    }

    /// Whatever leads it, the target is no less and no more than this.
    pub(crate) fn keep_within(&mut self, least: Bitrate, most: Bitrate, now: Instant) {
        let bounded = self.target.clamp(least, most);
        if bounded != self.target {
            self.move_to(bounded, now);
        }
    }

    fn move_to(&mut self, target: Bitrate, now: Instant) {
        self.target = target;
        self.changed_at = Some(now);
        if self.link.is_some_and(|link| link.is_below(target)) {
            self.link = None;
        }
    }

    pub(crate) fn update(&mut self, now: Instant, input: &RateInput) {
        if let Some(carried) = self.draining
            && input.waits < DRAINED
        {
            self.draining = None;
            self.target = self.target.max(carried.scaled(BACK_OFF));
        }
        let passed = self.changed_at.map_or(RESPONSE, |at| now.saturating_duration_since(at));
        match input.usage {
            BandwidthUsage::Overuse => self.decrease(now, input),
            BandwidthUsage::Underuse => self.state = State::Hold,
            BandwidthUsage::Normal if self.state == State::Hold => self.state = State::Increase,
            BandwidthUsage::Normal => self.increase(now, passed.min(Duration::from_secs(1)), input),
        }
        self.changed_at = Some(now);
    }

    fn decrease(&mut self, now: Instant, input: &RateInput) {
        self.state = State::Hold;
        let after = (input.rtt + RESPONSE / 2).clamp(SOONEST, LATEST);
        if self.lowered_at.is_some_and(|at| now.saturating_duration_since(at) < after) {
            return;
        }
        self.lowered_at = Some(now);
        // From what was really allowed: the other half may have held it lower.
        let from = self.target.min(input.target);
        // In overload a second is too long a time; and where little was sent before, the last half of
        // it shows more of what the path carries.
        let longer = input.acked.filter(|_| !input.is_overload || input.recent.is_none());
        if let Some(carried) = input.flooded_to {
            // A second of queue is no conversation: it is emptied in about that time, by little but audio.
            let share = (BACK_OFF - input.waits.as_secs_f64()).max(LEAST_WHILE_DRAINING);
            // No more than was sent when it began to fill: what was held back and comes at once shows nothing.
            let most = self.draining.map_or(from, |before| before.max(from));
            self.draining = Some(carried.min(most));
            self.link = None;
            self.target = carried.scaled(share).max(from.scaled(LEAST_LEFT_IN_OVERLOAD)).min(from);
            return;
        }
        let Some(acked) = longer.max(input.recent) else {
            self.target = from.scaled(0.5);
            return;
        };
        self.draining = self.draining.map(|carried| carried.min(acked));
        let least = if input.is_overload { LEAST_LEFT_IN_OVERLOAD } else { LEAST_LEFT };
        let mut wanted = acked.scaled(BACK_OFF);
        if wanted > from {
            wanted = self.link.map_or(from, |link| Bitrate::from_f64(link.estimate * 1e3 * BACK_OFF));
        }
        self.target = wanted.max(from.scaled(least)).min(from);
        let carried = input.acked.map_or(acked, |longer| longer.max(acked));
        if self.link.is_some_and(|link| link.is_above(carried)) {
            self.link = None;
        }
        self.link = Some(LinkCapacity::update(self.link, carried));
    }

    fn increase(&mut self, now: Instant, passed: Duration, input: &RateInput) {
        let Some(acked) = input.acked.filter(|_| self.draining.is_none()) else { return };
        if self.link.is_some_and(|link| link.is_below(acked)) {
            self.link = None;
        }
        let is_narrow = self.lowered_at.is_some_and(|at| now.saturating_duration_since(at) < NARROW_FOR);
        let narrow = self.link.filter(|_| is_narrow).map_or(UNPROVEN, |link| link.upper().min(UNPROVEN));
        let limit = (acked.scaled(PROVEN) + PROVEN_AND).max(narrow);
        if self.target >= limit {
            return;
        }
        let seconds = passed.as_secs_f64();
        let step = if self.link.is_some() {
            // Half a packet of a frame in a response time: slower where the path is long.
            let frame_bits = self.target.as_f64() / 30.0;
            let packet_bits = frame_bits / (frame_bits / PACKET_BITS).ceil().max(1.0);
            let response = (input.rtt + RESPONSE).as_secs_f64() * 2.0;
            Bitrate::from_f64(packet_bits / response).max(LEAST_STEP).scaled(seconds)
        } else {
            let grown = self.target.scaled(GROWTH.powf(seconds) - 1.0);
            grown.max(LEAST_STEP.scaled(seconds))
        };
        self.target = (self.target + step).min(limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: RateInput = RateInput {
        usage: BandwidthUsage::Normal,
        is_overload: false,
        acked: None,
        recent: None,
        flooded_to: None,
        waits: Duration::ZERO,
        rtt: Duration::from_millis(80),
        target: Bitrate::MAX,
    };

    fn flooded(kbps: u64) -> RateInput {
        RateInput {
            usage: BandwidthUsage::Overuse,
            flooded_to: Some(Bitrate::kbps(kbps)),
            waits: Duration::from_millis(900),
            ..QUIET
        }
    }

    #[test]
    fn a_long_queue_is_emptied_and_then_what_the_path_carries_is_sent() {
        let now = Instant::now();
        let at = |ms: u64| now + Duration::from_millis(ms);
        let mut control = RateControl::new(Bitrate::kbps(2_000));
        for ms in [0, 400, 800, 1_200] {
            control.update(at(ms), &flooded(400));
        }
        assert_eq!(control.target(), Bitrate::kbps(120), "three tenths of it");
        control.update(at(2_000), &RateInput { acked: Some(Bitrate::kbps(400)), ..QUIET });
        assert!((Bitrate::kbps(340)..Bitrate::kbps(350)).contains(&control.target()), "{}", control.target());
    }

    #[test]
    fn a_burst_that_was_held_back_raises_nothing() {
        let now = Instant::now();
        let mut control = RateControl::new(Bitrate::kbps(300));
        control.update(now, &flooded(13_000));
        control.update(now + Duration::from_millis(100), &QUIET);
        assert!(control.target() <= Bitrate::kbps(300), "{}", control.target());
    }

    #[test]
    fn what_was_known_before_a_silence_is_not_taken_up_after_it() {
        let now = Instant::now();
        let mut control = RateControl::new(Bitrate::kbps(2_000));
        control.update(now, &flooded(1_500));
        control.set_target(Bitrate::kbps(200), now);
        control.update(now + Duration::from_millis(100), &QUIET);
        assert_eq!(control.target(), Bitrate::kbps(200));
    }
}
