//! Who has come to listen through this service and who no longer does, on its way into the database. What is to be
//! written is only ever the last of each person: there are as many as there are sockets.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{
    App,
    store::{Listener, StoreError},
};

/// How long somebody who comes waits until it is written that they have: many times what writing takes.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(500);
/// Written together: few enough that those who write visits hardly wait.
const TOGETHER: usize = 64;

/// What is to be written.
pub(crate) struct Presence {
    state: Mutex<State>,
    news: Notify,
    written: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// How often something was to be written.
    asked: u64,
    wanted: BTreeSet<Listener>,
}

impl Default for Presence {
    fn default() -> Self {
        Self { state: Mutex::default(), news: Notify::new(), written: watch::Sender::new(0) }
    }
}

impl Presence {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody listens through this service now, or nobody does for them any more: which of the two is looked at when
    /// it is written, as two of their sockets may come and go at once. Gives what to wait for.
    pub(crate) fn note(&self, listener: Listener) -> u64 {
        let mut state = self.lock();
        state.wanted.insert(listener);
        state.asked += 1;
        self.news.notify_one();
        state.asked
    }

    /// Waits until it is written, or for as long as somebody waits who does not notice.
    pub(crate) async fn is_written(&self, asked: u64) {
        let mut written = self.written.subscribe();
        // Past this time it goes on by itself.
        let _ = tokio::time::timeout(PATIENCE, written.wait_for(|written| *written >= asked)).await;
    }

    /// What is to be written now, and what those who wait for it wait for.
    fn take(&self) -> (u64, Vec<Listener>) {
        let mut state = self.lock();
        (state.asked, std::mem::take(&mut state.wanted).into_iter().collect())
    }

    /// These could not be written: they are to be.
    fn put_back(&self, listeners: &[Listener]) {
        self.lock().wanted.extend(listeners);
    }
}

/// Writes until `stop`, and then what is left.
pub(crate) async fn write(app: Arc<App>, stop: CancellationToken) {
    loop {
        let stops = tokio::select! {
            () = app.presence.news.notified() => false,
            () = stop.cancelled() => true,
        };
        loop {
            let (asked, wanted) = app.presence.take();
            let Err(error) = write_all(&app, &wanted).await else {
                app.presence.written.send_replace(asked);
                break;
            };
            tracing::error!(%error, "who is present can't be written; it is tried again");
            if stops {
                return;
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
        if stops {
            return;
        }
    }
}

/// Writes these. What could not be is put back where it can be later.
async fn write_all(app: &App, wanted: &[Listener]) -> Result<(), StoreError> {
    let mut failed = Ok(());
    for some in wanted.chunks(TOGETHER) {
        match write_some(app, some).await {
            Ok(()) => {}
            Err(error) if error.is_temporary() => {
                app.presence.put_back(some);
                failed = Err(error);
            }
            // One that never can be keeps no other from being written.
            Err(_) => {
                for one in some {
                    if let Err(error) = write_some(app, std::slice::from_ref(one)).await {
                        tracing::error!(session = %one.session, %error, "who is present was not written");
                    }
                }
            }
        }
    }
    failed
}

async fn write_some(app: &App, some: &[Listener]) -> Result<(), StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let mut changed = vec![];
    for &listener in some {
        if unit.set_listening(listener, app.hub.is_present(listener)).await? {
            changed.push(listener);
        }
    }
    unit.commit().await?;
    for listener in changed {
        app.tell_presence_of(listener).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bedside_protocol::{SessionId, UserId};

    use super::*;

    #[test]
    fn who_came_and_went_is_written_once_and_not_forgotten() {
        let presence = Presence::default();
        let one = Listener { session: SessionId::generate(), user: UserId::generate() };
        let other = Listener { session: SessionId::generate(), user: UserId::generate() };
        presence.note(one);
        presence.note(other);
        presence.note(one);
        let (asked, failed) = presence.take();
        assert_eq!((asked, failed.len()), (3, 2));
        presence.put_back(&failed);
        assert_eq!(presence.take(), (3, failed));
        assert_eq!(presence.take().1, []);
    }
}
