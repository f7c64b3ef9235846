//! A clock and a network in memory. Time stands still while anybody has something to do, and
//! leaps to whatever is due next when all wait: a minute of a call takes as long as its work.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    future::Future,
    io::{self, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, Transmit,
};

/// What the network does to what one end sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinkProfile {
    /// On the way at least.
    pub(crate) delay: Duration,
    /// And at most this much more. Order is kept, as in a queue.
    pub(crate) jitter: Duration,
    /// Share lost, 0 to 1.
    pub(crate) loss: f64,
    /// Bits a second that fit; none for any number.
    pub(crate) width: Option<u64>,
    /// How long a datagram may wait to fit; it is lost beyond that.
    pub(crate) queue: Duration,
    /// Whether anything gets through.
    pub(crate) open: bool,
}

impl LinkProfile {
    /// A good connection within a country.
    pub(crate) const GOOD: Self = Self {
        delay: Duration::from_millis(20),
        jitter: Duration::from_millis(3),
        loss: 0.0,
        width: None,
        queue: Duration::from_millis(300),
        open: true,
    };
}

type Due = (Duration, u64);

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    data: Vec<u8>,
}

#[derive(Default)]
struct Inbox {
    datagrams: VecDeque<Datagram>,
    reader: Option<Waker>,
}

struct State {
    now: Duration,
    count: u64,
    sleepers: BTreeMap<Due, Waker>,
    on_the_way: BTreeMap<Due, Datagram>,
    /// By port: no two sockets of this machine share one.
    inboxes: HashMap<u16, Inbox>,
    ways: [LinkProfile; 2],
    /// When what each end sent last has passed the narrowest place, and arrives.
    passed: [Duration; 2],
    arrived: [Duration; 2],
    chance: StdRng,
}

/// The clock and the network between two ends.
pub(crate) struct World {
    began: Instant,
    state: Mutex<State>,
}

impl World {
    /// A world with the same way in both directions, whose chances repeat for the same `seed`.
    pub(crate) fn new(way: LinkProfile, seed: u64) -> Arc<Self> {
        let state = State {
            now: Duration::ZERO,
            count: 0,
            sleepers: BTreeMap::new(),
            on_the_way: BTreeMap::new(),
            inboxes: HashMap::new(),
            ways: [way; 2],
            passed: [Duration::ZERO; 2],
            arrived: [Duration::ZERO; 2],
            chance: StdRng::seed_from_u64(seed),
        };
        Arc::new(Self { began: Instant::now(), state: Mutex::new(state) })
    }

    /// Runs `story` and all that it starts, in this world's time.
    pub(crate) fn run<T>(self: &Arc<Self>, story: impl Future<Output = T>) -> T {
        let world = self.clone();
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || world.leap())
            .build()
            .unwrap()
            .block_on(story)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn now(&self) -> Duration {
        self.state().now
    }

    pub(crate) fn instant(&self) -> Instant {
        self.began + self.now()
    }

    /// Lets everything through, or nothing; signals as well as media.
    pub(crate) fn open(&self, open: bool) {
        for way in &mut self.state().ways {
            way.open = open;
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state().ways.iter().all(|way| way.open)
    }

    /// How many are bound.
    pub(crate) fn sockets(&self) -> usize {
        self.state().inboxes.len()
    }

    pub(crate) fn sleep(self: &Arc<Self>, duration: Duration) -> Sleep {
        let mut state = self.state();
        state.count += 1;
        Sleep { world: self.clone(), due: (state.now + duration, state.count) }
    }

    /// Everybody waits: on to what is due next and wakes somebody.
    fn leap(&self) {
        let mut woken = vec![];
        while woken.is_empty() {
            let mut state = self.state();
            let next = [state.sleepers.keys().next(), state.on_the_way.keys().next()];
            let Some((next, _)) = next.into_iter().flatten().min().copied() else { return };
            state.now = state.now.max(next);
            while let Some(entry) = state.sleepers.first_entry().filter(|entry| entry.key().0 <= next) {
                woken.push(entry.remove());
            }
            while let Some(entry) = state.on_the_way.first_entry().filter(|entry| entry.key().0 <= next) {
                let datagram = entry.remove();
                // To a socket that is gone: nobody hears of it.
                if let Some(inbox) = state.inboxes.get_mut(&datagram.to.port()) {
                    inbox.datagrams.push_back(datagram);
                    woken.extend(inbox.reader.take());
                }
            }
        }
        woken.into_iter().for_each(Waker::wake);
    }
}

impl State {
    fn send(&mut self, end: usize, datagram: Datagram) {
        let way = self.ways[end];
        if !way.open || self.chance.random_bool(way.loss) {
            return;
        }
        // 28 bytes of IPv4 and UDP.
        let bits = (datagram.data.len() as u64 + 28) * 8;
        let waits_until = self.passed[end].max(self.now);
        if waits_until - self.now > way.queue {
            return;
        }
        let takes = way
            .width
            .map_or(Duration::ZERO, |width| Duration::from_nanos(bits.saturating_mul(1_000_000_000) / width));
        self.passed[end] = waits_until + takes;
        let late = way.jitter.mul_f64(self.chance.random_range(0.0..=1.0));
        self.arrived[end] = self.arrived[end].max(self.passed[end] + way.delay + late);
        self.count += 1;
        self.on_the_way.insert((self.arrived[end], self.count), datagram);
    }
}

/// Done when its time has come.
pub(crate) struct Sleep {
    world: Arc<World>,
    due: Due,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.world.state();
        if state.now >= self.due.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.due, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.world.state().sleepers.remove(&self.due);
    }
}

