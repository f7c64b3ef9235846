//! What a network test means for a visit, in a word.

use bedside_protocol::NetworkCheck;

use crate::snapshot::NetworkVerdict;

/// Below this the picture is small and coarse. It is where healthdirect, Australia's national service for
/// visits by video, warns.
const NARROW_BELOW: u64 = 330_000;
/// Below this a picture takes from the speech; there that service lets nobody in by video.
const SOUND_ONLY_BELOW: u64 = 180_000;
/// From here on concealment is heard in most sentences.
const LOSSY_FROM: u8 = 10;
/// A conversation stays natural up to 400 ms from mouth to ear (ITU-T G.114): two such round trips to the
/// relay, one of each end, and the machines' own 150 ms are more.
const SLOW_FROM_MS: u32 = 250;

/// The worst that a test showed; `with_picture` where the visit is one by video. None where a relay answers
/// and no call came through it: it may be full, and calls need not go by it.
pub fn verdict(check: &NetworkCheck, with_picture: bool) -> Option<NetworkVerdict> {
    let is_reached = check.udp || check.tcp || check.tls;
    let nothing_came = check.loss_percent == Some(100);
    let rate = check.bits_per_second.filter(|rate| *rate > 0 && !nothing_came);
    let Some(rate) = rate else { return (!is_reached).then_some(NetworkVerdict::Blocked) };
    Some(if with_picture && rate < SOUND_ONLY_BELOW {
        NetworkVerdict::SoundOnly
    } else if check.loss_percent.is_some_and(|percent| percent >= LOSSY_FROM) {
        NetworkVerdict::Lossy
    } else if with_picture && rate < NARROW_BELOW {
        NetworkVerdict::Narrow
    } else if check.round_trip_ms.is_some_and(|ms| ms >= SLOW_FROM_MS) {
        NetworkVerdict::Slow
    } else {
        NetworkVerdict::Good
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kbps: u64, loss: u8, ms: u32) -> NetworkCheck {
        NetworkCheck {
            bits_per_second: Some(kbps * 1_000),
            loss_percent: Some(loss),
            round_trip_ms: Some(ms),
            udp: true,
            ..NetworkCheck::default()
        }
    }

    #[test]
    fn the_worst_is_said() {
        for (check, wanted) in [
            (of(900, 0, 30), NetworkVerdict::Good),
            (of(330, 9, 249), NetworkVerdict::Good),
            (of(329, 0, 30), NetworkVerdict::Narrow),
            (of(180, 0, 400), NetworkVerdict::Narrow),
            (of(179, 20, 400), NetworkVerdict::SoundOnly),
            (of(900, 10, 400), NetworkVerdict::Lossy),
            (of(900, 0, 250), NetworkVerdict::Slow),
            (NetworkCheck::default(), NetworkVerdict::Blocked),
        ] {
            assert_eq!(verdict(&check, true), Some(wanted), "{check:?}");
        }
        assert_eq!(verdict(&of(100, 0, 30), false), Some(NetworkVerdict::Good), "enough to hear one another");
        for nothing in [of(0, 0, 30), of(40, 100, 30), NetworkCheck { bits_per_second: None, ..of(0, 0, 0) }]
        {
            assert_eq!(verdict(&nothing, true), None, "the relay answers: {nothing:?}");
        }
    }
}
