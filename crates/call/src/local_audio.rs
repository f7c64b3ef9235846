//! One's own voice: frames of 10 ms in, packets out.

use std::time::{Duration, Instant};

use bedside_bwe::Bitrate;
use bedside_media::{
    AudioFrame, MediaError, SAMPLE_RATE,
    opus::{PACKET_SAMPLES, VoiceEncoder},
};

/// A microphone that gave nothing for so long was changed: the RTP clock has gone on meanwhile. A machine
/// that stands still for less gives all that it had afterwards.
const CHANGED: Duration = Duration::from_secs(1);

/// How long a packet's samples last.
const PACKET_LASTS: Duration = Duration::from_micros(PACKET_SAMPLES as u64 * 1_000_000 / SAMPLE_RATE as u64);

/// A packet of Opus.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodedAudio {
    /// RTP timestamp of its first sample, 48 kHz.
    pub timestamp: u32,
    /// When that was captured.
    pub captured: Instant,
    /// The payload.
    pub data: Vec<u8>,
}

/// Encodes what the microphone gives.
pub struct LocalAudio {
    encoder: VoiceEncoder,
    pcm: Vec<f32>,
    /// RTP timestamp of the first sample.
    first: u32,
    /// Samples since then, and when the last came.
    samples: u64,
    last: Option<Instant>,
    rate: Bitrate,
}

impl LocalAudio {
    /// An encoder whose RTP clock begins at `first` (RFC 3550 §5.1: a random number).
    pub fn new(first: u32) -> Result<Self, MediaError> {
        let encoder = VoiceEncoder::new()?;
        let pcm = Vec::with_capacity(PACKET_SAMPLES);
        Ok(Self { encoder, pcm, first, samples: 0, last: None, rate: Bitrate::ZERO })
    }

    /// What may be sent, headers not counted, and the share that is lost of it.
    pub fn set_link(&mut self, rate: Bitrate, loss: f32) -> Result<(), MediaError> {
        if rate != self.rate {
            self.rate = rate;
            self.encoder.set_bitrate(rate.as_bps() as u32)?;
        }
        self.encoder.set_loss(loss)
    }

    /// Takes 10 ms, the last of it captured at `now`; gives a packet with every second.
    pub fn capture(&mut self, frame: &AudioFrame, now: Instant) -> Result<Option<EncodedAudio>, MediaError> {
        self.follow(now);
        self.pcm.extend_from_slice(frame);
        if self.pcm.len() < PACKET_SAMPLES {
            return Ok(None);
        }
        let timestamp = self.first.wrapping_add(self.samples as u32);
        self.samples += PACKET_SAMPLES as u64;
        let captured = now.checked_sub(PACKET_LASTS).unwrap_or(now);
        let encoded = self.encoder.encode(&self.pcm);
        let encoded = encoded.map(|data| EncodedAudio { timestamp, captured, data: data.to_vec() });
        self.pcm.clear();
        encoded.map(Some)
    }

    /// Without a microphone the clock goes on: the other end would take what follows for old.
    fn follow(&mut self, now: Instant) {
        let gap = self.last.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if gap > CHANGED {
            self.pcm.clear();
            let packets = gap.as_secs_f64() * f64::from(SAMPLE_RATE) / PACKET_SAMPLES as f64;
            self.samples += packets as u64 * PACKET_SAMPLES as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use bedside_media::FRAME;

    use super::*;

    #[test]
    fn the_clock_goes_on_without_a_microphone() {
        let mut audio = LocalAudio::new(u32::MAX - 100).unwrap();
        let began = Instant::now();
        let mut timestamps = vec![];
        for n in 0..200_u64 {
            // Two seconds are missing in the middle.
            let at = began + Duration::from_millis(n * 10 + if n >= 100 { 2_000 } else { 0 });
            timestamps.extend(audio.capture(&[0.1; FRAME], at).unwrap().map(|packet| packet.timestamp));
        }
        assert_eq!((timestamps.len(), timestamps[0]), (100, u32::MAX - 100));
        let steps: Vec<u32> = timestamps.windows(2).map(|two| two[1].wrapping_sub(two[0])).collect();
        assert_eq!(steps.iter().filter(|step| **step != 960).collect::<Vec<_>>(), [&(960 + 96_000)]);
    }

    #[test]
    fn a_machine_that_stands_still_for_a_moment_changes_nothing() {
        let mut audio = LocalAudio::new(0).unwrap();
        let began = Instant::now();
        let mut timestamps = vec![];
        for n in 0..200_u64 {
            // Half a second of it comes at once.
            let at = began + Duration::from_millis(if (100..150).contains(&n) { 1_500 } else { n * 10 });
            timestamps.extend(audio.capture(&[0.1; FRAME], at).unwrap().map(|packet| packet.timestamp));
        }
        assert!(timestamps.windows(2).all(|two| two[1] - two[0] == 960), "{timestamps:?}");
    }
}
