//! What this end asks of the other's pictures: fewer first, and smaller ones where that was not enough.

use std::time::Instant;

use bedside_bwe::Bitrate;

use crate::{Drawing, ReceiverLimit, ReceiverPace, receiver_limit::BEHIND};

/// Decides both together.
#[derive(Debug, Default)]
pub struct ReceiverDemand {
    pace: ReceiverPace,
    limit: ReceiverLimit,
}

impl ReceiverDemand {
    /// Takes what was drawn of the last second; gives the most to ask for now, or nothing to say.
    pub fn on_drawn(&mut self, drawing: &Drawing, now: Instant) -> Option<Bitrate> {
        self.pace.on_drawn(drawing, now);
        let is_only_late = ReceiverPace::are_late(drawing) && drawing.behind <= BEHIND;
        if is_only_late && !self.pace.is_exhausted(now) {
            // What fewer do of it is seen first.
            return self.limit.limit();
        }
        self.limit.on_drawn(drawing, now)
    }

    /// The most pictures a second to ask for; none where there is no limit.
    pub fn pace(&self) -> Option<u32> {
        self.pace.pace()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// What is asked for, second by second, of a window that draws `draws` of what comes, as late as `behind`.
    fn asked(
        seconds: u64,
        draws: impl Fn(u64, Option<Bitrate>) -> u64,
        behind: Duration,
    ) -> Vec<(Option<u32>, Option<Bitrate>)> {
        let (mut demand, began) = (ReceiverDemand::default(), Instant::now());
        let mut most = None;
        let second = |second| {
            let sent = u64::from(demand.pace().unwrap_or(30));
            let drawn = draws(sent, most).min(sent);
            let received = most.unwrap_or(Bitrate::kbps(2_000));
            let drawing = Drawing { drawn, late: sent - drawn, behind, received };
            most = demand.on_drawn(&drawing, began + Duration::from_secs(second));
            (demand.pace(), most)
        };
        (0..seconds).map(second).collect()
    }

    #[test]
    fn fewer_are_enough_for_a_window_that_draws_any_size_as_slowly() {
        let asked = asked(120, |_, _| 14, Duration::ZERO);
        assert!(asked.iter().all(|(_, most)| most.is_none()), "{asked:?}");
        assert_eq!(asked[20].0, Some(15));
    }

    #[test]
    fn smaller_ones_come_after_fewer_were_not_enough() {
        let draws = |_, most: Option<Bitrate>| {
            if most.is_some_and(|most| most < Bitrate::kbps(800)) { 30 } else { 6 }
        };
        let asked = asked(30, draws, Duration::ZERO);
        let paced = asked.iter().position(|(pace, _)| *pace == Some(15)).unwrap();
        let smaller = asked.iter().position(|(_, most)| most.is_some()).unwrap();
        assert!(smaller >= paced + 3, "{asked:?}");
    }

    #[test]
    fn a_window_that_draws_all_and_late_is_relieved_at_once() {
        let asked = asked(10, |sent, _| sent, Duration::from_secs(1));
        assert!(asked[4].1.is_some_and(|most| most < Bitrate::kbps(1_000)), "{asked:?}");
    }
}
