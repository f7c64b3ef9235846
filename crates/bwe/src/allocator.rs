//! Who gets how much of what the network carries.

use crate::Bitrate;

/// What somebody who sends could use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Demand<Id> {
    /// Who.
    pub id: Id,
    /// Less is of no use.
    pub min: Bitrate,
    /// More is of no use.
    pub max: Bitrate,
    /// The lower goes first.
    pub priority: u8,
    /// Whether it stops where its least is not there, or is given it all the same.
    pub may_pause: bool,
}

/// What somebody gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Allocation<Id> {
    /// Who.
    pub id: Id,
    /// None: it pauses.
    pub rate: Option<Bitrate>,
}

/// Shares out `target` less what goes into `repair`: everybody's least first, by priority, then the
/// rest by priority.
pub fn allocate<Id: Copy>(target: Bitrate, repair: Bitrate, demands: &[Demand<Id>]) -> Vec<Allocation<Id>> {
    let mut left = target - repair;
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|at| demands[*at].priority);
    let mut rates = vec![None; demands.len()];
    for at in &order {
        let demand = &demands[*at];
        if demand.min <= left || !demand.may_pause {
            rates[*at] = Some(demand.min);
            left -= demand.min;
        }
    }
    for at in order {
        if let Some(rate) = &mut rates[at] {
            let more = (demands[at].max - *rate).min(left);
            *rate += more;
            left -= more;
        }
    }
    demands.iter().zip(rates).map(|(demand, rate)| Allocation { id: demand.id, rate }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIO: Demand<char> =
        Demand { id: 'a', min: Bitrate::kbps(30), max: Bitrate::kbps(56), priority: 0, may_pause: false };
    const CAMERA: Demand<char> =
        Demand { id: 'c', min: Bitrate::kbps(60), max: Bitrate::kbps(2_500), priority: 1, may_pause: true };

    fn shares(target: u64, repair: u64) -> [Option<u64>; 2] {
        let all = allocate(Bitrate::kbps(target), Bitrate::kbps(repair), &[CAMERA, AUDIO]);
        [1, 0].map(|at| all[at].rate.map(|rate| rate.as_bps() / 1_000))
    }

    #[test]
    fn audio_comes_first_and_yields_before_the_picture_stops() {
        assert_eq!(shares(20, 0), [Some(30), None], "audio is never stopped");
        assert_eq!(shares(80, 0), [Some(56), None], "the rest is too little for a picture");
        assert_eq!(shares(100, 0), [Some(40), Some(60)]);
        assert_eq!(shares(600, 100), [Some(56), Some(444)]);
        assert_eq!(shares(9_000, 0), [Some(56), Some(2_500)]);
    }
}
