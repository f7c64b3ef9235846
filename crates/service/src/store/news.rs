//! What this service has stored and is to tell, so that it need not ask the database for it.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bedside_protocol::SessionId;
use tokio::sync::Notify;

use super::Untold;

/// Visits that are remembered here; what is more is found in the database a moment later, where all of it is.
const REMEMBERED: usize = 10_000;

/// What a change is to be told of.
#[derive(Default, Debug)]
pub(super) struct Changed {
    pub(super) sessions: Vec<Untold<SessionId>>,
    pub(super) schedules: bool,
}

/// What has been stored since it was last asked for.
#[derive(Default, Debug)]
pub struct News {
    sessions: Mutex<HashMap<SessionId, i64>>,
    /// Of practice hours, which change seldom, only that there is some.
    schedules: AtomicBool,
    /// Something has come.
    has_come: Notify,
}

impl News {
    /// This has been stored.
    pub(super) fn add(&self, changed: Changed) {
        if changed.sessions.is_empty() && !changed.schedules {
            return;
        }
        self.schedules.fetch_or(changed.schedules, Ordering::AcqRel);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for Untold { what, version } in changed.sessions {
            if sessions.len() < REMEMBERED {
                let newest = sessions.entry(what).or_insert(version);
                *newest = version.max(*newest);
            }
        }
        drop(sessions);
        self.has_come.notify_one();
    }

    /// Whether there is something of practice hours: it is in the database.
    pub fn take_schedules(&self) -> bool {
        self.schedules.swap(false, Ordering::AcqRel)
    }

    /// Waits for some.
    pub async fn wait(&self) {
        self.has_come.notified().await;
    }

    /// All of it, the newest of each.
    pub fn take(&self) -> Vec<Untold<SessionId>> {
        let taken = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        taken.into_iter().map(|(what, version)| Untold { what, version }).collect()
    }
}
