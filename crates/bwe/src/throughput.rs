//! What arrives: the throughput that the receiver acknowledged.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{Bitrate, DataSize, PacketResult};

/// What the rate is measured over: twenty packets, and a second where that are more.
const LEAST_PACKETS: usize = 20;
const WINDOW: Duration = Duration::from_secs(1);
/// And never over more: packets from before a break say nothing of now.
const LONGEST_WINDOW: Duration = Duration::from_secs(5);
const MOST_PACKETS: usize = 2_048;
/// Packets before which nothing is said.
const ENOUGH: usize = 10;
/// What overload is judged by: half a second, and packets enough to tell two lost from a rate.
const RECENT: Duration = Duration::from_millis(500);
const RECENT_PACKETS: usize = 20;

#[derive(Clone, Copy, Debug)]
struct Received {
    departure: Instant,
    arrival: Duration,
    size: DataSize,
}

/// Over which what arrives just now is measured, and how many packets it takes.
const NOW: Duration = Duration::from_millis(300);
const NOW_PACKETS: usize = 5;
/// And in how much time: what a network held back and let go at once shows nothing of what it carries.
const LEAST_NOW: Duration = Duration::from_millis(50);

/// What was sent in the last half second of which the receiver told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Recent {
    /// Share of the packets lost.
    pub(crate) loss: f64,
    /// What of them arrived, over the time in which they left.
    pub(crate) received: Bitrate,
    /// What they came to.
    pub(crate) sent: Bitrate,
    /// How many packets that is.
    pub(crate) packets: usize,
}

#[derive(Clone, Copy, Debug)]
struct Outcome {
    departure: Instant,
    size: DataSize,
    is_lost: bool,
}

/// The rate at which packets arrive, and how many did not.
#[derive(Debug, Default)]
pub(crate) struct Throughput {
    received: VecDeque<Received>,
    /// When the newest packet left that is no longer counted.
    forgotten: Option<Instant>,
    recent: VecDeque<Outcome>,
}

impl Throughput {
    /// Takes what the receiver told of; in the order of sending.
    pub(crate) fn on_feedback(&mut self, results: &[PacketResult]) {
        for result in results {
            self.recent.push_back(Outcome {
                departure: result.departure,
                size: result.size,
                is_lost: result.arrival.is_none(),
            });
            if let Some(arrival) = result.arrival {
                self.push(Received { departure: result.departure, arrival, size: result.size });
            }
        }
        let newest = self.recent.back().map(|outcome| outcome.departure);
        while let (Some(first), Some(newest)) = (self.recent.front(), newest)
            && (self.recent.len() > MOST_PACKETS
                || (self.recent.len() > RECENT_PACKETS
                    && newest.saturating_duration_since(first.departure) > RECENT))
        {
            self.recent.pop_front();
        }
    }

    fn push(&mut self, packet: Received) {
        if let Some(last) = self.received.back() {
            if packet.arrival + WINDOW < last.arrival {
                // The receiver's clock was set.
                self.received.clear();
            } else if packet.arrival < last.arrival {
                // Overtaken on the way: close enough.
                self.received.push_back(Received { arrival: last.arrival, ..packet });
                return;
            }
        }
        self.received.push_back(packet);
        while let (Some(first), Some(last)) = (self.received.front(), self.received.back()) {
            let span = last.arrival.saturating_sub(first.arrival);
            let is_old = span > LONGEST_WINDOW || (span > WINDOW && self.received.len() > LEAST_PACKETS);
            if !is_old && self.received.len() <= MOST_PACKETS {
                return;
            }
            self.forgotten = self.forgotten.max(Some(first.departure));
            self.received.pop_front();
        }
    }

    /// The acknowledged rate: no more than arrived, and no more than was sent. None before enough
    /// did.
    pub(crate) fn acked(&self) -> Option<Bitrate> {
        if self.received.len() < ENOUGH {
            return None;
        }
        let (first, last) = (self.received.front()?, self.received.back()?);
        // One pause of ours, or of the path's, is not part of the rate.
        let (mut longest, mut second) = (Duration::ZERO, Duration::ZERO);
        for (a, b) in self.received.iter().zip(self.received.iter().skip(1)) {
            let gap = b.arrival.saturating_sub(a.arrival);
            if gap > longest {
                (longest, second) = (gap, longest);
            } else {
                second = second.max(gap);
            }
        }
        let total: DataSize = self.received.iter().map(|packet| packet.size).sum();
        let span = (last.arrival.saturating_sub(first.arrival) + second).saturating_sub(longest);
        let arrived = (total - first.size).over(span.max(Duration::from_millis(1)))?;
        let sent = self.sent_of_these().unwrap_or(Bitrate::MAX);
        Some(arrived.min(sent))
    }

