//! Wayland: no program sees another's windows. The desktop's own dialog asks what to share
//! (`org.freedesktop.portal.ScreenCast`), and PipeWire brings its pictures. The desktop shows by its own sign
//! that something is shared, and can end it.

mod pictures;
#[cfg(test)]
mod tests;

use std::{
    os::fd::OwnedFd,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use ashpd::desktop::{
    CreateSessionOptions, PersistMode, ResponseError,
    screencast::{
        CursorMode, OpenPipeWireRemoteOptions, Screencast, SelectSourcesOptions, SourceType, StartCastOptions,
    },
};
use ashpd::zbus;
use bedside_media::I420;
use futures_util::future::{Either, select};

use super::{ScreenCapture, Shown};
use crate::Trouble;

/// The one id that is given out: what is behind it, the dialog decides.
pub(super) const PORTAL: &str = "portal";

/// Whether this is a Wayland session.
pub(super) fn is_wayland() -> bool {
    std::env::var_os("WAYLAND_DISPLAY").is_some_and(|display| !display.is_empty())
}

/// Opens the dialog; what is chosen there is shown from then on.
pub(super) fn open() -> Result<Box<dyn ScreenCapture>, Trouble> {
    let state = Arc::new(Mutex::new(State::Asking));
    let (stop, stopped) = pipewire::channel::channel();
    let (cancel, cancelled) = futures_channel::oneshot::channel();
    let thread = {
        let state = state.clone();
        std::thread::Builder::new().name("screen portal".into()).spawn(move || {
            // Whatever happens, whoever waits for it is told.
            let shared = catch_unwind(AssertUnwindSafe(|| share(&state, cancelled, stopped)));
            let fault = |_| Err(Trouble::Other("the thread of a shared screen met a fault".to_owned()));
            let end = shared.unwrap_or_else(fault).err().unwrap_or(Trouble::Missing);
            *lock(&state) = State::Ended(end);
        })
    };
    let thread = Some(thread.map_err(|error| Trouble::Other(error.to_string()))?);
    Ok(Box::new(Capture { state, stop, cancel: Some(cancel), thread, number: 0, picture: I420::black(2, 2) }))
}

/// What is known of the share.
enum State {
    /// The dialog is open.
    Asking,
    /// The newest picture; an older one that nobody took is dropped.
    Showing(Pixels),
    /// It was refused, or is over.
    Ended(Trouble),
}

/// A picture as it came.
struct Pixels {
    /// Counts the pictures that differ.
    number: u64,
    width: usize,
    height: usize,
    /// Rows of blue, green, red and one byte of nothing, without gaps.
    bgrx: Vec<u8>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Stop;

/// Asks, then shows until it is told to stop or the desktop ends it.
fn share(
    state: &Arc<Mutex<State>>,
    cancelled: futures_channel::oneshot::Receiver<()>,
    stopped: pipewire::channel::Receiver<Stop>,
) -> Result<(), Trouble> {
    let Some(granted) = futures_executor::block_on(async {
        match select(Box::pin(ask()), cancelled).await {
            Either::Left((granted, _)) => granted.map(Some),
            Either::Right(_) => Ok(None),
        }
    })?
    else {
        return Ok(());
    };
    let showing = state.clone();
    pictures::run(granted.remote, granted.node, stopped, move |pixels| {
        *lock(&showing) = State::Showing(pixels);
    })
}

/// What the person chose.
struct Granted {
    /// The share ends with this, as does a dialog that is still open: to close it in words may take as long as the
    /// desktop takes to answer.
    _connection: zbus::Connection,
    /// PipeWire, with what was chosen alone.
    remote: OwnedFd,
    /// Its node there.
    node: u32,
}

async fn ask() -> Result<Granted, Trouble> {
    let connection = zbus::Connection::session().await.map_err(ashpd::Error::from)?;
    let proxy = Screencast::with_connection(connection.clone()).await?;
    let session = proxy.create_session(CreateSessionOptions::default()).await?;
    let offered = proxy.available_source_types().await?;
    let pointer = proxy.available_cursor_modes().await.unwrap_or_default() & CursorMode::Embedded;
    let mut sources = SelectSourcesOptions::default()
        .set_sources(offered & (SourceType::Monitor | SourceType::Window))
        .set_multiple(false)
        .set_persist_mode(PersistMode::DoNot);
    if !pointer.is_empty() {
        sources = sources.set_cursor_mode(CursorMode::Embedded);
    }
    proxy.select_sources(&session, sources).await?.response()?;
    let chosen = proxy.start(&session, None, StartCastOptions::default()).await?.response()?;
    let node = chosen.streams().first().ok_or(Trouble::Missing)?.pipe_wire_node_id();
    let remote = proxy.open_pipe_wire_remote(&session, OpenPipeWireRemoteOptions::default()).await?;
    Ok(Granted { _connection: connection, remote, node })
}

impl From<ashpd::Error> for Trouble {
    fn from(error: ashpd::Error) -> Self {
        match error {
            ashpd::Error::Response(ResponseError::Cancelled) => Self::Denied,
            ashpd::Error::PortalNotFound(_) => Self::Unsupported,
            error => Self::Other(error.to_string()),
        }
    }
}

struct Capture {
    state: Arc<Mutex<State>>,
    stop: pipewire::channel::Sender<Stop>,
    cancel: Option<futures_channel::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Of the picture that was shown last.
    number: u64,
    picture: I420,
}

impl ScreenCapture for Capture {
    fn capture(&mut self) -> Result<Option<Shown<'_>>, Trouble> {
        let has_changed = match &*lock(&self.state) {
            State::Asking => return Ok(None),
            State::Ended(trouble) => return Err(trouble.clone()),
            State::Showing(pixels) if pixels.number == self.number => false,
            State::Showing(pixels) => {
                self.number = pixels.number;
                self.picture = I420::from_bgra(pixels.width, pixels.height, &pixels.bgrx)
                    .map_err(|error| Trouble::Other(error.to_string()))?;
                true
            }
        };
        Ok(Some(Shown { picture: &self.picture, has_changed }))
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Whichever it is at; what has ended by itself hears neither.
        let _ = self.cancel.take().map(|cancel| cancel.send(()));
        let _ = self.stop.send(Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of a shared screen panicked");
        }
    }
}
