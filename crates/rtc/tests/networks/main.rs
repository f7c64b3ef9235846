//! Calls between homes and offices with real routers: NAT and firewalls of the kernel, the service's own
//! relay, Debian's coturn and tinyproxy. Needs root, and says so where it is not.
#![cfg(target_os = "linux")]
#![expect(clippy::print_stdout, reason = "what was left out, and how long it took to connect")]

mod end;
mod hosts;
#[path = "../support/mod.rs"]
mod support;

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::Child,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use bedside_protocol::IceServer as IssuedServer;
use bedside_redact::Secret;
use bedside_rtc::{IceServer, Path as Way, PeerConfig, Proxies, RelayTransport};
use bedside_service::{
    config::{RelayConfig, RelayTls},
    relay::{Relay, RelayCredentials},
};
use end::{Connected, call};
use hosts::{Host, Internet, Lets, can_be_made};
use tokio_util::sync::CancellationToken;

/// TLS's port.
const HTTPS: u16 = 443;
/// Tinyproxy's.
const PROXY: u16 = 8_888;

fn for_peer(servers: Vec<IssuedServer>) -> Vec<IceServer> {
    let of = |server: IssuedServer| IceServer {
        url: server.urls,
        username: server.username.unwrap_or_default(),
        credential: Secret::new(server.credential.map(|c| c.expose().to_owned()).unwrap_or_default()),
    };
    servers.into_iter().map(of).collect()
}

fn soon() -> jiff::Timestamp {
    jiff::Timestamp::now() + jiff::SignedDuration::from_mins(5)
}

/// The service's relay on a host, over UDP, TCP and TLS.
struct RelayThere {
    servers: Vec<IceServer>,
    tls: Arc<rustls::ClientConfig>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl RelayThere {
    fn start(host: &Host) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = support::certificate(folder.path(), &host.address);
        let address = host.address.parse().unwrap();
        let tls = RelayTls {
            listen: SocketAddr::new(address, HTTPS),
            name: host.address.clone(),
            certificate: made.chain,
            key: made.key,
        };
        let listen = SocketAddr::new(address, 3_478);
        let config = RelayConfig { listen, tls: Some(tls), public_ip: address, allow_private: false };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (told, credentials) = mpsc::channel();
        let thread = host.run(move || async move {
            let relay = Relay::start(&config, Secret::new(vec![7; 32])).await.unwrap();
            told.send(relay.ice_servers()).unwrap();
            stopped.cancelled().await;
            relay.stop().await;
        });
        let credentials = credentials.recv().expect("the relay is up");
        let servers = for_peer(credentials.issue("somebody", "here", None, soon()));
        Self { servers, tls: made.trusted, stop, thread: Some(thread), _folder: folder }
    }

    fn config(&self) -> PeerConfig {
        PeerConfig { ice_servers: self.servers.clone(), tls: Some(self.tls.clone()), ..PeerConfig::default() }
    }
}

impl Drop for RelayThere {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the relay ends");
        }
    }
}

/// Another's program on a host, once it takes connections.
struct Program(Child);

