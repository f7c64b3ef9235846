//! Sending: packets from queues to tracks, audio first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, Config, LinkStatus};
use bytes::Bytes;
use rtc::{
    rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication,
    rtp::{Header, Packet, codec::vp8::Vp8Payloader, packetizer::Payloader},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use webrtc::{
    media_stream::track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
    runtime::Runtime,
};

use crate::{RemoteMedia, handler::RemoteVideo, transport};

/// Audio waiting to be sent, in packets of 20 ms. When it is full the newest is dropped.
const AUDIO_QUEUE: usize = 25;
/// Pictures waiting to be sent. When it is full the newest is dropped and a key frame follows.
const VIDEO_QUEUE: usize = 4;
/// Payload of a packet: under 1200 bytes with all its headers, which every network carries whole.
const MAX_PAYLOAD: usize = 1_120;
/// 20 ms of Opus.
#[derive(Debug)]
pub struct AudioPacket {
    /// RTP timestamp of its first sample, 48 kHz.
    pub timestamp: u32,
    /// When that was captured.
    pub captured: Instant,
    /// The packet.
    pub data: Bytes,
}

/// An encoded picture.
#[derive(Debug)]
pub struct VideoFrame {
    /// RTP timestamp of its capture, 90 kHz.
    pub timestamp: u32,
    /// When that was.
    pub captured: Instant,
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

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connected: AtomicBool,
    pub(crate) audio_payload_type: AtomicU8,
    pub(crate) video_payload_type: AtomicU8,
    pub(crate) link: Arc<transport::Shared>,
}

impl Shared {
    pub(crate) fn new(link: Config) -> Self {
        Self {
            connected: AtomicBool::new(false),
            audio_payload_type: AtomicU8::new(0),
            video_payload_type: AtomicU8::new(0),
            link: Arc::new(transport::Shared::new(link)),
        }
    }
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

    /// How the network is.
    pub fn link(&self) -> LinkStatus {
        self.shared.link.status()
    }

    /// Whether so much waits already that the next frame is better left out.
    pub fn is_congested(&self) -> bool {
        self.link().is_congested || self.video.capacity() == 0
    }

    /// Says what there is a use for: more is not tried.
    pub fn set_wanted(&self, wanted: Bitrate) {
        self.shared.link.set_wanted(wanted);
    }
}

/// How often it is looked whether a key frame is to be asked for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

pub(crate) struct Sending {
    runtime: Arc<dyn Runtime>,
    remote: Arc<dyn RemoteMedia>,
    remote_video: Arc<RemoteVideo>,
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
    runtime: Arc<dyn Runtime>,
    remote: Arc<dyn RemoteMedia>,
    remote_video: Arc<RemoteVideo>,
) -> (MediaSender, Sending) {
    let (audio, audio_queue) = mpsc::channel(AUDIO_QUEUE);
    let (video, video_queue) = mpsc::channel(VIDEO_QUEUE);
    (
        MediaSender { audio, video, shared: shared.clone() },
        Sending {
            runtime,
            remote,
            remote_video,
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
        let mut tick = self.runtime.interval(LOOK_EVERY);
        let mut payloader = Vp8Payloader::default();
        // Without a picture id short packets can't be told from broken ones by the receiver.
        payloader.enable_picture_id = true;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tick.tick() => self.look_for_key_request().await,
                Some(packet) = self.audio.recv() => {
                    self.shared.link.note_capture(self.audio_ssrc, packet.timestamp, packet.captured);
                    // Numbered when it leaves.
                    let header = Header {
                        version: 2,
                        payload_type: self.shared.audio_payload_type.load(Ordering::Relaxed),
                        timestamp: packet.timestamp,
                        ssrc: self.audio_ssrc,
                        ..Header::default()
                    };
                    write(&self.audio_track, Packet { header, payload: packet.data }).await;
                }
                Some(frame) = self.video.recv() => {
                    self.shared.link.note_capture(self.video_ssrc, frame.timestamp, frame.captured);
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
                            timestamp: frame.timestamp,
                            ssrc: self.video_ssrc,
                            ..Header::default()
                        };
                        write(&self.video_track, Packet { header, payload }).await;
                    }
                }
                else => return,
            }
        }
    }
}

impl Sending {
    async fn look_for_key_request(&self) {
        let rtt = self.shared.link.status().estimate.rtt;
        if !self.remote.key_frame_due(self.runtime.now(), rtt) {
            return;
        }
        let Some(track) = self.remote_video.track.get() else { return };
        let media_ssrc = self.remote_video.ssrc.load(Ordering::Relaxed);
        let request = PictureLossIndication { sender_ssrc: 0, media_ssrc };
        // Closed: there is nothing to ask for any more.
        if let Err(error) = track.write_rtcp(vec![Box::new(request)]).await {
            tracing::debug!(%error, "a key frame could not be asked for");
        }
    }
}

async fn write(track: &Arc<TrackLocalStaticRTP>, packet: Packet) {
    // It fails once the connection is closed, and then the task is about to be stopped.
    if let Err(error) = track.write_rtp(packet).await {
        tracing::debug!(%error, "a packet could not be sent");
    }
}
