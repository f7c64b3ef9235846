//! How much may be sent, and in which order.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use rtc::{
    interceptor::{
        Attribute, BandwidthEstimator, EstimatorStats, Gcc, Interceptor, PacerBuilder, PacerInterceptor,
        Packet, PacketReport, StreamInfo, TaggedPacket,
    },
    sansio::Protocol,
    shared::error::Error,
};

use crate::peer::OPUS_PAYLOAD_TYPE;

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

/// Google congestion control whose estimate can be read from outside.
pub(crate) struct Estimator {
    inner: Gcc,
    target: Arc<AtomicU64>,
}

impl Estimator {
    pub(crate) fn new(target: Arc<AtomicU64>) -> Self {
        target.store(START_BPS, Ordering::Relaxed);
        Self { inner: Gcc::new(START_BPS as f64, BOUNDS_BPS.0, BOUNDS_BPS.1), target }
    }
}

impl BandwidthEstimator for Estimator {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.inner.on_reports(now, reports);
        self.target.store(self.inner.target_bitrate() as u64, Ordering::Relaxed);
    }

    fn target_bitrate(&self) -> f64 {
        self.inner.target_bitrate()
    }

    fn stats(&self) -> EstimatorStats {
        self.inner.stats()
    }
}

/// The stack's pacer, with sound going past its queue and a bound on it.
pub(crate) struct Pacer {
    inner: PacerInterceptor,
    sound: VecDeque<TaggedPacket>,
    queued: Arc<AtomicUsize>,
}

impl Pacer {
    pub(crate) fn new(queued: Arc<AtomicUsize>) -> Self {
        let inner = PacerBuilder::new()
            .with_target_bitrate(START_BPS as f64 * HEADROOM)
            .with_queue_limit(QUEUE)
            .build();
        Self { inner, sound: VecDeque::new(), queued }
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
        self.inner.poll_timeout()
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
