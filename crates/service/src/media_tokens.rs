//! Media tokens: that somebody was let into a call on one of their devices. They say so themselves, sealed with the keys
//! that all services of a database share, so that giving one and looking at one asks no database.

use bedside_protocol::{DeviceId, SessionId, Token, UserId};
use bedside_sealing::{Keys, SealedText};
use jiff::Timestamp;

/// What the tokens are sealed for: nothing else that is sealed can be taken for one.
const WHAT_FOR: &str = "media-token";

/// What a token says. Whether they are still let in, and still on that device, is the session's to say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaToken {
    /// Into which call.
    pub session: SessionId,
    /// Whom.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// Until when, to the second.
    pub until: Timestamp,
}

impl MediaToken {
    /// As it is given out.
    pub fn seal(&self, keys: &Keys) -> Token {
        let Self { session, user, device, until } = self;
        let text =
            format!("{}.{}.{}.{}", session.0.simple(), user.0.simple(), device.0.simple(), until.as_second());
        let sealed = keys.seal_text(WHAT_FOR, &text);
        Token::new(format!("{}.{}", sealed.key, sealed.text))
    }

    /// Whether it lets somebody into a call now.
    pub fn lets_in(&self, user: UserId, session: SessionId, now: Timestamp) -> bool {
        self.user == user && self.session == session && now < self.until
    }

    /// What a token says that somebody shows; none where these keys never sealed it.
    pub fn open(token: &Token, keys: &Keys) -> Option<Self> {
        let (key, text) = token.expose().split_once('.')?;
        let sealed = SealedText { key: key.to_owned(), text: text.to_owned() };
        let text = keys.open_text(WHAT_FOR, &sealed).ok()?;
        let mut parts = text.split('.');
        let mut id = || parts.next()?.parse().ok();
        let (session, user, device) = (SessionId(id()?), UserId(id()?), DeviceId(id()?));
        let until = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
        Some(Self { session, user, device, until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keys {
        Keys::read(&bedside_sealing::new_key()).unwrap()
    }

    #[test]
    fn a_token_says_what_it_was_given_for_to_whoever_has_the_keys() {
        let keys = keys();
        let token = MediaToken {
            session: SessionId::generate(),
            user: UserId::generate(),
            device: DeviceId(uuid::Uuid::new_v4()),
            until: Timestamp::constant(1_800_000_000, 0),
        };
        let sealed = token.seal(&keys);
        assert_eq!(MediaToken::open(&sealed, &keys), Some(token));
        let MediaToken { session, user, until, .. } = token;
        let just_before = until - jiff::SignedDuration::from_secs(1);
        assert!(token.lets_in(user, session, just_before) && !token.lets_in(user, session, until));
        assert!(!token.lets_in(UserId::generate(), session, just_before));
        assert!(!token.lets_in(user, SessionId::generate(), just_before));
        assert_ne!(sealed, token.seal(&keys), "no two are alike");
        assert_eq!(MediaToken::open(&sealed, &self::keys()), None);
        for at in [0, 20, sealed.expose().len() - 1] {
            let mut bytes = sealed.expose().as_bytes().to_vec();
            bytes[at] ^= 1;
            let changed = Token::new(String::from_utf8(bytes).unwrap());
            assert_eq!(MediaToken::open(&changed, &keys), None);
        }
    }

    #[test]
    fn what_else_is_sealed_is_no_token() {
        let keys = keys();
        let sealed = keys.seal_text("chat:1", "words");
        let token = Token::new(format!("{}.{}", sealed.key, sealed.text));
        assert_eq!(MediaToken::open(&token, &keys), None);
        for nothing in ["", ".", "a.b"] {
            assert_eq!(MediaToken::open(&Token::new(nothing), &keys), None);
        }
    }
}
