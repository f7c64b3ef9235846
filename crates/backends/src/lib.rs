//! The client's ways to consultation services. A service is a [`Clinic`] with a [`Wire`]; how one speaks, its
//! dialect's module alone knows (docs/adding-a-provider.md).

mod bedside;
mod clinic;
mod wire;

pub use bedside_proxy::Proxies;
pub use clinic::{Clinic, Door, Entered, SessionAction, door};
pub use wire::{Link, Wire, WireEvent};

use bedside_protocol::{Code, Problem};

/// Why the service did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// It does not answer.
    #[error("the service can't be reached")]
    Unreachable,
    /// The network lets nothing out but through its HTTP proxy, and that wants a name and a password (RFC 9110,
    /// status 407). May be otherwise in another network.
    #[error("the network's proxy wants a name and a password")]
    ProxyWantsName,
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
            Self::Unreachable | Self::ProxyWantsName | Self::Garbled | Self::BadAddress => None,
        }
    }

    /// Whether the service was not reached at all, and may be in a moment.
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable | Self::ProxyWantsName)
    }
}
