//! When a frame is drawn, so that lips and voice are together.
//!
//! A voice takes longer than a picture: it waits in the jitter buffer and in the speaker. So frames are
//! held until what was said with them is heard. Sender reports (RFC 3550 §6.4.1) say when, by the sender's
//! clock, each stream's samples were captured; the jitter buffer says which of them is heard when.
//!
//! Where frames wait for repairs, they are held a little longer than that: one that came late would
//! stand still until then, and the next ones pass in a flash.

use std::time::{Duration, Instant};

use bedside_media::{SenderClock, TrackSource, VideoSource};

/// A frame is held no longer: beyond this something else is wrong, and the picture is not to be late too.
const LONGEST: Duration = Duration::from_millis(400);
/// How far the pace of frames is changed at each of them: unseen, and a tenth of a second in one. Where
/// they come late, faster: that is seen already.
const STEP_SECONDS: f64 = 0.003;
const LATE_STEP_SECONDS: f64 = 0.012;
/// How much later than their words frames are drawn at the most, so that late ones are in time (ITU-R
/// BT.1359: sound that is earlier by 90 ms is accepted).
const MOST_AFTER_SECONDS: f64 = 0.09;
/// How fast the latest frame is forgotten, seconds in a second: a repair or two a second keep it.
const FORGET: f64 = 0.03;
/// From such a distance on it is another stream or a clock that was set: at once.
const JUMP_SECONDS: f64 = 0.6;
/// How fast what was heard counts, each 10 ms: half a second.
const FOLLOW: f64 = 0.02;

/// Says when each frame is to be drawn.
#[derive(Debug)]
pub struct LipSync {
    epoch: Instant,
    audio: Option<SenderClock>,
    video: Option<SenderClock>,
    /// From capture on the sender's clock to being heard on ours, seconds.
    heard_after: Option<f64>,
    /// From capture to being drawn, by which frames are paced now.
    drawn_after: Option<f64>,
    /// From capture to being there, of the latest frames.
    latest: Option<Latest>,
}

#[derive(Clone, Copy, Debug)]
struct Latest {
    after: f64,
    at: Instant,
}

impl LipSync {
    /// Nothing is known yet. `epoch` is any time before.
    pub const fn new(epoch: Instant) -> Self {
        Self { epoch, audio: None, video: None, heard_after: None, drawn_after: None, latest: None }
    }

    /// A sender report came.
    pub fn on_report(&mut self, clock: SenderClock) {
        match clock.source {
            TrackSource::Microphone => self.audio = Some(clock),
            TrackSource::Video(VideoSource::Camera) => self.video = Some(clock),
            // Nobody's lips.
            TrackSource::Video(VideoSource::Screen) => {}
        }
    }

    /// The sample of this timestamp is heard at that time.
    pub fn on_playout(&mut self, timestamp: u32, heard_at: Instant) {
        let Some(audio) = self.audio else { return };
        let after = self.seconds(heard_at) - audio.captured_at(timestamp);
        let known = self.heard_after.filter(|known| (after - known).abs() < JUMP_SECONDS);
        self.heard_after = Some(known.map_or(after, |known| known + (after - known) * FOLLOW));
    }

    /// When a frame that is there `now` is to be drawn.
    pub fn draw_at(&mut self, timestamp: u32, now: Instant) -> Instant {
        let (Some(video), Some(heard_after)) = (self.video, self.heard_after) else { return now };
        let captured = video.captured_at(timestamp);
        // A frame can't be drawn before it is there; the voice alone is not to be late for it.
        let soonest = self.seconds(now) - captured;
        let latest = self.latest(soonest, now);
        let wanted = latest.clamp(heard_after, heard_after + MOST_AFTER_SECONDS);
        let before = self.drawn_after.filter(|before| (wanted - before).abs() < JUMP_SECONDS);
        let step = if latest > heard_after { LATE_STEP_SECONDS } else { STEP_SECONDS };
        let paced = match before {
            Some(before) => before + (wanted - before).clamp(-STEP_SECONDS, step),
            None => soonest.min(wanted),
        };
        self.drawn_after = Some(paced);
        let wait = Duration::try_from_secs_f64(paced - soonest).unwrap_or(Duration::ZERO);
        now + wait.min(LONGEST)
    }

    /// How late the latest of the last frames was there.
    fn latest(&mut self, after: f64, now: Instant) -> f64 {
        let faded = self.latest.map_or(after, |latest| {
            latest.after - FORGET * now.saturating_duration_since(latest.at).as_secs_f64()
        });
        // Another stream, or a clock that was set.
        let faded = if (faded - after).abs() < JUMP_SECONDS { faded } else { after };
        let latest = Latest { after: faded.max(after), at: now };
        self.latest = Some(latest);
        latest.after
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.epoch).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH_NTP: u64 = 3_900_000_000 << 32;