impl Program {
    fn start(host: &Host, program: &str, args: &[String], port: u16) -> Self {
        let child = host.command(program).args(args).spawn().expect("it is installed by `cargo xtask setup`");
        let at = SocketAddr::new(host.address.parse().unwrap(), port);
        let answers = host.run(move || async move {
            let began = Instant::now();
            while TcpStream::connect(at).is_err() {
                if began.elapsed() > Duration::from_secs(10) {
                    return false;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            true
        });
        let started = Self(child);
        assert!(answers.join().unwrap(), "{program} takes no connections");
        started
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn is_direct(end: &Connected) -> bool {
    end.stats.relayed == Some(false)
}

#[test]
fn two_homes_behind_their_routers_meet_without_the_relay() {
    if !can_be_made() {
        return;
    }
    let mut internet = Internet::new();
    let relay = RelayThere::start(&internet.server("relay", 100));
    let homes = [internet.home("a", 11, Lets::All), internet.home("b", 12, Lets::All)];
    let ends = call([&homes[0], &homes[1]], [relay.config(), relay.config()]);
    for end in ends {
        // By the other's address as its router shows it.
        assert!(is_direct(&end) && end.stats.remote_path == Some(Way::Srflx), "{end:?}");
    }
}

#[test]
fn a_network_without_udp_is_left_through_tls_alone() {
    if !can_be_made() {
        return;
    }
    let mut internet = Internet::new();
    let relay = RelayThere::start(&internet.server("relay", 100));
    let (office, home) = (internet.home("a", 11, Lets::OnlyTcpTo(HTTPS)), internet.home("b", 12, Lets::All));
    let [there, here] = call([&office, &home], [relay.config(), relay.config()]);
    assert_eq!(there.stats.relayed, Some(true), "{there:?}");
    assert_eq!(there.stats.transport, Some(RelayTransport::Tls), "{there:?}");
    assert_eq!(here.stats.relayed, Some(true), "{here:?}");
    // And when they are called.
    let [_, there] = call([&home, &office], [relay.config(), relay.config()]);
    assert_eq!(there.stats.transport, Some(RelayTransport::Tls), "{there:?}");
}

#[test]
fn a_relay_that_is_dead_keeps_nobody_from_a_direct_way() {
    if !can_be_made() {
        return;
    }
    let mut internet = Internet::new();
    let relay = RelayThere::start(&internet.server("relay", 100));
    let config = relay.config();
    drop(relay);
    let home = internet.home("a", 11, Lets::All);
    let guest = internet.at_home_of(&home, "b");
    let ends = call([&home, &guest], [config.clone(), config]);
    for end in ends {
        assert!(is_direct(&end) && end.stats.path == Some(Way::Host), "{end:?}");
        assert!(end.after < Duration::from_secs(3), "nor delays it: {end:?}");
    }
}

#[test]
fn networks_with_nothing_but_ipv6_meet() {
    if !can_be_made() {
        return;
    }
    let mut internet = Internet::new();
    let hosts = [internet.server_6("a", 11), internet.server_6("b", 12)];
    let ends = call([&hosts[0], &hosts[1]], [PeerConfig::default(), PeerConfig::default()]);
    for end in ends {
        assert!(is_direct(&end) && end.stats.path == Some(Way::Host), "{end:?}");
    }
}

#[test]
fn a_network_that_lets_out_nothing_but_its_proxy_is_left_through_it() {
    if !can_be_made() {
        return;
    }
    let mut internet = Internet::new();
    let relay = RelayThere::start(&internet.server("relay", 100));
    let proxy = internet.server("proxy", 101);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tinyproxy.conf");
    let settings = format!(
        "Port {PROXY}\nListen {}\nTimeout 60\nConnectPort {HTTPS}\nBasicAuth clinic s3cret\n",
        proxy.address
    );
    fs::write(&file, settings).unwrap();
    let args = ["-d".to_owned(), "-c".to_owned(), file.display().to_string()];
    let _tinyproxy = Program::start(&proxy, "tinyproxy", &args, PROXY);
    let (office, home) = (internet.home("a", 11, Lets::OnlyTcpTo(PROXY)), internet.home("b", 12, Lets::All));
    let through = format!("http://clinic:s3cret@{}:{PROXY}", proxy.address);
    let config = PeerConfig { proxies: Proxies::through(&through), ..relay.config() };
    let [there, _] = call([&office, &home], [config, relay.config()]);
    assert_eq!(there.stats.relayed, Some(true), "{there:?}");
    assert_eq!(there.stats.transport, Some(RelayTransport::Tls), "its other ports are not connected to");
}

#[test]
fn coturn_stands_in_for_the_embedded_relay() {
    if !can_be_made() {
        return;
    }
    let mut internet = Internet::new();
    let server = internet.server("coturn", 100);
    let folder = tempfile::tempdir().unwrap();
    let made = support::certificate(folder.path(), &server.address);
    let args = coturn(&server, folder.path(), "north", &made);
    let _coturn = Program::start(&server, "turnserver", &args, 3_478);
    let homes = [internet.home("a", 11, Lets::All), internet.home("b", 12, Lets::All)];
    for (transport, url) in [
        (RelayTransport::Udp, format!("turn:{}:3478?transport=udp", server.address)),
        (RelayTransport::Tcp, format!("turn:{}:3478?transport=tcp", server.address)),
        (RelayTransport::Tls, format!("turns:{}:{HTTPS}?transport=tcp", server.address)),
    ] {
        let secret = Secret::new(b"north".to_vec());
        let issued =
            RelayCredentials::for_clinics_own(vec![url], secret).issue("somebody", "here", None, soon());
        let (ice_servers, tls) = (for_peer(issued), Some(made.trusted.clone()));
        let config = PeerConfig { ice_servers, tls, relay_only: true, ..PeerConfig::default() };
        let ends = call([&homes[0], &homes[1]], [config.clone(), config]);
        for end in ends {
            assert_eq!(
                (end.stats.relayed, end.stats.path, end.stats.transport),
                (Some(true), Some(Way::Relay), Some(transport)),
                "{end:?}"
            );
        }
    }
}

/// Debian's coturn with time-limited credentials and TLS, as its manual has it.
fn coturn(host: &Host, folder: &Path, secret: &str, certificate: &support::Certificate) -> Vec<String> {
    let file = |name: &str| -> PathBuf { folder.join(name) };
    [
        "-n".to_owned(),
        "--use-auth-secret".to_owned(),
        format!("--static-auth-secret={secret}"),
        "--realm=clinic".to_owned(),
        format!("--listening-ip={}", host.address),
        format!("--relay-ip={}", host.address),
        "--no-cli".to_owned(),
        format!("--tls-listening-port={HTTPS}"),
        format!("--cert={}", certificate.chain.display()),
        format!("--pkey={}", certificate.key.display()),
        "--no-dtls".to_owned(),
        format!("--userdb={}", file("db").display()),
        format!("--pidfile={}", file("pid").display()),
        format!("--log-file={}", file("log").display()),
    ]
    .to_vec()
}
