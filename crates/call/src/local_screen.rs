//! One's own screen: seldom rather than blurred, and only while something on it changes.

use std::time::{Duration, Instant};

use bedside_bwe::{Bitrate, LinkStatus};
use bedside_media::{I420, MediaError, codec::ContentHint};

use crate::{
    EncodedVideo, SentVideo,
    share::{LEAST_SCREEN, MOST_SCREEN},
    track_encoder::{Format, TrackEncoder},
};

/// Frames a second while it changes: as often as scrolling needs.
const FPS: u32 = 15;
/// Each frame may take this share of the time until the next one to encode: the call has other work.
const ENCODING_SHARE: u32 = 2;
/// How long after a change frames still follow: the first is blurred where the line is narrow, and each
/// after it sharper.
const SHARPENS_FOR: Duration = Duration::from_secs(2);
/// A frame comes all the same: a lost one is only missed when another comes after it.
const AT_LEAST_EVERY: Duration = Duration::from_secs(1);
/// What a screen is made to fit into.
const LARGE: Format = Format { width: 1_920, height: 1_080, fps: FPS };
/// And on a narrow line: text can still be read, and comes in half the time.
const SMALL: Format = Format { width: 1_280, height: 720, fps: FPS };
/// Below this it is made smaller, above the other one larger again. A change costs a key frame.
const SMALL_BELOW: Bitrate = Bitrate::kbps(250);
const LARGE_FROM: Bitrate = Bitrate::kbps(450);

/// Encodes what a screen shows.
pub struct LocalScreen {
    encoder: TrackEncoder,
    format: Format,
    next_frame: Instant,
    changed_at: Option<Instant>,
    sent_at: Option<Instant>,
    sent: Option<SentVideo>,
}

impl LocalScreen {
    /// Nothing was sent yet. The RTP clock is `first` at `epoch` (RFC 3550 §5.1: a random number).
    pub fn new(first: u32, epoch: Instant) -> Self {
        Self {
            encoder: TrackEncoder::new(ContentHint::Text, first, epoch),
            format: LARGE,
            next_frame: epoch,
            changed_at: None,
            sent_at: None,
            sent: None,
        }
    }

    /// The other end, or a frame that was not sent, asks for a key frame.
    pub fn request_key_frame(&mut self) {
        self.encoder.key_frames.request();
    }

    /// What was sent last.
    pub const fn sent(&self) -> Option<SentVideo> {
        self.sent
    }

    /// What there is a use for: little while nothing changes.
    pub fn wanted(&self, now: Instant) -> Bitrate {
        if self.sent_at.is_none() || self.sharpens(now) { MOST_SCREEN } else { LEAST_SCREEN }
    }

    /// How long the last frame took to encode.
    pub fn note_encoding(&mut self, took: Duration) {
        self.encoder.note_encoding(took);
    }

    /// When the screen is to be looked at next.
    pub const fn next_frame(&self) -> Instant {
        self.next_frame
    }

    /// Takes what the screen shows at `at`, and whether that is something else than before. Gives the
    /// frame to send, if there is one. `rate` is what it could have of the line.
    pub fn encode(
        &mut self,
        picture: &I420,
        has_changed: bool,
        link: &LinkStatus,
        rate: Bitrate,
        at: Instant,
    ) -> Result<Option<EncodedVideo>, MediaError> {
        let interval = (Duration::from_secs(1) / FPS).max(self.encoder.encoding * ENCODING_SHARE);
        self.next_frame = (self.next_frame + interval).max(at);
        // What was shown before there was anybody to see it is new to them.
        if has_changed || self.sent_at.is_none() {
            self.changed_at = Some(at);
        }
        let is_silent = self.sent_at.is_none_or(|sent| at >= sent + AT_LEAST_EVERY);
        let is_wanted = self.sharpens(at) || is_silent || self.encoder.key_frames.is_due(at);
        if !is_wanted || link.is_congested || rate == Bitrate::ZERO {
            return Ok(None);
        }
        if rate < SMALL_BELOW {
            self.format = SMALL;
        } else if rate >= LARGE_FROM {
            self.format = LARGE;
        }
        self.encoder.set_bitrate(rate.min(self.wanted(at)))?;
        let encoded = self.encoder.encode(picture, self.format, at)?;
        if encoded.is_some() {
            let (width, height) = picture.fitted(self.format.width, self.format.height);
            self.sent = Some(SentVideo { width, height, fps: FPS });
            self.sent_at = Some(at);
        }
        Ok(encoded)
    }

