//! What the tracks of a call carry.

use std::fmt;

use crate::SAMPLE_RATE;

/// The clock of video in RTP, Hz (RFC 7741 §4.1).
pub const VIDEO_CLOCK_RATE: u32 = 90_000;

/// Where a video track's frames come from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum VideoSource {
    /// The person.
    Camera,
    /// Their screen, or one window of it.
    Screen,
}

impl VideoSource {
    /// Each of them.
    pub const ALL: [Self; 2] = [Self::Camera, Self::Screen];
}

/// Where a track's samples come from. Each end has at most one track of each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrackSource {
    /// The person's voice.
    Microphone,
    /// Pictures.
    Video(VideoSource),
}

impl TrackSource {
    /// Whether it is heard, not seen.
    pub const fn is_audio(self) -> bool {
        matches!(self, Self::Microphone)
    }

    /// Steps of its RTP timestamps in a second.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Microphone => SAMPLE_RATE,
            Self::Video(_) => VIDEO_CLOCK_RATE,
        }
    }
}

/// As tracks are named in a description (`a=msid`, RFC 8830).
impl fmt::Display for TrackSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Microphone => "microphone",
            Self::Video(VideoSource::Camera) => "camera",
            Self::Video(VideoSource::Screen) => "screen",
        })
    }
}
