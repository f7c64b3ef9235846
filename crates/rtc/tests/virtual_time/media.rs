//! A voice, a camera and a screen that are made up; between them and the peer the engine of
//! `bedside-call`, as the client has it.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, ladder};
use bedside_call::{
    Drawing, EncodedVideo, LocalAudio, LocalVideo, MOST_CAMERA, ReceiverDemand, RemoteAudio, RemoteVideo,
    Uses, share, wanted_audio,
};
use bedside_media::{
    FRAME, OpusPacket, SAMPLE_RATE, SenderClock, TrackSource, VideoCodec, VideoPacket, VideoSource,
    codec::VideoDecoder,
};
use bedside_rtc::{AudioPacket, RemoteMedia, ReportBlock, SendFeedback, VideoFrame};
use bedside_session::SentMedia;

use crate::{
    person::Connection,
    scene,
    visit::{Seen, Shown},
    world::World,
};

/// What a picture takes to encode on a machine that can keep up.
const ENCODING: Duration = Duration::from_millis(4);

/// When pictures were taken, by their numbers.
type Taken = Arc<Mutex<Vec<Duration>>>;

/// What comes in.
pub(crate) struct Remote {
    world: Arc<World>,
    audio: Mutex<RemoteAudio>,
    video: Mutex<RemoteVideo>,
    decoder: Mutex<Box<dyn VideoDecoder>>,
    seen: Arc<Mutex<Seen>>,
    /// By the other end.
    taken: Taken,
    key_frame_wanted: AtomicBool,
    lost: AtomicU32,
}

impl RemoteMedia for Remote {
    fn audio(&self, packet: &OpusPacket<'_>) {
        self.audio.lock().unwrap().push(packet);
    }
    fn video(&self, _: VideoSource, packet: VideoPacket, now: Instant) {
        let mut video = self.video.lock().unwrap();
        for frame in video.push(packet, now) {
            match self.decoder.lock().unwrap().decode(&frame.data) {
                Ok(Some(picture)) => {
                    let shown = Shown { at: self.world.now(), width: picture.width() };
                    let taken = self.taken.lock().unwrap()[usize::from(scene::number(&picture))];
                    assert!(taken < shown.at, "shown before it was taken");
                    self.seen.lock().unwrap().pictures.push(shown);
                }
                Ok(None) => {}
                Err(_) => video.restart_at_key(),
            }
        }
    }
    fn sender_clock(&self, _: SenderClock) {}

    fn key_frame_due(&self, source: VideoSource, now: Instant, rtt: Duration) -> bool {
        if source != VideoSource::Camera {
            return false;
        }
        let mut video = self.video.lock().unwrap();
        video.set_rtt(rtt);
        video.poll_key_request(now)
    }
}

impl SendFeedback for Remote {
    fn key_frame_wanted(&self, _: VideoSource) {
        self.key_frame_wanted.store(true, Ordering::Relaxed);
    }
    fn report(&self, report: ReportBlock) {
        if report.source.is_audio() {
            self.lost.store((report.loss * 1e3) as u32, Ordering::Relaxed);
        }
    }
}

/// What one end says, shows, hears and sees.
pub(crate) struct Media {
    world: Arc<World>,
    seen: Arc<Mutex<Seen>>,
    taken: Taken,
    others_taken: Taken,
    local_audio: LocalAudio,
    local_video: LocalVideo,
    next_picture: Duration,
    pub(crate) draws_up_to: usize,
    demand: ReceiverDemand,
    measured: Measured,
}

/// Where the counters stood a second ago.
#[derive(Default)]
struct Measured {
    pictures: usize,
    bytes: u64,
}

