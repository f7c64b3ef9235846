//! The folder of what people send one another in a chat.

use std::{path::PathBuf, time::Duration};

use bedside_protocol::AttachmentId;
use tokio::{fs::File, io::AsyncWriteExt, sync::Semaphore};

use crate::{
    error::ApiError,
    files::{self, Accepted},
};

/// What ends the name of a file that is not whole yet.
pub(crate) const PARTIAL: &str = "partial";
/// Files that are looked at side by side, each whole in memory.
const LOOKED_AT: usize = 2;

/// The folder.
pub(crate) struct Attachments {
    folder: PathBuf,
    looking: Semaphore,
}

/// A file on its way in; what has come of it goes with it.
pub(crate) struct Incoming {
    path: PathBuf,
    file: File,
}

impl Attachments {
    pub(crate) fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder, looking: Semaphore::new(LOOKED_AT) })
    }

    /// Clears the folder of what was on its way when a service ended: of what nothing has come of for `since`.
    pub(crate) fn sweep(&self, since: Duration) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != PARTIAL) {
                continue;
            }
            let swept = path.metadata().and_then(|file| file.modified()).and_then(|at| {
                // A clock that was set back leaves it for the next time.
                let is_old = at.elapsed().unwrap_or_default() >= since;
                if is_old { std::fs::remove_file(&path) } else { Ok(()) }
            });
            // Another service may have finished it, or swept it as well.
            if let Err(error) = swept
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Begins to take one in.
    pub(crate) async fn begin(&self, id: AttachmentId) -> std::io::Result<Incoming> {
        // Under another name until it is whole: a crash leaves nothing that looks like a file.
        let path = self.folder.join(format!("{id}.{PARTIAL}"));
        Ok(Incoming { file: File::create(&path).await?, path })
    }

    /// Looks at what has come, and keeps it as it may be kept.
    pub(crate) async fn finish(
        &self,
        id: AttachmentId,
        incoming: Incoming,
        name: String,
    ) -> Result<Accepted, ApiError> {
        let _look =
            self.looking.acquire().await.map_err(|_| std::io::Error::other("the service has ended"))?;
        let bytes = tokio::fs::read(&incoming.path).await?;
        let looked = tokio::task::spawn_blocking(move || files::accept(&name, bytes)).await;
        let accepted = looked.map_err(std::io::Error::other)??;
        let mut file = File::create(&incoming.path).await?;
        file.write_all(&accepted.bytes).await?;
        // On the disk before anybody is told that it is there.
        file.sync_all().await?;
        tokio::fs::rename(&incoming.path, self.folder.join(id.to_string())).await?;
        Ok(accepted)
    }

    /// Removes one that nobody knows of.
    pub(crate) async fn remove(&self, id: AttachmentId) -> std::io::Result<()> {
        tokio::fs::remove_file(self.folder.join(id.to_string())).await
    }

    /// One, to be read part by part.
    pub(crate) async fn read(&self, id: AttachmentId) -> std::io::Result<File> {
        File::open(self.folder.join(id.to_string())).await
    }
}

impl Incoming {
    pub(crate) async fn write(&mut self, part: &[u8]) -> std::io::Result<()> {
        self.file.write_all(part).await
    }

    /// All of it has come.
    pub(crate) async fn end(&mut self) -> std::io::Result<()> {
        self.file.flush().await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // Gone by its name where it was kept; a leftover is swept at the next start.
        let _ = std::fs::remove_file(&self.path);
    }
}
