//! The other person's voice: packets in, frames of 10 ms out.

use bedside_media::{AudioFrame, JitterBuffer, JitterStats, MediaError, OpusPacket};

/// Plays what arrives.
pub struct RemoteAudio {
    jitter_buffer: JitterBuffer,
    bytes: u64,
}

impl RemoteAudio {
    /// Nothing has arrived yet.
    pub fn new() -> Result<Self, MediaError> {
        Ok(Self { jitter_buffer: JitterBuffer::new()?, bytes: 0 })
    }

    /// A packet arrived.
    pub fn push(&mut self, packet: &OpusPacket<'_>) {
        self.bytes += packet.data.len() as u64;
        self.jitter_buffer.push(packet);
    }

    /// The next 10 ms.
    pub fn pull(&mut self) -> Result<AudioFrame, MediaError> {
        self.jitter_buffer.pull()
    }

    /// RTP timestamp of the sample that is pulled next.
    pub fn playout_timestamp(&self) -> Option<u32> {
        self.jitter_buffer.playout_timestamp()
    }

    /// What became of what arrived.
    pub fn stats(&self) -> JitterStats {
        self.jitter_buffer.stats()
    }

    /// Bytes that arrived.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
