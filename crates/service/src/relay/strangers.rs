//! Whoever has shown no credentials yet. They are challenged with a nonce that is reckoned and not remembered (RFC 8489
//! §9.2): anybody can make up a source address, and there are more of them than a table has room. The server (0.7.3)
//! remembers one for each address for ever, so it sees only those who have answered the challenge, their requests with
//! the nonce that it would have given them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use turn_server_proto::stun::types::{
    attribute::{
        Attribute, AttributeStaticType, ErrorCode, Fingerprint, MessageIntegrity, MessageIntegritySha256,
        Nonce, Realm, Username,
    },
    message::{
        IntegrityAlgorithm, Message, MessageIntegrityCredentials, MessageWrite, MessageWriteExt,
        MessageWriteVec,
    },
};

use super::REALM;
use crate::{
    origin::counted,
    pace::{Pace, Rate},
};

/// Challenges for one address: a clinic behind one that comes back after an outage. A challenge is thrice as long as
/// what asks for it; whose address was made up must not be drowned in them.
const CHALLENGES: Rate = Rate { burst: 400, every: Duration::from_millis(10) };
/// Addresses whose challenges are counted.
const REMEMBERED: usize = 20_000;

pub(super) struct Strangers {
    challenges: Pace<std::net::IpAddr>,
    key: [u8; 32],
}

impl Strangers {
    pub(super) fn new() -> Self {
        Self { challenges: Pace::new(CHALLENGES, REMEMBERED), key: rand::random() }
    }

    /// What somebody at `from` is to show that they have heard.
    pub(super) fn nonce(&self, from: SocketAddr) -> String {
        let mut mac =
            <Hmac<Sha1> as KeyInit>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(from.to_string().as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// The answer to a request without good credentials, if they have not been given too many.
    pub(super) fn challenge(
        &mut self,
        request: &Message<'_>,
        from: SocketAddr,
        now: Instant,
    ) -> Option<Vec<u8>> {
        let origin = counted(from.ip());
        if !self.challenges.wait(&origin, now).is_zero() {
            return None;
        }
        self.challenges.take(origin, now);
        let mut answer = Message::builder_error(request, MessageWriteVec::new());
        answer.add_attribute(&ErrorCode::builder(ErrorCode::UNAUTHORIZED).build().ok()?).ok()?;
        answer.add_attribute(&Realm::new(REALM).ok()?).ok()?;
        answer.add_attribute(&Nonce::new(&self.nonce(from)).ok()?).ok()?;
        answer.add_fingerprint().ok()?;
        Some(answer.finish())
    }

    /// Whether a request carries the nonce of a challenge of ours.
    pub(super) fn is_answer(&self, request: &Message<'_>, from: SocketAddr) -> bool {
        request.attribute::<Nonce>().is_ok_and(|nonce| nonce.nonce() == self.nonce(from))
    }
}

/// The answer to a request that names a peer that nothing is sent to (RFC 8656 §9.2, §12.2).
pub(super) fn forbidden(request: &Message<'_>, key: &MessageIntegrityCredentials) -> Option<Vec<u8>> {
    let mut answer = Message::builder_error(request, MessageWriteVec::new());
    answer.add_attribute(&ErrorCode::builder(ErrorCode::FORBIDDEN).build().ok()?).ok()?;
    answer.add_message_integrity(key, IntegrityAlgorithm::Sha1).ok()?;
    answer.add_fingerprint().ok()?;
    Some(answer.finish())
}

/// A request as the server would have been asked first: without credentials, so that it gives its nonce.
pub(super) fn first_request(request: &Message<'_>) -> Option<Vec<u8>> {
    rebuilt(request, None).map(MessageWrite::finish)
}

/// The same request with another nonce, signed anew.
pub(super) fn with_nonce(
    request: &Message<'_>,
    nonce: &str,
    key: &MessageIntegrityCredentials,
) -> Option<Vec<u8>> {
    let mut rebuilt = rebuilt(request, Some(nonce))?;
    rebuilt.add_message_integrity(key, IntegrityAlgorithm::Sha1).ok()?;
    Some(rebuilt.finish())
}

fn rebuilt(request: &Message<'_>, nonce: Option<&str>) -> Option<MessageWriteVec> {
    let mut rebuilt = Message::builder(request.get_type(), request.transaction_id(), MessageWriteVec::new());
    for (_, attribute) in request.iter_attributes() {
        match attribute.get_type() {
            Nonce::TYPE | MessageIntegrity::TYPE | MessageIntegritySha256::TYPE | Fingerprint::TYPE => {}
            Username::TYPE | Realm::TYPE if nonce.is_none() => {}
            _ => rebuilt.add_attribute(&attribute).ok()?,
        }
    }
    if let Some(nonce) = nonce {
        rebuilt.add_attribute(&Nonce::new(nonce).ok()?).ok()?;
    }
    Some(rebuilt)
}
