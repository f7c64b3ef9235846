//! How many connections and sockets there may be, by the descriptors that the process may have.

use std::sync::OnceLock;

/// Where the system knows no limit, and the most where it allows more: a country's clinics on one machine.
const MOST: usize = 65_536;
/// Silent sockets: all who come back after an outage, for the second that they need.
const MOST_SILENT: usize = 2_048;

/// What the process's descriptors are for. A quarter is left to the database, files and the relay.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    /// Connections of HTTP.
    pub(crate) connections: usize,
    /// Sockets that have not said yet whose they are.
    pub(crate) silent_sockets: usize,
    /// All sockets, with those.
    pub(crate) sockets: usize,
}

impl Share {
    const fn of(descriptors: usize) -> Self {
        let quarter = descriptors / 4;
        let silent_sockets = if quarter / 2 < MOST_SILENT { quarter / 2 } else { MOST_SILENT };
        Self { connections: quarter, silent_sockets, sockets: quarter * 2 }
    }
}

/// What there may be. The process is first given all the descriptors that it may have.
pub(crate) fn share() -> Share {
    static SHARE: OnceLock<Share> = OnceLock::new();
    *SHARE.get_or_init(|| Share::of(descriptors()))
}

#[cfg(unix)]
fn descriptors() -> usize {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the process keeps its few descriptors");
            limit = getrlimit(Resource::Nofile);
        }
    }
    limit.current.and_then(|all| usize::try_from(all).ok()).map_or(MOST, |all| all.min(MOST))
}

#[cfg(not(unix))]
fn descriptors() -> usize {
    MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_something_left() {
        for descriptors in [256, 1_024, 65_536] {
            let Share { connections, silent_sockets, sockets } = Share::of(descriptors);
            assert!(connections + sockets < descriptors && silent_sockets < sockets && silent_sockets > 0);
        }
    }
}
