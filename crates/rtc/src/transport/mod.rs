//! What leaves, in which order and how fast; and what the other end says of it. One interceptor of
//! the stack in place of its pacer, its numbering, its history and its repairs, which know nothing
//! of one another (0.21.1).

mod history;
mod limits;
mod stream;

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, Config, DataSize, Estimator, LinkStatus, Pacer, Priority, Queued, Release};
use rtc::{
    interceptor::{AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        payload_feedbacks::{
            full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication,
            receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate,
        },
        receiver_report::ReceiverReport,
        reception_report::ReceptionReport,
        sender_report::SenderReport,
        transport_feedbacks::{
            transport_layer_cc::TransportLayerCc, transport_layer_nack::TransportLayerNack,
        },
    },
    rtp,
    sansio::Protocol,
    shared::{TransportContext, error::Error, marshal::MarshalSize},
};

use bedside_media::{SenderClock, TrackSource, VideoSource};

use crate::{
    RemoteMedia, ReportBlock, SendFeedback,
    tracks::{LocalTrack, RemoteTracks},
};
use history::History;
use limits::Limits;
use stream::Stream;

/// Where the estimate begins, and its bounds: 360p and audio, as libwebrtc does (with 500 a line of 300
/// was full for the first seconds of a call); audio and its headers; 720p at its best, audio and some repairs.
const CONFIG: Config =
    Config { start: Bitrate::kbps(300), min: Bitrate::kbps(36), max: Bitrate::kbps(3_000) };
/// The same, begun with something else.
pub(crate) fn config(begins_with: Option<Bitrate>) -> Config {
    Config { start: begins_with.unwrap_or(CONFIG.start), ..CONFIG }
}

/// Bytes around an RTP packet: IPv4, UDP and the tag of SRTP.
const OVERHEAD: DataSize = DataSize::bytes(44);
/// How often it is looked at without anything coming or going.
const TICK: Duration = Duration::from_millis(25);
/// Packets leave in slots of this length: a timer of the runtime is as late as that anyway.
const SLOT: Duration = Duration::from_millis(2);
/// What is sent again is summed up over this time.
const REPAIRS_OVER: Duration = Duration::from_secs(1);
/// Repairs remembered for it: a second of the best picture, all of it lost.
const MOST_REPAIRS: usize = 400;
/// Packets that one request may ask for: a whole second of the best picture.
const MOST_ASKED: usize = 300;
/// Sender reports remembered for the round trip: ten seconds of three streams.
const MOST_REPORTS: usize = 30;

/// What the interceptor shares with the rest.
#[derive(Debug)]
pub(crate) struct Shared {
    status: Mutex<LinkStatus>,
    wanted: AtomicU64,
    /// The most that the other end takes of the camera, and of the screen.
    most_camera: AtomicU64,
    most_screen: AtomicU64,
    /// By stream, what was captured last. There are as many as tracks.
    captured: Mutex<HashMap<u32, Captured>>,
}

/// A point at which a stream's RTP clock and ours are known together.
#[derive(Clone, Copy, Debug)]
struct Captured {
    timestamp: u32,
    at: Instant,
}

impl Shared {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            status: Mutex::new(LinkStatus::unknown(config)),
            wanted: AtomicU64::new(config.max.as_bps()),
            most_camera: AtomicU64::new(u64::MAX),
            most_screen: AtomicU64::new(u64::MAX),
            captured: Mutex::default(),
        }
    }

    pub(crate) fn status(&self) -> LinkStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What has this timestamp was captured at that time.
    pub(crate) fn note_capture(&self, ssrc: u32, timestamp: u32, at: Instant) {
        let mut captured = self.captured.lock().unwrap_or_else(PoisonError::into_inner);
        captured.insert(ssrc, Captured { timestamp, at });
    }

    fn captured(&self, ssrc: u32) -> Option<Captured> {
        self.captured.lock().unwrap_or_else(PoisonError::into_inner).get(&ssrc).copied()
    }

    const fn limit(&self, source: VideoSource) -> &AtomicU64 {
        match source {
            VideoSource::Camera => &self.most_camera,
            VideoSource::Screen => &self.most_screen,
        }
    }

    /// The most that the other end takes of a video.
    pub(crate) fn most(&self, source: VideoSource) -> Bitrate {
        Bitrate::bps(self.limit(source).load(Ordering::Relaxed))
    }

    pub(crate) fn set_wanted(&self, wanted: Bitrate) {
        self.wanted.store(wanted.as_bps(), Ordering::Relaxed);
    }
}

