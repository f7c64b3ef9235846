//! The embedded TURN relay (RFC 8656) over UDP, and over TCP and TLS for whom no UDP reaches.
//!
//! The protocol is `turn-server-proto`'s, which does no I/O; here are its sockets. Credentials
//! ([`RelayCredentials`]) follow the common "TURN REST" scheme: the name is `<unix seconds of its end>:<user id>/<sign-in>/<visit>`, the
//! password the base64 of HMAC-SHA1 over the name. The relay can tell from a name alone whether
//! it is good, so it keeps no list and a restart forgets nobody; it remembers only which sign-ins and visits have ended.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant as Clock},
};

use bedside_redact::Secret;
use bytes::Bytes;
use jiff::SignedDuration;
use tokio::{
    net::{TcpListener, UdpSocket},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use turn_server_proto::{
    api::{SocketAllocateError, TurnServerApi, TurnServerPollRet},
    server::TurnServer,
    stun::{agent::Transmit, types::TransportType},
    types::{AddressFamily, Instant},
};

mod admission;
mod credentials;
mod limits;
mod owner;
mod strangers;
mod streams;

use crate::{
    config::RelayConfig,
    pace::{Pace, Rate},
    tls::Tls,
};
use admission::{Admission, Client};
pub use credentials::RelayCredentials;
use limits::{Allowance, Direction, is_private, is_public, is_relayed_data};
use owner::Owner;
use strangers::Strangers;
use streams::{Streams, is_stream};

/// Named in challenges; the same for every clinic, because it means nothing to people.
const REALM: &str = "bedside";
/// Relayed sockets at once: two for each of 128 visits, and far below a process's file limit.
const MAX_ALLOCATIONS: usize = 256;
/// Packets waiting for the relay's task; when it is full the newest is dropped, as a network would.
const QUEUE: usize = 512;
/// The server is asked at least this often what it wants done.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// Largest UDP payload.
const MAX_PACKET: usize = 65_535;
/// Relayed sockets of one person: two for each of eight goes at connecting. Those of an app that
/// was killed last ten minutes.
const MAX_OF_ONE: usize = 16;
/// How long a visit's relay may go on beyond its credentials, which are renewed only where the relay is asked for anew.
const LONGEST_VISIT: SignedDuration = SignedDuration::from_hours(12);
/// Sign-ins and visits that are known to have ended: more than end while credentials of theirs last. The oldest are
/// forgotten.
const MOST_ENDED: usize = 10_000;
/// Ended sign-ins and visits that the relay's task has not heard of yet. When it is full, one goes on until its
/// credentials end.
const ENDED_QUEUE: usize = 4_096;
/// Addresses of people who have shown credentials. The server (0.7.3) keeps something of each for ever: from here on
/// it is made anew as soon as it is idle.
const MANY_CLIENTS: usize = 1_000;
/// New addresses of one person: an app that goes from network to network, or is started again and again.
const NEW_ADDRESSES: Rate = Rate { burst: 64, every: Duration::from_secs(10) };
/// People whose new addresses are counted.
const PEOPLE: usize = 20_000;

/// A running relay.
pub struct Relay {
    credentials: RelayCredentials,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Relay {
    /// Binds the socket and starts the task.
    pub async fn start(config: &RelayConfig, secret: Secret<Vec<u8>>) -> io::Result<Self> {
        let socket = UdpSocket::bind(config.listen).await?;
        let listen = socket.local_addr()?;
        let secret = Arc::new(secret);
        let stop = CancellationToken::new();
        let (packets, incoming) = mpsc::channel(QUEUE);
        let (ended, endings) = mpsc::channel(ENDED_QUEUE);
        let streams = Streams::default();
        let readers = TaskTracker::new();
        let takes_tcp = match TcpListener::bind(listen).await {
            Ok(tcp) => {
                readers.spawn(streams.clone().accept(tcp, None, listen, packets.clone(), stop.clone()));
                true
            }
            Err(error) => {
                tracing::error!(%error, %listen, "the relay is not reached over TCP");
                false
            }
        };
        let mut tls = None;
        if let Some(config) = &config.tls {
            let listener = TcpListener::bind(config.listen).await?;
            tls = Some(format!("{}:{}", config.name, listener.local_addr()?.port()));
            let shown = Tls::open(&config.certificate, &config.key)?;
            readers.spawn(shown.clone().keep_fresh(stop.clone()));
            readers.spawn(streams.clone().accept(
                listener,
                Some(shown),
                listen,
                packets.clone(),
                stop.clone(),
            ));
        }
        let driver = Driver {
            server: TurnServer::new(TransportType::Udp, listen, REALM.to_owned()),
            socket: Arc::new(socket),
            listen,
            public: config.public_ip,
            reaches_private: config.allow_private,
            allowances: HashMap::new(),
            relayed: HashMap::new(),
            clients: HashMap::new(),
            strangers: Strangers::new(),
            new_addresses: Pace::new(NEW_ADDRESSES, PEOPLE),
            users: HashSet::new(),
            started: Clock::now(),
            secret: secret.clone(),
            packets,
            incoming,
            endings,
            ended: HashSet::new(),
            ended_order: VecDeque::new(),
            streams,
            readers,
            stop: stop.clone(),
        };
        let address = SocketAddr::new(config.public_ip, listen.port());
        // The first, because the stack learns its own address from no relay: two homes behind their
        // routers find one another by it, and meet without the relay.
        let mut urls = vec![format!("stun:{address}"), format!("turn:{address}?transport=udp")];
        // Last, because TCP is the worse way for media.
        urls.extend(takes_tcp.then(|| format!("turn:{address}?transport=tcp")));
        urls.extend(tls.map(|tls| format!("turns:{tls}?transport=tcp")));
        let credentials = RelayCredentials::new(urls, secret, Some(ended));
        Ok(Self { credentials, stop, task: tokio::spawn(driver.run()) })
    }

    /// What hands out credentials.
    pub fn ice_servers(&self) -> RelayCredentials {
        self.credentials.clone()
    }

    /// Stops relaying and waits until every socket is closed.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the relay had stopped");
        }
    }
}

