//! How often a key frame is made for whoever asks.

use std::time::{Duration, Instant};

/// A key frame is as large as several others: whoever asks thirty times a second gets three.
const LEAST_APART: Duration = Duration::from_millis(300);

/// Lets a key frame through for requests, not too often; a request is never forgotten.
#[derive(Debug, Default)]
pub struct KeyFrameThrottle {
    is_wanted: bool,
    last: Option<Instant>,
}

impl KeyFrameThrottle {
    /// Somebody needs a key frame.
    pub fn request(&mut self) {
        self.is_wanted = true;
    }

    /// Whether the next frame is to be one.
    pub fn is_due(&self, now: Instant) -> bool {
        self.is_wanted && self.last.is_none_or(|at| now.saturating_duration_since(at) >= LEAST_APART)
    }

    /// One was made.
    pub fn made(&mut self, now: Instant) {
        (self.is_wanted, self.last) = (false, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_requests_makes_few_key_frames_and_the_last_is_answered() {
        let (mut throttle, began) = (KeyFrameThrottle::default(), Instant::now());
        let mut made = vec![];
        for ms in (0..1_500).step_by(33) {
            let now = began + Duration::from_millis(ms);
            if ms <= 990 {
                throttle.request();
            }
            if throttle.is_due(now) {
                throttle.made(now);
                made.push(ms);
            }
        }
        assert!(made.windows(2).all(|two| two[1] - two[0] >= 300), "{made:?}");
        assert!(made.len() == 4 && made[3] >= 990, "{made:?}");
    }
}