struct Outgoing {
    ssrc: u32,
    packet: rtp::Packet,
    transport: TransportContext,
    is_repair: bool,
}

/// The interceptor; to be held in the pacer's slot.
pub(crate) struct Transport {
    shared: Arc<Shared>,
    feedback: Arc<dyn SendFeedback>,
    remote: Arc<dyn RemoteMedia>,
    /// What each stream that is sent carries.
    sent: HashMap<u32, TrackSource>,
    received: Arc<RemoteTracks>,
    estimator: Estimator,
    pacer: Pacer<Outgoing>,
    streams: HashMap<u32, Stream>,
    history: History,
    limits: Limits,
    read: VecDeque<TaggedPacket>,
    written: VecDeque<TaggedPacket>,
    /// What was sent again in the last second.
    repairs: VecDeque<(Instant, DataSize)>,
    /// The middle of each own sender report's time (RFC 3550 §6.4.1), and when it left.
    reports: VecDeque<(u32, Instant)>,
    now: Option<Instant>,
    context: TransportContext,
}

impl Transport {
    pub(crate) fn new(
        config: Config,
        shared: Arc<Shared>,
        tracks: &[LocalTrack],
        received: Arc<RemoteTracks>,
        feedback: Arc<dyn SendFeedback>,
        remote: Arc<dyn RemoteMedia>,
    ) -> Self {
        Self {
            shared,
            feedback,
            remote,
            sent: tracks.iter().map(|track| (track.ssrc, track.source)).collect(),
            received,
            estimator: Estimator::new(config),
            pacer: Pacer::new(config.start),
            streams: HashMap::new(),
            history: History::default(),
            limits: Limits::default(),
            read: VecDeque::new(),
            written: VecDeque::new(),
            repairs: VecDeque::new(),
            reports: VecDeque::new(),
            now: None,
            context: TransportContext::default(),
        }
    }

