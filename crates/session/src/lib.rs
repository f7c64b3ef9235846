//! The client's machines: what a call, a chat and a realtime link do next.
//!
//! Input and the time go in, actions come out; a driver (`bedside-client`) performs them. Nothing
//! here reads a clock, a socket or a device, so that every order of events, every loss and every
//! restart can be tried in virtual time.

pub mod call;
pub mod chat;
pub mod link;
pub mod network;
pub mod reach;
pub mod signalling;
pub mod snapshot;
pub mod stay;

pub use call::{Call, CallAction, CallInput, CallPhase, SentMedia};
pub use chat::{ChatAction, ChatLog};
pub use link::{Backoff, RECONNECTION_WINDOW};
pub use reach::RttWindow;
pub use signalling::{Begun, Signalling, begin};
pub use snapshot::Snapshot;
pub use stay::{JoinFailure, JoinId, MediaGrant, Stay, StayAction, StayInput};
