//! When, by its sender's clock, what carries an RTP timestamp was captured.

use crate::SAMPLE_RATE;

/// The clock of video in RTP, Hz (RFC 7741 §4.1).
pub const VIDEO_CLOCK_RATE: u32 = 90_000;

/// What a sender report says of a stream's clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SenderClock {
    /// Of audio; of video otherwise.
    pub is_audio: bool,
    /// The sender's time: seconds since 1900 in 32.32 fixed point (RFC 5905 §6).
    pub ntp: u64,
    /// The RTP timestamp of what was captured then.
    pub timestamp: u32,
}

impl SenderClock {
    /// When a sample was captured, seconds on the sender's clock.
    pub fn captured_at(&self, timestamp: u32) -> f64 {
        let rate = if self.is_audio { f64::from(SAMPLE_RATE) } else { f64::from(VIDEO_CLOCK_RATE) };
        let since = f64::from(timestamp.wrapping_sub(self.timestamp).cast_signed()) / rate;
        self.ntp as f64 / f64::from(1_u32 << 16).powi(2) + since
    }
}
