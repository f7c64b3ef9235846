//! A relay on this machine, and a narrow line to it.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

#[path = "../../../proxy/tests/support/mod.rs"]
pub mod proxy;

use std::{
    collections::{HashMap, hash_map::Entry},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bedside_redact::Secret;
use bedside_rtc::{IceServer, PeerConfig};
use bedside_service::{
    config::{RelayConfig, RelayTls},
    relay::Relay,
};
use tokio::{net::UdpSocket, sync::mpsc, time::Instant};

/// A certificate of one's own making, and who believes it.
pub struct Certificate {
    pub chain: PathBuf,
    pub key: PathBuf,
    pub trusted: Arc<rustls::ClientConfig>,
}

/// Makes one for `name`, in a folder.
pub fn certificate(folder: &Path, name: &str) -> Certificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let (chain, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let trusted = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Certificate { chain, key, trusted: Arc::new(trusted) }
}

/// A relay on this machine, with a certificate for `localhost` of its own making.
pub struct LocalRelay {
    pub relay: Relay,
    pub servers: Vec<IceServer>,
    pub tls: Arc<rustls::ClientConfig>,
    _folder: tempfile::TempDir,
}

pub async fn local_relay() -> LocalRelay {
    let folder = tempfile::tempdir().unwrap();
    let Certificate { chain, key, trusted } = certificate(folder.path(), "localhost");
    let here: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let tls = RelayTls { listen: here, name: "localhost".into(), certificate: chain, key };
    let config = RelayConfig { listen: here, tls: Some(tls), public_ip: here.ip(), allow_private: false };
    let relay = Relay::start(&config, Secret::new(vec![7; 32])).await.unwrap();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5);
    let servers = relay.ice_servers().issue("somebody", "here", None, until);
    let servers = servers.into_iter().map(|server| IceServer {
        url: server.urls,
        username: server.username.unwrap_or_default(),
        credential: Secret::new(server.credential.map(|c| c.expose().to_owned()).unwrap_or_default()),
    });
    LocalRelay { relay, servers: servers.collect(), tls: trusted, _folder: folder }
}

impl LocalRelay {
    /// Only through it, by those of its ways whose URL begins or ends so.
    pub fn by(&self, is_wanted: impl Fn(&str) -> bool) -> PeerConfig {
        PeerConfig {
            ice_servers: self.servers.iter().filter(|server| is_wanted(&server.url)).cloned().collect(),
            relay_only: true,
            loopback: true,
            tls: Some(self.tls.clone()),
            ..PeerConfig::default()
        }
    }
}

pub fn is_tcp(url: &str) -> bool {
    url.starts_with("turn:") && url.ends_with("transport=tcp")
}

pub fn is_tls(url: &str) -> bool {
    url.starts_with("turns:")
}

pub fn is_udp(url: &str) -> bool {
    url.ends_with("transport=udp")
}

/// What a narrow line keeps waiting: as a home's router does.
const LINE_QUEUE: usize = 40;

/// A line to `to` that carries so much each way for all who use it; gives its near end. It goes with the
/// runtime.
pub async fn narrow_line(to: SocketAddr, bits_per_second: u64) -> SocketAddr {
    let near = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    let address = near.local_addr().unwrap();
    let up = lane(bits_per_second);
    let down = lane(bits_per_second);
    tokio::spawn(async move {
        let mut far: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
        let mut buffer = vec![0; 2_048];
        loop {
            let (length, from) = near.recv_from(&mut buffer).await.unwrap();
            let by = match far.entry(from) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(far_end(to, near.clone(), from, down.clone()).await),
            };
            let datagram = Datagram { data: buffer[..length].into(), by: by.clone(), to };
            // Full: lost.
            let _ = up.try_send(datagram);
        }
    });
    address
}

/// The socket by which what one sends leaves; what comes back goes to them.
async fn far_end(
    to: SocketAddr,
    near: Arc<UdpSocket>,
    whose: SocketAddr,
    down: mpsc::Sender<Datagram>,
) -> Arc<UdpSocket> {
    let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
    socket.connect(to).await.unwrap();
    let reading = socket.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 2_048];
        while let Ok(length) = reading.recv(&mut buffer).await {
            let datagram = Datagram { data: buffer[..length].into(), by: near.clone(), to: whose };
            let _ = down.try_send(datagram);
        }
    });
    socket
}

struct Datagram {
    data: Vec<u8>,
    by: Arc<UdpSocket>,
    to: SocketAddr,
}

/// One direction.
fn lane(bits_per_second: u64) -> mpsc::Sender<Datagram> {
    let (sender, mut queue) = mpsc::channel::<Datagram>(LINE_QUEUE);
    tokio::spawn(async move {
        let mut free_at = Instant::now();
        while let Some(Datagram { data, by, to }) = queue.recv().await {
            let bits = (data.len() as u64 + 28) * 8;
            free_at =
                free_at.max(Instant::now()) + Duration::from_secs_f64(bits as f64 / bits_per_second as f64);
            tokio::time::sleep_until(free_at).await;
            // The connected ones know where to.
            let _ = if by.peer_addr().is_ok() { by.send(&data).await } else { by.send_to(&data, to).await };
        }
    });
    sender
}
