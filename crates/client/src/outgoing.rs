//! Where what is encoded goes: the seam between the media threads and a connection.

use bedside_bwe::{Bitrate, LinkStatus};
use bedside_call::{EncodedAudio, EncodedVideo};
use bedside_rtc::{AudioPacket, MediaSender, VideoFrame};

/// Takes encoded media. Must not block.
pub(crate) trait Outgoing: Send + Sync {
    /// Whether there is anybody to send to.
    fn is_connected(&self) -> bool;
    /// How the network is.
    fn link(&self) -> LinkStatus;
    /// Says what there is a use for: more is not tried.
    fn set_wanted(&self, wanted: Bitrate);
    /// Sends audio, or drops it.
    fn audio(&self, packet: EncodedAudio);
    /// Sends a frame; false when it was dropped, after which a key frame must follow.
    fn video(&self, frame: EncodedVideo) -> bool;
}

impl Outgoing for MediaSender {
    fn is_connected(&self) -> bool {
        Self::is_connected(self)
    }

    fn link(&self) -> LinkStatus {
        let link = Self::link(self);
        LinkStatus { is_congested: self.is_congested(), ..link }
    }

    fn set_wanted(&self, wanted: Bitrate) {
        Self::set_wanted(self, wanted);
    }

    fn audio(&self, EncodedAudio { timestamp, captured, data }: EncodedAudio) {
        Self::audio(self, AudioPacket { timestamp, captured, data: data.into() });
    }

    fn video(&self, EncodedVideo { timestamp, captured, data, .. }: EncodedVideo) -> bool {
        Self::video(self, VideoFrame { timestamp, captured, data: data.into() })
    }
}