    fn sharpens(&self, now: Instant) -> bool {
        self.changed_at.is_some_and(|at| now < at + SHARPENS_FOR)
    }
}

#[cfg(test)]
mod tests {
    use bedside_bwe::Config;
    use bedside_media::VideoCodec;

    use super::*;

    fn link() -> LinkStatus {
        let start = Bitrate::kbps(1_000);
        LinkStatus::unknown(Config { start, min: Bitrate::ZERO, max: Bitrate::MAX })
    }

    const WIDTH: usize = 1_920;
    const HEIGHT: usize = 1_080;

    /// A page of lines as wide as letters are.
    fn page(number: usize) -> I420 {
        let mut picture = I420::black(WIDTH, HEIGHT);
        let (luma, _, _) = picture.planes_mut();
        for (at, value) in luma.iter_mut().enumerate() {
            let (x, y) = (at % WIDTH, at / WIDTH);
            *value = if (x / 2 * (7 + number) + y / 9 * 13) % 11 < 3 && y % 18 < 10 { 40 } else { 220 };
        }
        picture
    }

    struct Frame {
        ms: u64,
        data: Vec<u8>,
        is_key: bool,
    }

    /// Shows pages for so many seconds each; gives the frames that were sent.
    fn sent(rate: Bitrate, pages: &[u64], asks_at: Option<u64>) -> Vec<Frame> {
        let began = Instant::now();
        let mut screen = LocalScreen::new(7, began);
        let (mut frames, mut shown) = (vec![], usize::MAX);
        let turns: Vec<u64> = pages.iter().scan(0, |sum, s| Some(std::mem::replace(sum, *sum + s))).collect();
        let ends = Duration::from_secs(pages.iter().sum());
        while screen.next_frame() < began + ends {
            let at = screen.next_frame();
            let ms = (at - began).as_millis() as u64;
            let number = turns.iter().filter(|turn| ms >= **turn * 1_000).count();
            if asks_at.is_some_and(|asked| ms >= asked && ms < asked + 60) {
                screen.request_key_frame();
            }
            let has_changed = std::mem::replace(&mut shown, number) != number;
            let picture = page(number);
            if let Some(frame) = screen.encode(&picture, has_changed, &link(), rate, at).unwrap() {
                frames.push(Frame { ms, data: frame.data, is_key: frame.is_key });
            }
        }
        frames
    }

    #[test]
    fn a_page_that_stands_still_costs_a_frame_a_second() {
        let frames = sent(Bitrate::kbps(800), &[8], None);
        // Two seconds after the change it is sent as it changes, and for two more it may still grow sharper.
        let seldom = frames.iter().filter(|frame| frame.ms >= 3_000).count();
        assert!((4..=6).contains(&seldom), "{seldom}");
        let still = frames.iter().filter(|frame| frame.ms >= 5_000).collect::<Vec<_>>();
        let bytes: usize = still.iter().map(|frame| frame.data.len()).sum();
        let rate = Bitrate::bps(bytes as u64 * 8 / 3);
        assert!(rate <= LEAST_SCREEN, "no more than is kept for it: {rate}");
        let keys = frames.iter().filter(|frame| frame.is_key).count();
        assert_eq!(keys, 1, "and it stays as large as it is");
    }

    #[test]
    fn another_page_comes_at_once_and_grows_sharp() {
        let frames = sent(Bitrate::kbps(800), &[3, 4], None);
        assert!(frames.iter().any(|frame| (3_000..3_100).contains(&frame.ms)), "at once");
        let mut decoder = VideoCodec::default().decoder().unwrap();
        let shown: Vec<I420> = frames.iter().map(|f| decoder.decode(&f.data).unwrap().unwrap()).collect();
        let page = page(2);
        let differs = shown.last().unwrap().planes().0.iter().zip(page.planes().0);
        let error: u64 = differs.map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        let error = error / (WIDTH * HEIGHT) as u64;
        assert!(error < 6, "letters can be read: off by {error} a pixel");
    }

    #[test]
    fn whoever_asks_is_given_a_key_frame_though_nothing_changes() {
        let frames = sent(Bitrate::kbps(800), &[8], Some(5_300));
        let asked = frames.iter().find(|frame| frame.ms >= 5_300).unwrap();
        assert!(asked.is_key && asked.ms < 5_500, "at {} ms", asked.ms);
    }

    #[test]
    fn without_a_share_nothing_is_sent() {
        assert!(sent(Bitrate::ZERO, &[2], None).is_empty());
    }
}
