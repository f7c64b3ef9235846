//! What is measured of a call every second.

use std::time::{Duration, Instant};

use bedside_bwe::Bitrate;
use bedside_call::{Drawing, ReceiverDemand};
use bedside_rtc::PeerStats;
use bedside_session::{
    SentMedia,
    snapshot::{PictureStats, Quality, Track, TrackStats},
};

use crate::{
    frame_channel::Progress,
    quality::{self, MACHINES},
    remote::{FrameChannels, ReceivePipeline, Reception},
    track_meter::{Rates, TrackMeter, percent},
};

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Where the counters stood when they were last looked at.
pub(crate) struct Measuring {
    at: Instant,
    camera: Progress,
    screen: Progress,
    played: u64,
    concealed: u64,
    microphone_meter: TrackMeter,
    camera_meter: TrackMeter,
    screen_meter: TrackMeter,
    demand: ReceiverDemand,
}

/// What a second came to.
pub(crate) struct Second {
    pub(crate) quality: Quality,
    pub(crate) tracks: Vec<TrackStats>,
    /// The most to ask the other end for, where it is to be told.
    pub(crate) most: Option<Bitrate>,
}

impl Measuring {
    /// Of a connection of which nothing has come yet.
    pub(crate) fn new(feeds: &FrameChannels, now: Instant) -> Self {
        Self {
            at: now,
            camera: feeds.camera.progress(),
            screen: feeds.screen.progress(),
            played: 0,
            concealed: 0,
            microphone_meter: TrackMeter::default(),
            camera_meter: TrackMeter::default(),
            screen_meter: TrackMeter::default(),
            demand: ReceiverDemand::default(),
        }
    }

    /// The most pictures a second that the page can draw, where that is less than come.
    pub(crate) fn draws(&self) -> Option<u32> {
        self.demand.pace()
    }

    /// Whether a second has passed.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) >= EVERY
    }

    /// Measures what came since the last time; of a call whose other end `sends` so much, as it says.
    pub(crate) fn measure(
        &mut self,
        remote: &ReceivePipeline,
        feeds: &FrameChannels,
        stats: &PeerStats,
        reception: &Reception,
        sends: Option<SentMedia>,
        now: Instant,
    ) -> Second {
        let passed = now.saturating_duration_since(self.at);
        self.at = now;
        let they_send = |is: fn(SentMedia) -> bool| sends.is_some_and(is);
        if they_send(|they| !they.camera) {
            feeds.camera.pause();
        }
        if they_send(|they| !they.screen) {
            feeds.screen.pause();
        }
        let (audio, camera, screen) = (remote.microphone(), remote.camera(), remote.screen());
        let audio_rates = self.microphone_meter.measure(audio.received, passed);
        let camera_rates = self.camera_meter.measure(camera.received, passed);
        let screen_rates = self.screen_meter.measure(screen.received, passed);
        let jitter = remote.audio_stats();
        // Begun anew after a fault, they count from nothing.
        let played = jitter.played.saturating_sub(std::mem::replace(&mut self.played, jitter.played));
        let concealed =
            jitter.concealed.saturating_sub(std::mem::replace(&mut self.concealed, jitter.concealed));
        let concealed_percent = percent(concealed, played);
        let (camera_before, camera_now) = (self.camera, feeds.camera.progress());
        let (screen_before, screen_now) = (self.screen, feeds.screen.progress());
        (self.camera, self.screen) = (camera_now, screen_now);

        let drawing = Drawing {
            drawn: camera_now.drawn - camera_before.drawn,
            late: camera_now.late - camera_before.late,
            behind: feeds.camera.behind(now),
            received: camera_rates.bitrate,
        };
        let most = self.demand.on_drawn(&drawing, now);
        let rtt = reception.rtt().or(stats.round_trip);
        let mouth_to_ear = rtt.unwrap_or_default() / 2 + jitter.level + MACHINES;
        let picture = |before: Progress, now_at: Progress, frozen: Option<Duration>| PictureStats {
            fps: now_at.rate(before, passed, now),
            width: now_at.width,
            height: now_at.height,
            frozen_percent: frozen.map(|frozen| frozen.as_secs_f32() * 10.0),
        };
        let frozen = feeds.camera.freezes(now);
        let camera_picture = picture(camera_before, camera_now, Some(frozen));
        // A screen may well stand still.
        let screen_picture = picture(screen_before, screen_now, None);
        let track = |track, rates: Rates, jitter_ms| TrackStats {
            track,
            bits_per_second: rates.bitrate.as_bps(),
            packet_loss_percent: rates.lost_percent,
            jitter_ms,
            concealed_percent: None,
            picture: None,
        };
        let microphone_stats = TrackStats {
            concealed_percent: Some(concealed_percent),
            ..track(Track::Microphone, audio_rates, audio.jitter_ms)
        };
        let camera_stats = TrackStats {
            picture: Some(camera_picture),
            ..track(Track::Camera, camera_rates, camera.jitter_ms)
        };
        let screen_stats = TrackStats {
            picture: Some(screen_picture),
            ..track(Track::Screen, screen_rates, screen.jitter_ms)
        };
        let shown = [
            (they_send(|they| they.microphone), microphone_stats),
            (they_send(|they| they.camera), camera_stats),
            (they_send(|they| they.screen), screen_stats),
        ];
        let quality = Quality {
            fps: camera_picture.fps,
            width: camera_picture.width,
            height: camera_picture.height,
            round_trip_ms: rtt.map(|rtt| rtt.as_millis() as u32),
            concealed_percent,
            frozen_percent: frozen.as_secs_f32() * 10.0,
            picture_age_ms: feeds.camera.age(now).map(|age| age.as_millis() as u32),
            lost_there_percent: reception.audio_loss().max(reception.video_loss()) * 100.0,
            bits_per_second: (audio_rates.bitrate + camera_rates.bitrate + screen_rates.bitrate).as_bps(),
            relayed: stats.relayed.unwrap_or(false),
            sending: None,
            packet_loss_percent: audio_rates.lost_percent,
            jitter_ms: audio.jitter_ms,
            mos: if audio_rates.expected == 0 && they_send(|they| they.microphone) {
                // They speak, and nothing comes.
                1.0
            } else {
                bedside_call::mos(mouth_to_ear, f64::from(concealed_percent) / 100.0) as f32
            },
            path: stats.path.map(quality::path),
            transport: stats.transport.map(quality::transport),
        };
        tracing::debug!(?quality, ?drawing, ?jitter, most = ?most, "a second of the call");
        let tracks = shown.into_iter().filter(|(sent, _)| *sent).map(|(_, stats)| stats).collect();
        Second { quality, tracks, most }
    }
}
