//! Opus (RFC 6716) for speech: 20 ms packets at 48 kHz, mono.

use opus::{Application, Bitrate, Channels, Decoder, Encoder, Signal};

use crate::{MediaError, SAMPLE_RATE};

/// Samples in one packet of 20 ms.
pub const PACKET_SAMPLES: usize = 960;
/// Full-band speech is transparent from about here; a call on 100 kbit/s still affords it.
const BITRATE: i32 = 32_000;
/// Loss to prepare for before any is reported: below the 8 % at which libopus would leave its
/// full-band mode for the sake of redundancy.
const EXPECTED_LOSS_PERCENT: i32 = 5;
/// Of 10: what libopus itself takes on a desktop; 0.2 ms a packet here.
const COMPLEXITY: i32 = 9;
/// Largest packet (RFC 6716 §3.2.1: 1275 bytes a frame).
const MAX_PACKET: usize = 1_275;

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
        // 120 ms is the longest packet there is.
        Ok(Self { decoder: Decoder::new(SAMPLE_RATE, Channels::Mono)?, sound: vec![0.0; 5_760] })
    }

    /// The sound of `packet`.
    pub fn decode(&mut self, packet: &[u8]) -> Result<&[f32], MediaError> {
        let samples = self.decoder.decode_float(packet, &mut self.sound, false)?;
        Ok(&self.sound[..samples])
    }

    /// The sound of the packet before `next`, from the redundancy that `next` carries, or
    /// concealed where it carries none.
    pub fn recover(&mut self, next: &[u8]) -> Result<&[f32], MediaError> {
        let samples = self.decoder.decode_float(next, &mut self.sound[..PACKET_SAMPLES], true)?;
        Ok(&self.sound[..samples])
    }

    /// 20 ms made up from what came before.
    pub fn conceal(&mut self) -> Result<&[f32], MediaError> {
        let samples = self.decoder.decode_float(&[], &mut self.sound[..PACKET_SAMPLES], false)?;
        Ok(&self.sound[..samples])
    }
}