    fn on_rtcp(&mut self, packets: &[Box<dyn rtc::rtcp::Packet>], now: Instant) {
        for packet in packets {
            let packet = packet.as_any();
            if let Some(feedback) = packet.downcast_ref::<TransportLayerCc>() {
                let results = self.history.take(feedback);
                self.estimator.on_feedback(now, &results);
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                self.on_nack(nack, now);
            } else if let Some(request) = packet.downcast_ref::<PictureLossIndication>() {
                self.on_key_frame_request(request.media_ssrc);
            } else if let Some(request) = packet.downcast_ref::<FullIntraRequest>() {
                request.fir.iter().for_each(|entry| self.on_key_frame_request(entry.ssrc));
            } else if let Some(said) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
                for ssrc in &said.ssrcs {
                    if let Some(TrackSource::Video(source)) = self.sent.get(ssrc) {
                        self.limits.on_said(said, *source, now);
                    }
                }
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                self.on_report_blocks(&report.reports, now);
            } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
                // Whoever sends as well puts them here.
                self.on_report_blocks(&report.reports, now);
                if let Some(source) = self.received.source(report.ssrc) {
                    let (ntp, timestamp) = (report.ntp_time, report.rtp_time);
                    self.remote.sender_clock(SenderClock { source, ntp, timestamp });
                }
            }
        }
    }

    fn on_key_frame_request(&self, ssrc: u32) {
        if let Some(TrackSource::Video(source)) = self.sent.get(&ssrc) {
            self.feedback.key_frame_wanted(*source);
        }
    }

    fn on_report_blocks(&self, blocks: &[ReceptionReport], now: Instant) {
        for block in blocks {
            let Some(source) = self.sent.get(&block.ssrc) else { continue };
            let sent = self.reports.iter().rev().find(|(ntp, _)| *ntp == block.last_sender_report);
            let held = Duration::from_secs_f64(f64::from(block.delay) / 65_536.0);
            let rtt = sent.map(|(_, at)| now.saturating_duration_since(*at).saturating_sub(held));
            self.feedback.report(ReportBlock {
                source: *source,
                // Q8, RFC 3550 §6.4.1.
                loss: f32::from(block.fraction_lost) / 256.0,
                jitter: block.jitter,
                rtt,
            });
        }
    }

    fn on_nack(&mut self, nack: &TransportLayerNack, now: Instant) {
        let rtt = self.estimator.estimate().rtt;
        let Some(stream) = self.streams.get_mut(&nack.media_ssrc) else { return };
        let asked = nack
            .nacks
            .iter()
            .flat_map(rtc::rtcp::transport_feedbacks::transport_layer_nack::NackPair::packet_list);
        for sequence in asked.take(MOST_ASKED) {
            let Some(packet) = stream.repair(sequence, rtt, now) else { continue };
            let size = size_of(&packet);
            let outgoing =
                Outgoing { ssrc: nack.media_ssrc, packet, transport: self.context, is_repair: true };
            if self.pacer.push(Priority::Repair, size, outgoing) == Queued::Dropped {
                break; // Nobody waits so long for the rest, or it is asked for again.
            }
            stream.note_repair(sequence, now);
            self.repairs.push_back((now, size));
        }
    }

    /// Lets leave what may.
    fn pump(&mut self, now: Instant) {
        self.now = Some(self.now.map_or(now, |before| before.max(now)));
        self.estimator.set_wanted(Bitrate::bps(self.shared.wanted.load(Ordering::Relaxed)));
        self.estimator.on_timeout(now);
        self.pacer.set_target(self.estimator.target(), now);
        if self.can_pad()
            && let Some(plan) = self.estimator.poll_probe(now)
        {
            self.pacer.probe(plan, now);
        }
        while let Some(released) = self.pacer.poll(now, self.can_pad()) {
            match released {
                Release::Packet(outgoing) => self.release(outgoing, now),
                Release::Padding(_) => self.pad(now),
            }
        }
        if let Some(cluster) = self.pacer.take_finished_probe() {
            self.estimator.on_probe_sent(cluster);
        }
        self.note_status(now);
    }

    /// The stack takes a sample for captured when it was sent; a voice waits longer before that than a
    /// picture does, by what a microphone gives at a time.
    fn with_capture_time(&self, report: SenderReport, now: Instant) -> SenderReport {
        let source = self.sent.get(&report.ssrc);
        let Some((source, captured)) = source.zip(self.shared.captured(report.ssrc)) else { return report };
        let since = now.saturating_duration_since(captured.at).as_secs_f64() * f64::from(source.clock_rate());
        SenderReport { rtp_time: captured.timestamp.wrapping_add(since as u32), ..report }
    }

    /// Whether a stream of video is between two frames: within one, receivers take nothing else.
    fn can_pad(&self) -> bool {
        self.streams.values().any(|stream| !stream.is_audio && stream.is_between_frames())
    }

    fn release(&mut self, outgoing: Outgoing, now: Instant) {
        let Outgoing { ssrc, mut packet, transport, is_repair } = outgoing;
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            if !is_repair {
                stream.number(&mut packet);
            }
            if stream.has_feedback() {
                stream.tag(&mut packet, self.history.next_number());
                self.history.push(now, size_of(&packet));
                self.estimator.on_sent(now);
            }
        }
        let message = AttributedPacket::new(Packet::Rtp(packet));
        self.written.push_back(TaggedPacket { now, transport, message });
    }

    fn pad(&mut self, now: Instant) {
        let padded =
            self.streams.iter_mut().find(|(_, stream)| !stream.is_audio && stream.is_between_frames());
        if let Some((ssrc, stream)) = padded
            && let Some(packet) = stream.padding()
        {
            let outgoing = Outgoing { ssrc: *ssrc, packet, transport: self.context, is_repair: true };
            self.release(outgoing, now);
        }
    }

    fn note_status(&mut self, now: Instant) {
        let is_old = |(at, _): &(Instant, DataSize)| now.saturating_duration_since(*at) > REPAIRS_OVER;
        while self.repairs.front().is_some_and(is_old) || self.repairs.len() > MOST_REPAIRS {
            self.repairs.pop_front();
        }
        for source in VideoSource::ALL {
            let most = self.limits.most(source, now);
            self.shared.limit(source).store(most.as_bps(), Ordering::Relaxed);
        }
        let repair: DataSize = self.repairs.iter().map(|(_, size)| *size).sum();
        *self.shared.status.lock().unwrap_or_else(PoisonError::into_inner) = LinkStatus {
            estimate: self.estimator.estimate(),
            repair: repair.over(REPAIRS_OVER).unwrap_or_default(),
            queue_time: self.pacer.queue_time(),
            is_congested: self.pacer.is_congested(),
        };
    }
}

