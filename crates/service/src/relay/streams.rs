//! Clients of the relay that come over TCP or TLS (RFC 8656 §2.1): from networks that let no UDP through.
//!
//! The server treats them as it does those over UDP, each by an address that nobody else has: the client's
//! as an IPv6 one, with the number of its connection where IPv6 has a flow label.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Packet;
use crate::tls::Tls;

/// Streams at once: two for each of 128 visits, and as many that are being opened.
const MOST: usize = 512;
/// Messages that wait to be written to one; more are lost, as in a network.
const QUEUE: usize = 128;
/// Nobody is taken for so long after one could not be.
const REFUSED_FOR: Duration = Duration::from_millis(50);
/// A handshake takes no longer.
const SECURED_WITHIN: Duration = Duration::from_secs(10);
/// Whoever has not shown a good name by then wants something else.
const KNOWN_WITHIN: Duration = Duration::from_secs(20);
/// Nothing was heard for so long: whoever has an allocation renews it each minute.
const IDLE: Duration = Duration::from_mins(10);
/// Longer messages than any that carries media end the stream.
const LONGEST: usize = 4_096;

struct Stream {
    queue: mpsc::Sender<Bytes>,
    is_known: Arc<AtomicBool>,
}

/// Everybody who is connected.
#[derive(Clone)]
pub(super) struct Streams {
    open: Arc<Mutex<HashMap<SocketAddr, Stream>>>,
    places: Arc<Semaphore>,
    count: Arc<AtomicU32>,
}

impl Default for Streams {
    fn default() -> Self {
        Self { open: Arc::default(), places: Arc::new(Semaphore::new(MOST)), count: Arc::default() }
    }
}

/// Whether this is the address of a client on a stream.
pub(super) const fn is_stream(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.flowinfo() != 0)
}

fn address(client: SocketAddr, number: u32) -> SocketAddr {
    let ip = match client.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    SocketAddr::V6(SocketAddrV6::new(ip, client.port(), number.max(1), 0))
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

impl Streams {
    fn open(&self) -> MutexGuard<'_, HashMap<SocketAddr, Stream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes connections until `stop`; what they say comes out of `packets`, as said to `listen`.
    pub(super) async fn accept(
        self,
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        listen: SocketAddr,
        packets: mpsc::Sender<Packet>,
        stop: CancellationToken,
    ) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            let Ok((stream, client)) = accepted else {
                // Out of descriptors it fails at once, again and again, until others close.
                tokio::time::sleep(REFUSED_FOR).await;
                continue;
            };
            let Ok(place) = self.places.clone().try_acquire_owned() else { continue };
            if stream.set_nodelay(true).is_err() {
                continue;
            }
            let client = address(client, self.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1));
            let (streams, tls, packets, stop) = (self.clone(), tls.clone(), packets.clone(), stop.clone());
            tasks.spawn(async move {
                let served = async {
                    match tls {
                        Some(tls) => match timeout(SECURED_WITHIN, tls.acceptor().accept(stream)).await {
                            Ok(Ok(stream)) => streams.serve(stream, client, listen, packets).await,
                            Ok(Err(error)) => Err(error),
                            Err(_) => Err(io::ErrorKind::TimedOut.into()),
                        },
                        None => streams.serve(stream, client, listen, packets).await,
                    }
                };
                let outcome = tokio::select! {
                    () = stop.cancelled() => Ok(()),
                    outcome = served => outcome,
                };
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a client's stream has ended");
                }
                streams.open().remove(&client);
                drop(place);
            });
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite,
        client: SocketAddr,
        listen: SocketAddr,
        packets: mpsc::Sender<Packet>,
    ) -> io::Result<()> {
        let (queue, mut messages) = mpsc::channel::<Bytes>(QUEUE);
        let is_known = Arc::new(AtomicBool::new(false));
        self.open().insert(client, Stream { queue, is_known: is_known.clone() });
        let (mut reading, mut writing) = tokio::io::split(stream);
        let read = async {
            loop {
                let message = timeout(IDLE, read_message(&mut reading)).await??;
                // Waiting: TCP tells the client to be slower.
                let packet = Packet { from: client, to: listen, data: message };
                packets.send(packet).await.map_err(|_| io::ErrorKind::BrokenPipe)?;
            }
        };
        let write = async {
            while let Some(message) = messages.recv().await {
                write_message(&mut writing, &message).await?;
            }
            Ok(())
        };
        let stranger = async {
            tokio::time::sleep(KNOWN_WITHIN).await;
            if is_known.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = read => ended,
            ended = write => ended,
            () = stranger => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Whoever is there has shown a good name.
    pub(super) fn know(&self, client: SocketAddr) {
        if let Some(stream) = self.open().get(&client) {
            stream.is_known.store(true, Ordering::Relaxed);
        }
    }

    /// Sends to one; lost if it is gone, or takes nothing.
    pub(super) fn send(&self, to: SocketAddr, message: &[u8]) {
        if let Some(stream) = self.open().get(&to) {
            let _ = stream.queue.try_send(Bytes::copy_from_slice(message));
        }
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

    #[test]
    fn no_two_streams_are_one_client() {
        let client: SocketAddr = "192.0.2.7:4000".parse().unwrap();
        let (first, second) = (address(client, 1), address(client, 2));
        assert!(first != second && first != client);
        assert!(is_stream(first) && !is_stream(client) && !is_stream("[2001:db8::1]:4000".parse().unwrap()));
        assert_eq!(first.ip().to_canonical(), client.ip());
    }

    #[tokio::test]
    async fn what_is_no_turn_or_too_long_ends_the_stream() {
        for wrong in [&b"GET / HTTP/1.1\r\n"[..], &[0x80, 0, 0, 0], &[0, 1, 0, 3], &[0x40, 0, 0xff, 0xff]] {
            let (mut near, mut far) = tokio::io::duplex(64);
            near.write_all(wrong).await.unwrap();
            assert_eq!(read_message(&mut far).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
