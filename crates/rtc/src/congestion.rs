//! How much may be sent, and in which order.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rtc::{
    interceptor::{
        Attribute, BandwidthEstimator, EstimatorStats, Interceptor, PacerBuilder, PacerInterceptor, Packet,
        PacketReport, StreamInfo, TaggedPacket,
    },
    sansio::Protocol,
    shared::error::Error,
};

use crate::{estimate::Estimate, feedback::KnownFrom, peer::OPUS_PAYLOAD_TYPE};

/// Where the estimate begins: 360p and sound, which most networks carry at once.
pub(crate) const START_BPS: u64 = 600_000;
/// The estimate's bounds: sound and its headers; 720p at its best.
const BOUNDS_BPS: (f64, f64) = (60_000.0, 3_000_000.0);
/// How much faster than the estimate a frame's packets may leave: a key frame several times the
/// size of the others must not hold those up for long.
const HEADROOM: f64 = 1.5;
/// Packets that may wait to be paced: half a second of the best picture. More are dropped;
/// encoders look at the queue long before.
const QUEUE: usize = 160;
/// A round trip is not believed to be shorter: the next request comes no sooner.
const LEAST_ROUND_TRIP: Duration = Duration::from_millis(30);
/// Repairs remembered: a second of the best picture, all of it lost.
const MOST_REPAIRS: usize = 400;
/// How long after the bucket's own reckoning it is looked at again. That is rounded down to the
/// nanosecond, at which the last bit is not there yet (0.21.1).
const GRAIN: Duration = Duration::from_micros(100);

/// The estimate as the stack drives it, which can be read from outside.
pub(crate) struct Estimator {
    inner: Estimate,
    target: Arc<AtomicU64>,
    round_trip: Arc<AtomicU64>,
    known_from: Arc<KnownFrom>,
}

impl Estimator {
    /// Writes its estimate to `target`, bits a second, and the round trip to `round_trip`, µs.
    pub(crate) fn new(
        target: Arc<AtomicU64>,
        round_trip: Arc<AtomicU64>,
        known_from: Arc<KnownFrom>,
    ) -> Self {
        target.store(START_BPS, Ordering::Relaxed);
        Self { inner: Estimate::new(START_BPS as f64, BOUNDS_BPS), target, round_trip, known_from }
    }
}

impl BandwidthEstimator for Estimator {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.inner.on_reports(now, reports, self.known_from.take());
        self.target.store(self.inner.target() as u64, Ordering::Relaxed);
        self.round_trip.store(self.inner.round_trip().as_micros() as u64, Ordering::Relaxed);
    }

    fn target_bitrate(&self) -> f64 {
        self.inner.target()
    }

    fn stats(&self) -> EstimatorStats {
        let (by_delay, by_loss, lost) = self.inner.halves();
        let mut stats = EstimatorStats::default();
        stats.delay_based_bitrate = Some(by_delay);
        stats.loss_based_bitrate = Some(by_loss);
        stats.packet_loss = Some(lost);
        stats
    }
}

/// The stack's pacer, with sound going past its queue, a bound on it, and no more than one answer
/// in a round trip to those who ask for the same packet again and again: on a line that is full,
/// as many as they ask for would keep it so.
pub(crate) struct Pacer {
    inner: PacerInterceptor,
    sound: VecDeque<TaggedPacket>,
    queued: Arc<AtomicUsize>,
    round_trip: Arc<AtomicU64>,
    /// What was sent again in the last second, when, and its bits; the oldest first.
    repaired: VecDeque<(u16, Instant, f64)>,
    /// Bits a second that go into this.
    repairing: Arc<AtomicU64>,
}

impl Pacer {
    /// Says in `queued` how many packets wait, and in `repairing` how many bits a second are sent
    /// again; goes by `round_trip`, µs.
    pub(crate) fn new(
        queued: Arc<AtomicUsize>,
        repairing: Arc<AtomicU64>,
        round_trip: Arc<AtomicU64>,
    ) -> Self {
        let inner = PacerBuilder::new()
            .with_target_bitrate(START_BPS as f64 * HEADROOM)
            .with_queue_limit(QUEUE)
            .build();
        Self { inner, sound: VecDeque::new(), queued, round_trip, repaired: VecDeque::new(), repairing }
    }

