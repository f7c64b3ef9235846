//! What the network carries, of all that is known of it.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{
    Bitrate, DataSize, ProbeCluster, ProbePlan,
    loss::LossModel,
    probe::{Conditions, Probing},
    queue_delay::{QUEUE_MS, QueueDelay},
    rate_control::{RateControl, RateInput},
    throughput::Throughput,
    trendline::{BandwidthUsage, Trendline},
};

/// More lost than the path's own by this share, and packets that wait: a queue overflows. A full
/// queue can't grow, and draws no trend.
const OVERFLOW_LOSS: f64 = 0.08;
/// And on a path with jitter from so much of its spread.
const JITTER_SHARE: f64 = 0.7;
/// A queue that stands is as bad as one that grows, from here on, in ms.
const STANDING_MS: f64 = 60.0;
/// One that grows, and is so long already, in ms, fills by more than a path's own unevenness: what arrives
/// just now is all that the path carries, whatever came in the second before.
const FLOODED_MS: f64 = 150.0;
/// While one is there, nothing grows.
const HOLD_MS: f64 = 30.0;
/// More lost than the path's own: nothing is tried.
const CLEAR_LOSS: f64 = 0.03;
/// And where more is the path's own than this, what loss allows is not tried beyond: a larger picture
/// that is lost in part stands still longer than a smaller one.
const PROBED_LOSS: f64 = 0.1;
/// No feedback for this long, and two round trips: whatever is sent may be lost.
const SILENT_AFTER: Duration = Duration::from_millis(500);
/// And for each further time as long, what is left of the target.
const SILENCE_EVERY: Duration = Duration::from_millis(500);
const LEFT_IN_SILENCE: f64 = 0.7;
/// How long what was shown to be carried counts as shown.
const PROVEN_FOR: Duration = Duration::from_secs(10);
/// A path that nothing is known of begins with no more.
const NEW_PATH: Bitrate = Bitrate::kbps(300);

/// Where the estimate begins, and its bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Config {
    /// At first.
    pub start: Bitrate,
    /// Never less.
    pub min: Bitrate,
    /// Never more.
    pub max: Bitrate,
}

/// What the receiver told of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketResult {
    /// When it left, by this end's clock.
    pub departure: Instant,
    /// When it arrived, by the receiver's clock; none when it did not.
    pub arrival: Option<Duration>,
    /// Its bytes, headers counted.
    pub size: DataSize,
}

/// What is believed of the network.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// What may be sent.
    pub target: Bitrate,
    /// What was seen to be carried in the last ten seconds.
    pub proven: Bitrate,
    /// From sending a packet to hearing of it.
    pub rtt: Duration,
    /// What a packet waits on the path over the least it ever did.
    pub queue_delay: Duration,
    /// Share of packets lost lately, 0 to 1.
    pub loss: f64,
    /// Of that, the share that the path loses whatever is sent.
    pub inherent_loss: f64,
}

/// How the network is, for whoever encodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LinkStatus {
    /// What it carries.
    pub estimate: Estimate,
    /// How much of that goes into repairs.
    pub repair: Bitrate,
    /// How long what waits at this end takes to leave.
    pub queue_time: Duration,
    /// So much waits that the next frame is better left out.
    pub is_congested: bool,
}

impl LinkStatus {
    /// Of a network that nothing is known of.
    pub fn unknown(config: Config) -> Self {
        Self {
            estimate: Estimator::new(config).estimate(),
            repair: Bitrate::ZERO,
            queue_time: Duration::ZERO,
            is_congested: false,
        }
    }
}

/// Takes feedback, gives the target.
#[derive(Debug)]
pub struct Estimator {
    config: Config,
    trendline: Trendline,
    queue: QueueDelay,
    throughput: Throughput,
    rate_control: RateControl,
    loss: LossModel,
    probing: Probing,
    wanted: Bitrate,
    rtt: Duration,
    /// Seen to be carried, and when; falling.
    proven: VecDeque<(Instant, Bitrate)>,
    /// Since when packets are out of which nothing was heard.
    unheard_since: Option<Instant>,
    lowered_in_silence: Option<Instant>,
    before_silence: Bitrate,
    reports: u32,
    is_clear: bool,
    scratch: Vec<(Duration, Instant)>,
}

