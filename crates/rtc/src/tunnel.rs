//! Ways to relays over TCP and TLS (RFC 8656 §2.1), for networks that let no UDP through.
//!
//! The stack speaks to relays over UDP alone (0.21.1). So each such relay has an address that nobody can
//! have, and what a socket sends to that goes through a connection instead, framed as TURN is over a
//! stream, and through the network's HTTP proxy where it has one. A way is not taken while a relay answers
//! over UDP: all relayed candidates rank alike in the stack, and TCP is the worse way for media.

use std::{
    collections::HashMap,
    fmt,
    io::{self, IoSliceMut},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use crate::RelayTransport;
use bedside_proxy::{Proxies, Spoken};
use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, Transmit,
};

/// Stands for relays that are reached by a stream, each at a port of its own: of the addresses reserved
/// for ever (RFC 1112 §4), which no interface takes.
const STAND_IN: Ipv4Addr = Ipv4Addr::new(240, 0, 0, 1);
/// Datagrams waiting to enter a stream, or to be taken from it; more are lost, as in a network.
const QUEUE: usize = 128;
/// A relay that answers over UDP is waited for this long: the stack asks again at 0.2 and 0.6 s.
const HOLD: Duration = Duration::from_millis(500);
/// A connection that takes longer is no way to talk.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What is on its way when the socket closes: the giving back of the allocation.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);
/// Longer messages than any that carries media end the stream.
const LONGEST: usize = 4_096;
/// The first two bytes of an Allocate success response (RFC 8656 §3.1, RFC 8489 §5).
const ALLOCATED: [u8; 2] = [0x01, 0x03];

/// A relay that is reached by a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamRelay {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

/// The address that stands for the way of this number.
pub(crate) fn stands_for(number: usize) -> SocketAddr {
    SocketAddr::from((STAND_IN, number as u16 + 1))
}

/// The length of the message that begins so, and of it on a stream: channel data is padded there (RFC 8656
/// §12.5). None where no TURN message begins.
fn lengths(head: [u8; 4]) -> Option<(usize, usize)> {
    let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
    match head[0] >> 6 {
        0b00 if length.is_multiple_of(4) => Some((20 + length, 20 + length)),
        0b01 => Some((4 + length, 4 + length.next_multiple_of(4))),
        _ => None,
    }
    .filter(|(length, _)| *length <= LONGEST)
}

struct Shared {
    ways: Vec<StreamRelay>,
    hold: Duration,
    tls: Arc<rustls::ClientConfig>,
    proxies: Proxies,
    tasks: TaskTracker,
    /// The way that carried media last, by its number and one; 0 while none has.
    carries: AtomicUsize,
}

impl Shared {
    fn way(&self, to: SocketAddr) -> Option<&StreamRelay> {
        let number = usize::from(to.port()).checked_sub(1)?;
        self.ways.get(number).filter(|_| to.ip() == STAND_IN)
    }
}

/// A runtime whose sockets reach relays by streams as well.
pub(crate) struct Tunnels {
    inner: Arc<dyn Runtime>,
    shared: Arc<Shared>,
}

impl Tunnels {
    /// `has_udp`: a relay is to be tried over UDP first. The connections are `tasks`.
    pub(crate) fn new(
        inner: Arc<dyn Runtime>,
        ways: Vec<StreamRelay>,
        has_udp: bool,
        tls: Arc<rustls::ClientConfig>,
        proxies: Proxies,
        tasks: TaskTracker,
    ) -> Self {
        let hold = if has_udp { HOLD } else { Duration::ZERO };
        Self {
            inner,
            shared: Arc::new(Shared { ways, hold, tls, proxies, tasks, carries: AtomicUsize::new(0) }),
        }
    }
}

/// Tells by which way media goes.
#[derive(Clone)]
pub(crate) struct Carrier(Arc<Shared>);

impl Carrier {
    /// None while no way of these carries media.
    pub(crate) fn transport(&self) -> Option<RelayTransport> {
        let number = self.0.carries.load(Ordering::Relaxed).checked_sub(1)?;
        self.0.ways.get(number).map(|way| if way.tls { RelayTransport::Tls } else { RelayTransport::Tcp })
    }
}

impl fmt::Debug for Tunnels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ways by stream", self.shared.ways.len())
    }
}

