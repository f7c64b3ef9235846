//! Sending: packets from queues to tracks, audio first.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, Config, LinkStatus};
use bedside_media::{TrackSource, VideoCodec, VideoSource};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use webrtc::runtime::Runtime;

use crate::{
    RemoteMedia,
    codec::Packetizer,
    tracks::{LocalTrack, PayloadTypes, RemoteTracks},
    transport,
};

/// Audio waiting to be sent, in packets of 20 ms. When it is full the newest is dropped.
const AUDIO_QUEUE: usize = 25;
/// Pictures waiting to be sent. When it is full the newest is dropped and a key frame follows.
const VIDEO_QUEUE: usize = 4;
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
    /// What it is encoded in.
    pub codec: VideoCodec,
    /// The bitstream.
    pub data: Bytes,
}

/// Sends media over one peer connection. Clones send over the same one.
#[derive(Clone, Debug)]
pub struct MediaSender {
    audio: mpsc::Sender<AudioPacket>,
    camera: mpsc::Sender<VideoFrame>,
    screen: mpsc::Sender<VideoFrame>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) connected: AtomicBool,
    /// What each track has a use for, bits a second.
    wanted_audio: AtomicU64,
    wanted_camera: AtomicU64,
    wanted_screen: AtomicU64,
    pub(crate) link: Arc<transport::Shared>,
    pub(crate) payload_types: PayloadTypes,
}

impl Shared {
    pub(crate) fn new(link: Config) -> Self {
        Self {
            connected: AtomicBool::new(false),
            wanted_audio: AtomicU64::new(0),
            wanted_camera: AtomicU64::new(0),
            wanted_screen: AtomicU64::new(0),
            link: Arc::new(transport::Shared::new(link)),
            payload_types: PayloadTypes::default(),
        }
    }

