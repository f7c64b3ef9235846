//! The client's ways to a consultation service: REST and STOMP over WebSocket.

mod realtime;
mod rest;
mod websocket;

pub use bedside_proxy::Proxies;
pub use realtime::{Realtime, RealtimeEvent};
pub use rest::{Api, SignedIn};

use bedside_protocol::{Code, Problem};

/// Why the service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It does not answer.
    #[error("the service can't be reached")]
    Unreachable,
    /// It refused.
    #[error("{}", .0.detail.as_deref().unwrap_or(&.0.title))]
    Refused(Problem),
    /// It answered something that this client does not understand.
    #[error("the service's answer can't be understood")]
    Garbled,
    /// The address is not one.
    #[error("this is not the address of a service")]
    BadAddress,
}

impl BackendError {
    /// The service's code, where it gave one.
    pub const fn code(&self) -> Option<Code> {
        match self {
            Self::Refused(problem) => Some(problem.code),
            Self::Unreachable | Self::Garbled | Self::BadAddress => None,
        }
    }
}
