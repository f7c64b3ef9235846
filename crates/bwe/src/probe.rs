//! Whether the path carries more than is sent: short bursts at a higher rate, and what comes of
//! them.

use std::time::{Duration, Instant};

use crate::{Bitrate, DataSize, PacketResult};

/// How long a burst lasts: as many ticks of the feedback's clock (0.25 ms, RFC 8888's sibling
/// draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.5) as its rate can be told by.
const LENGTH: Duration = Duration::from_millis(15);
const LEAST_PACKETS: u32 = 5;
/// A packet of padding that fills a burst, with its headers.
pub(crate) const PADDING: DataSize = DataSize::bytes(300);
/// The queue that a burst makes where nothing is free, at the most.
const MOST_QUEUE: Duration = Duration::from_millis(100);
/// How much more than before is tried.
const STEP: f64 = 2.0;
/// A result of this share of what was tried asks for the next step.
const GOES_ON: f64 = 0.7;
/// Below this nothing is tried: a burst is too large a part of it.
const LEAST: Bitrate = Bitrate::kbps(120);
/// How long after one that showed nothing new the next is tried, and how much later each time.
const AGAIN_AFTER: Duration = Duration::from_secs(5);
const LATEST_AGAIN: Duration = Duration::from_secs(40);
/// A result is waited for this long, beyond a round trip.
const WAITS: Duration = Duration::from_millis(600);
/// Of a burst's packets and bytes, what must have arrived.
const ENOUGH: f64 = 0.8;
/// A burst that came faster than it left by more was held back and let go at once.
const MOST_COMPRESSED: f64 = 2.0;
/// Slower than this, the path was full; what came is a little more than it carries.
const SATURATED: f64 = 0.9;
const SATURATED_SHARE: f64 = 0.95;

/// A burst to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbePlan {
    /// At this rate.
    pub rate: Bitrate,
    /// So much of it; media first, the rest padding.
    pub size: DataSize,
    /// In no fewer packets.
    pub packets: u32,
}

/// A burst that was sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeCluster {
    /// What was planned.
    pub plan: ProbePlan,
    /// When its first packet left.
    pub began: Instant,
    /// When its last did.
    pub ended: Instant,
    /// Packets in it.
    pub packets: u32,
}

/// What a burst showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ProbeResult {
    pub(crate) rate: Bitrate,
    /// The path was full.
    pub(crate) is_saturated: bool,
}

/// How the path is while it is decided whether to try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    pub(crate) target: Bitrate,
    pub(crate) acked: Option<Bitrate>,
    /// What there would be a use for.
    pub(crate) wanted: Bitrate,
    pub(crate) rtt: Duration,
    /// Neither queue nor loss.
    pub(crate) is_clear: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Arrived {
    packets: u32,
    size: DataSize,
    first_size: DataSize,
    last_size: DataSize,
    first_departure: Option<Instant>,
    last_departure: Option<Instant>,
    first_arrival: Duration,
    last_arrival: Duration,
}

/// When to try, and what came of it.
#[derive(Debug)]
pub(crate) struct Probing {
    not_before: Option<Instant>,
    again_after: Duration,
    /// Handed out, and not sent yet.
    planned: Option<(ProbePlan, Instant)>,
    sent: Option<(ProbeCluster, Arrived)>,
}

impl Probing {
    pub(crate) const fn new() -> Self {
        Self { not_before: None, again_after: AGAIN_AFTER, planned: None, sent: None }
    }

    /// The path is another, or back: what was learnt is of no use.
    pub(crate) fn restart(&mut self) {
        *self = Self::new();
    }

    /// A burst to send now, if it is time for one.
    pub(crate) fn poll(&mut self, now: Instant, conditions: &Conditions) -> Option<ProbePlan> {
        let is_lost = |since: Instant| now.saturating_duration_since(since) > WAITS + conditions.rtt;
        if self.planned.is_some_and(|(_, at)| is_lost(at)) {
            self.planned = None;
        }
        if let Some((cluster, _)) = self.sent
            && is_lost(cluster.ended)
        {
            self.sent = None;
            self.rest(now);
        }
        let is_due = self.not_before.is_none_or(|at| now >= at);
        let is_busy = self.planned.is_some() || self.sent.is_some();
        let is_wanted = conditions.wanted > conditions.target && conditions.target >= LEAST;
        let acked = conditions.acked?;
        if !is_due || is_busy || !is_wanted || !conditions.is_clear {
            return None;
        }
        let rate = conditions.target.scaled(STEP).min(conditions.wanted.scaled(1.2));
        let size = (rate * LENGTH).max(DataSize::bytes(PADDING.as_bytes() * u64::from(LEAST_PACKETS)));
        if size > acked.max(conditions.target.scaled(0.5)) * MOST_QUEUE {
            return None;
        }
        let plan = ProbePlan { rate, size, packets: LEAST_PACKETS };
        self.planned = Some((plan, now));
        Some(plan)
    }

    /// The burst has left.
    pub(crate) fn on_sent(&mut self, cluster: ProbeCluster) {
        self.planned = None;
        self.sent = Some((cluster, Arrived::default()));
    }

