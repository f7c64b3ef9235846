//! What is kept of patients, sealed with keys that are kept elsewhere: whoever has the disk, the bucket or the database
//! alone reads nothing of it.
//!
//! Everything is sealed with AES-256-GCM (NIST SP 800-38D). A text has a nonce of its own, drawn at random. A file has a
//! key of its own, which is sealed in its head: so another key of the service's takes a new head, and not every byte of
//! every file. What something is sealed for is part of its seal: a message's words can't be passed off as another's.
//!
//! The first of the keys seals; all of them open. Another is put first to seal with from then on, what is there is
//! sealed anew, and then the old one can go.

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use bedside_redact::Secret;
use sha2::{Digest, Sha256};

mod file;

pub use file::{HEAD_BYTES, Opening, Sealing, is_sealed};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of a nonce and of a tag, as SP 800-38D recommends them.
pub(crate) const NONCE_BYTES: usize = 12;
pub(crate) const TAG_BYTES: usize = 16;
/// Bytes of a key's id.
pub(crate) const ID_BYTES: usize = 8;

/// Why something can't be sealed or opened.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SealingError {
    /// Not a line for each key of 32 bytes in base64.
    #[error("the keys are damaged: there is to be a line for each, of 32 bytes in base64")]
    Keys,
    /// Sealed with a key that is not among them.
    #[error("it is sealed with the key {0}, which is not there")]
    UnknownKey(String),
    /// Not what was sealed, or not for this.
    #[error("it is not what was sealed")]
    Damaged,
}

/// A key's id: the beginning of its SHA-256, which gives nothing of it away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_BYTES]);

impl KeyId {
    pub(crate) const fn bytes(self) -> [u8; ID_BYTES] {
        self.0
    }

    pub(crate) const fn of_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Display for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for KeyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

struct Key {
    id: KeyId,
    cipher: Aes256Gcm,
}

/// The keys of a service: the first seals.
pub struct Keys {
    first: Key,
    others: Vec<Key>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.ids()).finish()
    }
}

/// A new key as a line of a key file.
pub fn new_key() -> Secret<String> {
    Secret::new(STANDARD_NO_PAD.encode(rand::random::<[u8; KEY_BYTES]>()))
}

impl Keys {
    /// The keys of a file: a line for each, in base64; lines that begin with `#` say something to people.
    ///
    /// # Errors
    /// Where there is none, or one is none.
    pub fn read(file: &Secret<String>) -> Result<Self, SealingError> {
        let lines = file.expose().lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let key = |line: &str| {
            let bytes = STANDARD_NO_PAD.decode(line.trim_end_matches('=')).map_err(|_| SealingError::Keys)?;
            let bytes: [u8; KEY_BYTES] = bytes.try_into().map_err(|_| SealingError::Keys)?;
            let hash = Sha256::digest(bytes);
            let id = hash.first_chunk().copied().ok_or(SealingError::Keys)?;
            Ok(Key { id: KeyId(id), cipher: Aes256Gcm::new(&bytes.into()) })
        };
        let mut keys = keys.map(key).collect::<Result<Vec<_>, _>>()?.into_iter();
        let first = keys.next().ok_or(SealingError::Keys)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// Which there are, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        std::iter::once(&self.first).chain(&self.others).map(|key| key.id)
    }

    /// The one that seals.
    pub const fn sealing(&self) -> KeyId {
        self.first.id
    }

    fn key(&self, id: KeyId) -> Result<&Key, SealingError> {
        let found = std::iter::once(&self.first).chain(&self.others).find(|key| key.id == id);
        found.ok_or_else(|| SealingError::UnknownKey(id.to_string()))
    }

    /// Seals a text for something, such as one message.
    pub fn seal_text(&self, what_for: &str, text: &str) -> SealedText {
        let sealed = self.seal(what_for.as_bytes(), text.as_bytes());
        SealedText { key: self.first.id.to_string(), text: STANDARD_NO_PAD.encode(sealed) }
    }