impl Media {
    pub(crate) fn new(world: Arc<World>, seen: Arc<Mutex<Seen>>, taken: Taken, others_taken: Taken) -> Self {
        Self {
            local_audio: LocalAudio::new(0).unwrap(),
            local_video: LocalVideo::new(0, world.instant()),
            world,
            seen,
            taken,
            others_taken,
            next_picture: Duration::ZERO,
            draws_up_to: usize::MAX,
            demand: ReceiverDemand::default(),
            measured: Measured::default(),
        }
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Begins anew, as with each peer; gives what takes in what comes.
    pub(crate) fn begin(&mut self) -> Remote {
        self.local_video = LocalVideo::new(0, self.world.instant());
        Remote {
            world: self.world.clone(),
            audio: Mutex::new(RemoteAudio::new().unwrap()),
            video: Mutex::new(RemoteVideo::default()),
            decoder: Mutex::new(VideoCodec::default().decoder().unwrap()),
            seen: self.seen.clone(),
            taken: self.others_taken.clone(),
            key_frame_wanted: AtomicBool::new(false),
            lost: AtomicU32::new(0),
        }
    }

    /// Ten milliseconds of sound each way, and a picture thirty times a second.
    pub(crate) fn tick(&mut self, ticks: u32, draws: Option<u32>, connection: Option<&Connection>) {
        self.speak(ticks, connection);
        self.listen(connection);
        if self.world.now() >= self.next_picture {
            self.show(draws, connection);
        }
    }

    /// Each second, as the client does of what its page tells it; what the other end is to be told, if
    /// that has changed.
    pub(crate) async fn measure(&mut self, connection: Option<&Connection>) -> Option<SentMedia> {
        let Connection { peer, remote, .. } = connection?;
        let bytes = remote.video.lock().unwrap().bytes();
        let drawing = {
            let seen = self.seen.lock().unwrap();
            let new = &seen.pictures[self.measured.pictures..];
            // Of larger ones as many as it has time for.
            let drawn =
                new.iter().map(|shown| (self.draws_up_to as f64 / shown.width as f64).powi(2).min(1.0));
            let drawn = drawn.sum::<f64>() as u64;
            let received = Bitrate::bps(bytes.saturating_sub(self.measured.bytes) * 8);
            self.measured = Measured { pictures: seen.pictures.len(), bytes };
            Drawing { drawn, late: new.len() as u64 - drawn, behind: Duration::ZERO, received }
        };
        let before = self.demand.pace();
        if let Some(most) = self.demand.on_drawn(&drawing, self.world.instant()) {
            peer.limit(VideoSource::Camera, most).await;
        }
        let draws = self.demand.pace();
        (draws != before).then_some(SentMedia { microphone: true, camera: true, screen: false, draws })
    }

    fn speak(&mut self, ticks: u32, connection: Option<&Connection>) {
        let first = u64::from(ticks) * FRAME as u64;
        let said: [f32; FRAME] =
            std::array::from_fn(|n| scene::voice((first + n as u64) as f64 / f64::from(SAMPLE_RATE)));
        let encoded = self.local_audio.capture(&said, self.world.instant()).unwrap();
        let (Some(encoded), Some(Connection { peer, remote, .. })) = (encoded, connection) else { return };
        let link = peer.media().link();
        peer.media().set_wanted(TrackSource::Microphone, wanted_audio(&link));
        let least_camera = self.local_video.sent().map(|_| ladder::STEPS[0].needs);
        let uses = Uses { least_camera, screen: Bitrate::ZERO };
        let lost = remote.lost.load(Ordering::Relaxed) as f32 / 1e3;
        self.local_audio.set_link(share(&link, uses).audio, lost).unwrap();
        peer.media().audio(AudioPacket {
            timestamp: encoded.timestamp,
            captured: encoded.captured,
            data: encoded.data.into(),
        });
    }

    fn listen(&mut self, connection: Option<&Connection>) {
        let mut seen = self.seen.lock().unwrap();
        let Some(Connection { remote, .. }) = connection else { return seen.heard.extend([0.0; FRAME]) };
        let mut audio = remote.audio.lock().unwrap();
        seen.heard.extend(audio.pull().unwrap());
        seen.sound = audio.stats();
    }

    /// The camera gives a picture.
    fn show(&mut self, draws: Option<u32>, connection: Option<&Connection>) {
        let (now, at) = (self.world.now(), self.world.instant());
        self.next_picture = (self.next_picture + Duration::from_secs(1) / 30).max(now);
        let Some(Connection { peer, remote, .. }) = connection else { return };
        let media = peer.media();
        if !media.is_connected() {
            return;
        }
        if remote.key_frame_wanted.swap(false, Ordering::Relaxed) {
            self.local_video.request_key_frame();
        }
        let link = media.link();
        let most = media.most(VideoSource::Camera);
        self.local_video.set_limit(most);
        self.local_video.set_pace(draws);
        media.set_wanted(TrackSource::Video(VideoSource::Camera), MOST_CAMERA.min(most));
        self.local_video.note_encoding(ENCODING);
        let Some(step) = self.local_video.wants(&link, Bitrate::ZERO, at).unwrap() else { return };
        let number = {
            let mut taken = self.taken.lock().unwrap();
            taken.push(now);
            u16::try_from(taken.len() - 1).expect("a visit of under half an hour")
        };
        let picture = scene::picture(number, step.width, step.height);
        let encoded = self.local_video.encode(&picture, step, at).unwrap();
        let is_sent = encoded.is_some_and(|encoded| {
            let EncodedVideo { timestamp, captured, codec, data, is_key: _ } = encoded;
            let frame = VideoFrame { timestamp, captured, codec, data: data.into() };
            media.video(VideoSource::Camera, frame)
        });
        if !is_sent {
            self.local_video.request_key_frame();
        }
    }
}
