//! A host of its own on this machine: a network namespace, with ways in and out for what is not to be
//! measured (the driver that clicks, the service).

use std::{
    fs::File,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, bail};
use rustix::{
    fd::AsFd,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use tokio::task::JoinSet;

/// Goes away, with its ways, when dropped.
pub(crate) struct Host {
    name: String,
    inside: Arc<File>,
    ways: Mutex<JoinSet<()>>,
}

impl Host {
    /// Makes one. Needs root.
    pub(crate) fn new(letter: char) -> Result<Self> {
        let name = format!("bedside-{}-{letter}", std::process::id());
        ip(&["netns", "add", &name])?;
        let inside = File::open(format!("/run/netns/{name}")).context("the namespace has no file")?;
        let host = Self { name, inside: Arc::new(inside), ways: Mutex::default() };
        ip(&["-n", host.name(), "link", "set", "lo", "up"])?;
        // One family: otherwise what a call finds first differs from run to run.
        let done = host.command("sysctl").args(["-qw", "net.ipv6.conf.all.disable_ipv6=1"]).status()?;
        if !done.success() {
            bail!("IPv6 can't be switched off in {}", host.name);
        }
        Ok(host)
    }

    /// Its name, as `ip netns` lists it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A program that runs on it.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]);
        command
    }

    /// A port of this machine that leads to `port` on the host's loopback.
    pub(crate) fn way_in(&self, port: u16) -> Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let here = listener.local_addr()?.port();
        let inside = self.inside.clone();
        self.forward(listener, move || within(&inside, || TcpStream::connect((Ipv4Addr::LOCALHOST, port))))?;
        Ok(here)
    }

    /// Lets the host's loopback have `to`, an address of this machine, at the same port.
    pub(crate) fn way_out(&self, to: SocketAddr) -> Result<()> {
        let listener = within(&self.inside, || TcpListener::bind((Ipv4Addr::LOCALHOST, to.port())))?;
        self.forward(listener, move || TcpStream::connect(to))
    }

    fn forward(
        &self,
        listener: TcpListener,
        connect: impl Fn() -> io::Result<TcpStream> + Send + Sync + 'static,
    ) -> Result<()> {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let connect = Arc::new(connect);
        let way = async move {
            let mut open = JoinSet::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let connect = connect.clone();
                open.spawn(async move {
                    let there = tokio::task::spawn_blocking(move || connect()).await;
                    let Ok(Ok(there)) = there else { return };
                    if there.set_nonblocking(true).is_err() {
                        return;
                    }
                    let Ok(mut there) = tokio::net::TcpStream::from_std(there) else { return };
                    // Either end may close it in the middle: that is theirs to report.
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut there).await;
                });
            }
        };
        match self.ways.lock() {
            Ok(mut ways) => ways.spawn(way),
            Err(_) => bail!("a way of {} broke", self.name),
        };
        Ok(())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Err(error) = ip(&["netns", "del", &self.name]) {
            println!("{error}");
        }
    }
}

/// Does something in a namespace: a socket belongs to the one in which it was made.
fn within<T: Send>(namespace: &File, what: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            what()
        });
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended early")))
    })
}

/// Runs `ip`.
pub(crate) fn ip(args: &[&str]) -> Result<()> {
    let done = Command::new("ip").args(args).output().context("ip can't be run")?;
    if !done.status.success() {
        bail!("ip {} failed: {}", args.join(" "), String::from_utf8_lossy(&done.stderr).trim());
    }
    Ok(())
}
