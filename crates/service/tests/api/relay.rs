//! The relay beside those who want to switch it off, and after those whom it was for.

use std::{net::SocketAddr, time::Duration};

use bedside_protocol::IceServer;
use bedside_redact::Secret;
use bedside_service::{config::RelayConfig, relay::Relay};
use jiff::{SignedDuration, Timestamp};
use tokio::net::UdpSocket;
use turn_server_proto::{
    stun::types::{
        attribute::{ErrorCode, Nonce, Realm, Username},
        message::{
            IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageWrite, MessageWriteExt,
            MessageWriteVec, Method,
        },
    },
    types::{
        attribute::{Lifetime, RequestedTransport, XorPeerAddress},
        message::{ALLOCATE, CREATE_PERMISSION, REFRESH},
    },
};

/// UDP, as RFC 8656 §18.7 numbers it.
const UDP: u8 = 17;

async fn relay() -> (Relay, SocketAddr) {
    let listen = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config = RelayConfig { listen, tls: None, public_ip: listen.ip(), allow_private: false };
    (Relay::start(&config, Secret::new(vec![7; 32])).await.unwrap(), listen)
}

fn in_minutes(minutes: i64) -> Timestamp {
    Timestamp::now() + SignedDuration::from_mins(minutes)
}

/// A client of the relay, as RFC 8656 has it.
struct Client {
    socket: UdpSocket,
    credentials: LongTermKeyCredentials,
    nonce: String,
}

impl Client {
    async fn new(relay: SocketAddr, servers: &[IceServer]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(relay).await.unwrap();
        let server = servers.iter().find(|server| server.username.is_some()).unwrap();
        let (name, password) =
            (server.username.clone().unwrap(), server.credential.as_ref().unwrap().expose().to_owned());
        let credentials = LongTermKeyCredentials::new(name, password, "bedside".to_owned());
        Self { socket, credentials, nonce: String::new() }
    }

    /// Asks; gives the code of the refusal, 0 for none; `None` without an answer.
    async fn ask(&mut self, method: Method, with_credentials: bool) -> Option<u16> {
        self.ask_about(method, None, with_credentials).await
    }

    /// The same, about a peer.
    async fn ask_about(
        &mut self,
        method: Method,
        peer: Option<SocketAddr>,
        with_credentials: bool,
    ) -> Option<u16> {
        let mut request = Message::builder_request(method, MessageWriteVec::new());
        if let Some(peer) = peer {
            request.add_attribute(&XorPeerAddress::new(peer, request.transaction_id())).unwrap();
        }
        if method == ALLOCATE {
            request.add_attribute(&RequestedTransport::new(UDP)).unwrap();
        } else if peer.is_none() {
            request.add_attribute(&Lifetime::new(600)).unwrap();
        }
        if with_credentials {
            request.add_attribute(&Username::new(self.credentials.username()).unwrap()).unwrap();
            request.add_attribute(&Realm::new(self.credentials.realm()).unwrap()).unwrap();
            request.add_attribute(&Nonce::new(&self.nonce).unwrap()).unwrap();
            request
                .add_message_integrity(&self.credentials.clone().into(), IntegrityAlgorithm::Sha1)
                .unwrap();
        }
        let asked = request.transaction_id();
        self.socket.send(&request.finish()).await.unwrap();
        let mut answer = [0; 1_500];
        let received = tokio::time::timeout(Duration::from_secs(1), self.socket.recv(&mut answer)).await;
        let length = received.ok()?.unwrap();
        let answer = Message::from_bytes(&answer[..length]).unwrap();
        assert_eq!(answer.transaction_id(), asked, "an answer to something else: {answer}");
        if let Ok(nonce) = answer.attribute::<Nonce>() {
            nonce.nonce().clone_into(&mut self.nonce);
        }
        Some(answer.attribute::<ErrorCode>().map_or(0, |error| error.code()))
    }

    async fn allocate(&mut self) {
        assert_eq!(self.ask(ALLOCATE, false).await, Some(401), "challenged");
        assert_eq!(self.ask(ALLOCATE, true).await, Some(0), "let in by the first answer");
    }
}

