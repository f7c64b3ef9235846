//! How many files come in at once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bedside_protocol::{Code, UserId};

use crate::error::ApiError;

/// Of one person: a handful of photos.
const OF_ONE: usize = 4;
/// Of everybody: each holds a descriptor and a part of a file.
const OF_ALL: usize = 256;

#[derive(Default)]
pub(crate) struct Uploads(Mutex<HashMap<UserId, usize>>);

/// A file that is coming in, until this is dropped.
pub(crate) struct Upload<'a> {
    uploads: &'a Uploads,
    user: UserId,
}

impl Uploads {
    /// One more begins.
    pub(crate) fn begin(&self, user: UserId) -> Result<Upload<'_>, ApiError> {
        let mut under_way = self.lock();
        if under_way.values().sum::<usize>() >= OF_ALL {
            return Err(Code::Unavailable.into());
        }
        let of_one = under_way.entry(user).or_default();
        if *of_one >= OF_ONE {
            return Err(Code::TooManyAttempts.into());
        }
        *of_one += 1;
        Ok(Upload { uploads: self, user })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        let mut under_way = self.uploads.lock();
        if let Some(count) = under_way.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_person_sends_a_handful_at_once() {
        let uploads = Uploads::default();
        let (one, other) = (UserId::generate(), UserId::generate());
        let mut held: Vec<_> = (0..OF_ONE).map(|_| uploads.begin(one).unwrap()).collect();
        assert_eq!(uploads.begin(one).err().unwrap().code, Code::TooManyAttempts);
        let theirs = uploads.begin(other).unwrap();
        held.pop();
        held.push(uploads.begin(one).unwrap());
        drop((held, theirs));
        assert!(uploads.lock().is_empty());
    }
}
