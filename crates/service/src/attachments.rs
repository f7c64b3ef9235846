//! The files that people send one another: taken in part by part, looked at, sealed, kept, and given back.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bedside_protocol::AttachmentId;
use bedside_sealing::{HEAD_BYTES, Keys, Opening, Sealing, SealingError, is_sealed, new_key};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::{fs::File, io::AsyncWriteExt, sync::Semaphore};

use crate::{
    ServiceError,
    blobs::{Blobs, Parts},
    config::{Config, Place},
    error::ApiError,
    files::{self, Accepted},
    store::{Store, StoreError},
};

/// What ends the name of a file that is not whole yet.
pub(crate) const PARTIAL: &str = "partial";
/// Files that are looked at side by side, each whole in memory.
const LOOKED_AT: usize = 2;

/// The files.
pub(crate) struct Attachments {
    blobs: Blobs,
    keys: Arc<Keys>,
    /// Where files are while they come in, and the key that they are sealed with there: nobody needs them after this
    /// process.
    incoming: PathBuf,
    passing: Keys,
    looking: Semaphore,
}

/// A file on its way in; what has come of it goes with it.
pub(crate) struct Incoming {
    name: String,
    path: PathBuf,
    file: File,
    sealing: Option<Sealing>,
}

fn damaged(error: SealingError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Attachments {
    pub(crate) fn open(config: &Config, keys: Arc<Keys>) -> Result<Self, ServiceError> {
        let (blobs, incoming) = match &config.attachments {
            Place::Folder(folder) => (Blobs::Folder(folder.clone()), folder.clone()),
            Place::Bucket(bucket) => (Blobs::bucket(bucket)?, config.data.join("incoming")),
        };
        std::fs::create_dir_all(&incoming)?;
        let passing = Keys::read(&new_key()).map_err(damaged)?;
        Ok(Self { blobs, keys, incoming, passing, looking: Semaphore::new(LOOKED_AT) })
    }

    /// Clears away what was on its way when a service ended: what nothing has come of for `since`.
    pub(crate) fn sweep(&self, since: Duration) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.incoming)? {
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
                && error.kind() != io::ErrorKind::NotFound
            {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Begins to take one in.
    pub(crate) async fn begin(&self, id: AttachmentId) -> io::Result<Incoming> {
        let name = id.to_string();
        let path = self.incoming.join(format!("{name}.coming.{PARTIAL}"));
        let sealing = Some(Sealing::begin(&self.passing, &name).map_err(damaged)?);
        Ok(Incoming { file: File::create(&path).await?, path, name, sealing })
    }

    /// Looks at what has come, and keeps it as it may be kept.
    pub(crate) async fn finish(
        &self,
        id: AttachmentId,
        incoming: Incoming,
        name: String,
    ) -> Result<Accepted, ApiError> {
        let _look = self.looking.acquire().await.map_err(|_| io::Error::other("the service has ended"))?;
        let bytes = self.read_incoming(&incoming).await?;
        let looked = tokio::task::spawn_blocking(move || files::accept(&name, bytes)).await;
        let accepted = looked.map_err(io::Error::other)??;
        let kept = async {
            if let Some(small) = &accepted.thumbnail {
                self.keep(&thumbnail(id), small).await?;
            }
            self.keep(&id.to_string(), &accepted.bytes).await
        };
        if let Err(error) = kept.await {
            // Half of it helps nobody. Where it can't be removed either, its place says more than this would.
            let _ = self.remove(id).await;
            return Err(error.into());
        }
        Ok(accepted)
    }

    async fn read_incoming(&self, incoming: &Incoming) -> io::Result<Vec<u8>> {
        let sealed = tokio::fs::read(&incoming.path).await?;
        let cut_off = || damaged(SealingError::Damaged);
        let (head, parts) = sealed.split_at_checked(HEAD_BYTES).ok_or_else(cut_off)?;
        let mut opening = Opening::begin(&self.passing, &incoming.name, head).map_err(damaged)?;
        let mut bytes = opening.push(parts).map_err(damaged)?;
        bytes.extend(opening.finish().map_err(damaged)?);
        Ok(bytes)
    }

    async fn keep(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut sealing = Sealing::begin(&self.keys, name).map_err(damaged)?;
        let mut sealed = sealing.push(bytes).map_err(damaged)?;
        sealed.extend(sealing.finish().map_err(damaged)?);
        self.blobs.put(name, sealed).await
    }

    /// Removes one that nobody knows of, and the small picture of it.
    pub(crate) async fn remove(&self, id: AttachmentId) -> io::Result<()> {
        self.blobs.remove(&thumbnail(id)).await?;
        self.blobs.remove(&id.to_string()).await
    }

    /// One, part by part.
    pub(crate) async fn read(&self, id: AttachmentId) -> io::Result<Parts> {
        self.open_blob(id.to_string()).await
    }

    /// The small picture of one.
    pub(crate) async fn thumbnail(&self, id: AttachmentId) -> io::Result<Vec<u8>> {
        whole(self.open_blob(thumbnail(id)).await?).await
    }

    /// Opens what is kept under a name. What was kept before there were seals is given as it is.
    async fn open_blob(&self, name: String) -> io::Result<Parts> {
        let mut sealed = self.blobs.get(&name).await?;
        let mut beginning = vec![];
        while beginning.len() < HEAD_BYTES
            && let Some(part) = sealed.try_next().await?
        {
            beginning.extend_from_slice(&part);
        }
        if !is_sealed(&beginning) {
            return Ok(stream::once(async { Ok(Bytes::from(beginning)) }).chain(sealed).boxed());
        }
        let cut_off = || damaged(SealingError::Damaged);
        let (head, rest) = beginning.split_at_checked(HEAD_BYTES).ok_or_else(cut_off)?;
        let opening = Opening::begin(&self.keys, &name, head).map_err(damaged)?;
        let rest = Bytes::copy_from_slice(rest);
        let sealed = stream::once(async { Ok(rest) }).chain(sealed).boxed();
        let opened = stream::try_unfold((sealed, Some(opening)), |(mut sealed, opening)| async move {
            let Some(mut opening) = opening else { return Ok(None) };
            let (part, opening) = match sealed.try_next().await? {
                Some(part) => (opening.push(&part).map_err(damaged)?, Some(opening)),
                None => (opening.finish().map_err(damaged)?, None),
            };
            Ok::<_, io::Error>(Some((Bytes::from(part), (sealed, opening))))
        });
        Ok(opened.boxed())
    }

    /// Seals the heads of all files with the key that seals now; gives how many had another. What is not one of ours by
    /// its name stays as it is.
    pub(crate) async fn seal_anew(&self, store: &Store) -> Result<usize, StoreError> {
        let mut names = self.blobs.names();
        let mut changed = 0;
        while let Some(name) = names.try_next().await? {
            let id = name.strip_suffix(THUMBNAIL).unwrap_or(&name).parse::<AttachmentId>();
            let Ok(id) = id else { continue };
            // One that nothing points to is on its way out.
            if store.attachment(id).await?.is_none() {
                continue;
            }
            let sealed = match self.blobs.get(&name).await {
                Ok(parts) => whole(parts).await?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            if is_sealed(&sealed) {
                let cut_off = || damaged(SealingError::Damaged);
                let (head, rest) = sealed.split_at_checked(HEAD_BYTES).ok_or_else(cut_off)?;
                let Some(head) = self.keys.seal_head_anew(&name, head)? else { continue };
                self.blobs.put(&name, [&head[..], rest].concat()).await?;
            } else {
                self.keep(&name, &sealed).await?;
            }
            changed += 1;
            // It was taken back meanwhile.
            if store.attachment(id).await?.is_none() {
                self.blobs.remove(&name).await?;
            }
        }
        Ok(changed)
    }
}

/// All of it.
async fn whole(mut parts: Parts) -> io::Result<Vec<u8>> {
    let mut all = vec![];
    while let Some(part) = parts.try_next().await? {
        all.extend_from_slice(&part);
    }
    Ok(all)
}

/// What the name of a file's small picture ends with.
const THUMBNAIL: &str = ".thumbnail";

/// What the small picture of a file is called.
fn thumbnail(id: AttachmentId) -> String {
    format!("{id}{THUMBNAIL}")
}

impl Incoming {
    pub(crate) async fn write(&mut self, part: &[u8]) -> io::Result<()> {
        let Some(sealing) = &mut self.sealing else { return Err(io::Error::other("it has ended")) };
        let sealed = sealing.push(part).map_err(damaged)?;
        self.file.write_all(&sealed).await
    }

    /// All of it has come.
    pub(crate) async fn end(&mut self) -> io::Result<()> {
        let Some(sealing) = self.sealing.take() else { return Ok(()) };
        let sealed = sealing.finish().map_err(damaged)?;
        self.file.write_all(&sealed).await?;
        self.file.flush().await
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // A leftover is swept at the next start.
        let _ = std::fs::remove_file(Path::new(&self.path));
    }
}
