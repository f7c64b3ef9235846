//! The rate by loss: a model that tells the path's own loss from what is caused by sending too much.
//!
//! What was lost of what was sent, in windows of a quarter of a second, is explained by a channel
//! that loses a share of everything (inherent loss) and all beyond a bandwidth. Of a few candidates
//! for the bandwidth, each with the inherent loss that fits it best, the likeliest is taken, with a
//! bias to the higher one while loss is bearable (libwebrtc's loss-based estimator, version 2).

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{Bitrate, DataSize, PacketResult, rate_control::UNPROVEN};

/// How long a window is, by the times of sending.
const WINDOW: Duration = Duration::from_millis(250);
/// Windows kept, and how much less each counts than the one after it.
const WINDOWS: usize = 15;
const FADING: f64 = 0.9;
/// Windows before which nothing is said.
const ENOUGH: usize = 3;
/// Windows from which on the best and the worst are left out of the mean.
const TRIMMED_FROM: usize = 4;
/// Inherent loss: where it begins, the least and the most that is believed. libwebrtc believes
/// everything below 100 kbit/s: there a call that sent too much never sent less.
const INHERENT: f64 = 0.01;
const LEAST_INHERENT: f64 = 0.001;
const MOST_INHERENT: f64 = 0.3;
const INHERENT_BASE: f64 = 0.05;
const INHERENT_KBPS: f64 = 100.0;
/// Of a Newton step towards the likeliest inherent loss.
const NEWTON_STEP: f64 = 0.75;
/// Candidates, as shares of the bandwidth believed in.
const CANDIDATES: [f64; 3] = [1.02, 1.0, 0.95];
/// The bias to a higher bandwidth, by kbit/s and by its logarithm, and the mean loss at which it
/// turns round: a consultation still works at a quarter lost.
const BIAS: f64 = 0.000_2;
const BIAS_LOG: f64 = 0.02;
const BEARABLE: f64 = 0.3;
const BEARABLE_WIDTH: f64 = 0.002;
/// With more lost than this, the rate is bounded by this much over what is beyond it.
const BOUNDED_FROM: f64 = 0.15;
const BOUND: Bitrate = Bitrate::kbps(100);
/// While loss limits it, the target grows to so much of what is acknowledged.
const PROVEN: f64 = 1.5;
const RECOVERY_WINDOW: Duration = Duration::from_millis(300);
const RECOVERY_GROWTH: f64 = 1.3;

#[derive(Clone, Copy, Debug)]
struct Window {
    sent: DataSize,
    lost: DataSize,
    rate: Bitrate,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    inherent_loss: f64,
    bandwidth: Bitrate,
}

impl Channel {
    /// The share lost of what is sent at that rate.
    fn loss_at(&self, rate: Bitrate) -> f64 {
        let excess = (rate - self.bandwidth).ratio(rate);
        (self.inherent_loss + (1.0 - self.inherent_loss) * excess).clamp(1e-6, 1.0 - 1e-6)
    }

    fn believable(bandwidth: Bitrate, inherent_loss: f64) -> f64 {
        let most = INHERENT_BASE + INHERENT_KBPS * 1e3 / bandwidth.as_f64().max(1.0);
        inherent_loss.max(LEAST_INHERENT).min(most.min(MOST_INHERENT))
    }
}

/// The half of the estimate that goes by loss.
#[derive(Debug)]
pub(crate) struct LossModel {
    windows: VecDeque<Window>,
    sent: DataSize,
    lost: DataSize,
    window_began: Option<Instant>,
    channel: Channel,
    /// What it allows; no limit while loss does not say anything.
    target: Bitrate,
    is_limiting: bool,
    recovery: Option<(Instant, Bitrate)>,
    mean_loss: f64,
}

impl LossModel {
    pub(crate) const fn new(start: Bitrate) -> Self {
        Self {
            windows: VecDeque::new(),
            sent: DataSize::ZERO,
            lost: DataSize::ZERO,
            window_began: None,
            channel: Channel { inherent_loss: INHERENT, bandwidth: start },
            target: Bitrate::MAX,
            is_limiting: false,
            recovery: None,
            mean_loss: 0.0,
        }
    }

