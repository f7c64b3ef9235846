//! Sound and pictures: frames, codecs, audio processing, the jitter buffer and the frame assembler.
//!
//! Everything here is fed by its caller: no device, no socket, no clock. Sound is mono `f32` in
//! ±1 at 48 kHz in frames of 10 ms; pictures are tight I420.

pub mod assembler;
pub mod codec;
mod h264;
pub mod jitter_buffer;
pub mod level;
pub mod opus;
pub mod picture;
pub mod processing;
mod scaler;
mod sender_clock;
mod shim;
mod time_stretch;
mod track;
mod vp8;

pub use assembler::{AssembledFrame, FrameAssembler, VideoPacket};
pub use codec::VideoCodec;
pub use jitter_buffer::{JitterBuffer, JitterStats, OpusPacket};
pub use picture::I420;
pub use processing::{AudioProcessor, Processing};
pub use scaler::Scaler;
pub use sender_clock::SenderClock;
pub use track::{TrackSource, VIDEO_CLOCK_RATE, VideoSource};

/// Samples in a second.
pub const SAMPLE_RATE: u32 = 48_000;

/// Samples in a frame of 10 ms, the unit of all processing.
pub const FRAME: usize = 480;

/// 10 ms of mono sound.
pub type AudioFrame = [f32; FRAME];

/// What can go wrong with media.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// libvpx refused: a size it can't encode, or a frame that is not VP8.
    #[error("VP8 failed: {0}")]
    Vp8(&'static str),
    /// OpenH264 refused, or there is none on this system.
    #[error("H.264 failed: {0}")]
    H264(&'static str),
    /// libopus refused.
    #[error("Opus failed: {0}")]
    Opus(#[from] ::opus::Error),
    /// A picture whose bytes are too few for its size.
    #[error("the picture is incomplete")]
    Incomplete,
    /// Scaling or colour conversion refused.
    #[error("the picture can't be converted: {0}")]
    Convert(String),
}
