//! Sending: packets from queues to tracks, sound first.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering},
};

use bytes::Bytes;
use rtc::rtp::{Header, Packet, codec::vp8::Vp8Payloader, packetizer::Payloader};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use webrtc::media_stream::track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP};

/// Sound waiting to be sent, in packets of 20 ms. When it is full the newest is dropped.
const AUDIO_QUEUE: usize = 25;
/// Pictures waiting to be sent. When it is full the newest is dropped and a key frame follows.
const VIDEO_QUEUE: usize = 4;
/// Payload of a packet: under 1200 bytes with all its headers, which every network carries whole.
const MAX_PAYLOAD: usize = 1_120;
/// Packets waiting in the pacer from which no further picture is encoded.
const PACER_FULL: usize = 40;

/// 20 ms of Opus.
#[derive(Debug)]
pub struct AudioPacket {
    /// RTP timestamp of its first sample, 48 kHz.
    pub timestamp: u32,
    /// The packet.
    pub data: Bytes,
}

/// An encoded picture.
#[derive(Debug)]
pub struct VideoFrame {
    /// RTP timestamp of its capture, 90 kHz.
    pub timestamp: u32,
    /// The bitstream.
    pub data: Bytes,
}

/// Sends media over one peer connection. Clones send over the same one.
#[derive(Clone, Debug)]
pub struct MediaSender {
    audio: mpsc::Sender<AudioPacket>,
    video: mpsc::Sender<VideoFrame>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) connected: AtomicBool,
    pub(crate) audio_payload_type: AtomicU8,
    pub(crate) video_payload_type: AtomicU8,
    pub(crate) target: Arc<AtomicU64>,
    pub(crate) queued: Arc<AtomicUsize>,
    pub(crate) round_trip: Arc<AtomicU64>,
    pub(crate) repairing: Arc<AtomicU64>,
}

impl MediaSender {
    /// Whether there is anybody to send to.
    pub fn is_connected(&self) -> bool {
        self.shared.connected.load(Ordering::Relaxed)
    }

    /// Sends sound; drops it while there is no connection or the queue is full.
    pub fn audio(&self, packet: AudioPacket) {
        if self.is_connected() && self.audio.try_send(packet).is_err() {
            tracing::debug!("a packet of sound was dropped");
        }
    }

    /// Sends a picture; false when it was dropped, after which a key frame must follow.
    pub fn video(&self, frame: VideoFrame) -> bool {
        self.is_connected() && self.video.try_send(frame).is_ok()
    }

    /// Whether so much waits already that the next picture is better left out.
    pub fn is_congested(&self) -> bool {
        self.shared.queued.load(Ordering::Relaxed) > PACER_FULL || self.video.capacity() == 0
    }

    /// What the network is estimated to carry, less what goes into repairing losses, bits a second.
    pub fn available_bitrate(&self) -> u32 {
        let target = self.shared.target.load(Ordering::Relaxed);
        let left = target.saturating_sub(self.shared.repairing.load(Ordering::Relaxed));
        u32::try_from(left).unwrap_or(u32::MAX)
    }
}

pub(crate) struct Sending {
    audio: mpsc::Receiver<AudioPacket>,
    video: mpsc::Receiver<VideoFrame>,
    shared: Arc<Shared>,
    pub(crate) audio_track: Arc<TrackLocalStaticRTP>,
    pub(crate) video_track: Arc<TrackLocalStaticRTP>,
    pub(crate) audio_ssrc: u32,
    pub(crate) video_ssrc: u32,
}

pub(crate) fn sender(
    shared: Arc<Shared>,
    (audio_track, audio_ssrc): (Arc<TrackLocalStaticRTP>, u32),
    (video_track, video_ssrc): (Arc<TrackLocalStaticRTP>, u32),
) -> (MediaSender, Sending) {
    let (audio, audio_queue) = mpsc::channel(AUDIO_QUEUE);
    let (video, video_queue) = mpsc::channel(VIDEO_QUEUE);
    (
        MediaSender { audio, video, shared: shared.clone() },
        Sending {
            audio: audio_queue,
            video: video_queue,
            shared,
            audio_track,
            video_track,
            audio_ssrc,
            video_ssrc,
        },
    )
}

impl Sending {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut audio_sequence: u16 = rand::random();
        let mut video_sequence: u16 = rand::random();
        let mut payloader = Vp8Payloader::default();
        // Without a picture id short packets can't be told from broken ones by the receiver.
        payloader.enable_picture_id = true;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(packet) = self.audio.recv() => {
                    let header = Header {
                        version: 2,
                        payload_type: self.shared.audio_payload_type.load(Ordering::Relaxed),
                        sequence_number: audio_sequence,
                        timestamp: packet.timestamp,
                        ssrc: self.audio_ssrc,
                        ..Header::default()
                    };
                    audio_sequence = audio_sequence.wrapping_add(1);
                    write(&self.audio_track, Packet { header, payload: packet.data }).await;
                }
                Some(frame) = self.video.recv() => {
                    let parts = match payloader.payload(MAX_PAYLOAD, &frame.data) {
                        Ok(parts) => parts,
                        Err(error) => {
                            tracing::warn!(%error, "a picture can't be cut into packets");
                            continue;
                        }
                    };
                    let last = parts.len().saturating_sub(1);
                    for (n, payload) in parts.into_iter().enumerate() {
                        let header = Header {
                            version: 2,
                            marker: n == last,
                            payload_type: self.shared.video_payload_type.load(Ordering::Relaxed),
                            sequence_number: video_sequence,
                            timestamp: frame.timestamp,
                            ssrc: self.video_ssrc,
                            ..Header::default()
                        };
                        video_sequence = video_sequence.wrapping_add(1);
                        write(&self.video_track, Packet { header, payload }).await;
                    }
                }
                else => return,
            }
        }
    }
}

async fn write(track: &Arc<TrackLocalStaticRTP>, packet: Packet) {
    // It fails once the connection is closed, and then the task is about to be stopped.
    if let Err(error) = track.write_rtp(packet).await {
        tracing::debug!(%error, "a packet could not be sent");
    }
}