impl Estimator {
    /// Nothing is known yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            trendline: Trendline::new(),
            queue: QueueDelay::new(),
            throughput: Throughput::default(),
            rate_control: RateControl::new(config.start),
            loss: LossModel::new(config.start),
            probing: Probing::new(),
            wanted: config.max,
            rtt: Duration::from_millis(200),
            proven: VecDeque::new(),
            unheard_since: None,
            lowered_in_silence: None,
            before_silence: Bitrate::ZERO,
            reports: 0,
            is_clear: false,
            scratch: vec![],
        }
    }

    /// What is believed now.
    pub fn estimate(&self) -> Estimate {
        Estimate {
            target: self.target(),
            proven: self.proven.front().map_or(Bitrate::ZERO, |(_, rate)| *rate).min(self.target()),
            rtt: self.rtt,
            queue_delay: Duration::from_secs_f64(self.queue.median_ms() / 1e3),
            loss: self.loss.mean_loss(),
            inherent_loss: self.loss.inherent_loss(),
        }
    }

    /// What may be sent.
    pub fn target(&self) -> Bitrate {
        let target = self.rate_control.target().min(self.loss.target());
        target.clamp(self.config.min, self.config.max)
    }

    /// What there is a use for: more is not tried.
    pub fn set_wanted(&mut self, wanted: Bitrate) {
        self.wanted = wanted.min(self.config.max);
    }

    /// A packet left.
    pub fn on_sent(&mut self, now: Instant) {
        self.unheard_since.get_or_insert(now);
    }

    /// A burst left.
    pub fn on_probe_sent(&mut self, cluster: ProbeCluster) {
        self.probing.on_sent(cluster);
    }

    /// A burst to send now, if it is time for one.
    pub fn poll_probe(&mut self, now: Instant) -> Option<ProbePlan> {
        let conditions = Conditions {
            target: self.target(),
            acked: self.throughput.acked(),
            wanted: self.wanted,
            rtt: self.rtt,
            is_clear: self.is_clear && self.reports >= 3,
        };
        self.probing.poll(now, &conditions)
    }

    /// Takes what the receiver told of packets, in the order of sending.
    pub fn on_feedback(&mut self, now: Instant, results: &[PacketResult]) {
        if results.is_empty() {
            return;
        }
        self.unheard_since = None;
        let mut results = results;
        if self.lowered_in_silence.take().is_some() {
            // The path is back; what it carries now is to be seen, from a picture's worth on.
            self.reports = 0;
            self.probing.restart();
            // All was lost, whatever the rate: that says nothing of what it carries.
            let first = results.iter().position(|result| result.arrival.is_some());
            results = &results[first.unwrap_or(0)..];
            let again = self.before_silence.scaled(0.5).min(NEW_PATH).max(self.target());
            self.rate_control.set_target(again, now);
        }
        self.reports = self.reports.saturating_add(1);
        self.throughput.on_feedback(results);
        let arrived = || results.iter().filter_map(|result| Some((result.departure, result.arrival?)));
        if let Some((departure, _)) = arrived().max_by_key(|(departure, _)| *departure) {
            self.rtt = now.saturating_duration_since(departure);
        }
        self.queue.on_feedback(now, arrived());
        self.scratch.clear();
        self.scratch.extend(arrived().map(|(departure, arrival)| (arrival, departure)));
        self.scratch.sort_unstable();
        for (arrival, departure) in &self.scratch {
            self.trendline.push(*departure, *arrival);
        }
        self.decide(now, results);
    }

    fn decide(&mut self, now: Instant, results: &[PacketResult]) {
        let queue_ms = self.queue.floor_ms();
        let recent = self.throughput.recent();
        let excess_loss = recent.map_or(0.0, |recent| recent.loss - self.loss.inherent_loss());
        // Of twenty packets of which one in twenty is lost anyway, three are no surprise.
        let inherent_loss = self.loss.inherent_loss();
        let chance =
            recent.map_or(0.0, |r| 2.0 * (inherent_loss * (1.0 - inherent_loss) / r.packets as f64).sqrt());
        let is_queue = queue_ms > QUEUE_MS.max(self.queue.spread_ms() * JITTER_SHARE);
        let is_overload = excess_loss > OVERFLOW_LOSS + chance && is_queue;
        let usage = match self.trendline.usage() {
            _ if is_overload || queue_ms > STANDING_MS => BandwidthUsage::Overuse,
            BandwidthUsage::Normal if queue_ms > HOLD_MS => BandwidthUsage::Underuse,
            usage => usage,
        };
        let acked = self.throughput.acked();
        let is_flooded =
            self.trendline.usage() == BandwidthUsage::Overuse && self.queue.newest_ms() > FLOODED_MS;
        let arriving = self.throughput.arriving().filter(|_| is_flooded);
        let input = RateInput {
            usage,
            is_overload,
            acked,
            recent: recent.map(|recent| recent.received),
            flooded_to: arriving,
            waits: Duration::from_secs_f64(self.queue.newest_ms() / 1e3),
            rtt: self.rtt,
            target: self.target(),
        };
        self.rate_control.update(now, &input);
        if is_overload {
            self.loss.limit(self.rate_control.target());
        }
        self.loss.update(results, self.rate_control.target(), acked, self.config.max);
        self.is_clear = usage == BandwidthUsage::Normal
            && queue_ms < QUEUE_MS
            && excess_loss < CLEAR_LOSS + chance
            && (!self.loss.is_limiting() || inherent_loss < PROBED_LOSS);
        if let Some(acked) = acked {
            self.note_proven(now, acked);
        }
        if let Some(result) = self.probing.on_feedback(now, results)
            && usage != BandwidthUsage::Overuse
        {
            self.note_proven(now, result.rate);
            if result.rate > self.target() {
                self.rate_control.set_target(result.rate.min(self.config.max), now);
                self.loss.raise(result.rate);
            }
        }
        self.rate_control.keep_within(self.config.min, self.config.max, now);
    }

    fn note_proven(&mut self, now: Instant, rate: Bitrate) {
        while self.proven.back().is_some_and(|(_, known)| *known <= rate) {
            self.proven.pop_back();
        }
        self.proven.push_back((now, rate));
        while self.proven.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > PROVEN_FOR) {
            self.proven.pop_front();
        }
    }

    /// When it is to be looked at next.
    pub fn next_timeout(&self) -> Option<Instant> {
        let since = self.lowered_in_silence.or(self.unheard_since.map(|at| at + self.patience()))?;
        Some(since + if self.lowered_in_silence.is_some() { SILENCE_EVERY } else { Duration::ZERO })
    }

    /// Time has passed: without a word from the receiver less is sent.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.unheard_since.is_none() || self.next_timeout().is_none_or(|due| now < due) {
            return;
        }
        if self.lowered_in_silence.replace(now).is_none() {
            self.before_silence = self.target();
        }
        let left = self.target().scaled(LEFT_IN_SILENCE).max(self.config.min);
        self.rate_control.set_target(left, now);
        self.is_clear = false;
    }

    fn patience(&self) -> Duration {
        SILENT_AFTER.max(self.rtt * 2 + Duration::from_millis(200))
    }
}
