//! What comes in from the other end.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_call::{Arrivals, LipSync, RemoteAudio};
use bedside_media::{
    AudioFrame, FRAME, JitterStats, MediaError, OpusPacket, SenderClock, TrackSource, VideoPacket,
    VideoSource,
};
use bedside_rtc::{RemoteMedia, ReportBlock, SendFeedback};

use crate::{frame_channel::FrameChannel, incoming::Incoming, track_meter::Received, video::KeyFrameRequest};

/// The ways of the other side's pictures to the page.
#[derive(Clone, Default)]
pub(crate) struct FrameChannels {
    pub(crate) camera: Arc<FrameChannel>,
    pub(crate) screen: Arc<FrameChannel>,
}

/// Received media on its way to the speaker and the page.
pub(crate) struct ReceivePipeline {
    audio: Mutex<RemoteAudio>,
    arrivals: Mutex<Arrivals>,
    camera: Incoming,
    screen: Incoming,
    sync: Mutex<LipSync>,
}

/// What arrived of a track.
pub(crate) struct Arrived {
    pub(crate) received: Received,
    /// Interarrival jitter.
    pub(crate) jitter_ms: u32,
}

impl Arrived {
    pub(crate) fn of(arrivals: Arrivals, bytes: u64) -> Self {
        let received = Received { bytes, packets: arrivals.received(), expected: arrivals.expected() };
        Self { received, jitter_ms: arrivals.jitter_ms().round() as u32 }
    }
}

/// Asks one's own encoders for key frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyFrameRequests {
    pub(crate) camera: KeyFrameRequest,
    pub(crate) screen: KeyFrameRequest,
}

impl KeyFrameRequests {
    pub(crate) fn of(&self, source: VideoSource) -> &KeyFrameRequest {
        match source {
            VideoSource::Camera => &self.camera,
            VideoSource::Screen => &self.screen,
        }
    }
}

/// What the other end says of what this one sends.
pub(crate) struct Reception {
    key_frames: KeyFrameRequests,
    /// Loss of our audio there, in thousandths; and of our video.
    audio_loss: AtomicU32,
    video_loss: AtomicU32,
    rtt_us: AtomicU64,
}

impl Reception {
    pub(crate) fn new(key_frames: KeyFrameRequests) -> Self {
        Self {
            key_frames,
            audio_loss: AtomicU32::new(0),
            video_loss: AtomicU32::new(0),
            rtt_us: AtomicU64::new(0),
        }
    }

    /// The share of our audio that is lost, 0 to 1.
    pub(crate) fn audio_loss(&self) -> f32 {
        self.audio_loss.load(Ordering::Relaxed) as f32 / 1e3
    }

    /// The share of our camera's video that is lost before repair, 0 to 1.
    pub(crate) fn video_loss(&self) -> f32 {
        self.video_loss.load(Ordering::Relaxed) as f32 / 1e3
    }

    /// From a sender report to hearing of it.
    pub(crate) fn rtt(&self) -> Option<Duration> {
        Some(Duration::from_micros(self.rtt_us.load(Ordering::Relaxed))).filter(|rtt| !rtt.is_zero())
    }
}

impl SendFeedback for Reception {
    fn key_frame_wanted(&self, source: VideoSource) {
        self.key_frames.of(source).request();
    }

    fn report(&self, report: ReportBlock) {
        let loss = match report.source {
            TrackSource::Microphone => Some(&self.audio_loss),
            TrackSource::Video(VideoSource::Camera) => Some(&self.video_loss),
            // Of a page that stands still so few packets are sent that their share says nothing.
            TrackSource::Video(VideoSource::Screen) => None,
        };
        if let Some(loss) = loss {
            loss.store((report.loss * 1e3) as u32, Ordering::Relaxed);
        }
        if let Some(rtt) = report.rtt {
            self.rtt_us.store(rtt.as_micros() as u64, Ordering::Relaxed);
        }
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReceivePipeline {
    pub(crate) fn new(feeds: FrameChannels) -> Result<Self, MediaError> {
        Ok(Self {
            audio: Mutex::new(RemoteAudio::new()?),
            arrivals: Mutex::new(Arrivals::audio()),
            camera: Incoming::new(feeds.camera),
            screen: Incoming::new(feeds.screen),
            sync: Mutex::new(LipSync::new(Instant::now())),
        })
    }

    /// The next 10 ms for the speaker, which are heard in `heard_in`.
    pub(crate) fn pull_audio(&self, heard_in: Duration) -> Result<AudioFrame, MediaError> {
        let mut audio = lock(&self.audio);
        let pulled = audio.pull()?;
        // Known once it has begun to play.
        let next = audio.playout_timestamp();
        drop(audio);
        if let Some(next) = next {
            lock(&self.sync).on_playout(next.wrapping_sub(FRAME as u32), Instant::now() + heard_in);
        }
        Ok(pulled)
    }

    /// Whatever state it was in when its thread failed: it begins anew.
    pub(crate) fn restart_audio(&self) -> Result<(), MediaError> {
        *lock(&self.audio) = RemoteAudio::new()?;
        Ok(())
    }

    /// What arrived of the voice.
    pub(crate) fn microphone(&self) -> Arrived {
        Arrived::of(*lock(&self.arrivals), lock(&self.audio).bytes())
    }

    /// What arrived of the camera's picture.
    pub(crate) fn camera(&self) -> Arrived {
        self.camera.arrived()
    }

    /// What arrived of the screen's.
    pub(crate) fn screen(&self) -> Arrived {
        self.screen.arrived()
    }

    /// What became of the audio that arrived.
    pub(crate) fn audio_stats(&self) -> JitterStats {
        lock(&self.audio).stats()
    }

    /// Ends its threads.
    pub(crate) fn close(&self) {
        self.camera.close();
        self.screen.close();
    }
}

impl RemoteMedia for ReceivePipeline {
    fn audio(&self, packet: &OpusPacket<'_>) {
        lock(&self.arrivals).push(packet.ssrc, packet.sequence, packet.timestamp, Instant::now());
        lock(&self.audio).push(packet);
    }

    fn video(&self, source: VideoSource, packet: VideoPacket, now: Instant) {
        match source {
            VideoSource::Camera => {
                self.camera.push(packet, now, |timestamp| lock(&self.sync).draw_at(timestamp, now));
            }
            VideoSource::Screen => self.screen.push(packet, now, |_| now),
        }
    }

    fn sender_clock(&self, clock: SenderClock) {
        lock(&self.sync).on_report(clock);
    }

    fn key_frame_due(&self, source: VideoSource, now: Instant, rtt: Duration) -> bool {
        match source {
            VideoSource::Camera => self.camera.key_frame_due(now, rtt),
            VideoSource::Screen => self.screen.key_frame_due(now, rtt),
        }
    }
}
