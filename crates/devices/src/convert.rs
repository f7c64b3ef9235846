//! What a microphone gives, of any number of channels at any rate, as mono at 48 kHz.

use bedside_media::SAMPLE_RATE;
use rubato::{
    Async, FixedAsync, Resampler, SincInterpolationParameters, SincInterpolationType, WindowFunction,
    audioadapter_buffers::direct::InterleavedSlice,
};

use crate::Trouble;

/// How fast the measured loudness of a channel follows: a third of a second.
const FOLLOW_SECONDS: f32 = 0.3;
/// How much louder, in power, another channel must be to be taken: 6 dB. A mean of all would be 18 dB too
/// soft with eight of which one has the voice, and silence with two that are each other's opposite.
const LOUDER: f32 = 4.0;
/// Taps of the resampling filter: nothing of it is heard above 7 kHz from 16.
const TAPS: usize = 128;

/// Turns interleaved samples into mono at 48 kHz.
pub(crate) struct ToMono48k {
    channels: usize,
    /// Mean power of each channel lately.
    power: Vec<f32>,
    chosen: usize,
    follow: f32,
    mono: Vec<f32>,
    resampler: Option<Resampling>,
}

struct Resampling {
    inner: Async<f32>,
    /// Samples that it takes at a time: 10 ms.
    chunk: usize,
    waiting: Vec<f32>,
    out: Vec<f32>,
}

impl ToMono48k {
    /// For so many channels at `rate` samples a second.
    pub(crate) fn new(channels: u16, rate: u32) -> Result<Self, Trouble> {
        let channels = usize::from(channels.max(1));
        let resampler = if rate == SAMPLE_RATE { None } else { Some(Resampling::new(rate)?) };
        Ok(Self {
            channels,
            power: vec![0.0; channels],
            chosen: 0,
            follow: 1.0 / (FOLLOW_SECONDS * rate.max(1) as f32),
            mono: vec![],
            resampler,
        })
    }

    /// Takes interleaved samples; gives mono ones at 48 kHz.
    pub(crate) fn push(&mut self, interleaved: &[f32], mut give: impl FnMut(&[f32])) {
        self.mono.clear();
        if self.channels == 1 {
            self.mono.extend_from_slice(interleaved);
        } else {
            for frame in interleaved.chunks_exact(self.channels) {
                for (power, sample) in self.power.iter_mut().zip(frame) {
                    *power += (sample * sample - *power) * self.follow;
                }
                self.mono.push(frame[self.chosen]);
            }
            let loudest = (0..self.channels).max_by(|a, b| self.power[*a].total_cmp(&self.power[*b]));
            self.chosen = loudest
                .filter(|loudest| self.power[*loudest] > self.power[self.chosen] * LOUDER)
                .unwrap_or(self.chosen);
        }
        match &mut self.resampler {
            None => give(&self.mono),
            Some(resampler) => resampler.push(&self.mono, give),
        }
    }
}

impl Resampling {
    fn new(rate: u32) -> Result<Self, Trouble> {
        let chunk = (rate / 100).max(1) as usize;
        let sinc = SincInterpolationParameters::new(TAPS, WindowFunction::BlackmanHarris2)
            .interpolation(SincInterpolationType::Linear)
            .oversampling_factor(256);
        let ratio = f64::from(SAMPLE_RATE) / f64::from(rate.max(1));
        let inner = Async::new_sinc(ratio, 1.0, &sinc, chunk, 1, FixedAsync::Input)
            .map_err(|error| Trouble::Other(format!("{rate} samples a second can't be taken: {error}")))?;
        let out = vec![0.0; inner.output_frames_max()];
        Ok(Self { inner, chunk, waiting: Vec::with_capacity(rate as usize), out })
    }

    fn push(&mut self, mono: &[f32], mut give: impl FnMut(&[f32])) {
        self.waiting.extend_from_slice(mono);
        let (mut at, room) = (0, self.out.len());
        while self.waiting.len() - at >= self.chunk {
            let input = InterleavedSlice::new(&self.waiting[at..at + self.chunk], 1, self.chunk);
            let output = InterleavedSlice::new_mut(&mut self.out, 1, room);
            let (Ok(input), Ok(mut output)) = (input, output) else { break };
            let Ok((used, made)) = self.inner.process_into_buffer(&input, &mut output, None) else { break };
            at += used;
            give(&self.out[..made]);
            if used == 0 {
                break;
            }
        }
        self.waiting.drain(..at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a tone on one channel of several, and a hum 30 dB softer on the others.
    fn heard(channels: u16, rate: u32, on: usize, block: usize) -> Vec<f32> {
        let mut convert = ToMono48k::new(channels, rate).unwrap();
        let at = |n: u32, hz: f32| (n as f32 / rate as f32 * hz * std::f32::consts::TAU).sin();
        let samples: Vec<f32> = (0..rate)
            .flat_map(|n| {
                (0..usize::from(channels))
                    .map(move |channel| if channel == on { 0.5 * at(n, 440.0) } else { 0.015 * at(n, 50.0) })
            })
            .collect();
        let mut out = vec![];
        for part in samples.chunks(block * usize::from(channels)) {
            convert.push(part, |mono| out.extend_from_slice(mono));
        }
        out
    }

    #[test]
    fn the_channel_with_the_voice_is_taken_at_its_pitch_and_level() {
        for (channels, rate, on) in
            [(1, 48_000, 0), (2, 44_100, 1), (8, 48_000, 5), (1, 16_000, 0), (2, 8_000, 0), (4, 96_000, 3)]
        {
            let out = heard(channels, rate, on, 437);
            assert!(out.len() > 46_000 && out.len() <= 48_100, "{channels} x {rate}: {} samples", out.len());
            let late = &out[out.len() - 24_000..];
            let crossings = late.windows(2).filter(|two| two[0] < 0.0 && two[1] >= 0.0).count();
            assert!(
                (218..=222).contains(&crossings),
                "{channels} x {rate}: {crossings} periods in half a second"
            );
            let rms = (late.iter().map(|s| s * s).sum::<f32>() / late.len() as f32).sqrt();
            assert!((0.33..0.37).contains(&rms), "{channels} x {rate}: {rms}");
        }
    }
}
