//! Time stretching: playing a little faster or slower without changing the pitch: one period of the sound is left
//! out or repeated, with a cross-fade (the idea of WSOLA, Verhelst & Roelands 1993).

use crate::SAMPLE_RATE;

/// Shortest and longest period looked for: voices from 400 Hz down to 66 Hz.
const PERIOD: std::ops::RangeInclusive<usize> = (SAMPLE_RATE as usize / 400)..=(SAMPLE_RATE as usize / 66);
/// Length of the cross-fade: 5 ms.
const FADE: usize = 240;
/// Sound needed to look for a period in.
pub(crate) const NEEDED: usize = *PERIOD.end() + FADE;
/// Likeness from which a period may be left out or repeated, with time to wait for a pause or one
/// that is not heard at all, and without.
const ALIKE: f32 = 0.95;
const ALIKE_IN_A_HURRY: f32 = 0.6;
/// Mean power below which anything may be cut: −50 dBFS.
const QUIET: f32 = 1e-5;

/// Leaves out one period at the start of `sound`; gives the samples left out, or 0 where that
/// would be heard.
pub(crate) fn accelerate(sound: &mut Vec<f32>, hurry: bool) -> usize {
    let Some(period) = period(sound, if hurry { ALIKE_IN_A_HURRY } else { ALIKE }) else { return 0 };
    for i in 0..FADE {
        let fade = i as f32 / FADE as f32;
        sound[i] = sound[i] * (1.0 - fade) + sound[i + period] * fade;
    }
    sound.drain(FADE..FADE + period);
    period
}

/// Repeats one period at the start of `sound`; gives the samples put in, or 0 where that would
/// be heard.
pub(crate) fn expand(sound: &mut Vec<f32>, hurry: bool) -> usize {
    let Some(period) = period(sound, if hurry { ALIKE_IN_A_HURRY } else { ALIKE }) else { return 0 };
    // After the first period comes, faded into it, the start again.
    let seam: Vec<f32> = (0..FADE)
        .map(|i| {
            let fade = i as f32 / FADE as f32;
            sound[i + period] * (1.0 - fade) + sound[i] * fade
        })
        .collect();
    let again: Vec<f32> = seam.into_iter().chain(sound[FADE..].iter().copied()).collect();
    sound.truncate(period);
    sound.extend(again);
    period
}

/// The lag at which the start of `sound` is most like itself, if it is alike enough.
fn period(sound: &[f32], alike: f32) -> Option<usize> {
    if sound.len() < NEEDED {
        return None;
    }
    let head = &sound[..FADE];
    // All of it: what is left out after a quiet start may be that of a word.
    let is_quiet = |part: &[f32]| part.iter().map(|s| s * s).sum::<f32>() < QUIET * part.len() as f32;
    if sound[..NEEDED].chunks(FADE).all(is_quiet) {
        return Some(*PERIOD.end());
    }
    let likeness = |lag: usize| {
        // Every third sample: an eighth of a period at the highest voice, a third of the work.
        let other = &sound[lag..lag + FADE];
        let (mut product, mut a, mut b) = (0.0, 0.0, 1e-9);
        for (x, y) in head.iter().step_by(3).zip(other.iter().step_by(3)) {
            product += x * y;
            a += x * x;
            b += y * y;
        }
        product / (a * b).sqrt()
    };
    let best = PERIOD.step_by(4).map(|lag| (lag, likeness(lag))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    (best.1 > alike).then_some(best.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, samples: usize) -> Vec<f32> {
        (0..samples)
            .map(|i| (i as f32 * hz * std::f32::consts::TAU / SAMPLE_RATE as f32).sin() * 0.5)
            .collect()
    }

    /// Largest jump from one sample to the next.
    fn roughest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn the_length_changes_and_no_seam_is_heard() {
        for hz in [90.0, 150.0, 210.0, 333.0] {
            let before = tone(hz, 1_920);
            let mut shorter = before.clone();
            let out = accelerate(&mut shorter, true);
            assert!(out > 0, "{hz} Hz");
            assert_eq!(shorter.len(), before.len() - out);
            let mut longer = before.clone();
            let put = expand(&mut longer, true);
            assert_eq!(longer.len(), before.len() + put);
            for changed in [&shorter, &longer] {
                assert!(roughest(changed) < roughest(&before) * 1.6, "{hz} Hz: {}", roughest(changed));
            }
        }
    }

    #[test]
    fn noise_is_left_alone_and_silence_is_not() {
        let mut state = 1_u32;
        let mut noise: Vec<f32> = (0..1_920)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        assert_eq!(accelerate(&mut noise, true), 0);
        assert!(accelerate(&mut vec![0.0; 1_920], false) > 0);
        assert_eq!(expand(&mut vec![0.0; 100], true), 0, "too little to look at");
    }
}
