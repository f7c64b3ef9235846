//! Opus (RFC 6716) for speech: 20 ms packets at 48 kHz, mono.

use opus::{Application, Bitrate, Channels, Decoder, Encoder, Signal, packet};

use crate::{MediaError, SAMPLE_RATE};

/// Samples in one packet of 20 ms.
pub const PACKET_SAMPLES: usize = 960;
/// Full-band speech is transparent from about here; a call on 100 kbit/s still affords it.
const BITRATE: i32 = 32_000;
/// What libopus takes for one channel (RFC 6716 §2.1.1).
const LEAST_BITRATE: u32 = 6_000;
const MOST_BITRATE: u32 = 128_000;
/// Loss to prepare for before any is reported: below the 8 % at which libopus would leave its
/// full-band mode for the sake of redundancy.
const EXPECTED_LOSS_PERCENT: i32 = 5;
/// Of 10: what libopus itself takes on a desktop; 0.2 ms a packet here.
const COMPLEXITY: i32 = 9;
/// Largest packet (RFC 6716 §3.2.1: 1275 bytes a frame).
const MAX_PACKET: usize = 1_275;
/// Samples in the longest packet there is: 120 ms (RFC 6716 §3.2.5).
const LONGEST_PACKET: usize = 5_760;
/// A packet of no more bytes says that the sender is silent for a while (RFC 7587 §3.1.3).
const DTX_BYTES: usize = 2;

/// Samples that a packet holds; none for what is not Opus.
pub fn samples_of(data: &[u8]) -> Option<usize> {
    let samples = packet::get_nb_samples(data, SAMPLE_RATE).ok()?;
    (1..=LONGEST_PACKET).contains(&samples).then_some(samples)
}

/// Whether a packet says that nothing follows for a while.
pub fn is_dtx(data: &[u8]) -> bool {
    data.len() <= DTX_BYTES
}

/// Whether a packet carries the redundancy that the packet before can be recovered from (LBRR,
/// RFC 6716 §4.2.4). Asked for it all the same, libopus conceals without a word.
pub fn has_fec(data: &[u8]) -> bool {
    let Some(toc) = data.first() else { return false };
    // Configurations from 16 on are CELT only, which has none (RFC 6716 §3.1).
    if toc >> 3 >= 16 {
        return false;
    }
    let Ok(parsed) = packet::parse(data) else { return false };
    let Some(first) = parsed.frames.first().and_then(|frame| frame.first()) else { return false };
    // A SILK frame has 10 or 20 ms: one flag of voice activity for each of a channel, then its LBRR.
    let samples = packet::get_samples_per_frame(data, SAMPLE_RATE).unwrap_or(0);
    let silk_frames = samples.div_ceil(PACKET_SAMPLES).max(1);
    let flag = |bit: usize| bit < 8 && first >> (7 - bit) & 1 == 1;
    let is_stereo = toc & 0b100 != 0;
    flag(silk_frames) || (is_stereo && flag(2 * silk_frames + 1))
}

/// Turns sound into packets.
pub struct VoiceEncoder {
    encoder: Encoder,
    packet: Vec<u8>,
}

impl VoiceEncoder {
    /// An encoder with in-band FEC.
    pub fn new() -> Result<Self, MediaError> {
        // `Voip` would take away what is below 80 Hz; see facts on heart sounds.
        let mut encoder = Encoder::new(SAMPLE_RATE, Channels::Mono, Application::Audio)?;
        encoder.set_bitrate(Bitrate::Bits(BITRATE))?;
        encoder.set_inband_fec(true)?;
        encoder.set_packet_loss_perc(EXPECTED_LOSS_PERCENT)?;
        encoder.set_complexity(COMPLEXITY)?;
        encoder.set_signal(Signal::Voice)?;
        Ok(Self { encoder, packet: vec![0; MAX_PACKET] })
    }

    /// Tells the encoder what share of its packets is lost, 0 to 1: the more, the more of each
    /// packet goes into repairing the one before.
    pub fn set_loss(&mut self, fraction: f32) -> Result<(), MediaError> {
        let percent = (fraction * 100.0).round() as i32;
        self.encoder.set_packet_loss_perc(percent.clamp(EXPECTED_LOSS_PERCENT, 30))?;
        Ok(())
    }

    /// Aims at so many bits in a second from the next packet on.
    pub fn set_bitrate(&mut self, bits: u32) -> Result<(), MediaError> {
        self.encoder.set_bitrate(Bitrate::Bits(bits.clamp(LEAST_BITRATE, MOST_BITRATE) as i32))?;
        Ok(())
    }

    /// Encodes [`PACKET_SAMPLES`].
    pub fn encode(&mut self, sound: &[f32]) -> Result<&[u8], MediaError> {
        let length = self.encoder.encode_float(sound, &mut self.packet)?;
        Ok(&self.packet[..length])
    }
}

/// Turns packets into sound, and the lack of one into something close to it.
pub struct VoiceDecoder {
    decoder: Decoder,
    sound: Vec<f32>,
}

impl VoiceDecoder {
    /// A decoder.
    pub fn new() -> Result<Self, MediaError> {
        Ok(Self { decoder: Decoder::new(SAMPLE_RATE, Channels::Mono)?, sound: vec![0.0; LONGEST_PACKET] })
    }

    /// The sound of `packet`.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[f32], MediaError> {
        let samples = self.decoder.decode_float(packet, &mut self.sound, false)?;
        Ok(&self.sound[..samples])
    }

    /// The `samples` of the packet before `next`, from the redundancy that `next` carries (see
    /// [`has_fec`]). A multiple of 2.5 ms.
    pub fn recover(&mut self, next: &[u8], samples: usize) -> Result<&[f32], MediaError> {
        let samples = samples.min(LONGEST_PACKET);
        let samples = self.decoder.decode_float(next, &mut self.sound[..samples], true)?;
        Ok(&self.sound[..samples])
    }

    /// `samples` made up from what came before. A multiple of 2.5 ms.
    pub fn conceal(&mut self, samples: usize) -> Result<&[f32], MediaError> {
        let samples = samples.min(LONGEST_PACKET);
        let samples = self.decoder.decode_float(&[], &mut self.sound[..samples], false)?;
        Ok(&self.sound[..samples])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(loss: f32) -> Vec<Vec<u8>> {
        let mut encoder = VoiceEncoder::new().unwrap();
        encoder.set_loss(loss).unwrap();
        // Rising, as no hum does: libopus gives redundancy to voices only.
        let voice =
            |n: usize| 0.3 * (n as f32 * (160.0 + n as f32 / 480.0) / 48_000.0 * std::f32::consts::TAU).sin();
        (0..50)
            .map(|n| {
                let pcm: Vec<f32> = (0..PACKET_SAMPLES).map(|i| voice(n * PACKET_SAMPLES + i)).collect();
                encoder.encode(&pcm).unwrap().to_vec()
            })
            .collect()
    }

    #[test]
    fn redundancy_is_seen_where_there_is_some() {
        let with = packets(0.3).iter().filter(|packet| has_fec(packet)).count();
        assert!(with > 25, "{with} of 50");
        assert!(!has_fec(&[]) && !has_fec(&[0x08]) && !has_fec(&[0xf8, 0xff, 0xff]));
    }

    #[test]
    fn what_is_no_packet_has_no_length() {
        assert!(packets(0.0).iter().all(|packet| samples_of(packet) == Some(PACKET_SAMPLES)));
        assert_eq!(samples_of(&[]), None);
        // Code 3 with no frame count.
        assert_eq!(samples_of(&[0x03]), None);
    }
}