    /// Takes what the receiver told of; gives what a burst showed once enough of it arrived.
    pub(crate) fn on_feedback(&mut self, now: Instant, results: &[PacketResult]) -> Option<ProbeResult> {
        let (cluster, arrived) = self.sent.as_mut()?;
        let mut is_over = false;
        for result in results {
            is_over |= result.departure > cluster.ended;
            if (cluster.began..=cluster.ended).contains(&result.departure)
                && let Some(arrival) = result.arrival
            {
                arrived.take(result.departure, arrival, result.size);
                is_over |= arrived.packets >= cluster.packets;
            }
        }
        if !is_over {
            return None;
        }
        let shown = arrived.rate(cluster);
        let tried = cluster.plan.rate;
        self.sent = None;
        let goes_on = shown.is_some_and(|shown| !shown.is_saturated && shown.rate.ratio(tried) > GOES_ON);
        if goes_on {
            self.again_after = AGAIN_AFTER;
            // At once, when what came of it shows.
            self.not_before = Some(now);
        } else {
            self.rest(now);
        }
        shown
    }

    fn rest(&mut self, now: Instant) {
        self.not_before = Some(now + self.again_after);
        self.again_after = (self.again_after * 2).min(LATEST_AGAIN);
    }
}

impl Arrived {
    fn take(&mut self, departure: Instant, arrival: Duration, size: DataSize) {
        if self.packets == 0 || arrival < self.first_arrival {
            (self.first_arrival, self.first_size) = (arrival, size);
        }
        self.last_arrival = self.last_arrival.max(arrival);
        if self.last_departure.is_none_or(|last| departure >= last) {
            (self.last_departure, self.last_size) = (Some(departure), size);
        }
        self.first_departure =
            Some(self.first_departure.map_or(departure, |first: Instant| first.min(departure)));
        self.packets += 1;
        self.size += size;
    }

    fn rate(&self, cluster: &ProbeCluster) -> Option<ProbeResult> {
        let is_enough = f64::from(self.packets) >= f64::from(cluster.packets) * ENOUGH
            && self.size.as_f64() >= cluster.plan.size.as_f64() * ENOUGH;
        let sent_over = self.last_departure?.saturating_duration_since(self.first_departure?);
        let came_over = self.last_arrival.saturating_sub(self.first_arrival);
        let sent = (self.size - self.last_size).over(sent_over)?;
        let came = (self.size - self.first_size).over(came_over)?;
        if !is_enough || came.ratio(sent) > MOST_COMPRESSED {
            return None;
        }
        let is_saturated = came.ratio(sent) < SATURATED;
        let rate = if is_saturated { came.scaled(SATURATED_SHARE) } else { sent.min(came) };
        Some(ProbeResult { rate, is_saturated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(target: u64) -> Conditions {
        Conditions {
            target: Bitrate::kbps(target),
            acked: Some(Bitrate::kbps(target)),
            wanted: Bitrate::kbps(3_000),
            rtt: Duration::from_millis(40),
            is_clear: true,
        }
    }

    /// What a burst at `rate` comes to over a path of `width`.
    fn shown(probing: &mut Probing, began: Instant, plan: ProbePlan, width: Bitrate) -> Option<ProbeResult> {
        let size = DataSize::bytes(plan.size.as_bytes() / 10);
        let gap = size / plan.rate;
        let cluster = ProbeCluster { plan, began, ended: began + gap * 9, packets: 10 };
        probing.on_sent(cluster);
        let results: Vec<PacketResult> = (0..10)
            .map(|n| PacketResult {
                departure: began + gap * n,
                arrival: Some(Duration::from_millis(500) + (size / width).max(gap) * n),
                size,
            })
            .collect();
        probing.on_feedback(began + Duration::from_millis(60), &results)
    }

    #[test]
    fn a_wide_path_is_climbed_in_steps_and_a_full_one_is_measured() {
        let (mut probing, now) = (Probing::new(), Instant::now());
        let plan = probing.poll(now, &conditions(600)).unwrap();
        assert_eq!(plan.rate, Bitrate::kbps(1_200));
        let result = shown(&mut probing, now, plan, Bitrate::kbps(10_000)).unwrap();
        assert!(!result.is_saturated && result.rate >= Bitrate::kbps(1_150), "{result:?}");
        let later = now + Duration::from_millis(100);
        let plan = probing.poll(later, &conditions(1_200)).unwrap();
        let result = shown(&mut probing, later, plan, Bitrate::kbps(1_500)).unwrap();
        assert!(result.is_saturated, "{result:?}");
        assert!((1_380..=1_450).contains(&(result.rate.as_bps() / 1_000)), "{result:?}");
        assert_eq!(probing.poll(later + Duration::from_secs(4), &conditions(1_400)), None, "it rests");
        assert!(probing.poll(later + Duration::from_secs(6), &conditions(1_400)).is_some());
    }

    #[test]
    fn nothing_is_tried_on_a_narrow_or_a_busy_path_or_without_need() {
        let (mut probing, now) = (Probing::new(), Instant::now());
        assert_eq!(probing.poll(now, &conditions(80)), None);
        assert_eq!(probing.poll(now, &Conditions { is_clear: false, ..conditions(600) }), None);
        assert_eq!(probing.poll(now, &Conditions { wanted: Bitrate::kbps(500), ..conditions(600) }), None);
    }
}
