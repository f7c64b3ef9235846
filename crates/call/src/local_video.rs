//! One's own picture: camera frames in, encoded frames out, as large as the network and this machine
//! afford.

use std::time::{Duration, Instant};

use bedside_bwe::{Bitrate, Ladder, LinkStatus, Step, ladder::Means};
use bedside_media::{I420, MediaError, VideoCodec, codec::ContentHint};

use crate::{
    EncodedVideo,
    share::{Uses, share},
    track_encoder::{Format, TrackEncoder},
};

/// How often the size is chosen.
const CHOOSE_EVERY: Duration = Duration::from_millis(250);

/// What is sent of one's own picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SentVideo {
    /// Largest width.
    pub width: usize,
    /// Largest height.
    pub height: usize,
    /// Frames a second.
    pub fps: u32,
}

/// Encodes what the camera gives.
pub struct LocalVideo {
    encoder: TrackEncoder,
    ladder: Ladder,
    /// The most that the other end can draw.
    limit: Bitrate,
    /// The most pictures a second that its window can draw, where it said so.
    pace: Option<u32>,
    step: Option<Step>,
    chosen_at: Option<Instant>,
    next_frame: Instant,
}

impl LocalVideo {
    /// Nothing was sent yet. The RTP clock is `first` at `epoch` (RFC 3550 §5.1: a random number).
    pub fn new(first: u32, epoch: Instant) -> Self {
        Self {
            encoder: TrackEncoder::new(ContentHint::Motion, first, epoch),
            ladder: Ladder::default(),
            limit: Bitrate::MAX,
            pace: None,
            step: None,
            chosen_at: None,
            next_frame: epoch,
        }
    }

    /// The other end, or a frame that was not sent, asks for a key frame.
    pub fn request_key_frame(&mut self) {
        self.encoder.key_frames.request();
    }

    /// The other end can draw no more than this; [`Bitrate::MAX`] where it said nothing of it.
    pub fn set_limit(&mut self, most: Bitrate) {
        self.limit = most;
    }

    /// The other end's window can draw no more pictures a second than these; none where it draws what comes.
    pub const fn set_pace(&mut self, most: Option<u32>) {
        self.pace = most;
    }

    /// Both ends have agreed on this codec.
    pub fn set_codec(&mut self, codec: VideoCodec) {
        self.encoder.set_codec(codec);
    }

    /// What is sent; none while only audio is affordable, or nothing was chosen yet.
    pub fn sent(&self) -> Option<SentVideo> {
        self.step.map(|step| SentVideo { width: step.width, height: step.height, fps: step.fps })
    }

    /// How long the last frame took to encode.
    pub fn note_encoding(&mut self, took: Duration) {
        self.encoder.note_encoding(took);
    }

    /// Whether a frame captured now would be sent: chooses its size, four times a second. `screen` is what
    /// a screen beside it could use.
    pub fn wants(
        &mut self,
        link: &LinkStatus,
        screen: Bitrate,
        at: Instant,
    ) -> Result<Option<Step>, MediaError> {
        self.choose(link, screen, at)?;
        let Some(step) = self.step else { return Ok(None) };
        // A camera at 30 gives 20 by leaving out every third.
        let interval = Duration::from_secs(1) / step.fps;
        if at + interval / 4 < self.next_frame || link.is_congested {
            return Ok(None);
        }
        self.next_frame = (self.next_frame + interval).max(at);
        Ok(Some(step))
    }

    /// Encodes a frame captured at `at`; none when the rate control left it out.
    pub fn encode(
        &mut self,
        picture: &I420,
        step: Step,
        at: Instant,
    ) -> Result<Option<EncodedVideo>, MediaError> {
        self.encoder.encode(picture, Format { width: step.width, height: step.height, fps: step.fps }, at)
    }

    fn choose(&mut self, link: &LinkStatus, screen: Bitrate, now: Instant) -> Result<(), MediaError> {
        if self.chosen_at.is_some_and(|at| now.saturating_duration_since(at) < CHOOSE_EVERY) {
            return Ok(());
        }
        self.chosen_at = Some(now);
        let share = share(link, Uses { least_camera: Some(self.ladder.least()), screen });
        let means = Means {
            rate: share.camera.min(self.limit),
            proven: share.proven_camera,
            encoding: self.encoder.encoding,
            pace: self.pace,
        };
        let choice = self.ladder.choose(&means, now);
        if choice.step != self.step {
            self.step = choice.step;
            self.encoder.encoding = Duration::ZERO;
        }
        self.encoder.set_bitrate(choice.bitrate)
    }
}

