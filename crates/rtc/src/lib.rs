//! The peer connection: ICE, DTLS-SRTP, RTP over the crate `webrtc`, which nothing else names.
//!
//! One [`Peer`] is one end of one call. It always has a track of each source in both directions, so that
//! a camera that comes later, or a screen that is shared, needs no new negotiation. Received packets go to a
//! [`RemoteMedia`] as they come; what is sent goes through bounded queues, audio first.

mod codec;
mod handler;
mod network_test;
mod peer;
mod sdp;
mod sender;
mod servers;
mod tracks;
mod transport;
mod tunnel;

pub use bedside_proxy::Proxies;
pub use network_test::{Loopback, NetworkMeasured, RelayWays, test_network};
pub use peer::{Candidate, Path, Peer, PeerConfig, PeerEvent, PeerState, PeerStats};
pub use sender::{AudioPacket, MediaSender, VideoFrame};
pub use servers::{IceServer, RelayTransport, resolve};

use std::time::{Duration, Instant};

use bedside_media::{OpusPacket, SenderClock, TrackSource, VideoPacket, VideoSource};

/// Where received media goes. Called from the connection's own tasks: take it and return.
pub trait RemoteMedia: Send + Sync + 'static {
    /// An Opus packet.
    fn audio(&self, packet: &OpusPacket<'_>);
    /// A packet of video out of its headers, and when it was read.
    fn video(&self, source: VideoSource, packet: VideoPacket, now: Instant);
    /// Whether a key frame is to be asked for now; looked at every few milliseconds. A repair takes
    /// `rtt` and more.
    fn key_frame_due(&self, source: VideoSource, now: Instant, rtt: Duration) -> bool;
    /// A sender report came.
    fn sender_clock(&self, clock: SenderClock);
}

/// What the other end says of what this one sends. Called from the connection's own tasks.
pub trait SendFeedback: Send + Sync + 'static {
    /// It can't go on without a key frame.
    fn key_frame_wanted(&self, source: VideoSource);
    /// How it receives a stream, about once a second.
    fn report(&self, report: ReportBlock);
}

/// How the other end receives one stream (RFC 3550 §6.4.1).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ReportBlock {
    /// Which.
    pub source: TrackSource,
    /// Share of packets lost since the report before, 0 to 1.
    pub loss: f32,
    /// Interarrival jitter, in units of the stream's clock.
    pub jitter: u32,
    /// From sending a report to hearing of it; none when that is not known.
    pub rtt: Option<Duration>,
}

/// What can go wrong with a peer connection.
#[derive(Debug, thiserror::Error)]
pub enum RtcError {
    /// The stack refused.
    #[error("the peer connection failed: {0}")]
    Stack(#[from] webrtc::error::Error),
    /// The system's certificates can't be used.
    #[error("no secure way to a relay: {0}")]
    Tls(#[from] rustls::Error),
    /// What the other end describes has nothing that this one can do.
    #[error("the other end can't be understood: {0}")]
    Incompatible(&'static str),
}
