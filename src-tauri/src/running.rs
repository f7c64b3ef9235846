//! The client while the app runs.

use std::sync::{Mutex, PoisonError};

use bedside_client::Client;

/// The client while the app runs; taken out at its end, to be closed.
pub struct Running(Mutex<Option<Client>>);

impl Running {
    /// A client that runs.
    pub(crate) const fn new(client: Client) -> Self {
        Self(Mutex::new(Some(client)))
    }

    /// Does something with the client, while there is one.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&Client) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(act)
    }

    /// The client, to be closed; nobody has it any more.
    pub(crate) fn take(&self) -> Option<Client> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