    const MICROPHONE: TrackSource = TrackSource::Microphone;
    const CAMERA: TrackSource = TrackSource::Video(VideoSource::Camera);

    fn report(source: TrackSource, seconds: f64, timestamp: u32) -> SenderClock {
        SenderClock { source, ntp: EPOCH_NTP + (seconds * 4_294_967_296.0) as u64, timestamp }
    }

    /// A call in which frames arrive 20 ms after their capture and the voice is heard `voice` seconds after
    /// its own; gives how much later than the voice each frame was drawn.
    fn skews(voice: f64, jitter: impl Fn(u32) -> f64) -> Vec<f64> {
        let began = Instant::now();
        let at = |seconds: f64| began + Duration::from_secs_f64(seconds);
        let mut sync = LipSync::new(began);
        let mut skews = vec![];
        for hundredth in 0..3_000_u32 {
            let now = 1.0 + f64::from(hundredth) / 100.0;
            // What is heard in 40 ms was captured that long before; its clock began anywhere, and wraps.
            let audio = |captured: f64| ((captured * 48_000.0) as i64 + 4_294_900_000) as u32;
            let video = |captured: f64| ((captured * 90_000.0) as i64 + 4_294_000_000) as u32;
            if hundredth % 100 == 50 {
                sync.on_report(report(MICROPHONE, now, audio(now)));
                sync.on_report(report(CAMERA, now, video(now)));
            }
            sync.on_playout(audio(now + 0.04 - voice), at(now + 0.04));
            if hundredth % 3 == 0 {
                let captured = now - 0.02 - jitter(hundredth);
                let drawn = sync.draw_at(video(captured), at(now));
                skews.push((drawn - began).as_secs_f64() - captured - voice);
            }
        }
        skews
    }

    #[test]
    fn a_frame_is_drawn_when_what_was_said_with_it_is_heard() {
        for voice in [0.06, 0.15, 0.3] {
            let skews = skews(voice, |_| 0.0);
            // Before the first report nothing is known; then it is approached unseen.
            let last = &skews[300..];
            assert!(last.iter().all(|skew| skew.abs() < 0.005), "{voice}: {:?}", &last[..5]);
            let steps = skews.windows(2).map(|two| (two[1] - two[0]).abs());
            assert!(steps.fold(0.0, f64::max) < 0.006, "{voice}: no frame jumps");
        }
    }

    #[test]
    fn frames_that_come_unevenly_are_drawn_evenly() {
        let skews = skews(0.15, |n| f64::from(n * 7 % 50) / 1_000.0);
        assert!(skews[300..].iter().all(|skew| skew.abs() < 0.005));
    }

    #[test]
    fn a_picture_that_is_late_by_itself_is_not_held() {
        let skews = skews(0.05, |_| 0.1);
        assert!(skews[300..].iter().all(|skew| (skew - 0.07).abs() < 0.001), "drawn as it comes");
    }

    #[test]
    fn late_frames_among_others_stand_still_for_nobody() {
        // The voice is heard after 100 ms. Each tenth frame waits 130 ms for a repair, and those behind it.
        let waits = |hundredth: u32| f64::from(13_u32.saturating_sub(hundredth % 30)) / 100.0;
        let drawn = skews(0.1, waits);
        let last = &drawn[400..];
        let (least, most) = last.iter().fold((f64::MAX, 0.0_f64), |(a, b), s| (a.min(*s), b.max(*s)));
        assert!(most - least < 0.02, "at one pace: {least} to {most}");
        assert!(most < MOST_AFTER_SECONDS, "and not long after their words: {most}");
    }

    proptest! {
        /// Whatever reports claim, a frame is drawn soon.
        #[test]
        fn no_report_holds_a_picture_for_long(
            reports in prop::collection::vec((any::<bool>(), any::<u64>(), any::<u32>()), 0..20),
            played in any::<u32>(), frame in any::<u32>(),
        ) {
            let now = Instant::now();
            let mut sync = LipSync::new(now);
            for (is_audio, ntp, timestamp) in reports {
                let source = if is_audio { MICROPHONE } else { CAMERA };
                sync.on_report(SenderClock { source, ntp, timestamp });
                sync.on_playout(played, now);
                let drawn = sync.draw_at(frame, now);
                prop_assert!(drawn >= now && drawn <= now + LONGEST);
            }
        }
    }
}
