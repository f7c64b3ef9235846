//! Who is let in: what becomes of each packet before the server sees it.

use std::net::SocketAddr;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use turn_server_proto::{
    api::TurnServerApi,
    server::TurnServer,
    stun::{
        agent::Transmit,
        types::{
            TransportType,
            attribute::{AttributeFromRaw, Nonce, Username},
            message::{BINDING, LongTermKeyCredentials, Message, MessageClass, MessageIntegrityCredentials},
        },
    },
    types::{
        attribute::XorPeerAddress,
        message::{ALLOCATE, CHANNEL_BIND, CREATE_PERMISSION},
    },
};

use super::{
    Clock, Driver, LONGEST_VISIT, MANY_CLIENTS, REALM,
    credentials::password,
    owner::{Owner, is_current},
    strangers::{first_request, forbidden, with_nonce},
};

/// Somebody who has shown good credentials.
pub(super) struct Client {
    pub(super) owner: Owner,
    pub(super) name: String,
    pub(super) key: MessageIntegrityCredentials,
    /// What the server wants to see of them.
    pub(super) nonce: String,
}

/// What becomes of a packet.
pub(super) enum Admission {
    /// Nothing.
    Dropped,
    /// It is answered here.
    Answered(Vec<u8>),
    /// The server sees this.
    Passed(Bytes),
}

/// Whether a request asks to have a peer let in.
fn is_permission(message: &Message<'_>) -> bool {
    message.has_method(CREATE_PERMISSION) || message.has_method(CHANNEL_BIND)
}

impl Driver {
    /// What becomes of a packet from outside. The server sees none of somebody who has shown no credentials.
    pub(super) fn admit(&mut self, data: &Bytes, from: SocketAddr) -> Admission {
        let is_known = self.clients.contains_key(&from);
        let passed = || Admission::Passed(data.clone());
        let Ok(message) = Message::from_bytes(data) else {
            // Channel data.
            return if is_known { passed() } else { Admission::Dropped };
        };
        if message.has_method(BINDING) || (is_known && !message.has_class(MessageClass::Request)) {
            return passed();
        }
        if !message.has_class(MessageClass::Request) {
            return Admission::Dropped;
        }
        if message.has_method(ALLOCATE) && !self.prove(&message, from) {
            let challenge = self.strangers.challenge(&message, from, Clock::now());
            return challenge.map_or(Admission::Dropped, Admission::Answered);
        }
        let Some(client) = self.clients.get(&from) else { return Admission::Dropped };
        // Whoever only tried the relay has had their time. A visit's end is told, but for one that is missed.
        let longer = if client.owner.visit.is_some() { LONGEST_VISIT } else { SignedDuration::ZERO };
        if !is_current(&client.name, Timestamp::now() - longer) {
            return Admission::Dropped;
        }
        if message.validate_integrity(&client.key).is_err() {
            return passed();
        }
        // The server asks this only when something is sent, and then nothing would come of it: better said at once.
        let peers =
            message.iter_attributes().filter_map(|(_, attribute)| XorPeerAddress::from_raw(attribute).ok());
        let mut peers = peers.map(|peer| peer.addr(message.transaction_id()).ip());
        if is_permission(&message) && peers.any(|peer| peer != self.public && !self.may_reach(peer)) {
            return forbidden(&message, &client.key).map_or(Admission::Dropped, Admission::Answered);
        }
        if !self.strangers.is_answer(&message, from) {
            return passed();
        }
        let as_servers = with_nonce(&message, &client.nonce, &client.key);
        as_servers.map_or(Admission::Dropped, |data| Admission::Passed(data.into()))
    }

    /// Whether a request shows good credentials. Makes whoever does so known here and to the server.
    fn prove(&mut self, message: &Message<'_>, from: SocketAddr) -> bool {
        let Ok(username) = message.attribute::<Username>() else { return false };
        let name = username.username();
        let owner = Owner::of(name);
        let has_ended = |ending: &String| self.ended.contains(ending);
        if !is_current(name, Timestamp::now())
            || has_ended(&owner.sign_in)
            || owner.visit.as_ref().is_some_and(has_ended)
        {
            return false;
        }
        let password = password(self.secret.expose(), name);
        let key: MessageIntegrityCredentials =
            LongTermKeyCredentials::new(name.to_owned(), password.clone(), REALM.to_owned()).into();
        if message.validate_integrity(&key).is_err() {
            return false;
        }
        if self.clients.get(&from).is_some_and(|client| client.name == name) {
            return true;
        }
        // Whoever has not heard the challenge is not at that address.
        if !self.strangers.is_answer(message, from) {
            return false;
        }
        if self.clients.len() >= MANY_CLIENTS && self.relayed.is_empty() {
            self.server = TurnServer::new(TransportType::Udp, self.listen, REALM.to_owned());
            (self.clients, self.users) = Default::default();
            self.started = Clock::now();
        }
        if !self.new_addresses.wait(&owner.user, Clock::now()).is_zero() {
            tracing::warn!("somebody comes from too many addresses");
            return false;
        }
        self.new_addresses.take(owner.user.clone(), Clock::now());
        if self.users.insert(name.to_owned()) {
            self.server.add_user(name.to_owned(), password);
        }
        let Some(nonce) = first_request(message).and_then(|first| self.servers_nonce(first, from)) else {
            return false;
        };
        self.clients.insert(from, Client { owner, name: name.to_owned(), key, nonce });
        self.streams.know(from);
        true
    }

    /// What the server answers to a first request: its nonce for that address.
    fn servers_nonce(&mut self, first: Vec<u8>, from: SocketAddr) -> Option<String> {
        let first = Transmit::new(first, TransportType::Udp, from, self.listen);
        let answer = self.server.recv(first, self.now())?.build();
        let answer = Message::from_bytes(&answer.data).ok()?;
        answer.attribute::<Nonce>().ok().map(|nonce| nonce.nonce().to_owned())
    }
}