impl Tunnels {
    pub(crate) fn carrier(&self) -> Carrier {
        Carrier(self.shared.clone())
    }
}

impl Runtime for Tunnels {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        self.inner.spawn(future)
    }

    fn spawn_reactor(
        &self,
        size: usize,
        future: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) -> Box<dyn JoinHandle> {
        self.inner.spawn_reactor(size, future)
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let (answer, answers) = mpsc::channel(QUEUE);
        Ok(Arc::new(Socket {
            inner: self.inner.wrap_udp_socket(socket)?,
            shared: self.shared.clone(),
            answer,
            answers: Mutex::new(answers),
            open: Mutex::default(),
            has_udp_relay: AtomicBool::new(false),
        }))
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.inner.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        address: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        self.inner.connect_tcp(address)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        self.inner.resolve_host(host)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.inner.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }
}

/// The way from one socket to one relay.
enum Tunnel {
    /// Since then it was asked for, and may not be needed.
    Waiting(Instant),
    Open(mpsc::Sender<Bytes>),
}

struct Socket {
    inner: Arc<dyn AsyncUdpSocket>,
    shared: Arc<Shared>,
    answer: mpsc::Sender<(SocketAddr, Bytes)>,
    answers: Mutex<mpsc::Receiver<(SocketAddr, Bytes)>>,
    open: Mutex<HashMap<SocketAddr, Tunnel>>,
    /// A relay has answered over UDP.
    has_udp_relay: AtomicBool,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.inner)
    }
}

impl Socket {
    /// Whether a datagram goes its way, or is lost on it; no if there is no way any more, which the
    /// stack takes for the end of that relay.
    fn send(&self, to: SocketAddr, way: &StreamRelay, data: &[u8]) -> bool {
        // Channel data (RFC 8656 §12.4).
        if data.first().is_some_and(|first| first >> 6 == 0b01) {
            self.shared.carries.store(usize::from(to.port()), Ordering::Relaxed);
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let tunnel = open.entry(to).or_insert_with(|| Tunnel::Waiting(Instant::now()));
        match tunnel {
            // It comes again by itself.
            Tunnel::Waiting(since) if since.elapsed() < self.shared.hold => true,
            Tunnel::Waiting(_) if self.has_udp_relay.load(Ordering::Relaxed) => false,
            Tunnel::Waiting(_) => {
                let (queue, datagrams) = mpsc::channel(QUEUE);
                // An empty queue takes one.
                let _ = queue.try_send(Bytes::copy_from_slice(data));
                let stream = carry(way.clone(), to, self.shared.clone(), datagrams, self.answer.clone());
                self.shared.tasks.spawn(stream);
                *tunnel = Tunnel::Open(queue);
                true
            }
            Tunnel::Open(queue) => {
                let sent = queue.try_send(Bytes::copy_from_slice(data));
                !matches!(sent, Err(mpsc::error::TrySendError::Closed(_)))
            }
        }
    }
}

impl AsyncUdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let Some(way) = self.shared.way(transmit.destination) else {
            return self.inner.poll_send(cx, transmit);
        };
        Poll::Ready(if self.send(transmit.destination, way, transmit.contents) {
            Ok(transmit.contents.len())
        } else {
            Err(io::ErrorKind::ConnectionReset.into())
        })
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let answered = self.answers.lock().unwrap_or_else(PoisonError::into_inner).poll_recv(cx);
        // We hold an end of it ourselves: it never closes.
        if let Poll::Ready(Some((from, data))) = answered
            && let (Some(buffer), Some(meta)) = (bufs.first_mut(), meta.first_mut())
        {
            let length = data.len().min(buffer.len());
            buffer[..length].copy_from_slice(&data[..length]);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, length, length.max(1));
            return Poll::Ready(Ok(1));
        }
        let received = self.inner.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(count)) = received {
            let is_relays = |(buffer, meta): (&IoSliceMut<'_>, &RecvMeta)| {
                meta.len >= ALLOCATED.len() && buffer[..ALLOCATED.len()] == ALLOCATED
            };
            if bufs.iter().zip(meta.iter()).take(count).any(is_relays) {
                self.has_udp_relay.store(true, Ordering::Relaxed);
            }
        }
        received
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

