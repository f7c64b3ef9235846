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

/// A call that keeps what it is sent.
#[cfg(test)]
pub(crate) mod testing {
    use std::{
        collections::HashMap,
        sync::Mutex,
        time::{Duration, Instant},
    };

    use bedside_bwe::{Bitrate, Config, LinkStatus};
    use bedside_call::{EncodedAudio, EncodedVideo};
    use bedside_media::{TrackSource, VideoCodec, VideoSource};

    use super::Outgoing;

    /// What it was sent: of each video, whether each frame was a key frame; and what each track wants.
    #[derive(Default)]
    pub(crate) struct Call {
        frames: Mutex<HashMap<VideoSource, Vec<bool>>>,
        wanted: Mutex<HashMap<TrackSource, Bitrate>>,
    }

    impl Call {
        pub(crate) fn frames(&self, source: VideoSource) -> Vec<bool> {
            self.frames.lock().unwrap().get(&source).cloned().unwrap_or_default()
        }

        pub(crate) fn wait_for_frames(&self, source: VideoSource, least: usize) {
            let began = Instant::now();
            while self.frames(source).len() < least {
                assert!(began.elapsed() < Duration::from_secs(5), "frames come");
                std::thread::yield_now();
            }
        }
    }

    impl Outgoing for Call {
        fn is_connected(&self) -> bool {
            true
        }

        fn link(&self) -> LinkStatus {
            let start = Bitrate::kbps(2_000);
            LinkStatus::unknown(Config { start, min: Bitrate::ZERO, max: Bitrate::MAX })
        }

        fn is_congested(&self, _: VideoSource) -> bool {
            false
        }

        fn codec(&self, _: VideoSource) -> VideoCodec {
            VideoCodec::Vp8
        }

        fn most(&self, _: VideoSource) -> Bitrate {
            Bitrate::MAX
        }

        fn set_wanted(&self, source: TrackSource, wanted: Bitrate) {
            self.wanted.lock().unwrap().insert(source, wanted);
        }

        fn wanted(&self, source: TrackSource) -> Bitrate {
            self.wanted.lock().unwrap().get(&source).copied().unwrap_or_default()
        }

        fn audio(&self, _: EncodedAudio) {}

        fn video(&self, source: VideoSource, frame: EncodedVideo) -> bool {
            self.frames.lock().unwrap().entry(source).or_default().push(frame.is_key);
            true
        }
    }
}