fn is_audio(info: &StreamInfo) -> bool {
    info.mime_type.to_ascii_lowercase().starts_with("audio/")
}

/// Bytes of a packet on the wire, with the transport-wide number that it has or will have.
fn size_of(packet: &rtp::Packet) -> DataSize {
    DataSize::bytes(packet.marshal_size() as u64) + OVERHEAD
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Transport {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        let now = message.now;
        if let Packet::Rtcp(packets) = &message.message.packet {
            self.on_rtcp(packets, now);
            self.pump(now);
        }
        self.read.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        let TaggedPacket { now, transport, message } = message;
        match message.packet {
            Packet::Rtp(packet) => {
                self.context = transport;
                let ssrc = packet.header.ssrc;
                let is_audio = self.streams.get(&ssrc).is_some_and(|stream| stream.is_audio);
                let priority = if is_audio { Priority::Audio } else { Priority::Video };
                let size = size_of(&packet);
                let outgoing = Outgoing { ssrc, packet, transport, is_repair: false };
                // Full: nothing was numbered yet, so that nobody misses it; a broken frame follows.
                self.pacer.push(priority, size, outgoing);
            }
            mut packet => {
                if let Packet::Rtcp(packets) = &mut packet {
                    for packet in packets {
                        let Some(report) = packet.as_any().downcast_ref::<SenderReport>() else { continue };
                        self.reports.push_back(((report.ntp_time >> 16) as u32, now));
                        *packet = Box::new(self.with_capture_time(report.clone(), now));
                    }
                    while self.reports.len() > MOST_REPORTS {
                        self.reports.pop_front();
                    }
                }
                let message = AttributedPacket { packet, ..message };
                self.written.push_back(TaggedPacket { now, transport, message });
            }
        }
        self.pump(now);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.written.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.pump(now);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        if self.streams.is_empty() {
            return None;
        }
        let now = self.now?;
        let due = self.pacer.next_timeout().map_or(now + TICK, |due| due.min(now + TICK));
        Some(due.max(now + SLOT))
    }
}

impl Interceptor for Transport {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        // Below 2^15: else a receiver that misses the first packets may count a turn too few
        // (RFC 3711 §3.3.1).
        let first = rand::random::<u16>() & 0x7fff;
        self.streams.entry(info.ssrc).or_insert_with(|| Stream::new(info, first));
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
