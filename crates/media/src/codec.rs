//! Codecs of video behind one face: whoever sends or shows pictures names none of them.

use std::sync::OnceLock;

use crate::{I420, MediaError, h264, vp8};

#[cfg(not(openh264))]
const ABSENT: MediaError = MediaError::H264("this system has no OpenH264");

/// A codec of video.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum VideoCodec {
    /// RFC 6386: every WebRTC endpoint has it (RFC 7742 §5).
    #[default]
    Vp8,
    /// Its constrained baseline, up to level 3.1: 720p at 30 frames a second. It takes little more
    /// than half of VP8's time to encode, for the same or a better picture (docs/measured.md).
    H264,
}

/// What the pictures are of (W3C mst-content-hint).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentHint {
    /// Something that moves: rather blurred than late.
    Motion,
    /// Something that is read: rather seldom than blurred.
    Text,
}

/// What an encoder begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncoderConfig {
    /// Pixels, even.
    pub width: usize,
    /// Pixels, even.
    pub height: usize,
    /// Kilobits in a second.
    pub kbps: u32,
    /// What the pictures are of.
    pub content: ContentHint,
}

/// One encoded picture.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a> {
    /// The bitstream; of H.264 an access unit as a byte stream (its Annex B), parameter sets before a key frame.
    pub data: &'a [u8],
    /// Whether it can be decoded by itself.
    pub key: bool,
}

/// Encodes pictures of one size.
pub trait VideoEncoder: Send {
    /// Its width and height in pixels.
    fn size(&self) -> (usize, usize);

    /// Aims at another bitrate, in kilobits a second, from the next picture on.
    fn set_bitrate(&mut self, kbps: u32) -> Result<(), MediaError>;

    /// Encodes a picture shown at `pts` for `duration`, both in 90 kHz units; a key frame where `key`.
    /// `None` when the rate control dropped it.
    fn encode(
        &mut self,
        picture: &I420,
        pts: i64,
        duration: u32,
        key: bool,
    ) -> Result<Option<Encoded<'_>>, MediaError>;
}

/// Decodes pictures of any size.
pub trait VideoDecoder: Send {
    /// Decodes one frame; `None` when it shows nothing.
    fn decode(&mut self, data: &[u8]) -> Result<Option<I420>, MediaError>;
}

impl VideoCodec {
    /// An encoder.
    pub fn encoder(self, config: EncoderConfig) -> Result<Box<dyn VideoEncoder>, MediaError> {
        match self {
            Self::Vp8 => vp8::shim().encoder(config),
            #[cfg(openh264)]
            Self::H264 => h264::shim().encoder(config),
            #[cfg(not(openh264))]
            Self::H264 => Err(ABSENT),
        }
    }

    /// A decoder that waits for a key frame.
    pub fn decoder(self) -> Result<Box<dyn VideoDecoder>, MediaError> {
        match self {
            Self::Vp8 => vp8::shim().decoder(),
            #[cfg(openh264)]
            Self::H264 => h264::shim().decoder(),
            #[cfg(not(openh264))]
            Self::H264 => Err(ABSENT),
        }
    }

    /// Width and height that a key frame says it has; none of another frame.
    pub fn key_frame_size(self, data: &[u8]) -> Option<(u16, u16)> {
        match self {
            Self::Vp8 => vp8::key_frame_size(data),
            Self::H264 => h264::key_frame_size(data),
        }
    }

    /// Whether this system can encode and decode it, as tried once: some ship an OpenH264 that does nothing.
    pub fn is_available(self) -> bool {
        static H264_WORKS: OnceLock<bool> = OnceLock::new();
        let config = EncoderConfig { width: 320, height: 180, kbps: 300, content: ContentHint::Motion };
        match self {
            Self::Vp8 => true,
            Self::H264 => *H264_WORKS.get_or_init(|| self.encoder(config).is_ok() && self.decoder().is_ok()),
        }
    }
}
