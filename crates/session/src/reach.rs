//! How well the service is reached, as far as its answers tell: what the waiting room says of the
//! connection before a call has shown it.

use std::{collections::VecDeque, time::Duration};

use crate::snapshot::Reach;

/// Answers that are remembered: the median of a few shrugs off one that was slow.
const REMEMBERED: usize = 5;
/// Answers before anything is said: the first has the making of a connection in it.
const ENOUGH: usize = 3;
/// Times in a row without an answer after which the connection counts as lost.
const MISSES: u32 = 2;
/// A conversation stays natural up to 400 ms from mouth to ear (ITU-T G.114). Half of a round
/// trip of this length, and the some 150 ms of the two machines, is within it.
const NATURAL: Duration = Duration::from_millis(400);

/// The last answers of the service.
#[derive(Clone, Debug, Default)]
pub struct RttWindow {
    round_trips: VecDeque<Duration>,
    misses: u32,
    heard: usize,
}

impl RttWindow {
    /// The service answered after this time, or not at all.
    pub fn push(&mut self, round_trip: Option<Duration>) {
        let Some(round_trip) = round_trip else {
            self.misses += 1;
            return;
        };
        self.misses = 0;
        self.heard += 1;
        self.round_trips.push_back(round_trip);
        if self.round_trips.len() > REMEMBERED {
            self.round_trips.pop_front();
        }
    }

    /// The median round trip; none before there are enough to tell.
    pub fn round_trip(&self) -> Option<Duration> {
        let mut sorted: Vec<_> = self.round_trips.iter().copied().collect();
        sorted.sort_unstable();
        (self.heard >= ENOUGH).then(|| sorted[sorted.len() / 2])
    }

    /// What that means for a call.
    pub fn verdict(&self) -> Reach {
        match self.round_trip() {
            _ if self.misses >= MISSES => Reach::Lost,
            None => Reach::Unknown,
            Some(round_trip) if round_trip > NATURAL => Reach::Slow,
            Some(_) => Reach::Good,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(round_trips: &[Option<u64>]) -> Reach {
        let mut log = RttWindow::default();
        for round_trip in round_trips {
            log.push(round_trip.map(Duration::from_millis));
        }
        log.verdict()
    }

    #[test]
    fn one_slow_answer_says_nothing() {
        assert_eq!(after(&[Some(900), Some(40)]), Reach::Unknown);
        assert_eq!(after(&[Some(900), Some(40), Some(50)]), Reach::Good);
    }

    #[test]
    fn a_slow_line_is_slow_until_it_is_fast() {
        let slow = [Some(700); 4];
        assert_eq!(after(&slow), Reach::Slow);
        assert_eq!(after(&[slow.as_slice(), &[Some(30); 3]].concat()), Reach::Good);
    }

    #[test]
    fn silence_is_a_lost_connection_and_one_answer_ends_it() {
        assert_eq!(after(&[Some(20), Some(20), Some(20), None]), Reach::Good);
        assert_eq!(after(&[None, None]), Reach::Lost);
        assert_eq!(after(&[Some(20), Some(20), Some(20), None, None, Some(20)]), Reach::Good);
    }
}
