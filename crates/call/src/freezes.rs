//! When a picture stands still.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Frames that the usual time between two is taken of.
const FRAMES: usize = 30;
/// How much longer than usual a frame must be waited for (W3C webrtc-stats, `freezeCount`): three
/// times, and 150 ms more.
const TIMES: u32 = 3;
const MORE: Duration = Duration::from_millis(150);
/// What was frozen is told of over this time.
const OVER: Duration = Duration::from_secs(10);

/// Counts freezes of one picture as the W3C's statistics do.
#[derive(Debug, Default)]
pub struct FreezeMeter {
    last: Option<Instant>,
    between: VecDeque<Duration>,
    /// When each freeze of the last ten seconds ended, and how long it was.
    recent: VecDeque<(Instant, Duration)>,
    count: u32,
    total: Duration,
}

impl FreezeMeter {
    /// A frame is shown.
    pub fn shown(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.saturating_duration_since(last);
            if self.is_freeze(gap) {
                self.count += 1;
                self.total += gap;
                self.recent.push_back((now, gap));
            }
            self.between.push_back(gap);
            if self.between.len() > FRAMES {
                self.between.pop_front();
            }
        }
    }

    /// No picture is meant to come: the next begins anew.
    pub fn pause(&mut self) {
        self.last = None;
        self.between.clear();
    }

    /// Another stream is shown: what was frozen before is not its doing.
    pub fn restart(&mut self) {
        self.pause();
        self.recent.clear();
    }

    fn is_freeze(&self, gap: Duration) -> bool {
        if self.between.is_empty() {
            return false;
        }
        let mean = self.between.iter().sum::<Duration>() / self.between.len() as u32;
        gap > (mean * TIMES).max(mean + MORE)
    }

    /// How much of the last ten seconds the picture stood still, the present gap counted.
    pub fn frozen_lately(&mut self, now: Instant) -> Duration {
        while self.recent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > OVER) {
            self.recent.pop_front();
        }
        let present = self.last.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let present = if self.is_freeze(present) { present } else { Duration::ZERO };
        (self.recent.iter().map(|(_, gap)| *gap).sum::<Duration>() + present).min(OVER)
    }

    /// Freezes so far, and how long they were.
    pub const fn total(&self) -> (u32, Duration) {
        (self.count, self.total)
    }

    /// Since when the frame that is shown has been.
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.last.map(|last| now.saturating_duration_since(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_a_freeze_only_where_it_is_unusual() {
        let (mut meter, mut now) = (FreezeMeter::default(), Instant::now());
        for ms in [33; 40] {
            now += Duration::from_millis(ms);
            meter.shown(now);
        }
        now += Duration::from_millis(150);
        meter.shown(now);
        assert_eq!(meter.total().0, 0, "a stutter");
        now += Duration::from_millis(700);
        assert!(meter.frozen_lately(now) >= Duration::from_millis(700), "while it lasts");
        meter.shown(now);
        assert_eq!(meter.total(), (1, Duration::from_millis(700)));
        assert_eq!(
            meter.frozen_lately(now + Duration::from_secs(11)),
            Duration::from_secs(10),
            "and now again"
        );
        meter.restart();
        meter.shown(now + Duration::from_secs(60));
        let in_another_call = meter.frozen_lately(now + Duration::from_secs(61));
        assert_eq!(in_another_call, Duration::ZERO);
    }
}