struct Packet {
    from: SocketAddr,
    to: SocketAddr,
    data: Bytes,
}

struct Relayed {
    owner: Option<Owner>,
    socket: Arc<UdpSocket>,
    stop: CancellationToken,
}

struct Driver {
    server: TurnServer,
    socket: Arc<UdpSocket>,
    listen: SocketAddr,
    public: IpAddr,
    /// Whether it relays into private networks.
    reaches_private: bool,
    /// What each person may still relay at once, by direction.
    allowances: HashMap<(String, Direction), Allowance>,
    relayed: HashMap<SocketAddr, Relayed>,
    /// Who has shown a good name and password, and whose it is.
    clients: HashMap<SocketAddr, Client>,
    strangers: Strangers,
    new_addresses: Pace<String>,
    users: HashSet<String>,
    /// The server counts its time from here.
    started: Clock,
    secret: Arc<Secret<Vec<u8>>>,
    packets: mpsc::Sender<Packet>,
    incoming: mpsc::Receiver<Packet>,
    endings: mpsc::Receiver<String>,
    /// Sign-ins and visits that have ended, and in which order.
    ended: HashSet<String>,
    ended_order: VecDeque<String>,
    streams: Streams,
    readers: TaskTracker,
    stop: CancellationToken,
}

impl Driver {
    async fn run(mut self) {
        self.read(self.socket.clone(), self.listen, self.stop.child_token());
        loop {
            let wait = self.progress().await;
            tokio::select! {
                () = self.stop.cancelled() => break,
                packet = self.incoming.recv() => if let Some(packet) = packet { self.on_packet(packet).await },
                Some(ending) = self.endings.recv() => self.on_ended(ending),
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.relayed.clear();
        self.readers.close();
        self.readers.wait().await;
    }

    /// A task that reads one socket until `stop`.
    fn read(&self, socket: Arc<UdpSocket>, to: SocketAddr, stop: CancellationToken) {
        let packets = self.packets.clone();
        self.readers.spawn(async move {
            let mut buffer = vec![0; MAX_PACKET];
            loop {
                let received = tokio::select! {
                    () = stop.cancelled() => return,
                    received = socket.recv_from(&mut buffer) => received,
                };
                // An ICMP error of an earlier packet shows here; the socket itself is fine.
                let Ok((length, from)) = received else { continue };
                let data = Bytes::copy_from_slice(&buffer[..length]);
                // Full: dropped, as a network would.
                let _ = packets.try_send(Packet { from, to, data });
            }
        });
    }

    /// Nothing more is taken of whoever came by this sign-in or for this visit, and nothing is relayed for them. Their
    /// sockets keep their ports until the server forgets the allocations, because nobody renews them: another
    /// must not be given one meanwhile.
    fn on_ended(&mut self, ending: String) {
        if !self.ended.insert(ending.clone()) {
            return;
        }
        self.clients.retain(|_, client| !client.owner.is_of(&ending));
        let theirs =
            |relayed: &&mut Relayed| relayed.owner.as_ref().is_some_and(|owner| owner.is_of(&ending));
        for relayed in self.relayed.values_mut().filter(theirs) {
            relayed.stop.cancel();
        }
        self.ended_order.push_back(ending);
        if self.ended_order.len() > MOST_ENDED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }

    fn now(&self) -> Instant {
        Instant::from_std(self.started)
    }

    async fn on_packet(&mut self, packet: Packet) {
        let mut packet = packet;
        if packet.to == self.listen {
            match self.admit(&packet.data, packet.from) {
                Admission::Dropped => return,
                Admission::Answered(answer) => return self.send(&answer, self.listen, packet.from).await,
                Admission::Passed(data) => packet.data = data,
            }
        }
        if packet.to == self.listen && !self.affords(packet.from, Direction::Up, &packet.data) {
            return;
        }
        let client = packet.from;
        let mut next = Some(Transmit::new(packet.data.to_vec(), TransportType::Udp, packet.from, packet.to));
        // From one relayed address to another of ours it need not leave the machine.
        while let Some(packet) = next.take() {
            let Some(out) = self
                .server
                .recv(packet, self.now())
                .map(turn_server_proto::types::transmit::TransmitBuild::build)
            else {
                return;
            };
            if self.relayed.get(&out.from).is_some_and(|relayed| relayed.stop.is_cancelled())
                || self.relayed.get(&out.to).is_some_and(|relayed| relayed.stop.is_cancelled())
            {
                return; // Of a sign-in that has ended.
            }
            if out.from != self.listen && self.relayed.contains_key(&out.to) {
                next = Some(out);
            } else {
                // The server addresses the answer to a Binding request to itself (0.7.3).
                let to = if out.to == self.listen { client } else { out.to };
                self.send(&out.data, out.from, to).await;
            }
        }
    }

    /// Does all that the server wants done now; gives when it wants to be asked again.
    async fn progress(&mut self) -> Duration {
        loop {
            let now = self.now();
            match self.server.poll(now) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    let socket = self.allocate(client_addr, allocation_transport, family).await;
                    self.server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        socket,
                        now,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    if let Some(relayed) = self.relayed.remove(&listen_addr) {
                        relayed.stop.cancel();
                    }
                }
                // Only ever asked for by a server that speaks TCP itself.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
                TurnServerPollRet::WaitUntil(until) => {
                    while let Some(out) = self.server.poll_transmit(now) {
                        self.send(&out.data, out.from, out.to).await;
                    }
                    // A fresh allocation may make it want to be asked sooner than it said.
                    return until.saturating_duration_since(now).min(LONGEST_WAIT);
                }
            }
        }
    }