/// One end's view of the world, as the stack wants it.
pub(crate) struct End {
    pub(crate) world: Arc<World>,
    /// 0 or 1.
    pub(crate) number: usize,
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("End").field("number", &self.number).finish_non_exhaustive()
    }
}

struct Task(tokio::task::JoinHandle<()>);

impl JoinHandle for Task {
    fn detach(&self) {}
    fn abort(&self) {
        self.0.abort();
    }
    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

struct Interval {
    world: Arc<World>,
    period: Duration,
    next: Duration,
}

impl AsyncInterval for Interval {
    fn tick(&mut self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        // Whoever gives up waiting loses no tick.
        Box::pin(async move {
            let wait = self.next.saturating_sub(self.world.now());
            self.world.sleep(wait).await;
            self.next += self.period;
        })
    }
}

fn no_tcp<T: Send + 'static>() -> io::Result<T> {
    Err(io::ErrorKind::Unsupported.into())
}

impl Runtime for End {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        Box::new(Task(tokio::spawn(future)))
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let address = socket.local_addr()?;
        self.world.state().inboxes.insert(address.port(), Inbox::default());
        Ok(Arc::new(Socket { world: self.world.clone(), end: self.number, address, _reserved: socket }))
    }

    fn wrap_tcp_listener(&self, _: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        no_tcp()
    }

    fn connect_tcp<'a>(
        &'a self,
        _: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        Box::pin(async { no_tcp() })
    }

    fn resolve_host<'a>(
        &'a self,
        _: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        Box::pin(async { Err(io::ErrorKind::NotFound.into()) })
    }

    fn now(&self) -> Instant {
        self.world.instant()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        Box::pin(self.world.sleep(duration))
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        Box::new(Interval { world: self.world.clone(), period, next: self.world.now() })
    }

    fn block_on(&self, _: Pin<Box<dyn Future<Output = ()> + '_>>) {
        unreachable!("the world has one thread, and runs on it");
    }
}

struct Socket {
    world: Arc<World>,
    end: usize,
    address: SocketAddr,
    /// Nothing goes through it; it keeps others from the port.
    _reserved: UdpSocket,
}

impl std::fmt::Debug for Socket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.world.state().inboxes.remove(&self.address.port());
    }
}

impl AsyncUdpSocket for Socket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }

    fn poll_send(&self, _: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let to = transmit.destination;
        // What is bound to every address sends from that which leads to the other.
        let ip = if self.address.ip().is_unspecified() { to.ip() } else { self.address.ip() };
        let from = SocketAddr::new(ip, self.address.port());
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        let mut state = self.world.state();
        for data in transmit.contents.chunks(size) {
            state.send(self.end, Datagram { from, to, data: data.to_vec() });
        }
        Poll::Ready(Ok(transmit.contents.len()))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.world.state();
        let inbox = state.inboxes.get_mut(&self.address.port()).ok_or(io::ErrorKind::NotConnected)?;
        let Some(datagram) = inbox.datagrams.pop_front() else {
            inbox.reader = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let length = datagram.data.len().min(bufs[0].len());
        bufs[0][..length].copy_from_slice(&datagram.data[..length]);
        meta[0] = RecvMeta::default();
        meta[0].addr = datagram.from;
        meta[0].len = length;
        meta[0].stride = length.max(1);
        meta[0].dst_ip = Some(datagram.to.ip());
        Poll::Ready(Ok(1))
    }
}