    /// The rate at which packets arrive just now.
    pub(crate) fn arriving(&self) -> Option<Bitrate> {
        let last = self.received.back()?;
        let is_now = |packet: &&Received| last.arrival.saturating_sub(packet.arrival) <= NOW;
        let count = self.received.iter().rev().take_while(is_now).count();
        let latest = || self.received.iter().rev().take(count);
        let first = latest().next_back()?;
        let total: DataSize = latest().map(|packet| packet.size).sum();
        let span = last.arrival.saturating_sub(first.arrival);
        (count >= NOW_PACKETS && span >= LEAST_NOW).then_some(())?;
        (total - first.size).over(span)
    }

    /// At what rate the packets that arrived had left.
    fn sent_of_these(&self) -> Option<Bitrate> {
        let counted = || self.received.iter().filter(|p| self.forgotten.is_none_or(|old| p.departure > old));
        let (first, last) = (counted().map(|p| p.departure).min()?, counted().map(|p| p.departure).max()?);
        let total: DataSize = counted().map(|p| p.size).sum();
        let last_size = counted().max_by_key(|p| p.departure)?.size;
        (counted().count() >= ENOUGH).then_some(())?;
        (total - last_size).over(last - first)
    }

    /// What became of what was sent last; none before there is enough of it.
    pub(crate) fn recent(&self) -> Option<Recent> {
        let (first, last) = (self.recent.front()?, self.recent.back()?);
        if self.recent.len() < RECENT_PACKETS {
            return None;
        }
        let span = last.departure.saturating_duration_since(first.departure);
        let lost = self.recent.iter().filter(|outcome| outcome.is_lost).count();
        let sent: DataSize = self.recent.iter().map(|outcome| outcome.size).sum();
        let arrived: DataSize =
            self.recent.iter().filter(|outcome| !outcome.is_lost).map(|outcome| outcome.size).sum();
        Some(Recent {
            loss: lost as f64 / self.recent.len() as f64,
            received: arrived.over(span)?,
            sent: sent.over(span)?,
            packets: self.recent.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(began: Instant, sent_ms: u64, arrival_ms: Option<u64>) -> PacketResult {
        PacketResult {
            departure: began + Duration::from_millis(sent_ms),
            arrival: arrival_ms.map(Duration::from_millis),
            size: DataSize::bytes(1_000),
        }
    }

    #[test]
    fn the_rate_is_that_of_the_narrower_side() {
        let began = Instant::now();
        let mut throughput = Throughput::default();
        // 800 kbit/s sent, of which every second packet arrives.
        for n in 0..200 {
            let arrived = (n % 2 == 0).then_some(40 + n * 10);
            throughput.on_feedback(&[result(began, n * 10, arrived)]);
        }
        let acked = throughput.acked().unwrap();
        assert!((380..440).contains(&(acked.as_bps() / 1_000)), "{acked}");
        let recent = throughput.recent().unwrap();
        assert!((recent.loss - 0.5).abs() < 0.03, "{recent:?}");
        assert!((780..880).contains(&(recent.sent.as_bps() / 1_000)), "{recent:?}");
    }

    #[test]
    fn a_receivers_clock_that_is_set_back_does_not_stop_it() {
        let began = Instant::now();
        let mut throughput = Throughput::default();
        for n in 0..100 {
            throughput.on_feedback(&[result(began, n * 10, Some(1_000_000 + n * 10))]);
        }
        for n in 100..200 {
            throughput.on_feedback(&[result(began, n * 10, Some(n * 10))]);
        }
        let acked = throughput.acked().unwrap();
        assert!((700..900).contains(&(acked.as_bps() / 1_000)), "{acked}");
    }
}