#[tokio::test]
async fn strangers_do_not_switch_it_off() {
    let (relay, address) = relay().await;
    let servers = relay.ice_servers().issue("somebody", "here", Some("visit"), in_minutes(60));
    // While one visit is relayed, so that there is no quiet moment to forget them in.
    let mut first = Client::new(address, &servers).await;
    first.allocate().await;
    let request = Message::builder_request(ALLOCATE, MessageWriteVec::new()).finish();
    for number in 0..21_000 {
        let stranger = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        stranger.send_to(&request, address).unwrap();
        if number % 200 == 0 {
            // The relay's task has a turn.
            tokio::task::yield_now().await;
        }
    }
    // What is left of the flood's packets and of what one address may ask at once.
    let mut second = Client::new(address, &servers).await;
    let mut challenged = None;
    for _ in 0..20 {
        challenged = second.ask(ALLOCATE, false).await;
        if challenged.is_some() {
            break;
        }
    }
    assert_eq!(challenged, Some(401));
    assert_eq!(second.ask(ALLOCATE, true).await, Some(0));
    assert_eq!(first.ask(REFRESH, true).await, Some(0), "nothing has become of the first");
    relay.stop().await;
}

#[tokio::test]
async fn what_is_relayed_ends_with_the_visit() {
    let (relay, address) = relay().await;
    let credentials = relay.ice_servers();
    let mut ours =
        Client::new(address, &credentials.issue("somebody", "here", Some("ours"), in_minutes(60))).await;
    let mut other =
        Client::new(address, &credentials.issue("somebody", "here", Some("other"), in_minutes(60))).await;
    ours.allocate().await;
    other.allocate().await;
    credentials.end("ours");
    let mut refreshed = Some(0);
    for _ in 0..20 {
        refreshed = ours.ask(REFRESH, true).await;
        if refreshed.is_none() {
            break;
        }
    }
    assert_eq!(refreshed, None, "nobody answers");
    assert_eq!(other.ask(REFRESH, true).await, Some(0));
    let mut again =
        Client::new(address, &credentials.issue("somebody", "here", Some("ours"), in_minutes(60))).await;
    assert_eq!(again.ask(ALLOCATE, false).await, Some(401));
    assert_eq!(again.ask(ALLOCATE, true).await, Some(401), "its credentials are worth nothing any more");
    relay.stop().await;
}

#[tokio::test]
async fn who_only_tries_it_has_their_time() {
    let (relay, address) = relay().await;
    let soon = Timestamp::now() + SignedDuration::from_secs(3);
    let credentials = relay.ice_servers();
    let mut trying = Client::new(address, &credentials.issue("somebody", "here", None, soon)).await;
    let mut visiting =
        Client::new(address, &credentials.issue("somebody", "here", Some("visit"), soon)).await;
    trying.allocate().await;
    visiting.allocate().await;
    while Timestamp::now() <= soon + SignedDuration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(trying.ask(REFRESH, true).await, None);
    assert_eq!(visiting.ask(REFRESH, true).await, Some(0), "a call goes on when its credentials have ended");
    relay.stop().await;
}

#[tokio::test]
async fn a_peer_that_nothing_is_sent_to_is_refused_in_words() {
    let (relay, address) = relay().await;
    let servers = relay.ice_servers().issue("somebody", "here", Some("visit"), in_minutes(60));
    let mut client = Client::new(address, &servers).await;
    client.allocate().await;
    for peer in ["10.0.0.1:80", "192.168.1.1:80", "169.254.169.254:80", "224.0.0.1:80", "0.0.0.0:80"] {
        let peer = Some(peer.parse().unwrap());
        assert_eq!(client.ask_about(CREATE_PERMISSION, peer, true).await, Some(403), "{peer:?}");
    }
    let peer = Some("203.0.113.7:4000".parse().unwrap());
    assert_eq!(client.ask_about(CREATE_PERMISSION, peer, true).await, Some(0));
    relay.stop().await;
}