    /// Opens it.
    ///
    /// # Errors
    /// Where its key is not there, or it was sealed for something else, or changed.
    pub fn open_text(&self, what_for: &str, sealed: &SealedText) -> Result<String, SealingError> {
        let unknown = || SealingError::UnknownKey(sealed.key.clone());
        let id = self.ids().find(|id| id.to_string() == sealed.key).ok_or_else(unknown)?;
        let bytes = STANDARD_NO_PAD.decode(&sealed.text).map_err(|_| SealingError::Damaged)?;
        let plain = self.open(id, what_for.as_bytes(), &bytes)?;
        String::from_utf8(plain).map_err(|_| SealingError::Damaged)
    }

    /// A nonce, and what is sealed under it.
    pub(crate) fn seal(&self, what_for: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload { msg: plain, aad: what_for };
        // It fails only for more than 64 GiB.
        let sealed = self.first.cipher.encrypt(&Nonce::from(nonce), payload).unwrap_or_default();
        [&nonce[..], &sealed].concat()
    }

    pub(crate) fn open(&self, id: KeyId, what_for: &[u8], sealed: &[u8]) -> Result<Vec<u8>, SealingError> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(SealingError::Damaged)?;
        let payload = Payload { msg: sealed, aad: what_for };
        self.key(id)?.cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| SealingError::Damaged)
    }
}

/// A text as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedText {
    /// The id of the key that it is sealed with.
    pub key: String,
    /// Nonce and seal, in base64.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn keys(count: usize) -> (Keys, Vec<String>) {
        let lines: Vec<String> = (0..count).map(|_| new_key().into_exposed()).collect();
        (Keys::read(&Secret::new(lines.join("\n"))).unwrap(), lines)
    }

    proptest! {
        #[test]
        fn a_text_comes_out_as_it_went_in(text in ".*", what_for in "[a-z:0-9]{0,40}") {
            let (keys, _) = keys(1);
            let sealed = keys.seal_text(&what_for, &text);
            prop_assert!(text.len() < 4 || !sealed.text.contains(&text));
            prop_assert_eq!(keys.open_text(&what_for, &sealed), Ok(text));
        }
    }

    #[test]
    fn a_text_of_one_thing_is_not_another_s() {
        let (keys, _) = keys(1);
        let sealed = keys.seal_text("chat:1", "hello");
        assert_eq!(keys.open_text("chat:2", &sealed), Err(SealingError::Damaged));
        let mut text = sealed.text.into_bytes();
        text[20] = if text[20] == b'A' { b'B' } else { b'A' };
        let changed = SealedText { text: String::from_utf8(text).unwrap(), ..sealed };
        assert_eq!(keys.open_text("chat:1", &changed), Err(SealingError::Damaged));
        let nothing = SealedText { text: String::new(), ..changed };
        assert_eq!(keys.open_text("chat:1", &nothing), Err(SealingError::Damaged));
    }

    #[test]
    fn another_key_seals_and_the_old_one_opens() {
        let (old, lines) = keys(1);
        let sealed = old.seal_text("a", "before");
        let file = format!("# of 2026\n{}\n\n{}=\n", new_key().expose(), lines[0]);
        let both = Keys::read(&Secret::new(file)).unwrap();
        assert_eq!(both.open_text("a", &sealed).as_deref(), Ok("before"));
        assert_ne!(both.sealing(), old.sealing());
        let (other, _) = keys(1);
        assert_eq!(other.open_text("a", &sealed), Err(SealingError::UnknownKey(old.sealing().to_string())));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for file in ["", "# nothing", "c2hvcnQ", "???"] {
            assert_eq!(Keys::read(&Secret::new(file.to_owned())).unwrap_err(), SealingError::Keys, "{file}");
        }
        let (keys, lines) = keys(2);
        let shown = format!("{keys:?}");
        assert!(!lines.iter().any(|line| shown.contains(line.as_str())));
    }
}
