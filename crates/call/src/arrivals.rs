//! What arrives of a stream, before anything mends it.

use std::time::Instant;

use bedside_media::{SAMPLE_RATE, VIDEO_CLOCK_RATE};

/// A jump of more packets than this is a stream begun anew, not a loss: a minute of audio, ten seconds of
/// the best picture.
const MOST_MISSED: u16 = 3_000;
/// The share that one packet has in the jitter (RFC 3550 §6.4.1).
const WEIGHT: f64 = 1.0 / 16.0;

/// Counts packets, and measures how unevenly they come (RFC 3550 §6.4.1 and Appendix A).
#[derive(Clone, Copy, Debug)]
pub struct Arrivals {
    /// Of the stream's RTP clock, hertz.
    clock_rate: f64,
    last: Option<Last>,
    received: u64,
    expected: u64,
    /// In units of that clock.
    jitter: f64,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    at: Instant,
}

impl Arrivals {
    /// Nothing came yet of a stream of audio.
    pub fn audio() -> Self {
        Self::new(f64::from(SAMPLE_RATE))
    }

    /// Nothing came yet of a stream of video.
    pub fn video() -> Self {
        Self::new(f64::from(VIDEO_CLOCK_RATE))
    }

    const fn new(clock_rate: f64) -> Self {
        Self { clock_rate, last: None, received: 0, expected: 0, jitter: 0.0 }
    }

    /// A packet came.
    pub fn push(&mut self, ssrc: u32, sequence: u16, timestamp: u32, now: Instant) {
        self.received += 1;
        let newest = Last { ssrc, sequence, timestamp, at: now };
        let Some(last) = self.last.filter(|last| last.ssrc == ssrc) else {
            (self.last, self.expected) = (Some(newest), self.expected + 1);
            return;
        };
        let ahead = sequence.wrapping_sub(last.sequence);
        if ahead == 0 || ahead > u16::MAX / 2 {
            return; // Late, or twice: expected before.
        }
        self.expected += if ahead > MOST_MISSED { 1 } else { u64::from(ahead) };
        let passed = now.saturating_duration_since(last.at).as_secs_f64() * self.clock_rate;
        let meant = f64::from(timestamp.wrapping_sub(last.timestamp) as i32);
        let unevenness = (passed - meant).abs();
        // Silence that is not sent makes no jitter.
        if ahead == 1 && unevenness < self.clock_rate {
            self.jitter += (unevenness - self.jitter) * WEIGHT;
        }
        self.last = Some(newest);
    }

    /// Packets that came.
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Packets that were sent, as far as their numbers tell.
    pub const fn expected(&self) -> u64 {
        self.expected
    }

    /// Interarrival jitter, milliseconds.
    pub fn jitter_ms(&self) -> f64 {
        self.jitter * 1e3 / self.clock_rate
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn after(packets: &[(u16, u64)]) -> Arrivals {
        let (mut arrivals, began) = (Arrivals::audio(), Instant::now());
        for &(sequence, ms) in packets {
            let timestamp = u32::from(sequence).wrapping_mul(960);
            arrivals.push(7, sequence, timestamp, began + Duration::from_millis(ms));
        }
        arrivals
    }

    #[test]
    fn loss_is_what_the_numbers_leave_out() {
        let arrivals = after(&[(1, 0), (2, 20), (4, 60), (3, 61), (7, 120)]);
        assert_eq!((arrivals.received(), arrivals.expected()), (5, 7));
        let turned = after(&[(65_534, 0), (65_535, 20), (0, 40), (1, 60)]);
        assert_eq!((turned.received(), turned.expected()), (4, 4));
    }

    #[test]
    fn a_stream_that_begins_anew_has_lost_nothing() {
        let jumped = after(&[(1, 0), (2, 20), (20_000, 40), (20_001, 60)]);
        assert_eq!((jumped.received(), jumped.expected()), (4, 4));
    }

    #[test]
    fn jitter_is_how_unevenly_they_come() {
        let even: Vec<_> = (0..200).map(|n: u16| (n, u64::from(n) * 20)).collect();
        assert!(after(&even).jitter_ms() < 0.1);
        let uneven: Vec<_> = (0..200).map(|n: u16| (n, u64::from(n) * 20 + u64::from(n % 2) * 10)).collect();
        assert!((9.0..=10.5).contains(&after(&uneven).jitter_ms()), "{}", after(&uneven).jitter_ms());
    }
}