    async fn allocate(
        &mut self,
        client: SocketAddr,
        transport: TransportType,
        family: AddressFamily,
    ) -> Result<SocketAddr, SocketAllocateError> {
        // The server's own handling of two families at once loses the first (0.7.3): only IPv4.
        if transport != TransportType::Udp || family != AddressFamily::IPV4 {
            return Err(SocketAllocateError::AddressFamilyNotSupported);
        }
        if self.relayed.len() >= MAX_ALLOCATIONS {
            tracing::warn!(limit = MAX_ALLOCATIONS, "the relay is full");
            return Err(SocketAllocateError::InsufficientCapacity);
        }
        let owner = self.clients.get(&client).map(|client| client.owner.clone());
        let user = |owner: &Option<Owner>| owner.as_ref().map(|owner| owner.user.clone());
        if self.relayed.values().filter(|relayed| user(&relayed.owner) == user(&owner)).count() >= MAX_OF_ONE
        {
            tracing::warn!(limit = MAX_OF_ONE, "somebody has as many relayed sockets as they may");
            return Err(SocketAllocateError::InsufficientCapacity);
        }
        let bound = UdpSocket::bind(SocketAddr::new(self.listen.ip(), 0)).await;
        let Ok((socket, port)) = bound.and_then(|s| s.local_addr().map(|a| (s, a.port()))) else {
            return Err(SocketAllocateError::InsufficientCapacity);
        };
        let address = SocketAddr::new(self.public, port);
        let socket = Arc::new(socket);
        let stop = self.stop.child_token();
        self.read(socket.clone(), address, stop.clone());
        self.relayed.insert(address, Relayed { owner, socket, stop });
        Ok(address)
    }

