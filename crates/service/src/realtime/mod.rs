//! STOMP 1.2 over WebSocket: who is connected, what they hear, what they may say.

mod hub;
mod messages;
mod socket;

pub(crate) use hub::{Hub, key};
pub(crate) use socket::upgrade;
