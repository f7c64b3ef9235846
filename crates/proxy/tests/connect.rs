//! Connections through a proxy that carries them.

mod support;

use bedside_proxy::{Proxies, ProxyError, Spoken};
use support::Proxy;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[tokio::test]
async fn what_is_said_goes_through_whole() {
    let (proxy, listener) = (Proxy::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let port = listener.local_addr().unwrap().port();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut reading, mut writing) = stream.split();
        tokio::io::copy(&mut reading, &mut writing).await.unwrap();
    });
    let mut stream = Proxies::through(&proxy.url()).connect("127.0.0.1", port, Spoken::Tls).await.unwrap();
    let said = vec![0x5A; 100_000];
    let (mut reading, mut writing) = stream.split();
    let mut heard = vec![0; said.len()];
    let (wrote, read) = tokio::join!(writing.write_all(&said), reading.read_exact(&mut heard));
    wrote.unwrap();
    read.unwrap();
    assert_eq!(heard, said);
    assert_eq!(proxy.let_through(), 1);
    drop(stream);
    echo.await.unwrap();
}

#[tokio::test]
async fn a_stranger_is_not_let_through() {
    let proxy = Proxy::start().await;
    let refused = Proxies::through(&proxy.url_of_strangers()).connect("127.0.0.1", 9, Spoken::Http).await;
    assert!(matches!(refused, Err(ProxyError::NotAuthorized)), "{refused:?}");
    assert_eq!(proxy.let_through(), 0);
}