    /// A relay must not be a way into the machine it runs on or the network behind it: anybody who is
    /// signed in may use it.
    fn may_reach(&self, peer: IpAddr) -> bool {
        // One that serves only its own machine is for trying things out.
        let is_local = peer.is_loopback() && self.listen.ip().is_loopback();
        is_local || is_public(peer) || (self.reaches_private && is_private(peer))
    }

    /// Whether a person's share still carries this. What only arranges things is free.
    fn affords(&mut self, client: SocketAddr, direction: Direction, data: &[u8]) -> bool {
        let Some(Client { owner, .. }) = self.clients.get(&client) else { return true };
        if !is_relayed_data(data) {
            return true;
        }
        let allowance =
            self.allowances.entry((owner.user.clone(), direction)).or_insert_with(Allowance::full);
        allowance.take(data.len(), Clock::now())
    }

    async fn send(&mut self, data: &[u8], from: SocketAddr, to: SocketAddr) {
        if from != self.listen && !self.may_reach(to.ip()) {
            return;
        }
        if from == self.listen && !self.affords(to, Direction::Down, data) {
            return;
        }
        if from == self.listen && is_stream(to) {
            return self.streams.send(to, data);
        }
        let socket =
            if from == self.listen { Some(&self.socket) } else { self.relayed.get(&from).map(|r| &r.socket) };
        if let Some(socket) = socket
            && let Err(error) = socket.send_to(data, to).await
        {
            tracing::debug!(%error, "a packet could not be relayed");
        }
    }
}

/// What is done with a packet before the server sees one, by itself.
#[cfg(fuzzing)]
pub(crate) fn look_at(packet: &[u8], from: SocketAddr) {
    use turn_server_proto::stun::types::message::{LongTermKeyCredentials, Message};
    let _ = is_relayed_data(packet);
    let Ok(message) = Message::from_bytes(packet) else { return };
    let mut strangers = Strangers::new();
    let key = LongTermKeyCredentials::new("1:u/s/v".to_owned(), "p".to_owned(), REALM.to_owned()).into();
    let _ = strangers.is_answer(&message, from);
    for answer in [
        strangers.challenge(&message, from, Clock::now()),
        strangers::first_request(&message),
        strangers::with_nonce(&message, "nonce", &key),
        strangers::forbidden(&message, &key),
    ] {
        assert!(answer.is_none_or(|answer| Message::from_bytes(&answer).is_ok()), "what is said can be read");
    }
}
