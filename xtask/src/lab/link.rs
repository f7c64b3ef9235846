//! One direction of a network that delays, loses, narrows: a packet and a time in, its fate out.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::Serialize;

/// How one direction is. Sizes are of IP packets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Condition {
    /// How long a packet takes when nothing waits, milliseconds.
    pub(crate) delay_ms: f64,
    /// How much more or less than that, evenly spread, milliseconds; packets keep their order.
    pub(crate) jitter_ms: f64,
    /// Share of packets lost, each by itself, percent.
    pub(crate) loss_percent: f64,
    /// Losses that come in bursts, besides.
    pub(crate) bursts: Option<Bursts>,
    /// How much passes, kilobits a second; no limit if none.
    pub(crate) width_kbps: Option<f64>,
    /// Packets that may wait for that.
    pub(crate) queue: usize,
    /// UDP does not pass, as behind a hospital's firewall.
    pub(crate) udp_blocked: bool,
}

impl Condition {
    /// A good network.
    pub(crate) const CLEAN: Self = Self {
        delay_ms: 5.0,
        jitter_ms: 0.0,
        loss_percent: 0.0,
        bursts: None,
        width_kbps: None,
        queue: 100,
        udp_blocked: false,
    };
}

/// Two states, good and bad, each left with a probability at every packet (Gilbert and Elliott).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Bursts {
    /// Probability that a burst begins, per packet.
    pub(crate) begin: f64,
    /// Probability that it ends, per packet.
    pub(crate) end: f64,
    /// Share of packets lost in it, percent.
    pub(crate) loss_percent: f64,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives then.
    Arrives(Instant),
    /// It is lost on the way.
    Lost,
    /// It found the queue full.
    Overflow,
}

/// What passed so far.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Counters {
    pub(crate) packets: u64,
    /// Sent into it.
    pub(crate) bytes: u64,
    /// Of these, those that arrive.
    pub(crate) arrived_bytes: u64,
    pub(crate) lost: u64,
    pub(crate) overflow: u64,
    /// How long the last packet waits in the queue, milliseconds.
    pub(crate) queue_ms: f64,
}

/// One direction.
pub(crate) struct Link {
    pub(crate) condition: Condition,
    pub(crate) counters: Counters,
    random: StdRng,
    in_burst: bool,
    /// When the narrow place is done with each packet in its queue.
    queue: VecDeque<Instant>,
    last: Option<Instant>,
}

impl Link {
    /// The same `seed` loses the same packets.
    pub(crate) fn new(condition: Condition, seed: u64) -> Self {
        Self {
            condition,
            counters: Counters::default(),
            random: StdRng::seed_from_u64(seed),
            in_burst: false,
            queue: VecDeque::new(),
            last: None,
        }
    }

    /// Takes a packet.
    pub(crate) fn send(&mut self, size: usize, now: Instant) -> Fate {
        self.counters.packets += 1;
        self.counters.bytes += size as u64;
        if self.is_lost() {
            self.counters.lost += 1;
            return Fate::Lost;
        }
        let Some(through) = self.through_the_narrow(size, now) else {
            self.counters.overflow += 1;
            return Fate::Overflow;
        };
        self.counters.queue_ms = (through - now).as_secs_f64() * 1e3;
        self.counters.arrived_bytes += size as u64;
        let Condition { delay_ms, jitter_ms, .. } = self.condition;
        let takes = delay_ms + self.random.random_range(-1.0..=1.0) * jitter_ms;
        let arrives = through + Duration::from_secs_f64(takes.max(0.0) / 1e3);
        let arrives = self.last.map_or(arrives, |last| arrives.max(last));
        self.last = Some(arrives);
        Fate::Arrives(arrives)
    }

    fn is_lost(&mut self) -> bool {
        let mut chance = self.condition.loss_percent / 100.0;
        if let Some(bursts) = self.condition.bursts {
            let turns = if self.in_burst { bursts.end } else { bursts.begin };
            self.in_burst ^= self.random.random_bool(turns);
            if self.in_burst {
                chance += bursts.loss_percent / 100.0;
            }
        }
        self.random.random_bool(chance.clamp(0.0, 1.0))
    }

