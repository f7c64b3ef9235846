//! What comes in of one track, second by second.

use std::time::Duration;

use bedside_bwe::{Bitrate, DataSize};

/// What came in of a track so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Received {
    /// Bytes of media.
    pub(crate) bytes: u64,
    /// Packets, those that were repaired counted.
    pub(crate) packets: u64,
    /// Packets that were sent, as far as their numbers tell.
    pub(crate) expected: u64,
}

/// What that came to lately.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct Rates {
    pub(crate) bitrate: Bitrate,
    /// Packets that were sent.
    pub(crate) expected: u64,
    /// Share of them that did not arrive, percent.
    pub(crate) lost_percent: f32,
}

/// Remembers where the counters stood.
#[derive(Default)]
pub(crate) struct TrackMeter(Received);

impl TrackMeter {
    /// What came since it was asked last, `passed` ago. Counters that begin anew begin at nothing.
    pub(crate) fn measure(&mut self, now: Received, passed: Duration) -> Rates {
        let before = std::mem::replace(&mut self.0, now);
        let expected = now.expected.saturating_sub(before.expected);
        let lost = expected.saturating_sub(now.packets.saturating_sub(before.packets));
        Rates {
            bitrate: DataSize::bytes(now.bytes.saturating_sub(before.bytes)).over(passed).unwrap_or_default(),
            expected,
            lost_percent: percent(lost, expected),
        }
    }
}

/// A share in percent; of nothing it is none.
pub(crate) fn percent(part: u64, whole: u64) -> f32 {
    if whole == 0 { 0.0 } else { (part as f32 * 100.0 / whole as f32).min(100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_what_came_in_it() {
        let mut meter = TrackMeter::default();
        let second = Duration::from_secs(1);
        meter.measure(Received { bytes: 1_000, packets: 10, expected: 10 }, second);
        let rates = meter.measure(Received { bytes: 26_000, packets: 19, expected: 20 }, second);
        assert_eq!(rates, Rates { bitrate: Bitrate::kbps(200), expected: 10, lost_percent: 10.0 });
        let repaired = meter.measure(Received { bytes: 26_000, packets: 22, expected: 22 }, second);
        assert_eq!(repaired.lost_percent, 0.0, "what was repaired is not lost");
        assert_eq!(meter.measure(Received::default(), second), Rates::default(), "begun anew");
    }
}
