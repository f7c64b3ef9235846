//! How long packets wait on the path, over the least they ever did.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// The least delay is remembered in two halves of this time each: clocks drift, by up to 3 ms in it.
const BASE_KEPT: Duration = Duration::from_secs(30);
/// A queue gets shorter when less is sent. One that has not become shorter by a fifth in this time
/// is none: the path has become longer, by another network or a relay.
const LONGER_AFTER: Duration = Duration::from_secs(3);
const SHORTER: f64 = 0.8;
/// From here on packets wait in a queue, in ms: less is a path's own unevenness.
pub(crate) const QUEUE_MS: f64 = 15.0;

/// What the floor of the delay is taken over.
const RECENT: Duration = Duration::from_millis(500);
const MOST_PACKETS: usize = 1_024;

/// The delay of a queue, from the times of packets on two clocks that tell different times.
#[derive(Debug)]
pub(crate) struct QueueDelay {
    epoch: Option<(Instant, Duration)>,
    /// The least one-way delay of the half before, and of this one, in ms.
    base_before_ms: f64,
    base_ms: f64,
    base_since: Option<Instant>,
    /// One-way delays of the last half second, by when they left.
    recent: VecDeque<(Instant, f64)>,
    median_ms: f64,
    floor_ms: f64,
    newest_ms: f64,
    spread_ms: f64,
    stands: Option<Standing>,
    scratch: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Standing {
    since: Instant,
    floor_ms: f64,
}

impl QueueDelay {
    pub(crate) const fn new() -> Self {
        Self {
            epoch: None,
            base_before_ms: f64::INFINITY,
            base_ms: f64::INFINITY,
            base_since: None,
            recent: VecDeque::new(),
            median_ms: 0.0,
            floor_ms: 0.0,
            newest_ms: 0.0,
            spread_ms: 0.0,
            stands: None,
            scratch: vec![],
        }
    }

    /// The median wait of the packets of the last half second, in ms.
    pub(crate) const fn median_ms(&self) -> f64 {
        self.median_ms
    }

    /// What nine of ten of them waited at least, in ms: a queue, and not jitter, which lets one
    /// through at once now and then.
    pub(crate) const fn floor_ms(&self) -> f64 {
        self.floor_ms
    }

    /// The wait of the packet that left last, in ms.
    pub(crate) const fn newest_ms(&self) -> f64 {
        self.newest_ms
    }

    /// How far apart the waits of the last half second lie, the extremes left out, in ms.
    pub(crate) const fn spread_ms(&self) -> f64 {
        self.spread_ms
    }

    /// Takes the times of packets that arrived.
    pub(crate) fn on_feedback(&mut self, now: Instant, arrived: impl Iterator<Item = (Instant, Duration)>) {
        if self.base_since.is_none_or(|since| now.saturating_duration_since(since) > BASE_KEPT) {
            self.base_since = Some(now);
            self.base_before_ms = self.base_ms;
            self.base_ms = f64::INFINITY;
        }
        for (departure, arrival) in arrived {
            let (first_departure, first_arrival) = *self.epoch.get_or_insert((departure, arrival));
            let way = signed_ms(arrival, first_arrival) - signed_ms_between(departure, first_departure);
            self.base_ms = self.base_ms.min(way);
            self.recent.push_back((departure, way));
        }
        let Some((newest, way)) = self.recent.back().copied() else { return };
        let is_old = |(departure, _): &(Instant, f64)| newest.saturating_duration_since(*departure) > RECENT;
        while self.recent.len() > MOST_PACKETS || self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        self.scratch.clear();
        self.scratch.extend(self.recent.iter().map(|(_, way)| way));
        self.scratch.sort_by(f64::total_cmp);
        let at = |percent: usize| self.scratch[(self.scratch.len() - 1) * percent / 100];
        let base = self.base_ms.min(self.base_before_ms);
        let floor = at(10);
        (self.median_ms, self.floor_ms) = ((at(50) - base).max(0.0), (floor - base).max(0.0));
        self.spread_ms = at(80) - at(20);
        self.newest_ms = (way - base).max(0.0);
        self.detect_path_change(now, floor);
    }

    fn detect_path_change(&mut self, now: Instant, floor_way_ms: f64) {
        if self.floor_ms <= QUEUE_MS {
            self.stands = None;
            return;
        }
        let stands = *self.stands.get_or_insert(Standing { since: now, floor_ms: self.floor_ms });
        if self.floor_ms < stands.floor_ms * SHORTER {
            self.stands = Some(Standing { since: now, floor_ms: self.floor_ms });
        } else if now.saturating_duration_since(stands.since) > LONGER_AFTER {
            (self.base_before_ms, self.base_ms) = (f64::INFINITY, floor_way_ms);
            self.base_since = Some(now);
            (self.median_ms, self.floor_ms, self.newest_ms) = (0.0, 0.0, 0.0);
            self.stands = None;
        }
    }
}

fn signed_ms(a: Duration, b: Duration) -> f64 {
    (a.as_secs_f64() - b.as_secs_f64()) * 1e3
}

fn signed_ms_between(a: Instant, b: Instant) -> f64 {
    if a >= b { (a - b).as_secs_f64() * 1e3 } else { -((b - a).as_secs_f64() * 1e3) }
}
