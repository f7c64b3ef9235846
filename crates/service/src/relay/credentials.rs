//! Who may use a relay, and until when: time-limited credentials as coturn's `use-auth-secret` takes them
//! (draft-uberti-behave-turn-rest), so that its relay can stand in for the embedded one.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use bedside_protocol::{IceServer, Token};
use bedside_redact::Secret;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha1::Sha1;
use tokio::sync::mpsc;

/// Issues credentials for a relay.
#[derive(Clone)]
pub struct RelayCredentials {
    /// In the order in which they are tried.
    urls: Arc<[String]>,
    secret: Arc<Secret<Vec<u8>>>,
    /// Where the end of a sign-in or a visit is told; another's relay hears of none.
    ended: Option<mpsc::Sender<String>>,
}

impl RelayCredentials {
    pub(super) fn new(
        urls: Vec<String>,
        secret: Arc<Secret<Vec<u8>>>,
        ended: Option<mpsc::Sender<String>>,
    ) -> Self {
        Self { urls: urls.into(), secret, ended }
    }

    /// For a relay of the clinic's own, at `turn:`, `turns:` and `stun:` addresses (RFC 7065, RFC 7064),
    /// which knows the secret too. What it relays for a sign-in ends with the credentials, not before.
    pub fn for_clinics_own(urls: Vec<String>, secret: Secret<Vec<u8>>) -> Self {
        Self::new(urls, Arc::new(secret), None)
    }

    /// A sign-in or a visit has ended: nothing is relayed for it any more.
    pub fn end(&self, ending: &str) {
        if let Some(ended) = &self.ended
            && ended.try_send(ending.to_owned()).is_err()
        {
            tracing::warn!("the relay did not hear of the end of a sign-in or a visit");
        }
    }

    /// The relay as `user` may use it by this sign-in until `until`, for a visit or only to try it. What is relayed for
    /// a visit goes on after that, until the visit or the sign-in ends.
    pub fn issue(&self, user: &str, sign_in: &str, visit: Option<&str>, until: Timestamp) -> Vec<IceServer> {
        let visit = visit.map(|visit| format!("/{visit}")).unwrap_or_default();
        let username = format!("{}:{user}/{sign_in}{visit}", until.as_second());
        let password = password(self.secret.expose(), &username);
        let server = |url: &String| {
            let is_relay = !url.starts_with("stun");
            IceServer {
                urls: url.clone(),
                username: is_relay.then(|| username.clone()),
                credential: is_relay.then(|| Token::new(password.clone())),
            }
        };
        self.urls.iter().map(server).collect()
    }
}

pub(super) fn password(secret: &[u8], username: &str) -> String {
    let mut mac = <Hmac<Sha1> as KeyInit>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clinics_own_relay_is_given_in_its_order_with_what_coturn_takes() {
        let urls =
            ["stun:turn.example:3478", "turn:turn.example:3478?transport=udp", "turns:turn.example:443"];
        let own = RelayCredentials::for_clinics_own(
            urls.map(str::to_owned).to_vec(),
            Secret::new(b"north".to_vec()),
        );
        let issued = own.issue("ann", "phone", None, Timestamp::from_second(1_700_000_000).unwrap());
        assert_eq!(issued.iter().map(|server| server.urls.as_str()).collect::<Vec<_>>(), urls);
        assert!(issued[0].username.is_none() && issued[0].credential.is_none());
        assert_eq!(issued[1].username.as_deref(), Some("1700000000:ann/phone"));
        // openssl dgst -sha1 -hmac north -binary, of the name, in base64.
        let password = issued[2].credential.as_ref().unwrap().expose();
        assert_eq!(password, EXPECTED);
        own.end("phone");
    }

    const EXPECTED: &str = "Zi6qKgdAGHY6x5ApRNoWOBH9lqM=";

    #[test]
    fn passwords_are_those_that_coturn_makes() {
        // printf '1433065916:ninefingers' | openssl dgst -sha1 -hmac key -binary | base64
        assert_eq!(password(b"key", "1433065916:ninefingers"), "/Um/djE5kVqRpsBdpw3KkKd804U=");
    }
}
