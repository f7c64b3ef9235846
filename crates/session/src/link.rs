//! Coming back after a link broke.

use std::time::Duration;

/// How long coming back is tried by itself; after it there is a button (requirements §2.2).
pub const RECONNECTION_WINDOW: Duration = Duration::from_secs(60);

/// How often a service that did not answer a request is asked again.
pub const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Waits between attempts: short at first, because most breaks are, then longer.
const WAITS: [Duration; 5] = [
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
];

/// How long to wait before the next attempt.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    attempts: usize,
}

impl Backoff {
    /// The wait before the next attempt. `jitter` from 0 to 1 spreads a clinic's clients, which
    /// all lose the service at the same moment, over half the wait.
    pub fn next(&mut self, jitter: f64) -> Duration {
        let wait = WAITS[self.attempts.min(WAITS.len() - 1)];
        self.attempts += 1;
        wait.mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// It worked: the next break starts from the shortest wait.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }

    /// Attempts since the last success.
    pub const fn attempts(&self) -> usize {
        self.attempts
    }
}
