//! Who has come to listen through this service and who no longer does, on its way into the database. What is to be
//! written is only ever the last of each person: there are as many as there are sockets.

use std::{
    collections::BTreeMap,
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
    wanted: BTreeMap<Listener, bool>,
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

    /// Somebody listens through this service now, or nobody does for them any more. Gives what to wait for.
    pub(crate) fn set(&self, listener: Listener, is_here: bool) -> u64 {
        let mut state = self.lock();
        state.wanted.insert(listener, is_here);
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
    fn take(&self) -> (u64, Vec<(Listener, bool)>) {
        let mut state = self.lock();
        (state.asked, std::mem::take(&mut state.wanted).into_iter().collect())
    }

    /// These could not be written: they are to be, unless something later is.
    fn put_back(&self, listeners: &[(Listener, bool)]) {
        let mut state = self.lock();
        for &(listener, is_here) in listeners {
            state.wanted.entry(listener).or_insert(is_here);
        }
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
async fn write_all(app: &App, wanted: &[(Listener, bool)]) -> Result<(), StoreError> {
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
                        tracing::error!(session = %one.0.session, %error, "who is present was not written");
                    }
                }
            }
        }
    }
    failed
}

async fn write_some(app: &App, some: &[(Listener, bool)]) -> Result<(), StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let mut changed = vec![];
    for &(listener, is_here) in some {
        if unit.set_listening(listener, is_here).await? {
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
    fn what_came_later_is_not_put_back_over() {
        let presence = Presence::default();
        let one = Listener { session: SessionId::generate(), user: UserId::generate() };
        let other = Listener { session: SessionId::generate(), user: UserId::generate() };
        presence.set(one, true);
        presence.set(other, true);
        let (asked, failed) = presence.take();
        assert_eq!((asked, failed.len()), (2, 2));
        presence.set(one, false);
        presence.put_back(&failed);
        let (asked, again) = presence.take();
        assert_eq!(asked, 3);
        assert!(again.contains(&(one, false)) && again.contains(&(other, true)));
    }
}
