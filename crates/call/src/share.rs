//! How what the network carries is shared out between audio and camera.

use bedside_bwe::{Bitrate, Demand, LinkStatus, allocate, ladder::STEPS};

/// Packets of audio in a second, and the bytes around each: IPv4, UDP, RTP with its extension, SRTP.
const PACKETS: u64 = 50;
const HEADERS: u64 = 20 + 8 + 20 + 16;
/// Those headers, in a second.
const AUDIO_HEADERS: Bitrate = Bitrate::bps(PACKETS * HEADERS * 8);
/// Speech that can still be understood (RFC 7587 §3.1.1 names 8 to 12 kbit/s for narrow band).
const LEAST_AUDIO: Bitrate = Bitrate::kbps(12);
/// Full-band speech is transparent from about here.
const MOST_AUDIO: Bitrate = Bitrate::kbps(32);

#[derive(Clone, Copy)]
enum Track {
    Audio,
    Camera,
}

/// What each may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// For Opus, headers not counted.
    pub audio: Bitrate,
    /// For the camera's frames; zero where there is none.
    pub video: Bitrate,
    /// What the network was seen to carry of that.
    pub proven_video: Bitrate,
}

/// Shares out what the network carries: audio is never stopped, and yields before the picture does.
/// `least_video` is the least that a picture is of use with; none where none is sent.
pub fn share(link: &LinkStatus, least_video: Option<Bitrate>) -> Share {
    let audio = Demand {
        id: Track::Audio,
        min: LEAST_AUDIO + AUDIO_HEADERS,
        max: MOST_AUDIO + AUDIO_HEADERS,
        priority: 0,
        may_pause: false,
    };
    let camera = least_video.map(|min| Demand {
        id: Track::Camera,
        min,
        max: STEPS[STEPS.len() - 1].enough,
        priority: 1,
        may_pause: true,
    });
    let demands: Vec<Demand<Track>> = [audio].into_iter().chain(camera).collect();
    let mut share = Share { audio: LEAST_AUDIO, video: Bitrate::ZERO, proven_video: Bitrate::ZERO };
    for allocation in allocate(link.estimate.target, link.repair, &demands) {
        let rate = allocation.rate.unwrap_or_default();
        match allocation.id {
            Track::Audio => share.audio = rate - AUDIO_HEADERS,
            Track::Camera => share.video = rate,
        }
    }
    share.proven_video = link.estimate.proven - share.audio - AUDIO_HEADERS;
    share
}

/// What there is a use for in all, with and without a camera.
pub(crate) fn wanted(sends_video: bool, repair: Bitrate) -> Bitrate {
    let video = if sends_video { STEPS[STEPS.len() - 1].enough } else { Bitrate::ZERO };
    MOST_AUDIO + AUDIO_HEADERS + video + repair
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(target: u64, least_video: Option<u64>) -> Share {
        let mut link = LinkStatus::unknown(bedside_bwe::Config {
            start: Bitrate::kbps(target),
            min: Bitrate::ZERO,
            max: Bitrate::MAX,
        });
        link.estimate.proven = Bitrate::kbps(target);
        share(&link, least_video.map(Bitrate::kbps))
    }

    #[test]
    fn a_picture_takes_from_the_audio_before_it_stops() {
        assert_eq!(shared(1_000, None).audio, MOST_AUDIO);
        assert_eq!(shared(20, None).audio, LEAST_AUDIO, "never stopped");
        let narrow = shared(100, Some(50));
        assert!(narrow.video >= Bitrate::kbps(50) && narrow.audio < MOST_AUDIO, "{narrow:?}");
        let narrower = shared(80, Some(50));
        assert_eq!(
            (narrower.video, narrower.audio),
            (Bitrate::ZERO, MOST_AUDIO),
            "sound only, but all of it"
        );
        let wide = shared(1_000, Some(50));
        assert_eq!(wide.video + wide.audio + AUDIO_HEADERS, Bitrate::kbps(1_000));
    }
}
