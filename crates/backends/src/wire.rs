//! The realtime link to a service, whatever it speaks.

use async_trait::async_trait;
use bedside_protocol::{ClientMessage, ServerMessage, SessionId, Token};
use tokio::sync::mpsc;

/// What the link tells of.
#[derive(Debug)]
pub enum WireEvent {
    /// It is up, and the service has confirmed that it tells of every visit asked for: what is asked for
    /// from here on can't be older than what will be told.
    Up,
    /// The service has confirmed that it tells of a visit, asked for while the link was up.
    Watching(SessionId),
    /// It is down, and being brought back.
    Down,
    /// Something from the service.
    Message(Box<ServerMessage>),
    /// The service will not have this person any more.
    SignedOut,
}

/// A link that comes back by itself until it is closed. Nothing here waits.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Listens to what happens in a visit, now and after each reconnection.
    fn watch(&self, id: SessionId);

    /// Stops listening.
    fn unwatch(&self, id: SessionId);

    /// Sends a message, if the link is up. Signals carry the media token of the visit they belong to.
    fn send(&self, message: &ClientMessage, media_token: Option<Token>);

    /// Says good-bye and waits until the link is gone.
    async fn close(self: Box<Self>);
}

/// A link, and what it tells of.
pub struct Link {
    /// The link.
    pub wire: Box<dyn Wire>,
    /// Its events. Bounded: where they are not taken, reading stops.
    pub events: mpsc::Receiver<WireEvent>,
}
