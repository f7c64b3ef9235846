//! Servers of the system's own packages, started for tests on a port and in a folder of their own, and gone with
//! whoever started them.

mod bucket;
mod nats;
mod postgres;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

pub use bucket::Bucket;
pub use nats::Nats;
pub use postgres::Postgres;

/// A port that nobody has now. Somebody may before it is used: then the server says so and does not start.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// A folder for one server, removed with it.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new(kind: &str) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bedside-{kind}-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a test in a folder for what is left.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a command printed, or what it complained of.
fn output(command: &mut Command) -> io::Result<String> {
    let done = command.output()?;
    if !done.status.success() {
        let program = command.get_program().to_string_lossy().into_owned();
        let why = String::from_utf8_lossy(&done.stderr).into_owned();
        return Err(io::Error::other(format!("{program}: {}", why.trim())));
    }
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
