//! The other person's picture: packets in, frames that can be decoded out.

use std::time::{Duration, Instant};

use bedside_media::{AssembledFrame, FrameAssembler, VideoPacket};

use crate::Arrivals;

/// Puts frames together, and asks for a key frame where nothing else helps.
pub struct RemoteVideo {
    assembler: FrameAssembler,
    arrivals: Arrivals,
    bytes: u64,
}

impl Default for RemoteVideo {
    fn default() -> Self {
        Self { assembler: FrameAssembler::new(), arrivals: Arrivals::video(), bytes: 0 }
    }
}

impl RemoteVideo {
    /// A packet arrived; gives the frames that it completed, in order.
    pub fn push(&mut self, packet: VideoPacket, now: Instant) -> Vec<AssembledFrame> {
        self.bytes += packet.data.len() as u64;
        self.arrivals.push(packet.ssrc, packet.sequence, packet.timestamp, now);
        self.assembler.push(packet, now)
    }

    /// How long a repair takes: no shorter is waited for one.
    pub fn set_rtt(&mut self, rtt: Duration) {
        self.assembler.set_rtt(rtt);
    }

    /// Whoever decodes lost its way: nothing more until a key frame.
    pub fn restart_at_key(&mut self) {
        self.assembler.restart_at_key();
    }

    /// Whether a key frame is to be asked for now.
    pub fn poll_key_request(&mut self, now: Instant) -> bool {
        self.assembler.poll_key_request(now)
    }

    /// What arrived.
    pub const fn arrivals(&self) -> Arrivals {
        self.arrivals
    }

    /// Bytes that arrived.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }
}
