//! Who is in which visit, remembered: no statement changes it, so whichever service remembers it is right. And what
//! they sit at, as this service stored it last.

use std::sync::{Mutex, PoisonError};

use bedside_protocol::{Party, SessionId, UserId};
use hashlink::LruCache;

use super::SitsAt;

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

/// What each sits at in a visit, as it was stored last, so that who says the same again is known to change nothing.
#[derive(Debug)]
pub struct Seats(Mutex<LruCache<(SessionId, UserId), SitsAt>>);

impl Default for Seats {
    fn default() -> Self {
        Self(Mutex::new(LruCache::new(REMEMBERED)))
    }
}

impl Seats {
    /// Whether this is what was stored last.
    pub fn has(&self, session: SessionId, user: UserId, at: &SitsAt) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(session, user)) == Some(at)
    }

    /// This was stored.
    pub fn remember(&self, session: SessionId, user: UserId, at: SitsAt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((session, user), at);
    }
}
