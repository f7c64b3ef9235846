//! The order in which packets leave, and how fast.
//!
//! Audio passes everything and waits for nothing; repairs go before frames. What waits is bounded
//! in time: a queue that has grown leaves faster, and one that is too long takes no more frames.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::{Bitrate, DataSize, ProbeCluster, ProbePlan, probe::PADDING};

/// How much faster than the target packets leave: a frame is not always as large as the mean.
const HEADROOM: f64 = 1.15;
/// What may leave at once: a timer's grain. More would fill a short queue on the path.
const BURST: Duration = Duration::from_millis(5);
/// What waits longer than this leaves faster than the target allows, up to so many times it: more would
/// only stand in the queue of the path, before the audio.
const LONGEST_WAIT: Duration = Duration::from_millis(250);
const MOST_HURRY: f64 = 2.0;
/// Repairs that wait, by the time that they take at the target: later ones nobody waits for.
const MOST_REPAIR: Duration = Duration::from_millis(500);
/// What is owed for audio at the most: it is charged, so that frames leave it room.
const MOST_DEBT: Duration = Duration::from_millis(300);
/// No frame is taken while as much as this waits.
const CONGESTED: Duration = Duration::from_millis(100);
/// Packets kept: a second of the best picture. Of more, the newest is dropped.
const MOST_PACKETS: usize = 320;
/// A burst that waits longer than this for its next packet is given up.
const PROBE_PATIENCE: Duration = Duration::from_millis(20);

/// What goes before what.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Priority {
    /// Leaves at once.
    Audio,
    /// Sent again: a frame waits for it on the other side.
    Repair,
    /// A frame's packets.
    Video,
}

/// Whether a packet was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Queued {
    /// It leaves in its turn.
    Yes,
    /// Too much waits already.
    Dropped,
}

/// What leaves next.
#[derive(Debug, PartialEq, Eq)]
pub enum Release<T> {
    /// This packet.
    Packet(T),
    /// A packet of padding of about this size, to fill a burst.
    Padding(DataSize),
}

#[derive(Debug)]
struct Waiting<T> {
    packet: T,
    size: DataSize,
}

#[derive(Clone, Copy, Debug)]
struct Burst {
    plan: ProbePlan,
    began: Option<Instant>,
    last: Option<Instant>,
    sent: DataSize,
    packets: u32,
    asked_at: Instant,
}

/// Packets in, packets out, at the rate that the network carries.
#[derive(Debug)]
pub struct Pacer<T> {
    target: Bitrate,
    audio: VecDeque<Waiting<T>>,
    repair: VecDeque<Waiting<T>>,
    video: VecDeque<Waiting<T>>,
    /// Sent and not yet earned.
    debt: f64,
    reckoned_at: Option<Instant>,
    burst: Option<Burst>,
    finished: Option<ProbeCluster>,
    dropped: u64,
}

impl<T> Pacer<T> {
    /// An empty pacer.
    pub const fn new(target: Bitrate) -> Self {
        Self {
            target,
            audio: VecDeque::new(),
            repair: VecDeque::new(),
            video: VecDeque::new(),
            debt: 0.0,
            reckoned_at: None,
            burst: None,
            finished: None,
            dropped: 0,
        }
    }

    /// What the network carries.
    pub fn set_target(&mut self, target: Bitrate, now: Instant) {
        self.reckon(now);
        self.target = target;
    }

    /// Sends what comes next as a burst, filled up with padding.
    pub fn probe(&mut self, plan: ProbePlan, now: Instant) {
        self.burst =
            Some(Burst { plan, began: None, last: None, sent: DataSize::ZERO, packets: 0, asked_at: now });
    }

    /// The burst that has left since it was last asked.
    pub fn take_finished_probe(&mut self) -> Option<ProbeCluster> {
        self.finished.take()
    }

    /// Takes a packet.
    pub fn push(&mut self, priority: Priority, size: DataSize, packet: T) -> Queued {
        let waiting = Waiting { packet, size };
        let queue = match priority {
            Priority::Audio => &mut self.audio,
            Priority::Repair => &mut self.repair,
            Priority::Video => &mut self.video,
        };
        let is_full = priority == Priority::Repair
            && queue.iter().map(|waiting| waiting.size).sum::<DataSize>() > self.target * MOST_REPAIR;
        if is_full || queue.len() >= MOST_PACKETS {
            self.dropped += 1;
            return Queued::Dropped;
        }
        queue.push_back(waiting);
        Queued::Yes
    }

