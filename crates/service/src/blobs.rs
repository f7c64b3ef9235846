//! Where the bytes of files are kept: a folder, or a bucket of an S3 service.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig, aws::AmazonS3Builder,
    path::Path as Key,
};
use tokio::{fs::File, io::AsyncWriteExt};
use tokio_util::io::ReaderStream;

use crate::{
    ServiceError,
    attachments::PARTIAL,
    config::{BucketConfig, BucketKey},
};

/// How long a bucket may say nothing, and how long something is tried again: a person waits for it.
const SAYS_WITHIN: Duration = Duration::from_secs(10);
const RETRIES_FOR: Duration = Duration::from_secs(20);

/// Bytes as they come.
pub(crate) type Parts = BoxStream<'static, io::Result<Bytes>>;

/// Where.
#[derive(Clone)]
pub(crate) enum Blobs {
    /// In a folder, each a file of its own.
    Folder(PathBuf),
    /// In a bucket, each an object.
    Bucket(Arc<dyn ObjectStore>),
}

/// Writes a file and gives it its name.
async fn keep(partial: &Path, whole: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(partial).await?;
    file.write_all(bytes).await?;
    // What was written last is still on its way: only this says whether it arrived.
    file.flush().await?;
    file.sync_all().await?;
    tokio::fs::rename(partial, whole).await
}

/// What went wrong with a bucket: what it says itself, or that it can't be reached.
fn of_bucket(error: object_store::Error) -> io::Error {
    use object_store::client::{HttpError, HttpErrorKind as Kind};
    let mut reason: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(why) = reason {
        let kind = why.downcast_ref::<HttpError>().map(HttpError::kind);
        if matches!(kind, Some(Kind::Connect | Kind::Request | Kind::Timeout | Kind::Interrupted)) {
            return io::Error::new(io::ErrorKind::NotConnected, error);
        }
        reason = why.source();
    }
    // Its status is only in the words (`RetryError` is not to be had): a server's own failure, or "slow down".
    let says = error.to_string();
    if ["status code: 5", "status code: 429"].iter().any(|status| says.contains(status)) {
        return io::Error::new(io::ErrorKind::NotConnected, error);
    }
    error.into()
}

impl Blobs {
    /// A bucket, as it is set up. Nothing is asked of it yet.
    pub(crate) fn bucket(config: &BucketConfig) -> Result<Self, ServiceError> {
        let builder = AmazonS3Builder::new()
            .with_bucket_name(&config.name)
            .with_region(&config.region)
            .with_retry(RetryConfig { max_retries: 3, retry_timeout: RETRIES_FOR, ..RetryConfig::default() })
            // A whole file takes as long as its line needs; only what says nothing is given up.
            .with_client_options(
                ClientOptions::new()
                    .with_allow_http(config.allows_http())
                    .with_timeout_disabled()
                    .with_read_timeout(SAYS_WITHIN),
            );
        let builder = match &config.endpoint {
            Some(endpoint) => builder.with_endpoint(endpoint.as_str().trim_end_matches('/')),
            None => builder,
        };
        let builder = match &config.credentials {
            Some(credentials) => {
                let BucketKey { id, secret, session } = credentials.read()?;
                let builder = builder.with_access_key_id(id).with_secret_access_key(secret.into_exposed());
                match session {
                    Some(session) => builder.with_token(session.into_exposed()),
                    None => builder,
                }
            }
            // As the machine it runs on is let in.
            None => builder,
        };
        let bucket = builder.build().map_err(|error| ServiceError::Config(format!("the bucket: {error}")))?;
        Ok(Self::Bucket(Arc::new(bucket)))
    }

    /// Keeps one whole: it is there for good when this returns.
    pub(crate) async fn put(&self, name: &str, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Self::Folder(folder) => {
                // Under another name until it is whole: a crash leaves nothing that looks like a file.
                let partial = folder.join(format!("{name}.{PARTIAL}"));
                let kept = keep(&partial, &folder.join(name), &bytes).await;
                if kept.is_err() {
                    // What came of it takes room that may be what was missing. Where it can't be removed, the next start
                    // does.
                    let _ = tokio::fs::remove_file(&partial).await;
                }
                kept
            }
            Self::Bucket(bucket) => {
                bucket.put(&Key::from(name), PutPayload::from(bytes)).await.map_err(of_bucket)?;
                Ok(())
            }
        }
    }

    /// One, part by part.
    pub(crate) async fn get(&self, name: &str) -> io::Result<Parts> {
        match self {
            Self::Folder(folder) => Ok(ReaderStream::new(File::open(folder.join(name)).await?).boxed()),
            Self::Bucket(bucket) => {
                let got = bucket.get(&Key::from(name)).await.map_err(of_bucket)?;
                Ok(got.into_stream().map_err(of_bucket).boxed())
            }
        }
    }

    /// Removes one; that there is none is no error.
    pub(crate) async fn remove(&self, name: &str) -> io::Result<()> {
        let removed = match self {
            Self::Folder(folder) => tokio::fs::remove_file(folder.join(name)).await,
            Self::Bucket(bucket) => bucket.delete(&Key::from(name)).await.map_err(of_bucket),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The names of all that there are, whole.
    pub(crate) fn names(&self) -> BoxStream<'static, io::Result<String>> {
        match self {
            Self::Folder(folder) => folder_names(folder.clone()).boxed(),
            Self::Bucket(bucket) => {
                let names = bucket.list(None).map_ok(|object| object.location.to_string());
                names.map_err(of_bucket).boxed()
            }
        }
    }
}

fn folder_names(folder: PathBuf) -> impl Stream<Item = io::Result<String>> {
    let names = async move {
        let mut entries = tokio::fs::read_dir(folder).await?;
        let mut names = vec![];
        while let Some(entry) = entries.next_entry().await? {
            if !entry.file_type().await?.is_file() {
                continue;
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if Path::new(&name).extension().is_none_or(|extension| extension != PARTIAL) {
                names.push(Ok(name));
            }
        }
        Ok::<_, io::Error>(futures_util::stream::iter(names))
    };
    futures_util::stream::once(names).try_flatten()
}
