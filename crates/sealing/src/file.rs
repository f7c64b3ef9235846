//! Files, part by part, so that none has to be in memory as a whole.
//!
//! ```text
//! head:  "BEDSEAL1"  id of the service's key  nonce and seal of the file's own key
//! parts: 64 KiB and a tag each, the last of them shorter or as long
//! ```
//!
//! A part's nonce is its number and whether it is the last (STREAM, Hoang, Reyhanitabar, Rogaway and Vizár, 2015): none can
//! be left out, exchanged or cut off unseen. A file's own key seals nothing else, so that no nonce comes twice.

use aes_gcm::{Aes256Gcm, KeyInit, Nonce, aead::Aead};

use crate::{ID_BYTES, KEY_BYTES, KeyId, Keys, NONCE_BYTES, SealingError, TAG_BYTES};

const MAGIC: &[u8; 8] = b"BEDSEAL1";
/// Bytes of a part before it is sealed.
const PART: usize = 64 * 1_024;
/// Bytes of a file's head.
pub const HEAD_BYTES: usize = MAGIC.len() + ID_BYTES + NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// Whether bytes are the beginning of a sealed file.
pub fn is_sealed(beginning: &[u8]) -> bool {
    beginning.starts_with(MAGIC)
}

fn nonce(number: u64, is_last: bool) -> Nonce<<Aes256Gcm as aes_gcm::aead::AeadCore>::NonceSize> {
    let mut nonce = [0; NONCE_BYTES];
    nonce[..8].copy_from_slice(&number.to_be_bytes());
    nonce[NONCE_BYTES - 1] = u8::from(is_last);
    Nonce::from(nonce)
}

fn head(keys: &Keys, name: &str, key: &[u8]) -> Vec<u8> {
    [&MAGIC[..], &keys.sealing().bytes(), &keys.seal(name.as_bytes(), key)].concat()
}

/// The key of a file, and the one of the service's that it is sealed with.
fn read_head(keys: &Keys, name: &str, head: &[u8]) -> Result<(KeyId, Vec<u8>), SealingError> {
    let sealed = head.strip_prefix(MAGIC).ok_or(SealingError::Damaged)?;
    let (id, sealed) = sealed.split_first_chunk::<ID_BYTES>().ok_or(SealingError::Damaged)?;
    let id = KeyId::of_bytes(*id);
    Ok((id, keys.open(id, name.as_bytes(), sealed)?))
}

fn cipher(key: &[u8]) -> Result<Aes256Gcm, SealingError> {
    Aes256Gcm::new_from_slice(key).map_err(|_| SealingError::Damaged)
}

impl Keys {
    /// The head of a file as it is to be, sealed with the key that seals now; none where it is.
    ///
    /// # Errors
    /// Where its key is not there, or it is another file's.
    pub fn seal_head_anew(&self, name: &str, old: &[u8]) -> Result<Option<Vec<u8>>, SealingError> {
        let (id, key) = read_head(self, name, old)?;
        Ok((id != self.sealing()).then(|| head(self, name, &key)))
    }
}

/// A file that is being sealed.
pub struct Sealing {
    cipher: Aes256Gcm,
    number: u64,
    /// What has come of the part under way.
    part: Vec<u8>,
    /// Before the first part.
    head: Option<Vec<u8>>,
}

impl Sealing {
    /// Begins one of this name.
    ///
    /// # Errors
    /// None that can happen: a key has the length of a key.
    pub fn begin(keys: &Keys, name: &str) -> Result<Self, SealingError> {
        let key: [u8; KEY_BYTES] = rand::random();
        let head = Some(head(keys, name, &key));
        Ok(Self { cipher: cipher(&key)?, number: 0, part: Vec::with_capacity(PART), head })
    }

    /// More of it; gives what of the sealed file is ready.
    ///
    /// # Errors
    /// Where it is longer than any file.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, SealingError> {
        let mut ready = self.head.take().unwrap_or_default();
        while !bytes.is_empty() {
            // A full part is sealed when it is known that it is not the last.
            if self.part.len() == PART {
                ready.extend(self.seal(false)?);
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(PART - self.part.len()));
            self.part.extend_from_slice(taken);
            bytes = rest;
        }
        Ok(ready)
    }

    /// That was all; gives the rest of the sealed file.
    ///
    /// # Errors
    /// As [`Sealing::push`].
    pub fn finish(mut self) -> Result<Vec<u8>, SealingError> {
        let mut ready = self.head.take().unwrap_or_default();
        ready.extend(self.seal(true)?);
        Ok(ready)
    }

    fn seal(&mut self, is_last: bool) -> Result<Vec<u8>, SealingError> {
        let sealed = self.cipher.encrypt(&nonce(self.number, is_last), &self.part[..]);
        self.part.clear();
        self.number += 1;
        sealed.map_err(|_| SealingError::Damaged)
    }
}

/// A file that is being opened.
pub struct Opening {
    cipher: Aes256Gcm,
    number: u64,
    /// What has come of the part under way, sealed.
    part: Vec<u8>,
}

