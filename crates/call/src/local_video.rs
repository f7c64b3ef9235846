//! One's own picture: camera frames in, encoded frames out, as large as the network and this machine
//! afford.

use std::time::{Duration, Instant};

use bedside_bwe::{Bitrate, Ladder, LinkStatus, Step, ladder::Means};
use bedside_media::{I420, MediaError, picture::Scaler, vp8::Encoder};

use crate::{
    KeyFrameThrottle,
    share::{share, wanted},
};

/// How often the size is chosen.
const CHOOSE_EVERY: Duration = Duration::from_millis(250);
/// A correction of the rate below this share is not worth unsettling the encoder's rate control.
const LEAST_CORRECTION: u64 = 20;

/// An encoded frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedVideo {
    /// RTP timestamp of its capture, 90 kHz.
    pub timestamp: u32,
    /// When that was.
    pub captured: Instant,
    /// The bitstream.
    pub data: Vec<u8>,
    /// Whether it needs none before it.
    pub is_key: bool,
}

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
    scaler: Scaler,
    encoder: Option<Encoder>,
    ladder: Ladder,
    step: Option<Step>,
    bitrate: Bitrate,
    chosen_at: Option<Instant>,
    key_frames: KeyFrameThrottle,
    /// Mean time that a frame takes to encode.
    encoding: Duration,
    next_frame: Instant,
    epoch: Instant,
    first: u32,
}

impl LocalVideo {
    /// Nothing was sent yet. The RTP clock is `first` at `epoch` (RFC 3550 §5.1: a random number).
    pub fn new(first: u32, epoch: Instant) -> Self {
        Self {
            scaler: Scaler::default(),
            encoder: None,
            ladder: Ladder::default(),
            step: None,
            bitrate: Bitrate::ZERO,
            chosen_at: None,
            key_frames: KeyFrameThrottle::default(),
            encoding: Duration::ZERO,
            next_frame: epoch,
            epoch,
            first,
        }
    }

    /// The other end, or a frame that was not sent, asks for a key frame.
    pub fn request_key_frame(&mut self) {
        self.key_frames.request();
    }

    /// What is sent; none while only audio is affordable, or nothing was chosen yet.
    pub fn sent(&self) -> Option<SentVideo> {
        self.step.map(|step| SentVideo { width: step.width, height: step.height, fps: step.fps })
    }

    /// What there is a use for, for the network to be tried for.
    pub fn wanted(link: &LinkStatus, has_camera: bool) -> Bitrate {
        wanted(has_camera, link.repair)
    }

    /// How long the last frame took to encode.
    pub fn note_encoding(&mut self, took: Duration) {
        self.encoding = (self.encoding * 15 + took) / 16;
    }

    /// Whether a frame captured now would be sent: chooses its size, four times a second.
    pub fn wants(&mut self, link: &LinkStatus, at: Instant) -> Result<Option<Step>, MediaError> {
        self.choose(link, at)?;
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
        let (width, height) = picture.fitted(step.width, step.height);
        let scaled;
        let sized = if (picture.width(), picture.height()) == (width, height) {
            picture
        } else {
            scaled = self.scaler.scale(picture, width, height)?;
            &scaled
        };
        if self.encoder.as_ref().is_none_or(|encoder| encoder.size() != (width, height)) {
            self.encoder = Some(Encoder::new(width, height, kbps(self.bitrate))?);
        }
        let Some(encoder) = &mut self.encoder else { return Ok(None) };
        let pts = (at.saturating_duration_since(self.epoch).as_micros() * 9 / 100) as i64;
        let encoded = encoder.encode(sized, pts, 90_000 / step.fps, self.key_frames.is_due(at));
        let encoded = match encoded {
            Ok(encoded) => encoded,
            Err(error) => {
                self.encoder = None;
                return Err(error);
            }
        };
        let Some(encoded) = encoded else { return Ok(None) };
        if encoded.key {
            self.key_frames.made(at);
        }
        let timestamp = self.first.wrapping_add(pts as u32);
        Ok(Some(EncodedVideo { timestamp, captured: at, data: encoded.data.to_vec(), is_key: encoded.key }))
    }

    fn choose(&mut self, link: &LinkStatus, now: Instant) -> Result<(), MediaError> {
        if self.chosen_at.is_some_and(|at| now.saturating_duration_since(at) < CHOOSE_EVERY) {
            return Ok(());
        }
        self.chosen_at = Some(now);
        let share = share(link, Some(self.ladder.least()));
        let means = Means { rate: share.video, proven: share.proven_video, encoding: self.encoding };
        let choice = self.ladder.choose(&means, now);
        if choice.step != self.step {
            self.step = choice.step;
            self.encoding = Duration::ZERO;
        }
        let change = choice.bitrate.as_bps().abs_diff(self.bitrate.as_bps());
        if change > self.bitrate.as_bps() / LEAST_CORRECTION {
            self.bitrate = choice.bitrate;
            if let Some(encoder) = &mut self.encoder {
                encoder.set_bitrate(kbps(self.bitrate))?;
            }
        }
        Ok(())
    }
}

fn kbps(rate: Bitrate) -> u32 {
    (rate.as_bps() / 1_000) as u32
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

    /// Sends for `seconds`; gives each frame's time in ms and whether it was a key frame.
    fn sent(link: &LinkStatus, seconds: u64, asks: impl Fn(u64) -> bool) -> Vec<(u64, bool)> {
        let began = Instant::now();
        let mut video = LocalVideo::new(7, began);
        let picture = I420::black(640, 360);
        let mut frames = vec![];
        for n in 0..seconds * 30 {
            let at = began + Duration::from_micros(n * 33_333);
            if asks(n) {
                video.request_key_frame();
            }
            if let Some(step) = video.wants(link, at).unwrap()
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

    #[test]
    fn what_waits_already_is_not_added_to_and_audio_only_sends_none() {
        assert!(sent(&LinkStatus { is_congested: true, ..link(400) }, 1, |_| false).is_empty());
        assert!(sent(&link(60), 1, |_| false).is_empty());
        let frames = sent(&link(400), 2, |_| false).len();
        assert!((46..=50).contains(&frames), "24 a second: {frames}");
    }
}