    /// Whether this packet of so many bits may be sent once more now.
    fn may_repair(&mut self, sequence: u16, bits: f64, now: Instant) -> bool {
        let round_trip = Duration::from_micros(self.round_trip.load(Ordering::Relaxed));
        let again_after = (round_trip * 3 / 5).max(LEAST_ROUND_TRIP);
        let too_soon = |(number, at, _): &(u16, Instant, f64)| {
            *number == sequence && now.saturating_duration_since(*at) < again_after
        };
        if self.repaired.iter().rev().any(too_soon) {
            return false;
        }
        self.repaired.push_back((sequence, now, bits));
        true
    }

    /// What goes into repair is not there for the next picture.
    fn note_repairs(&mut self, now: Instant) {
        let is_old =
            |(_, at, _): &(u16, Instant, f64)| now.saturating_duration_since(*at) > Duration::from_secs(1);
        while self.repaired.front().is_some_and(is_old) || self.repaired.len() > MOST_REPAIRS {
            self.repaired.pop_front();
        }
        let bits: f64 = self.repaired.iter().map(|(_, _, bits)| bits).sum();
        self.repairing.store(bits as u64, Ordering::Relaxed);
    }

    fn note_queue(&self) {
        self.queued.store(self.inner.queued(), Ordering::Relaxed);
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Pacer {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        // Something comes in all the time; where no picture fits any more nothing may go out.
        self.note_repairs(message.now);
        let target = match message.message.get(&Attribute::TargetBitrateChanged { bits_per_second: 0.0 }) {
            Some(Attribute::TargetBitrateChanged { bits_per_second }) => Some(*bits_per_second),
            _ => None,
        };
        self.inner.handle_read(message)?;
        if let Some(target) = target {
            self.inner.pacer_mut().set_target_bitrate(target * HEADROOM);
        }
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.inner.poll_read()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &message.message.packet
            && packet.header.payload_type == OPUS_PAYLOAD_TYPE
        {
            // Charged for, so that the picture leaves it room; 40 for the headers below.
            self.inner.pacer_mut().consume((packet.payload.len() + 40) as f64 * 8.0);
            self.sound.push_back(message);
            return Ok(());
        }
        let now = message.now;
        if let Packet::Rtp(packet) = &message.message.packet
            && message.message.get(&Attribute::Retransmission).is_some()
            && !self.may_repair(packet.header.sequence_number, packet.payload.len() as f64 * 8.0, now)
        {
            return Ok(());
        }
        self.note_repairs(now);
        let done = self.inner.handle_write(message);
        self.note_queue();
        done
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.sound.pop_front().or_else(|| self.inner.poll_write())
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let done = self.inner.handle_timeout(now);
        self.note_queue();
        done
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.inner.poll_timeout().map(|due| due + GRAIN)
    }
}

impl Interceptor for Pacer {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_local_stream(info);
    }
    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_local_stream(info);
    }
    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.bind_remote_stream(info);
    }
    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.inner.unbind_remote_stream(info);
    }
}

#[cfg(test)]
mod tests {
    use rtc::{
        interceptor::AttributedPacket,
        rtp::{Header, Packet as RtpPacket},
        shared::TransportContext,
    };

    use super::*;

    fn tagged(message: AttributedPacket, now: Instant) -> TaggedPacket {
        TaggedPacket { now, transport: TransportContext::default(), message }
    }

    fn again(sequence_number: u16, now: Instant) -> TaggedPacket {
        let header = Header { version: 2, payload_type: 96, sequence_number, ..Header::default() };
        let packet = RtpPacket { header, payload: vec![0; 1_000].into() };
        tagged(AttributedPacket::new(Packet::Rtp(packet)).with(Attribute::Retransmission), now)
    }

    #[test]
    fn a_packet_is_repaired_once_in_a_round_trip_and_not_paid_for_for_ever() {
        let (queued, repairing, round_trip) = (Arc::default(), Arc::<AtomicU64>::default(), Arc::default());
        let mut pacer = Pacer::new(queued, repairing.clone(), round_trip);
        let began = Instant::now();
        for ms in [0, 10, 20, 100] {
            pacer.handle_write(again(7, began + Duration::from_millis(ms))).unwrap();
        }
        assert_eq!(repairing.load(Ordering::Relaxed), 2 * 8_000, "the first, and the one after a round trip");
        // No picture fits, so none is written: what comes in tells the time.
        let later = tagged(AttributedPacket::new(Packet::Rtcp(vec![])), began + Duration::from_secs(2));
        pacer.handle_read(later).unwrap();
        assert_eq!(repairing.load(Ordering::Relaxed), 0);
    }
}
