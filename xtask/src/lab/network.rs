//! The network between two hosts: a TUN device on each, and a thread that carries packets between them.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    io::ErrorKind,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::AsFd,
};
use serde::Serialize;
use tun_rs::{DeviceBuilder, SyncDevice};

use super::link::{Condition, Counters, Fate, Link};
use crate::host::{Host, ip};

/// How often the thread looks at its orders when nothing comes.
const IDLE: Duration = Duration::from_millis(20);
/// How often it notes what passed.
const NOTE_EVERY: Duration = Duration::from_millis(100);
/// Packets taken from one side before the other has its turn.
const TURN: usize = 64;
/// More than any packet: the devices take 1,500 bytes.
const LONGEST_PACKET: usize = 2_048;
/// The thread's niceness: late packets would count as the network's.
const NICENESS: i32 = -15;
/// The protocol field of an IPv4 header, and UDP's number in it (RFC 791, RFC 790).
const PROTOCOL_AT: usize = 9;
const UDP: u8 = 17;

/// What passed in each direction up to a time.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Note {
    /// Seconds since the network came up.
    pub(crate) at: f64,
    /// From the first host to the second, and back.
    pub(crate) there: Counters,
    pub(crate) back: Counters,
}

/// A running network. Its thread is joined when it is dropped.
pub(crate) struct Network {
    orders: Arc<Orders>,
    thread: Option<JoinHandle<()>>,
    began: Instant,
}

#[derive(Default)]
struct Orders {
    condition: Mutex<Option<Condition>>,
    notes: Mutex<Vec<Note>>,
    is_over: AtomicBool,
}

impl Network {
    /// Joins two hosts, as 10.8.0.1 and 10.8.0.2.
    pub(crate) fn between(first: &Host, second: &Host, condition: Condition) -> Result<Self> {
        let devices = [device(first, "10.8.0.1")?, device(second, "10.8.0.2")?];
        let orders = Arc::new(Orders::default());
        let began = Instant::now();
        let shared = orders.clone();
        let thread = std::thread::Builder::new()
            .name("network".into())
            .spawn(move || Relay::new(&devices, condition).run(&shared, began))?;
        Ok(Self { orders, thread: Some(thread), began })
    }

    /// Becomes another network.
    pub(crate) fn set_condition(&self, condition: Condition) {
        if let Ok(mut order) = self.orders.condition.lock() {
            *order = Some(condition);
        }
    }

    /// Seconds since it came up.
    pub(crate) fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// What passed, noted ten times a second.
    pub(crate) fn notes(&self) -> Vec<Note> {
        self.orders.notes.lock().map(|notes| notes.clone()).unwrap_or_default()
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.orders.is_over.store(true, Ordering::Relaxed);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            println!("the network broke");
        }
    }
}

/// A TUN device in the host, with the whole world behind it.
fn device(host: &Host, address: &str) -> Result<SyncDevice> {
    let name = format!("lab{}", host.name().bytes().last().map_or('x', char::from));
    let device = DeviceBuilder::new().name(&name).mtu(1_500).build_sync().context("no TUN device")?;
    device.set_nonblocking(true)?;
    ip(&["link", "set", &name, "netns", host.name()])?;
    let inside = |args: &[&str]| ip(&[&["-n", host.name()], args].concat());
    inside(&["addr", "add", &format!("{address}/24"), "dev", &name])?;
    inside(&["link", "set", &name, "mtu", "1500", "txqueuelen", "2000", "up"])?;
    inside(&["route", "add", "default", "dev", &name])?;
    Ok(device)
}

/// A packet on its way.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    arrives: Instant,
    /// Of two that arrive at once, the first goes first.
    order: u64,
    to: usize,
    packet: Vec<u8>,
}

struct Relay<'a> {
    devices: &'a [SyncDevice; 2],
    /// By the side that sends.
    links: [Link; 2],
    flying: BinaryHeap<Reverse<Flying>>,
    order: u64,
}

impl<'a> Relay<'a> {
    fn new(devices: &'a [SyncDevice; 2], condition: Condition) -> Self {
        let links = [Link::new(condition, 1), Link::new(condition, 2)];
        Self { devices, links, flying: BinaryHeap::new(), order: 0 }
    }

    fn run(mut self, orders: &Orders, began: Instant) {
        // Of this thread alone. Where it may not be, packets are late by what the machine takes.
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            println!("the network runs like everything else: {error}");
        }
        let mut noted = began;
        while !orders.is_over.load(Ordering::Relaxed) {
            if let Some(condition) = orders.condition.lock().ok().and_then(|mut order| order.take()) {
                self.links.iter_mut().for_each(|link| link.condition = condition);
            }
            self.deliver();
            if noted.elapsed() >= NOTE_EVERY {
                noted = Instant::now();
                let [there, back] = [0, 1].map(|side| self.links[side].counters);
                if let Ok(mut notes) = orders.notes.lock() {
                    notes.push(Note { at: began.elapsed().as_secs_f64(), there, back });
                }
            }
            self.wait();
            (0..2).for_each(|side| self.take(side));
        }
    }

    fn wait(&self) {
        let wait = self
            .flying
            .peek()
            .map_or(IDLE, |Reverse(next)| next.arrives.saturating_duration_since(Instant::now()).min(IDLE));
        let [first, second] = self.devices;
        let mut fds = [first, second].map(|device| PollFd::from_borrowed_fd(device.as_fd(), PollFlags::IN));
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        // A signal in between only means to look again.
        let _ = poll(&mut fds, Some(&wait));
    }

    fn take(&mut self, side: usize) {
        let mut packet = [0; LONGEST_PACKET];
        for _ in 0..TURN {
            let size = match self.devices[side].recv(&mut packet) {
                Ok(size) => size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return println!("a packet was not taken: {error}"),
            };
            let link = &mut self.links[side];
            if link.condition.udp_blocked && packet[PROTOCOL_AT] == UDP {
                continue;
            }
            if let Fate::Arrives(arrives) = link.send(size, Instant::now()) {
                self.order += 1;
                let packet = packet[..size].to_vec();
                self.flying.push(Reverse(Flying { arrives, order: self.order, to: 1 - side, packet }));
            }
        }
    }

    fn deliver(&mut self) {
        while self.flying.peek().is_some_and(|Reverse(next)| next.arrives <= Instant::now()) {
            let Some(Reverse(flying)) = self.flying.pop() else { return };
            // A host that is going away takes nothing any more.
            let _ = self.devices[flying.to].send(&flying.packet);
        }
    }
}