impl Opening {
    /// Begins one of this name, by its head of [`HEAD_BYTES`].
    ///
    /// # Errors
    /// Where its key is not there, or it is another file's.
    pub fn begin(keys: &Keys, name: &str, head: &[u8]) -> Result<Self, SealingError> {
        let (_, key) = read_head(keys, name, head)?;
        Ok(Self { cipher: cipher(&key)?, number: 0, part: Vec::with_capacity(PART + TAG_BYTES) })
    }

    /// More of the sealed file; gives what of the file is ready.
    ///
    /// # Errors
    /// Where it is not what was sealed.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, SealingError> {
        let mut ready = vec![];
        while !bytes.is_empty() {
            if self.part.len() == PART + TAG_BYTES {
                ready.extend(self.open(false)?);
            }
            let (taken, rest) = bytes.split_at(bytes.len().min(PART + TAG_BYTES - self.part.len()));
            self.part.extend_from_slice(taken);
            bytes = rest;
        }
        Ok(ready)
    }

    /// That was all; gives the rest of the file.
    ///
    /// # Errors
    /// Where something is missing at its end.
    pub fn finish(mut self) -> Result<Vec<u8>, SealingError> {
        self.open(true)
    }

    fn open(&mut self, is_last: bool) -> Result<Vec<u8>, SealingError> {
        let plain = self.cipher.decrypt(&nonce(self.number, is_last), &self.part[..]);
        self.part.clear();
        self.number += 1;
        plain.map_err(|_| SealingError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{new_key, tests::keys};

    fn seal(keys: &Keys, plain: &[u8], by: usize) -> Vec<u8> {
        let mut sealing = Sealing::begin(keys, "a").unwrap();
        let mut sealed: Vec<u8> = plain.chunks(by).flat_map(|part| sealing.push(part).unwrap()).collect();
        sealed.extend(sealing.finish().unwrap());
        sealed
    }

    fn open(keys: &Keys, name: &str, sealed: &[u8], by: usize) -> Result<Vec<u8>, SealingError> {
        let (head, parts) = sealed.split_at_checked(HEAD_BYTES).ok_or(SealingError::Damaged)?;
        let mut opening = Opening::begin(keys, name, head)?;
        let mut plain = vec![];
        for part in parts.chunks(by) {
            plain.extend(opening.push(part)?);
        }
        plain.extend(opening.finish()?);
        Ok(plain)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_file_comes_out_as_it_went_in(length in prop_oneof![0_usize..10, PART - 2..PART + 2, 2 * PART - 1..2 * PART + 2],
            by in 1_000_usize..100_000) {
            let (keys, _) = keys(1);
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let sealed = seal(&keys, &plain, by);
            prop_assert!(is_sealed(&sealed));
            prop_assert_eq!(open(&keys, "a", &sealed, by + 7), Ok(plain));
        }

        #[test]
        fn nothing_of_it_can_be_changed(at in 0_usize..2 * PART + 100, bit in 0_u8..8) {
            let (keys, _) = keys(1);
            let mut sealed = seal(&keys, &vec![7; 2 * PART], PART);
            let at = at % sealed.len();
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&keys, "a", &sealed, PART).is_err());
        }
    }

    #[test]
    fn nothing_of_it_can_be_left_out_or_exchanged() {
        let (keys, _) = keys(1);
        let sealed = seal(&keys, &vec![7; 2 * PART + 10], PART);
        let (head, parts) = sealed.split_at(HEAD_BYTES);
        let parts: Vec<&[u8]> = parts.chunks(PART + TAG_BYTES).collect();
        let with = |parts: &[&[u8]]| open(&keys, "a", &[head, &parts.concat()].concat(), PART);
        assert!(with(&parts).is_ok());
        for changed in
            [&[][..], &parts[..1], &parts[..2], &[parts[1], parts[0], parts[2]], &[parts[0], parts[2]]]
        {
            assert_eq!(with(changed), Err(SealingError::Damaged));
        }
        assert_eq!(open(&keys, "b", &sealed, PART), Err(SealingError::Damaged), "another file's name");
    }

    #[test]
    fn another_key_takes_a_new_head_only() {
        let (old, lines) = keys(1);
        let sealed = seal(&old, b"a letter", PART);
        let file = format!("{}\n{}", new_key().expose(), lines[0]);
        let both = Keys::read(&bedside_redact::Secret::new(file.clone())).unwrap();
        let (head, parts) = sealed.split_at(HEAD_BYTES);
        let new_head = both.seal_head_anew("a", head).unwrap().unwrap();
        assert_eq!(new_head.len(), HEAD_BYTES);
        let only_new =
            Keys::read(&bedside_redact::Secret::new(file.lines().next().unwrap().to_owned())).unwrap();
        let anew = [&new_head[..], parts].concat();
        assert_eq!(open(&only_new, "a", &anew, PART).as_deref(), Ok(&b"a letter"[..]));
        assert_eq!(both.seal_head_anew("a", &new_head), Ok(None));
        assert!(matches!(open(&only_new, "a", &sealed, PART), Err(SealingError::UnknownKey(_))));
    }
}
