//! The folder of what is kept: closed to everybody else on the machine, and watched for room.

use std::{
    io,
    path::Path,
    time::{Duration, Instant},
};

/// Less room than this, and the administrator is to be told: a busy clinic's week.
pub(crate) const LITTLE: u64 = 1024 * 1024 * 1024;
/// How often it is looked.
const LOOKS_EVERY: Duration = Duration::from_secs(60);
/// How often it is said while it stays so.
const SAYS_EVERY: Duration = Duration::from_secs(3600);

/// Makes the folder where there is none, and lets nobody but the service's own user look into it.
pub(crate) fn open(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)) {
            // Somebody else's, such as one that is mounted: whoever runs the service has to see to it.
            tracing::warn!(%error, folder = %path.display(), "others may look into the folder of what is kept");
        }
    }
    Ok(())
}

/// Tells the administrator before the disk is full, and not each minute.
#[derive(Default)]
pub(crate) struct Room {
    looked: Option<Instant>,
    said: Option<Instant>,
}

impl Room {
    /// Looks, when it is time to.
    pub(crate) fn look(&mut self, path: &Path, now: Instant) {
        if self.looked.is_some_and(|at| now.duration_since(at) < LOOKS_EVERY) {
            return;
        }
        self.looked = Some(now);
        match free(path) {
            Ok(Some(free)) if self.is_to_be_said(free, now) => {
                let megabytes = free / (1024 * 1024);
                tracing::error!(
                    megabytes,
                    "the disk is nearly full: make room before nothing can be kept any more"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "it is not known how much room there is"),
        }
    }

    fn is_to_be_said(&mut self, free: u64, now: Instant) -> bool {
        if free >= LITTLE {
            self.said = None;
            return false;
        }
        let is_due = self.said.is_none_or(|at| now.duration_since(at) >= SAYS_EVERY);
        if is_due {
            self.said = Some(now);
        }
        is_due
    }
}

/// Bytes that may still be written there; none where the system does not say.
#[cfg(unix)]
pub(crate) fn free(path: &Path) -> io::Result<Option<u64>> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(Some(stat.f_bavail.saturating_mul(stat.f_frsize)))
}

#[cfg(not(unix))]
pub(crate) fn free(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn nobody_else_looks_into_it() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("data");
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        open(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(free(&path).unwrap().unwrap() > 0);
    }

    #[test]
    fn a_full_disk_is_told_once_an_hour() {
        let (mut room, now) = (Room::default(), Instant::now());
        let hours = |count: u32| now + SAYS_EVERY * count;
        assert!(room.is_to_be_said(1, now) && !room.is_to_be_said(1, now) && room.is_to_be_said(1, hours(1)));
        assert!(!room.is_to_be_said(LITTLE, hours(1)), "there is room again");
        assert!(room.is_to_be_said(1, hours(1)), "and again none");
    }
}
