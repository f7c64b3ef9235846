//! How a conversation is likely to be judged, from what was measured of it.

use std::time::Duration;

/// The rating of a conversation with no impairment but the codec's bandwidth (ITU-T G.107 §7.8, default
/// values).
const BEST: f64 = 93.2;
/// How well speech outlives gaps that are concealed (`Bpl`). The ITU publishes none for Opus; this is that of
/// G.711 with concealment (ITU-T G.113 Appendix I), which Opus is not worse than.
const ROBUSTNESS: f64 = 25.1;
/// From here on two people talk into one another (`Id` of the E-model, as Cole and Rosenbluth fitted it).
const TALKED_OVER_MS: f64 = 177.3;

/// Mean opinion score, 1 (bad) to 4.5, by the E-model (ITU-T G.107), for a delay from mouth to ear and the
/// share of the sound that was made up, 0 to 1. It knows narrow band only: it compares calls with one
/// another, and says nothing of the fuller sound that Opus has.
pub fn mos(mouth_to_ear: Duration, concealed: f64) -> f64 {
    let delay = mouth_to_ear.as_secs_f64() * 1e3;
    let over = (delay - TALKED_OVER_MS).max(0.0);
    let delayed = 0.024 * delay + 0.11 * over;
    let gaps = concealed.clamp(0.0, 1.0) * 100.0;
    let broken = 95.0 * gaps / (gaps + ROBUSTNESS);
    let rating = (BEST - delayed - broken).clamp(0.0, 100.0);
    (1.0 + 0.035 * rating + 7e-6 * rating * (rating - 60.0) * (100.0 - rating)).max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_the_model() {
        let of = |ms, concealed| mos(Duration::from_millis(ms), concealed);
        // G.107 Annex B: a rating of 93.2 is 4.41, 80 is 4.03, 60 is 3.10.
        assert!((of(0, 0.0) - 4.41).abs() < 0.01, "{}", of(0, 0.0));
        assert!((4.2..4.35).contains(&of(200, 0.0)), "{}", of(200, 0.0));
        assert!((3.0..3.9).contains(&of(150, 0.05)), "{}", of(150, 0.05));
        assert!(of(400, 0.2) < 2.0);
    }

    #[test]
    fn more_of_either_is_never_better() {
        for ms in (0..1_500).step_by(50) {
            for percent in 0..100 {
                let (here, share) = (Duration::from_millis(ms), f64::from(percent) / 100.0);
                assert!(mos(here, share) >= mos(here + Duration::from_millis(50), share) - 1e-9);
                assert!(mos(here, share) >= mos(here, share + 0.01) - 1e-9);
                assert!((1.0..=4.5).contains(&mos(here, share)));
            }
        }
    }
}
