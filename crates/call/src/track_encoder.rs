//! What camera and screen have in common on their way out: sizing, the encoder, key frames, RTP time.

use std::time::{Duration, Instant};

use bedside_bwe::Bitrate;
use bedside_media::{
    I420, MediaError, Scaler, VideoCodec,
    codec::{ContentHint, EncoderConfig, VideoEncoder},
};

use crate::KeyFrameThrottle;

/// A correction of the rate below this share is not worth unsettling the encoder's rate control.
const LEAST_CORRECTION: u64 = 20;

/// An encoded frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedVideo {
    /// RTP timestamp of its capture, 90 kHz.
    pub timestamp: u32,
    /// When that was.
    pub captured: Instant,
    /// What it is encoded in.
    pub codec: VideoCodec,
    /// The bitstream.
    pub data: Vec<u8>,
    /// Whether it needs none before it.
    pub is_key: bool,
}

/// The largest size and the pace that frames are sent in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Format {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) fps: u32,
}

/// Encodes one track.
pub(crate) struct TrackEncoder {
    content: ContentHint,
    codec: VideoCodec,
    scaler: Scaler,
    encoder: Option<Box<dyn VideoEncoder>>,
    bitrate: Bitrate,
    pub(crate) key_frames: KeyFrameThrottle,
    /// Mean time that a frame takes.
    pub(crate) encoding: Duration,
    epoch: Instant,
    first: u32,
}

impl TrackEncoder {
    /// The RTP clock is `first` at `epoch` (RFC 3550 §5.1: a random number).
    pub(crate) fn new(content: ContentHint, first: u32, epoch: Instant) -> Self {
        Self {
            content,
            codec: VideoCodec::default(),
            scaler: Scaler::default(),
            encoder: None,
            bitrate: Bitrate::ZERO,
            key_frames: KeyFrameThrottle::default(),
            encoding: Duration::ZERO,
            epoch,
            first,
        }
    }

    pub(crate) fn note_encoding(&mut self, took: Duration) {
        self.encoding = (self.encoding * 15 + took) / 16;
    }

    /// Encodes in another codec from the next frame on, which is a key frame then.
    pub(crate) fn set_codec(&mut self, codec: VideoCodec) {
        if codec != self.codec {
            self.codec = codec;
            self.encoder = None;
        }
    }

    pub(crate) fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), MediaError> {
        let change = bitrate.as_bps().abs_diff(self.bitrate.as_bps());
        if change > self.bitrate.as_bps() / LEAST_CORRECTION {
            self.bitrate = bitrate;
            if let Some(encoder) = &mut self.encoder {
                encoder.set_bitrate(kbps(bitrate))?;
            }
        }
        Ok(())
    }

    /// Encodes a frame captured at `at`, made as small as `format` asks; none when the rate control left
    /// it out.
    pub(crate) fn encode(
        &mut self,
        picture: &I420,
        format: Format,
        at: Instant,
    ) -> Result<Option<EncodedVideo>, MediaError> {
        let (width, height) = picture.fitted(format.width, format.height);
        let scaled;
        let sized = if (picture.width(), picture.height()) == (width, height) {
            picture
        } else {
            scaled = self.scaler.scale(picture, width, height)?;
            &scaled
        };
        if self.encoder.as_ref().is_none_or(|encoder| encoder.size() != (width, height)) {
            let config = EncoderConfig { width, height, kbps: kbps(self.bitrate), content: self.content };
            self.encoder = Some(self.codec.encoder(config)?);
        }
        let Some(encoder) = &mut self.encoder else { return Ok(None) };
        let pts = (at.saturating_duration_since(self.epoch).as_micros() * 9 / 100) as i64;
        let encoded = encoder.encode(sized, pts, 90_000 / format.fps, self.key_frames.is_due(at));
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
        Ok(Some(EncodedVideo {
            timestamp,
            captured: at,
            codec: self.codec,
            data: encoded.data.to_vec(),
            is_key: encoded.key,
        }))
    }
}

fn kbps(rate: Bitrate) -> u32 {
    (rate.as_bps() / 1_000) as u32
}
