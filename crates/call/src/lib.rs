//! The media of a call: what is sent and what is received. No devices, no network, no threads, no
//! clock: time is an argument. The app drives it from its media threads, the tests in virtual time;
//! both run this and nothing else.
//!
//! ```text
//!  microphone ─▶ LocalAudio ─▶ packet        packet ─▶ RemoteAudio ─▶ speaker
//!  camera ─────▶ LocalVideo ─▶ frame         packet ─▶ RemoteVideo ─▶ page
//!  screen ─────▶ LocalScreen ▶ frame         packet ─▶ RemoteVideo ─▶ page
//!                    ▲
//!      LinkStatus ─ share
//! ```

mod arrivals;
mod freezes;
mod key_frames;
mod lip_sync;
mod local_audio;
mod local_screen;
mod local_video;
mod mos;
mod receiver_demand;
mod receiver_limit;
mod receiver_pace;
mod remote_audio;
mod remote_video;
mod share;
mod track_encoder;

pub use arrivals::Arrivals;
pub use freezes::FreezeMeter;
pub use key_frames::KeyFrameThrottle;
pub use lip_sync::LipSync;
pub use local_audio::{EncodedAudio, LocalAudio};
pub use local_screen::LocalScreen;
pub use local_video::{LocalVideo, SentVideo};
pub use mos::mos;
pub use receiver_demand::ReceiverDemand;
pub use receiver_limit::{Drawing, ReceiverLimit};
pub use receiver_pace::ReceiverPace;
pub use remote_audio::RemoteAudio;
pub use remote_video::RemoteVideo;
pub use share::{MOST_CAMERA, MOST_SCREEN, Share, Uses, share, wanted_audio};
pub use track_encoder::EncodedVideo;
