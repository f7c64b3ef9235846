//! A network's HTTP proxy, as far as CONNECT goes; a fake: the lab tries a real one.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// `kiosk:secret`, as it is asked for.
const CREDENTIALS: &str = "Basic a2lvc2s6c2VjcmV0";

/// Lets everybody through, to anywhere, who knows its password.
pub struct Proxy {
    address: String,
    let_through: Arc<AtomicU32>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let let_through = Arc::new(AtomicU32::new(0));
        let count = let_through.clone();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(serve(near, count.clone()));
            }
        });
        Self { address, let_through, task }
    }

    /// Its address, with name and password.
    pub fn url(&self) -> String {
        format!("http://kiosk:secret@{}", self.address)
    }

    /// And without.
    pub fn url_of_strangers(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Connections so far.
    pub fn let_through(&self) -> u32 {
        self.let_through.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut near: TcpStream, count: Arc<AtomicU32>) {
    let mut asked = vec![];
    while !asked.ends_with(b"\r\n\r\n") {
        asked.push(near.read_u8().await.unwrap());
    }
    let asked = String::from_utf8(asked).unwrap();
    let to = asked.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap();
    if !asked.contains(CREDENTIALS) {
        near.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await.unwrap();
        return;
    }
    let mut far = TcpStream::connect(to).await.unwrap();
    near.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    count.fetch_add(1, Ordering::Relaxed);
    // Either end may go first.
    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
}
