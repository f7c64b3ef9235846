//! When, by its sender's clock, what carries an RTP timestamp was captured.

use crate::TrackSource;

/// What a sender report says of a stream's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderClock {
    /// Whose.
    pub source: TrackSource,
    /// The sender's time: seconds since 1900 in 32.32 fixed point (RFC 5905 §6).
    pub ntp: u64,
    /// The RTP timestamp of what was captured then.
    pub timestamp: u32,
}

impl SenderClock {
    /// When a sample was captured, seconds on the sender's clock.
    pub fn captured_at(&self, timestamp: u32) -> f64 {
        let steps = timestamp.wrapping_sub(self.timestamp).cast_signed();
        let since = f64::from(steps) / f64::from(self.source.clock_rate());
        self.ntp as f64 / f64::from(1_u32 << 16).powi(2) + since
    }
}
