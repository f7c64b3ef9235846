//! Where what is encoded goes: the seam between the media threads and a connection.

use bedside_bwe::{Bitrate, LinkStatus};
use bedside_call::{EncodedAudio, EncodedVideo};
use bedside_media::{TrackSource, VideoCodec, VideoSource};
use bedside_rtc::{AudioPacket, MediaSender, VideoFrame};

/// Takes encoded media. Must not block.
pub(crate) trait Outgoing: Send + Sync {
    /// Whether there is anybody to send to.
    fn is_connected(&self) -> bool;
    /// How the network is.
    fn link(&self) -> LinkStatus;
    /// Whether so much of a video waits already that the next frame is better left out.
    fn is_congested(&self, source: VideoSource) -> bool;
    /// What to encode a video in, as both ends have agreed.
    fn codec(&self, source: VideoSource) -> VideoCodec;
    /// The most that the other end takes of a video.
    fn most(&self, source: VideoSource) -> Bitrate;
    /// Says what a track has a use for: more is not tried.
    fn set_wanted(&self, source: TrackSource, wanted: Bitrate);
    /// What a track has a use for.
    fn wanted(&self, source: TrackSource) -> Bitrate;
    /// Sends audio, or drops it.
    fn audio(&self, packet: EncodedAudio);
    /// Sends a frame; false when it was dropped, after which a key frame must follow.
    fn video(&self, source: VideoSource, frame: EncodedVideo) -> bool;
}

impl Outgoing for MediaSender {
    fn is_connected(&self) -> bool {
        Self::is_connected(self)
    }

    fn link(&self) -> LinkStatus {
        Self::link(self)
    }

    fn is_congested(&self, source: VideoSource) -> bool {
        Self::is_congested(self, source)
    }

    fn codec(&self, source: VideoSource) -> VideoCodec {
        Self::codec(self, source)
    }

    fn most(&self, source: VideoSource) -> Bitrate {
        Self::most(self, source)
    }

    fn set_wanted(&self, source: TrackSource, wanted: Bitrate) {
        Self::set_wanted(self, source, wanted);
    }

    fn wanted(&self, source: TrackSource) -> Bitrate {
        Self::wanted(self, source)
    }

    fn audio(&self, EncodedAudio { timestamp, captured, data }: EncodedAudio) {
        Self::audio(self, AudioPacket { timestamp, captured, data: data.into() });
    }

    fn video(&self, source: VideoSource, frame: EncodedVideo) -> bool {
        let EncodedVideo { timestamp, captured, codec, data, is_key: _ } = frame;
        Self::video(self, source, VideoFrame { timestamp, captured, codec, data: data.into() })
    }
}