    /// When the packet has passed the narrow place; none if too many wait there.
    fn through_the_narrow(&mut self, size: usize, now: Instant) -> Option<Instant> {
        let Some(width) = self.condition.width_kbps else {
            self.queue.clear();
            return Some(now);
        };
        while self.queue.front().is_some_and(|done| *done <= now) {
            self.queue.pop_front();
        }
        if self.queue.len() >= self.condition.queue {
            return None;
        }
        let begins = self.queue.back().map_or(now, |done| (*done).max(now));
        let done = begins + Duration::from_secs_f64(size as f64 * 8.0 / (width * 1e3));
        self.queue.push_back(done);
        Some(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(condition: Condition, packets: u32, every: Duration) -> (Link, Vec<Option<f64>>) {
        let began = Instant::now();
        let mut link = Link::new(condition, 1);
        let fates = (0..packets).map(|n| match link.send(1_250, began + every * n) {
            Fate::Arrives(at) => Some((at - began).as_secs_f64() * 1e3),
            _ => None,
        });
        let arrived = fates.collect();
        (link, arrived)
    }

    #[test]
    fn what_is_lost_is_what_was_asked_for() {
        let condition = Condition { loss_percent: 15.0, ..Condition::CLEAN };
        let (link, arrived) = arrivals(condition, 20_000, Duration::from_millis(1));
        let lost = arrived.iter().filter(|at| at.is_none()).count() as f64 / 200.0;
        assert!((14.0..16.0).contains(&lost), "{lost} %");
        assert_eq!(link.counters.lost + link.counters.arrived_bytes / 1_250, 20_000);
    }

    #[test]
    fn bursts_lose_more_at_once() {
        let bursts = Bursts { begin: 0.01, end: 0.1, loss_percent: 30.0 };
        let condition = Condition { loss_percent: 2.0, bursts: Some(bursts), ..Condition::CLEAN };
        let (_, arrived) = arrivals(condition, 50_000, Duration::from_millis(1));
        // A burst takes ten packets of a hundred and ten: 2 % and a tenth or so of 30.
        let lost = arrived.iter().filter(|at| at.is_none()).count() as f64 / 500.0;
        assert!((4.0..5.6).contains(&lost), "{lost} %");
        let pairs = arrived.windows(2).filter(|pair| pair[0].is_none() && pair[1].is_none()).count() as f64;
        let by_chance = lost / 100.0 * lost / 100.0 * 50_000.0;
        assert!(pairs > 3.0 * by_chance, "{pairs} against {by_chance}");
    }

    #[test]
    fn a_narrow_place_lets_its_width_through_and_the_rest_waits_or_falls() {
        let condition = Condition { width_kbps: Some(1_000.0), queue: 20, ..Condition::CLEAN };
        // Two megabits a second into one.
        let (link, arrived) = arrivals(condition, 400, Duration::from_millis(5));
        let last = arrived.iter().flatten().last().copied().unwrap_or_default();
        let through = arrived.iter().flatten().count() as f64;
        assert!((through * 10.0 / last - 1.0).abs() < 0.02, "{through} packets of 10 ms in {last} ms");
        assert_eq!(through as u64 + link.counters.overflow, 400);
        // Twenty of 10 ms before it.
        assert!((190.0..=200.0).contains(&link.counters.queue_ms), "{}", link.counters.queue_ms);
    }

    #[test]
    fn jitter_stays_within_its_bounds_and_keeps_the_order() {
        let condition = Condition { delay_ms: 50.0, jitter_ms: 25.0, ..Condition::CLEAN };
        // So far apart that none waits for the one before it.
        let (_, arrived) = arrivals(condition, 2_000, Duration::from_millis(60));
        let took: Vec<f64> =
            arrived.iter().flatten().zip(0..).map(|(at, n)| at - f64::from(n) * 60.0).collect();
        assert!(took.iter().all(|ms| (24.9..=75.1).contains(ms)));
        assert!(took.iter().any(|ms| *ms < 30.0) && took.iter().any(|ms| *ms > 70.0));
        let (_, arrived) = arrivals(condition, 2_000, Duration::from_millis(7));
        let times: Vec<f64> = arrived.into_iter().flatten().collect();
        assert!(times.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}
