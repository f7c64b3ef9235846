//! Who is in which visit, remembered: no statement changes it, so whichever service remembers it is right.

use std::sync::{Mutex, PoisonError};

use bedside_protocol::{Party, SessionId, UserId};
use hashlink::LruCache;

/// Visits whose people are remembered, the last that were looked at: a hundred bytes each.
const REMEMBERED: usize = 20_000;

/// The two of one visit.
#[derive(Clone, Copy, Debug)]
pub struct Two {
    pub(super) patient: UserId,
    pub(super) doctor: UserId,
}

impl Two {
    /// The side that somebody is on.
    pub fn party(self, user: UserId) -> Option<Party> {
        if user == self.patient {
            Some(Party::Patient)
        } else if user == self.doctor {
            Some(Party::Doctor)
        } else {
            None
        }
    }
}

/// The two of each.
#[derive(Debug)]
pub struct People(Mutex<LruCache<SessionId, Two>>);

impl Default for People {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl People {
    /// The two of a visit, if it was looked at lately.
    pub fn of(&self, session: SessionId) -> Option<Two> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&session).copied()
    }

    /// A visit was looked at.
    pub(super) fn remember(&self, session: SessionId, two: Two) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(session, two);
    }
}
