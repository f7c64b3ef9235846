//! Certificates: read from PEM files, and again when these have changed. Whoever renews one writes the files and does
//! nothing more.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether the files have changed: they do every few weeks.
const LOOKS_EVERY: Duration = Duration::from_secs(30);

/// How clients are shown who this is.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: RwLock<Current>,
}

struct Current {
    config: Arc<ServerConfig>,
    changed: Changed,
}

/// When the certificate's file, and the key's, were last changed.
type Changed = (SystemTime, SystemTime);

impl Tls {
    /// From two PEM files: the certificate with those that signed it, and its key.
    pub(crate) fn open(certificate: &Path, key: &Path) -> io::Result<Arc<Self>> {
        let changed = changed(certificate, key)?;
        let config = read(certificate, key)?;
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            current: RwLock::new(Current { config, changed }),
        }))
    }

    /// By today's certificate.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).config.clone().into()
    }

    /// Reads the files again when they have changed, until `stop`. Files that can't be read change nothing: they may
    /// be half written.
    pub(crate) async fn keep_fresh(self: Arc<Self>, stop: CancellationToken) {
        let mut interval = tokio::time::interval(LOOKS_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = interval.tick() => {}
            }
            if let Err(error) = self.refresh() {
                let file = self.certificate.display();
                tracing::error!(%error, %file, "the certificate can't be read again; the one before it goes on");
            }
        }
    }

    fn refresh(&self) -> io::Result<()> {
        let changed = changed(&self.certificate, &self.key)?;
        if self.current.read().unwrap_or_else(PoisonError::into_inner).changed == changed {
            return Ok(());
        }
        let config = read(&self.certificate, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Current { config, changed };
        tracing::info!(file = %self.certificate.display(), "the certificate was read again");
        Ok(())
    }
}

fn changed(certificate: &Path, key: &Path) -> io::Result<Changed> {
    Ok((std::fs::metadata(certificate)?.modified()?, std::fs::metadata(key)?.modified()?))
}

fn read(certificate: &Path, key: &Path) -> io::Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain: Vec<_> = chain.map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)?;
    Ok(Arc::new(config))
}
