//! How what the network carries is shared out between audio, screen and camera.

use bedside_bwe::{Bitrate, Demand, LinkStatus, allocate, ladder::STEPS};
use bedside_media::{TrackSource, VideoSource};

/// Packets of audio in a second, and the bytes around each: IPv4, UDP, RTP with its extension, SRTP.
const PACKETS: u64 = 50;
const HEADERS: u64 = 20 + 8 + 20 + 16;
/// Those headers, in a second.
const AUDIO_HEADERS: Bitrate = Bitrate::bps(PACKETS * HEADERS * 8);
/// Speech that can still be understood (RFC 7587 §3.1.1 names 8 to 12 kbit/s for narrow band).
const LEAST_AUDIO: Bitrate = Bitrate::kbps(12);
/// Full-band speech is transparent from about here.
const MOST_AUDIO: Bitrate = Bitrate::kbps(32);
/// What the camera's largest picture has a use for.
pub const MOST_CAMERA: Bitrate = STEPS[STEPS.len() - 1].enough;

/// A page of text that comes within seconds.
pub(crate) const LEAST_SCREEN: Bitrate = Bitrate::kbps(100);
/// A page of 1080p that is sharp within a second.
pub const MOST_SCREEN: Bitrate = Bitrate::kbps(1_500);

/// What is sent beside the audio.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Uses {
    /// The least that a picture of the camera is of use with; none where none is sent.
    pub least_camera: Option<Bitrate>,
    /// What a screen could use now; zero where none is shared.
    pub screen: Bitrate,
}

/// What each may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Share {
    /// For Opus, headers not counted.
    pub audio: Bitrate,
    /// For the screen's frames; zero where there is none.
    pub screen: Bitrate,
    /// For the camera's frames; zero where there is none.
    pub camera: Bitrate,
    /// What the network was seen to carry of that.
    pub proven_camera: Bitrate,
}

/// Shares out what the network carries: audio is never stopped, and yields before a picture does. While
/// somebody shows their screen, that is what is looked at: it goes before the camera.
pub fn share(link: &LinkStatus, uses: Uses) -> Share {
    let audio = Demand {
        id: TrackSource::Microphone,
        min: LEAST_AUDIO + AUDIO_HEADERS,
        max: MOST_AUDIO + AUDIO_HEADERS,
        priority: 0,
        may_pause: false,
    };
    let screen = Some(uses.screen).filter(|most| *most > Bitrate::ZERO).map(|max| Demand {
        id: TrackSource::Video(VideoSource::Screen),
        min: LEAST_SCREEN.min(max),
        max,
        priority: 1,
        may_pause: true,
    });
    let camera = uses.least_camera.map(|min| Demand {
        id: TrackSource::Video(VideoSource::Camera),
        min,
        max: MOST_CAMERA,
        priority: 2,
        may_pause: true,
    });
    let demands: Vec<Demand<TrackSource>> = [Some(audio), screen, camera].into_iter().flatten().collect();
    let mut share = Share {
        audio: LEAST_AUDIO,
        screen: Bitrate::ZERO,
        camera: Bitrate::ZERO,
        proven_camera: Bitrate::ZERO,
    };
    for allocation in allocate(link.estimate.target, link.repair, &demands) {
        let rate = allocation.rate.unwrap_or_default();
        match allocation.id {
            TrackSource::Microphone => share.audio = rate - AUDIO_HEADERS,
            TrackSource::Video(VideoSource::Screen) => share.screen = rate,
            TrackSource::Video(VideoSource::Camera) => share.camera = rate,
        }
    }
    share.proven_camera = link.estimate.proven - share.audio - AUDIO_HEADERS - share.screen;
    share
}

/// What there is a use for, for audio and repairs.
pub fn wanted_audio(link: &LinkStatus) -> Bitrate {
    MOST_AUDIO + AUDIO_HEADERS + link.repair
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(target: u64, least_camera: Option<u64>, screen: u64) -> Share {
        let mut link = LinkStatus::unknown(bedside_bwe::Config {
            start: Bitrate::kbps(target),
            min: Bitrate::ZERO,
            max: Bitrate::MAX,
        });
        link.estimate.proven = Bitrate::kbps(target);
        let least_camera = least_camera.map(Bitrate::kbps);
        share(&link, Uses { least_camera, screen: Bitrate::kbps(screen) })
    }

    #[test]
    fn a_picture_takes_from_the_audio_before_it_stops() {
        assert_eq!(shared(1_000, None, 0).audio, MOST_AUDIO);
        assert_eq!(shared(20, None, 0).audio, LEAST_AUDIO, "never stopped");
        let narrow = shared(100, Some(50), 0);
        assert!(narrow.camera >= Bitrate::kbps(50) && narrow.audio < MOST_AUDIO, "{narrow:?}");
        let narrower = shared(80, Some(50), 0);
        assert_eq!(
            (narrower.camera, narrower.audio),
            (Bitrate::ZERO, MOST_AUDIO),
            "sound only, but all of it"
        );
        let wide = shared(1_000, Some(50), 0);
        assert_eq!(wide.camera + wide.audio + AUDIO_HEADERS, Bitrate::kbps(1_000));
    }

    #[test]
    fn a_screen_that_is_shown_goes_before_the_camera() {
        let wide = shared(3_000, Some(50), 1_500);
        assert_eq!((wide.screen, wide.audio), (MOST_SCREEN, MOST_AUDIO));
        assert!(wide.camera > Bitrate::kbps(1_000), "{wide:?}");
        let narrow = shared(600, Some(50), 1_500);
        assert_eq!(narrow.camera, Bitrate::kbps(50), "a face beside the page");
        assert!(narrow.screen > Bitrate::kbps(450), "{narrow:?}");
        let narrower = shared(180, Some(50), 1_500);
        assert_eq!(narrower.camera, Bitrate::ZERO, "the page alone");
        assert!(narrower.screen >= LEAST_SCREEN, "{narrower:?}");
        let still = shared(1_000, Some(50), 100);
        assert!(still.camera > Bitrate::kbps(800), "while nothing on it changes, the camera has the rest");
    }
}
