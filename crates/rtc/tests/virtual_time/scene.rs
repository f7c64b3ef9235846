//! What the two say and show, and how much of it came through: a voice that is a formula of the
//! time, and pictures that carry their number.

use std::{f64::consts::TAU, time::Duration};

use bedside_media::I420;

/// Samples a second of the comparison: what a voice has above 4 kHz tells nothing more here.
const COARSE: usize = 8_000;
/// Stretches of this length are compared.
const STRETCH: usize = COARSE * 2 / 5;
/// The longest way from mouth to ear that is looked for.
const FARTHEST: usize = COARSE;

/// The voice, `t` seconds into the call: syllables on a gliding pitch, phrases with pauses.
pub(crate) fn voice(t: f64) -> f32 {
    let phrase = if t.rem_euclid(3.1) < 2.5 { 1.0 } else { 0.0 };
    let syllable = 0.5 - 0.5 * (t * TAU * 3.3).cos();
    let pitch = 140.0 * t - 30.0 / (TAU * 0.3) * (TAU * 0.3 * t).cos() + 11.0 * (t * TAU * 0.07).sin();
    let tone: f64 = (1..=18).map(|k| (f64::from(k) * TAU * pitch).sin() / f64::from(k)).sum();
    (0.12 * phrase * syllable * tone) as f32
}

/// How the heard differs from the spoken.
#[derive(Debug)]
pub(crate) struct Hearing {
    /// Likeness of the median stretch, 0 to 1.
    pub(crate) likeness: f64,
    /// Share of the stretches with speech that can be recognised (likeness over 0.5).
    pub(crate) recognised: f64,
    /// From mouth to ear, devices left out.
    pub(crate) latency: Duration,
}

/// Compares what was heard, at 48 kHz from the beginning of the call, with what was said; from
/// `from` on.
pub(crate) fn hearing(heard: &[f32], from: Duration) -> Hearing {
    let coarse: Vec<f32> = heard.chunks_exact(6).map(|six| six.iter().sum::<f32>() / 6.0).collect();
    let spoken: Vec<f32> = (0..coarse.len()).map(|n| voice(n as f64 / COARSE as f64)).collect();
    let energy = |sound: &[f32]| sound.iter().map(|s| f64::from(s * s)).sum::<f64>();
    let mut found: Vec<(f64, usize)> = vec![];
    let begin = (from.as_secs_f64() * COARSE as f64) as usize;
    for at in (begin..coarse.len().saturating_sub(STRETCH + FARTHEST)).step_by(STRETCH) {
        let said = &spoken[at..at + STRETCH];
        // A pause sounds the same whatever the network did.
        if energy(said) / (STRETCH as f64) < 1e-4 {
            continue;
        }
        let best = (0..FARTHEST)
            .map(|lag| {
                let came = &coarse[at + lag..at + lag + STRETCH];
                let product: f64 = said.iter().zip(came).map(|(a, b)| f64::from(a * b)).sum();
                (product / (energy(said) * energy(came)).sqrt().max(1e-9), lag)
            })
            .max_by(|a, b| a.0.total_cmp(&b.0));
        found.extend(best);
    }
    assert!(found.len() > 10, "too little was said to judge by");
    let recognised = found.iter().filter(|(likeness, _)| *likeness > 0.5).count() as f64 / found.len() as f64;
    let mut lags: Vec<usize> = found.iter().filter(|(l, _)| *l > 0.5).map(|(_, lag)| *lag).collect();
    lags.sort_unstable();
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lag = lags.get(lags.len() / 2).copied().unwrap_or(FARTHEST);
    Hearing {
        likeness: found[found.len() / 2].0,
        recognised,
        latency: Duration::from_secs_f64(lag as f64 / COARSE as f64),
    }
}

/// Bits of a picture's number, as squares along its upper edge.
const BITS: usize = 16;
/// Side of a square of the pattern that makes the pictures worth their bits.
const GRAIN: usize = 8;

/// The picture with this number: a pattern that drifts, and the number.
pub(crate) fn picture(number: u16, width: usize, height: usize) -> I420 {
    let mut picture = I420::black(width, height);
    let (luma, _, _) = picture.planes_mut();
    for y in 0..height {
        for x in 0..width {
            let (u, v) = ((x + 2 * usize::from(number)) / GRAIN, y / GRAIN);
            let hash = (u * 0x9E37 + v * 0x85EB) ^ (u * v);
            luma[y * width + x] = 60 + (hash % 120) as u8;
        }
    }
    let (side, tall) = (width / BITS, height / 6);
    for bit in 0..BITS {
        let value = if number >> bit & 1 == 1 { 235 } else { 16 };
        for row in 0..tall {
            let begin = row * width + bit * side;
            luma[begin..begin + side].fill(value);
        }
    }
    picture
}

/// The number of a picture that came through.
pub(crate) fn number(picture: &I420) -> u16 {
    let (luma, _, _) = picture.planes();
    let (side, middle) = (picture.width() / BITS, picture.height() / 12);
    (0..BITS).fold(0, |number, bit| {
        let lit = luma[middle * picture.width() + bit * side + side / 2] > 125;
        number | u16::from(lit) << bit
    })
}
