//! The most that the other end can take of a stream, as it says (draft-alvestrand-rmcat-remb): where its
//! machine can't keep up, which the network does not show.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use bedside_bwe::Bitrate;
use bedside_media::VideoSource;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;

/// It is said again every second while it holds. Five of them lost are a receiver that is gone, or that
/// lifted it without being heard.
const HOLDS_FOR: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Limits(HashMap<VideoSource, Limit>);

struct Limit {
    most: Bitrate,
    said_at: Instant,
}

impl Limits {
    /// The other end says it of a stream.
    pub(super) fn on_said(&mut self, said: &ReceiverEstimatedMaximumBitrate, of: VideoSource, now: Instant) {
        // What is not a number is nothing that was said.
        if said.bitrate.is_finite() && said.bitrate >= 0.0 {
            let most = Bitrate::from_f64(f64::from(said.bitrate));
            self.0.insert(of, Limit { most, said_at: now });
        }
    }

    /// The most that it takes now.
    pub(super) fn most(&self, of: VideoSource, now: Instant) -> Bitrate {
        let holds = |limit: &&Limit| now.saturating_duration_since(limit.said_at) <= HOLDS_FOR;
        self.0.get(&of).filter(holds).map_or(Bitrate::MAX, |limit| limit.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_while_it_is_said_and_nonsense_is_none() {
        let (mut limits, now) = (Limits::default(), Instant::now());
        let mut say = |bitrate: f32| {
            let said = ReceiverEstimatedMaximumBitrate { sender_ssrc: 0, bitrate, ssrcs: vec![1] };
            limits.on_said(&said, VideoSource::Camera, now);
            limits.most(VideoSource::Camera, now)
        };
        assert_eq!(say(400_000.0), Bitrate::kbps(400));
        for nonsense in [f32::NAN, f32::INFINITY, -1.0] {
            assert_eq!(say(nonsense), Bitrate::kbps(400));
        }
        assert_eq!(limits.most(VideoSource::Screen, now), Bitrate::MAX);
        let later = now + Duration::from_secs(6);
        assert_eq!(limits.most(VideoSource::Camera, later), Bitrate::MAX);
    }
}
