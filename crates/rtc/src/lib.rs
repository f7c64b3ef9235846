//! The peer connection: ICE, DTLS-SRTP, RTP over the crate `webrtc`, which nothing else names.
//!
//! One [`Peer`] is one end of one call. It always has a sound and a picture track in both
//! directions, so that a camera that comes later needs no new negotiation. Received packets go to
//! an [`Inbound`] as they come; what is sent goes through bounded queues, sound first.

mod congestion;
mod estimate;
mod feedback;
mod handler;
mod peer;
mod sender;

pub use peer::{Candidate, IceServer, Peer, PeerConfig, PeerEvent, PeerState, PeerStats};
pub use sender::{AudioPacket, MediaSender, VideoFrame};

use bedside_media::VideoPacket;

/// Where received media goes. Called from the connection's own tasks: take it and return.
pub trait Inbound: Send + Sync + 'static {
    /// An Opus packet of 20 ms with its RTP sequence number.
    fn audio(&self, sequence: u16, packet: &[u8]);
    /// A VP8 packet out of its headers.
    fn video(&self, packet: VideoPacket);
    /// The other end can't go on without a key frame.
    fn key_frame_wanted(&self);
    /// What the other end says of what it receives: the share of packets lost since its last
    /// report, 0 to 1, for sound (`true`) or picture.
    fn loss(&self, of_audio: bool, fraction: f32);
}

/// What can go wrong with a peer connection.
#[derive(Debug, thiserror::Error)]
pub enum RtcError {
    /// The stack refused.
    #[error("the peer connection failed: {0}")]
    Stack(#[from] webrtc::error::Error),
    /// The address of a relay can't be found.
    #[error("the relay's address can't be looked up: {0}")]
    Lookup(#[from] std::io::Error),
}