    /// What loss allows; [`Bitrate::MAX`] while it says nothing.
    pub(crate) const fn target(&self) -> Bitrate {
        self.target
    }

    /// The share that the path is believed to lose whatever is sent.
    pub(crate) const fn inherent_loss(&self) -> f64 {
        self.channel.inherent_loss
    }

    /// The share lost lately.
    pub(crate) const fn mean_loss(&self) -> f64 {
        self.mean_loss
    }

    /// Whether loss holds the target below what delay would allow.
    pub(crate) const fn is_limiting(&self) -> bool {
        self.is_limiting
    }

    /// The queue was seen to overflow: what it carries is no guess.
    pub(crate) fn limit(&mut self, to: Bitrate) {
        self.channel.bandwidth = self.channel.bandwidth.min(to);
        self.windows.clear();
        (self.sent, self.lost, self.window_began) = (DataSize::ZERO, DataSize::ZERO, None);
    }

    /// So much was seen to be carried: the loss there is, is the path's own.
    pub(crate) fn raise(&mut self, to: Bitrate) {
        if self.channel.bandwidth < to {
            self.channel.bandwidth = to;
            self.target = Bitrate::MAX;
            self.is_limiting = false;
        }
    }

    /// Takes what the receiver told of. `by_delay` is what the other half allows.
    pub(crate) fn update(
        &mut self,
        results: &[PacketResult],
        by_delay: Bitrate,
        acked: Option<Bitrate>,
        most: Bitrate,
    ) {
        let mut is_new = false;
        for result in results {
            is_new |= self.push(result);
        }
        if !is_new {
            self.target = if self.is_limiting { self.target } else { Bitrate::MAX };
            return;
        }
        if self.windows.len() < ENOUGH {
            return;
        }
        self.mean_loss = self.trimmed_loss();
        let newest = self.window_began;
        let winner = self.likeliest(by_delay, acked);
        let mut bandwidth = winner.bandwidth;
        if self.mean_loss > winner.inherent_loss && bandwidth > self.channel.bandwidth {
            // More is lost than the path's own: no time to try more.
            bandwidth = self.channel.bandwidth;
        }
        if self.is_limiting && bandwidth > self.channel.bandwidth {
            let proven = acked.map_or(bandwidth, |acked| acked.scaled(PROVEN).max(UNPROVEN));
            bandwidth = self.channel.bandwidth.max(bandwidth.min(proven));
            if let Some((since, limit)) = self.recovery
                && newest.is_some_and(|now| now.saturating_duration_since(since) < RECOVERY_WINDOW)
            {
                bandwidth = bandwidth.min(limit);
            }
        }
        let upper = if self.mean_loss > BOUNDED_FROM {
            Bitrate::from_f64(BOUND.as_f64() / (self.mean_loss - BOUNDED_FROM))
        } else {
            Bitrate::MAX
        };
        // What arrives is carried, whatever is lost beside it.
        let lower = acked.unwrap_or(Bitrate::ZERO).min(by_delay);
        let bounded = bandwidth.min(upper).min(by_delay).max(lower);
        self.channel = if bounded < bandwidth {
            Channel { inherent_loss: Channel::believable(bounded, winner.inherent_loss), bandwidth: bounded }
        } else {
            Channel { inherent_loss: winner.inherent_loss, bandwidth: bandwidth.max(lower) }
        };
        self.is_limiting = bounded < by_delay && bounded < most;
        self.target = if self.is_limiting { bounded } else { Bitrate::MAX };
        if let Some(newest) = newest.filter(|_| self.is_limiting)
            && self
                .recovery
                .is_none_or(|(since, _)| newest.saturating_duration_since(since) >= RECOVERY_WINDOW)
        {
            self.recovery = Some((newest, bounded.scaled(RECOVERY_GROWTH)));
        }
    }