    /// The packet that leaves now, if one does. `can_pad`: padding may leave now, which it may not in
    /// the middle of a frame.
    pub fn poll(&mut self, now: Instant, can_pad: bool) -> Option<Release<T>> {
        self.reckon(now);
        if let Some(packet) = self.audio.pop_front() {
            return Some(self.release(packet, now));
        }
        if let Some(burst) = self.burst {
            return self.poll_burst(burst, now, can_pad);
        }
        if self.debt > (self.rate() * BURST).as_f64() {
            return None;
        }
        let packet = self.repair.pop_front().or_else(|| self.video.pop_front())?;
        Some(self.release(packet, now))
    }

    fn poll_burst(&mut self, burst: Burst, now: Instant, can_pad: bool) -> Option<Release<T>> {
        let due = Self::burst_due(&burst);
        if now < due {
            return None;
        }
        if now.saturating_duration_since(due) > PROBE_PATIENCE {
            // Too late for its rate to mean anything.
            self.burst = None;
            return self.poll(now, can_pad);
        }
        // Media first: a burst that is all padding is a waste.
        let released = match self.repair.pop_front().or_else(|| self.video.pop_front()) {
            Some(packet) => self.release(packet, now),
            None if can_pad => {
                self.charge(PADDING, now);
                Release::Padding(PADDING)
            }
            None => return None,
        };
        Some(released)
    }

    fn burst_due(burst: &Burst) -> Instant {
        burst.began.map_or(burst.asked_at, |began| began + burst.sent / burst.plan.rate)
    }

    fn release(&mut self, waiting: Waiting<T>, now: Instant) -> Release<T> {
        self.charge(waiting.size, now);
        Release::Packet(waiting.packet)
    }

    fn charge(&mut self, size: DataSize, now: Instant) {
        self.debt = (self.debt + size.as_f64()).min((self.rate() * MOST_DEBT).as_f64().max(size.as_f64()));
        let Some(burst) = &mut self.burst else { return };
        burst.began.get_or_insert(now);
        burst.last = Some(now);
        burst.sent += size;
        burst.packets += 1;
        if burst.sent >= burst.plan.size && burst.packets >= burst.plan.packets {
            if let (Some(began), Some(ended)) = (burst.began, burst.last) {
                self.finished = Some(ProbeCluster { plan: burst.plan, began, ended, packets: burst.packets });
            }
            self.burst = None;
            // What the burst borrowed is not to be waited for.
            self.debt = 0.0;
        }
    }

    fn reckon(&mut self, now: Instant) {
        let passed = self.reckoned_at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.reckoned_at = Some(now);
        let earned = self.rate().as_f64() * passed.as_secs_f64() / 8.0;
        self.debt = (self.debt - earned).max(0.0);
    }

    /// How fast packets leave.
    fn rate(&self) -> Bitrate {
        let waiting = self.size();
        let to_drain = waiting.over(LONGEST_WAIT).unwrap_or_default();
        self.target.scaled(HEADROOM).max(to_drain.min(self.target.scaled(MOST_HURRY)))
    }

    fn size(&self) -> DataSize {
        self.repair.iter().chain(&self.video).map(|waiting| waiting.size).sum()
    }

    /// When it is to be polled again; none while nothing waits.
    pub fn next_timeout(&self) -> Option<Instant> {
        let reckoned_at = self.reckoned_at?;
        if !self.audio.is_empty() {
            return Some(reckoned_at);
        }
        if let Some(burst) = &self.burst {
            return Some(Self::burst_due(burst));
        }
        if self.repair.is_empty() && self.video.is_empty() {
            return None;
        }
        let over = self.debt - (self.rate() * BURST).as_f64();
        let wait = DataSize::bytes(over.max(0.0).ceil() as u64) / self.rate();
        Some(reckoned_at + wait.min(Duration::from_secs(1)))
    }