#[cfg(test)]
mod tests {
    use bedside_bwe::Config;

    use super::*;

    fn link(kbps: u64) -> LinkStatus {
        let rate = Bitrate::kbps(kbps);
        let mut link = LinkStatus::unknown(Config { start: rate, min: Bitrate::ZERO, max: Bitrate::MAX });
        link.estimate.proven = rate;
        link
    }

    #[test]
    fn no_more_pictures_are_sent_than_the_other_window_draws() {
        let (began, picture, link) = (Instant::now(), I420::black(640, 360), link(280));
        let mut video = LocalVideo::new(7, began);
        let mut second = 0;
        for (pace, wanted) in [(None, 24), (Some(15), 15), (Some(0), 5), (None, 24)] {
            video.set_pace(pace);
            let mut sent = 0;
            for _ in 0..4 {
                sent = 0;
                for n in 0..30 {
                    let at = began + Duration::from_micros((second * 30 + n) * 33_333);
                    if let Some(step) = video.wants(&link, Bitrate::ZERO, at).unwrap() {
                        video.encode(&picture, step, at).unwrap();
                        sent += 1;
                    }
                }
                second += 1;
            }
            assert!(u32::abs_diff(sent, wanted) <= 1, "{sent} a second, asked for {pace:?}");
        }
    }

    /// Sends for `seconds`; gives each frame's time in ms and whether it was a key frame.
    fn sent(link: &LinkStatus, seconds: u64, asks: impl Fn(u64) -> bool) -> Vec<(u64, bool)> {
        sent_in(VideoCodec::Vp8, link, seconds, asks)
    }

    fn sent_in(
        codec: VideoCodec,
        link: &LinkStatus,
        seconds: u64,
        asks: impl Fn(u64) -> bool,
    ) -> Vec<(u64, bool)> {
        let began = Instant::now();
        let mut video = LocalVideo::new(7, began);
        video.set_codec(codec);
        let picture = I420::black(640, 360);
        let mut frames = vec![];
        for n in 0..seconds * 30 {
            let at = began + Duration::from_micros(n * 33_333);
            if asks(n) {
                video.request_key_frame();
            }
            if let Some(step) = video.wants(link, Bitrate::ZERO, at).unwrap()
                && let Some(frame) = video.encode(&picture, step, at).unwrap()
            {
                frames.push((n * 33, frame.is_key));
            }
        }
        frames
    }

    #[test]
    fn a_flood_of_requests_makes_three_key_frames_a_second() {
        let keys: Vec<u64> =
            sent(&link(400), 3, |_| true).iter().filter(|(_, key)| *key).map(|(ms, _)| *ms).collect();
        assert!((9..=10).contains(&keys.len()), "{keys:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn another_codec_has_the_same_pace_and_as_few_key_frames() {
        let frames = sent_in(VideoCodec::H264, &link(300), 3, |n| n == 40);
        let keys: Vec<u64> = frames.iter().filter(|(_, key)| *key).map(|(ms, _)| *ms).collect();
        assert!(keys.len() == 2 && keys[0] == 0, "{keys:?}");
        assert!((66..=75).contains(&frames.len()), "24 a second: {}", frames.len());
    }

    #[test]
    fn what_waits_already_is_not_added_to_and_audio_only_sends_none() {
        assert!(sent(&LinkStatus { is_congested: true, ..link(400) }, 1, |_| false).is_empty());
        assert!(sent(&link(60), 1, |_| false).is_empty());
        let frames = sent(&link(400), 2, |_| false).len();
        assert!((46..=50).contains(&frames), "24 a second: {frames}");
    }

    #[test]
    fn no_more_is_sent_than_the_other_end_can_draw() {
        let began = Instant::now();
        let mut video = LocalVideo::new(7, began);
        let height = |video: &mut LocalVideo, seconds: std::ops::Range<u64>| {
            for tick in seconds.start * 4..seconds.end * 4 {
                video.wants(&link(3_000), Bitrate::ZERO, began + Duration::from_millis(tick * 250)).unwrap();
            }
            video.sent().map(|sent| sent.height)
        };
        assert_eq!(height(&mut video, 0..30), Some(720));
        video.set_limit(Bitrate::kbps(300));
        assert_eq!(height(&mut video, 30..31), Some(360), "at once");
        video.set_limit(Bitrate::MAX);
        assert_eq!(height(&mut video, 31..90), Some(720), "and back");
    }
}