    /// Counts a packet; gives whether a window was closed by it.
    fn push(&mut self, result: &PacketResult) -> bool {
        self.sent += result.size;
        if result.arrival.is_none() {
            self.lost += result.size;
        }
        let began = *self.window_began.get_or_insert(result.departure);
        let length = result.departure.saturating_duration_since(began);
        if length < WINDOW {
            return false;
        }
        let rate = self.sent.over(length).unwrap_or_default();
        self.windows.push_back(Window { sent: self.sent, lost: self.lost, rate });
        if self.windows.len() > WINDOWS {
            self.windows.pop_front();
        }
        (self.sent, self.lost) = (DataSize::ZERO, DataSize::ZERO);
        self.window_began = Some(result.departure);
        true
    }

    /// Windows, the newest first, with how much each counts.
    fn weighted(&self) -> impl Iterator<Item = (f64, &Window)> {
        self.windows.iter().rev().enumerate().map(|(age, window)| (FADING.powi(age as i32), window))
    }

    /// The share of bytes lost, without the best and the worst window.
    fn trimmed_loss(&self) -> f64 {
        let share = |window: &Window| window.lost.as_f64() / window.sent.as_f64().max(1.0);
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        if self.windows.len() >= TRIMMED_FROM {
            for window in &self.windows {
                (least, most) = (least.min(share(window)), most.max(share(window)));
            }
        }
        let (mut lost, mut sent, mut trimmed) = (0.0, 0.0, [false; 2]);
        for (weight, window) in self.weighted() {
            let is_trimmed = [least, most].iter().zip(&mut trimmed).any(|(extreme, done)| {
                let is = !*done && share(window) == *extreme;
                *done |= is;
                is
            });
            if !is_trimmed {
                lost += weight * window.lost.as_f64();
                sent += weight * window.sent.as_f64();
            }
        }
        if sent > 0.0 { lost / sent } else { 0.0 }
    }

    fn likeliest(&self, by_delay: Bitrate, acked: Option<Bitrate>) -> Channel {
        let known = self.channel;
        let more = [acked, Some(by_delay).filter(|by_delay| *by_delay > known.bandwidth)];
        let candidates = CANDIDATES.iter().map(|share| known.bandwidth.scaled(*share));
        candidates
            .chain(more.into_iter().flatten())
            .map(|bandwidth| {
                let channel = self.fitted(bandwidth);
                (self.objective(&channel), channel)
            })
            .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.bandwidth.cmp(&b.1.bandwidth)))
            .map_or(known, |(_, channel)| channel)
    }

    /// With the inherent loss that fits better: one step of Newton's method.
    fn fitted(&self, bandwidth: Bitrate) -> Channel {
        let inherent_loss = Channel::believable(bandwidth, self.channel.inherent_loss);
        let channel = Channel { inherent_loss, bandwidth };
        let (mut first, mut second) = (0.0, 0.0);
        for (weight, window) in self.weighted() {
            let loss = channel.loss_at(window.rate);
            let lost = window.lost.as_f64() / 1e3;
            let received = (window.sent - window.lost).as_f64() / 1e3;
            first += weight * (lost / loss - received / (1.0 - loss));
            second -= weight * (lost / loss.powi(2) + received / (1.0 - loss).powi(2));
        }
        let second = if second >= 0.0 { -1e-6 } else { second };
        let better = inherent_loss - NEWTON_STEP * first / second;
        Channel { inherent_loss: Channel::believable(bandwidth, better), bandwidth }
    }

    /// How well a channel explains what was lost, and how welcome it is.
    fn objective(&self, channel: &Channel) -> f64 {
        let kbps = channel.bandwidth.as_f64() / 1e3;
        let room = BEARABLE - self.mean_loss;
        let bias = room / (BEARABLE_WIDTH + room.abs()) * (BIAS * kbps + BIAS_LOG * (1.0 + kbps).ln());
        self.weighted()
            .map(|(weight, window)| {
                let loss = channel.loss_at(window.rate);
                let lost = window.lost.as_f64() / 1e3;
                let received = (window.sent - window.lost).as_f64() / 1e3;
                weight * (lost * loss.ln() + received * (1.0 - loss).ln() + (lost + received) * bias)
            })
            .sum()
    }
}