/// Connects, and carries datagrams until either end closes.
async fn carry(
    way: StreamRelay,
    stands_for: SocketAddr,
    shared: Arc<Shared>,
    datagrams: mpsc::Receiver<Bytes>,
    answer: mpsc::Sender<(SocketAddr, Bytes)>,
) {
    // A proxy reads nothing of TURN, with or without TLS.
    let connecting = async {
        match shared.proxies.connect(&way.host, way.port, Spoken::Tls).await {
            // It may be for other ports, and the network let this one out without it.
            Err(error) if error.is_of_proxy() => {
                tracing::info!(%error, "a relay is tried without the network's proxy");
                Proxies::default().connect(&way.host, way.port, Spoken::Tls).await
            }
            connected => connected,
        }
    };
    let outcome = match timeout(CONNECT_WITHIN, connecting).await {
        Ok(Ok(stream)) if way.tls => match secured(&way, stream, shared.tls.clone()).await {
            Ok(stream) => exchange(stream, stands_for, datagrams, answer).await,
            Err(error) => Err(error),
        },
        Ok(Ok(stream)) => exchange(stream, stands_for, datagrams, answer).await,
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    if let Err(error) = outcome {
        tracing::info!(%error, tls = way.tls, "a way to a relay by stream has ended");
    }
}

async fn secured(
    way: &StreamRelay,
    stream: TcpStream,
    tls: Arc<rustls::ClientConfig>,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let name = ServerName::try_from(way.host.clone()).map_err(io::Error::other)?;
    let handshake = TlsConnector::from(tls).connect(name, stream);
    timeout(CONNECT_WITHIN, handshake).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite,
    stands_for: SocketAddr,
    mut datagrams: mpsc::Receiver<Bytes>,
    answer: mpsc::Sender<(SocketAddr, Bytes)>,
) -> io::Result<()> {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let read = async {
        loop {
            let message = read_message(&mut reading).await?;
            // Full: lost, as in a network.
            let _ = answer.try_send((stands_for, message));
        }
    };
    let write = async {
        let mut last = None;
        while let Some(datagram) = datagrams.recv().await {
            // What the stack repeated while this was being connected is the same, word for word.
            if last.as_ref() == Some(&datagram) {
                continue;
            }
            write_message(&mut writing, &datagram).await?;
            last = Some(datagram);
        }
        // The socket has closed, and given its allocation back.
        timeout(FLUSH_WITHIN, writing.shutdown()).await.unwrap_or(Ok(()))
    };
    tokio::select! {
        ended = read => ended,
        ended = write => ended,
    }
}

/// The next message, without its padding.
async fn read_message(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Bytes> {
    let mut head = [0; 4];
    stream.read_exact(&mut head).await?;
    let (length, on_stream) = lengths(head).ok_or(io::ErrorKind::InvalidData)?;
    let mut message = vec![0; on_stream];
    message[..4].copy_from_slice(&head);
    stream.read_exact(&mut message[4..]).await?;
    message.truncate(length);
    Ok(message.into())
}

async fn write_message(stream: &mut (impl AsyncWrite + Unpin), message: &[u8]) -> io::Result<()> {
    stream.write_all(message).await?;
    let padding = message.len().next_multiple_of(4) - message.len();
    stream.write_all(&[0; 3][..padding]).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_are_told_apart_however_they_are_cut() {
        // A Binding request without attributes, and channel data of every length of padding.
        let mut binding = vec![0, 1, 0, 0];
        binding.extend([7; 16]);
        let mut messages = vec![binding];
        for length in 0..9_u8 {
            let mut data = vec![0x40, 1, 0, length];
            data.extend(std::iter::repeat_n(length, length.into()));
            messages.push(data);
        }
        for size in [1, 3, 7, 64] {
            let (mut near, mut far) = tokio::io::duplex(size);
            let sent = messages.clone();
            let writing = tokio::spawn(async move {
                for message in sent {
                    write_message(&mut near, &message).await.unwrap();
                }
            });
            for message in &messages {
                assert_eq!(read_message(&mut far).await.unwrap(), message);
            }
            writing.await.unwrap();
            assert!(read_message(&mut far).await.is_err(), "its end");
        }
    }

    #[tokio::test]
    async fn what_is_no_turn_ends_the_stream() {
        let (mut near, mut far) = tokio::io::duplex(64);
        near.write_all(b"HTTP/1.1 400 Bad Request").await.unwrap();
        assert_eq!(read_message(&mut far).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