    /// How long what waits takes to leave.
    pub fn queue_time(&self) -> Duration {
        self.size() / self.target.scaled(HEADROOM)
    }

    /// Whether so much waits that the next frame is better left out.
    pub fn is_congested(&self) -> bool {
        self.queue_time() > CONGESTED
    }

    /// Packets that were not taken so far.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Packets that wait.
    pub fn queued(&self) -> usize {
        self.audio.len() + self.repair.len() + self.video.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: DataSize = DataSize::bytes(1_250);

    fn at(began: Instant, ms: u64) -> Instant {
        began + Duration::from_millis(ms)
    }

    #[test]
    fn a_frame_leaves_over_time_and_audio_passes_it() {
        let began = Instant::now();
        let mut pacer = Pacer::new(Bitrate::kbps(800));
        for n in 0..10 {
            pacer.push(Priority::Video, PACKET, n);
        }
        let mut left = vec![];
        for ms in 0..120 {
            if ms == 30 {
                pacer.push(Priority::Audio, DataSize::bytes(120), 99);
            }
            while let Some(Release::Packet(packet)) = pacer.poll(at(began, ms), true) {
                left.push((ms, packet));
            }
        }
        assert_eq!(left.len(), 11, "{left:?}");
        assert!(left.iter().filter(|(ms, _)| *ms < 5).count() <= 2, "no burst: {left:?}");
        assert!(left.contains(&(30, 99)), "{left:?}");
        // A megabit a second, with the headroom: 100 kbit take 100 ms.
        assert!((80..=115).contains(&left.last().unwrap().0), "{left:?}");
    }

    #[test]
    fn a_repair_goes_before_a_frame() {
        let began = Instant::now();
        let mut pacer = Pacer::new(Bitrate::kbps(100));
        for n in 0..3 {
            pacer.push(Priority::Video, PACKET, n);
        }
        assert_eq!(pacer.poll(began, true), Some(Release::Packet(0)));
        pacer.push(Priority::Repair, PACKET, 7);
        let next = (1..400).find_map(|ms| pacer.poll(at(began, ms), true));
        assert_eq!(next, Some(Release::Packet(7)));
    }

    #[test]
    fn a_queue_that_grew_is_drained_in_time_and_takes_no_frames() {
        let began = Instant::now();
        let mut pacer = Pacer::new(Bitrate::kbps(100));
        for n in 0..40 {
            pacer.push(Priority::Video, PACKET, n);
        }
        assert!(pacer.is_congested());
        let mut ms = 0;
        while pacer.queued() > 0 {
            ms += 1;
            while pacer.poll(at(began, ms), true).is_some() {}
        }
        // 400 kbit at 200 kbit/s at the most, the last quarter of a second at the target's rate.
        assert!((1_700..2_600).contains(&ms), "{ms} ms");
        assert!(!pacer.is_congested());
    }

    #[test]
    fn a_burst_has_its_rate_and_is_filled_with_padding() {
        let began = Instant::now();
        let mut pacer = Pacer::new(Bitrate::kbps(500));
        let plan = ProbePlan { rate: Bitrate::kbps(2_000), size: DataSize::bytes(3_750), packets: 5 };
        pacer.push(Priority::Video, PACKET, 1);
        pacer.probe(plan, began);
        let mut padding = DataSize::ZERO;
        let cluster = loop {
            let now = pacer.next_timeout().unwrap_or(began).max(began);
            if let Some(Release::Padding(size)) = pacer.poll(now, true) {
                padding += size;
            }
            if let Some(cluster) = pacer.take_finished_probe() {
                break cluster;
            }
        };
        assert!(padding >= DataSize::bytes(2_500), "{padding:?}");
        let took = cluster.ended - cluster.began;
        assert!((12..=15).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn what_is_too_much_is_said_to_be() {
        let mut pacer = Pacer::new(Bitrate::kbps(100));
        let taken = (0..400).filter(|n| pacer.push(Priority::Video, PACKET, *n) == Queued::Yes).count();
        assert_eq!((taken, pacer.dropped()), (MOST_PACKETS, 400 - MOST_PACKETS as u64));
    }
}