    const fn wanted(&self, source: TrackSource) -> &AtomicU64 {
        match source {
            TrackSource::Microphone => &self.wanted_audio,
            TrackSource::Video(VideoSource::Camera) => &self.wanted_camera,
            TrackSource::Video(VideoSource::Screen) => &self.wanted_screen,
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
    pub fn video(&self, source: VideoSource, frame: VideoFrame) -> bool {
        self.is_connected() && self.queue(source).try_send(frame).is_ok()
    }

    const fn queue(&self, source: VideoSource) -> &mpsc::Sender<VideoFrame> {
        match source {
            VideoSource::Camera => &self.camera,
            VideoSource::Screen => &self.screen,
        }
    }

    /// How the network is.
    pub fn link(&self) -> LinkStatus {
        self.shared.link.status()
    }

    /// What to encode a video in: what both ends have agreed on and this one can do. A screen is always
    /// sent in VP8, which has tools for text, and which no level limits to 720p.
    pub fn codec(&self, source: VideoSource) -> VideoCodec {
        let is_h264 = source == VideoSource::Camera
            && VideoCodec::H264.is_available()
            && self.shared.payload_types.may_send(VideoCodec::H264);
        if is_h264 { VideoCodec::H264 } else { VideoCodec::Vp8 }
    }

    /// The most that the other end takes of a video, as it says; [`Bitrate::MAX`] where it says nothing.
    pub fn most(&self, source: VideoSource) -> Bitrate {
        self.shared.link.most(source)
    }

    /// Whether so much waits already that the next frame is better left out.
    pub fn is_congested(&self, source: VideoSource) -> bool {
        self.link().is_congested || self.queue(source).capacity() == 0
    }

    /// Says what a track has a use for: more is not tried.
    pub fn set_wanted(&self, source: TrackSource, wanted: Bitrate) {
        self.shared.wanted(source).store(wanted.as_bps(), Ordering::Relaxed);
        let all = [&self.shared.wanted_audio, &self.shared.wanted_camera, &self.shared.wanted_screen];
        let sum = all.iter().map(|wanted| wanted.load(Ordering::Relaxed)).sum();
        self.shared.link.set_wanted(Bitrate::bps(sum));
    }

    /// What a track has a use for.
    pub fn wanted(&self, source: TrackSource) -> Bitrate {
        Bitrate::bps(self.shared.wanted(source).load(Ordering::Relaxed))
    }
}

/// How often it is looked whether a key frame is to be asked for.
const LOOK_EVERY: Duration = Duration::from_millis(25);

pub(crate) struct Sending {
    runtime: Arc<dyn Runtime>,
    remote: Arc<dyn RemoteMedia>,
    remote_tracks: Arc<RemoteTracks>,
    audio: mpsc::Receiver<AudioPacket>,
    camera: mpsc::Receiver<VideoFrame>,
    screen: mpsc::Receiver<VideoFrame>,
    shared: Arc<Shared>,
    tracks: Arc<[LocalTrack]>,
}

pub(crate) fn sender(
    shared: Arc<Shared>,
    tracks: Arc<[LocalTrack]>,
    runtime: Arc<dyn Runtime>,
    remote: Arc<dyn RemoteMedia>,
    remote_tracks: Arc<RemoteTracks>,
) -> (MediaSender, Sending) {
    let (audio, audio_queue) = mpsc::channel(AUDIO_QUEUE);
    let (camera, camera_queue) = mpsc::channel(VIDEO_QUEUE);
    let (screen, screen_queue) = mpsc::channel(VIDEO_QUEUE);
    (
        MediaSender { audio, camera, screen, shared: shared.clone() },
        Sending {
            runtime,
            remote,
            remote_tracks,
            audio: audio_queue,
            camera: camera_queue,
            screen: screen_queue,
            shared,
            tracks,
        },
    )
}

impl Sending {
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut tick = self.runtime.interval(LOOK_EVERY);
        let mut camera = Packetizer::default();
        let mut screen = Packetizer::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tick.tick() => self.look_for_key_request().await,
                Some(packet) = self.audio.recv() => self.send_audio(packet).await,
                Some(frame) = self.camera.recv() => self.send_video(VideoSource::Camera, &mut camera, frame).await,
                Some(frame) = self.screen.recv() => self.send_video(VideoSource::Screen, &mut screen, frame).await,
                else => return,
            }
        }
    }

    fn track(&self, source: TrackSource) -> Option<&LocalTrack> {
        self.tracks.iter().find(|track| track.source == source)
    }

    async fn send_audio(&self, packet: AudioPacket) {
        let Some(track) = self.track(TrackSource::Microphone) else { return };
        self.shared.link.note_capture(track.ssrc, packet.timestamp, packet.captured);
        let Some(payload_type) = self.shared.payload_types.audio() else { return };
        track.write(payload_type, packet.timestamp, false, packet.data).await;
    }

    async fn send_video(&self, source: VideoSource, packetizer: &mut Packetizer, frame: VideoFrame) {
        let Some(track) = self.track(TrackSource::Video(source)) else { return };
        self.shared.link.note_capture(track.ssrc, frame.timestamp, frame.captured);
        // None only where another description has come in between, without it.
        let Some(payload_type) = self.shared.payload_types.video(frame.codec) else { return };
        let parts = match packetizer.cut(frame.codec, &frame.data) {
            Ok(parts) => parts,
            Err(error) => return tracing::warn!(%error, "a picture can't be cut into packets"),
        };
        let last = parts.len().saturating_sub(1);
        for (n, payload) in parts.into_iter().enumerate() {
            track.write(payload_type, frame.timestamp, n == last, payload).await;
        }
    }

    async fn look_for_key_request(&self) {
        let rtt = self.shared.link.status().estimate.rtt;
        for source in VideoSource::ALL {
            if self.remote.key_frame_due(source, self.runtime.now(), rtt) {
                self.remote_tracks.request_key_frame(source).await;
            }
        }
    }
}
