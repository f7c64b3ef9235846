//! Passwords as they are kept: argon2id. Hashing one takes memory and a core on purpose, so what waits for it is
//! bounded, and its memory is used again: the heap would not give it back.

use std::sync::{Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use bedside_protocol::{Code, Token};
use precis_profiles::{OpaqueString, precis_core::profile::Profile};
use tokio::sync::Semaphore;

use crate::error::ApiError;

/// Sign-ins that wait for their turn: of two seconds on the slowest machine.
const WAITING_SIGN_INS: usize = 64;
/// Registrations that wait. Only one at a time is hashed, so that they keep nobody from signing in.
const WAITING_REGISTRATIONS: usize = 8;
/// Bytes of what is kept (RFC 9106 §4: 256 bits).
const HASH_BYTES: usize = 32;

pub(crate) struct Passwords {
    turns: Semaphore,
    sign_ins: Semaphore,
    registrations: Semaphore,
    registering: Semaphore,
    /// At most as many as there are turns.
    memory: Mutex<Vec<Vec<Block>>>,
    /// What no password has: checked for unknown addresses, so that they take as long.
    nobody: String,
}

impl Passwords {
    pub(crate) fn new() -> Result<Self, argon2::Error> {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Ok(Self {
            turns: Semaphore::new(cores),
            sign_ins: Semaphore::new(WAITING_SIGN_INS),
            registrations: Semaphore::new(WAITING_REGISTRATIONS),
            registering: Semaphore::new(1),
            memory: Mutex::default(),
            nobody: keep(&rand::random::<[u8; 32]>(), &mut Vec::new())?,
        })
    }

    /// A new password as it is to be kept.
    pub(crate) async fn hash(&self, password: &Token) -> Result<String, ApiError> {
        let _place = self.registrations.try_acquire().map_err(|_| ApiError::from(Code::Unavailable))?;
        let _first = self.registering.acquire().await.map_err(|_| ApiError::from(Code::Internal))?;
        let password = one_spelling(password);
        let kept = self.in_turn(move |memory| keep(password.expose().as_bytes(), memory)).await?;
        kept.map_err(|error| {
            tracing::error!(%error, "a password was not hashed");
            Code::Internal.into()
        })
    }

    /// Whether this is the password that was kept; none was for an address without an account.
    pub(crate) async fn is_right(&self, password: &Token, kept: Option<String>) -> Result<bool, ApiError> {
        let _place = self.sign_ins.try_acquire().map_err(|_| ApiError::from(Code::Unavailable))?;
        // Nor has an account in which nobody has chosen one yet.
        let kept = kept.filter(|kept| !kept.is_empty());
        let has_account = kept.is_some();
        let kept = kept.unwrap_or_else(|| self.nobody.clone());
        // As it was typed as well, where that is another: it may have been kept before spellings were made one.
        let typed = password.clone();
        let spelled = one_spelling(password);
        let is_right = self
            .in_turn(move |memory| {
                is_kept(spelled.expose().as_bytes(), &kept, memory)
                    || (spelled != typed && is_kept(typed.expose().as_bytes(), &kept, memory))
            })
            .await?;
        Ok(is_right && has_account)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Vec<Block>) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let _turn = self.turns.acquire().await.map_err(|_| ApiError::from(Code::Internal))?;
        let lock = || self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let mut memory = lock().pop().unwrap_or_default();
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut memory);
            (done, memory)
        });
        let (done, memory) = done.await.map_err(|_| ApiError::from(Code::Internal))?;
        lock().push(memory);
        Ok(done)
    }
}

/// A password in the one of its spellings that is hashed (RFC 8265 §4.2, `OpaqueString`): keyboards compose the same
/// letters in different ways. What that has no spelling for, such as a control character, stays as it is.
fn one_spelling(password: &Token) -> Token {
    OpaqueString::new()
        .enforce(password.expose())
        .map_or_else(|_| password.clone(), |spelled| Token::new(spelled.into_owned()))
}

fn fill(
    argon: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    out: &mut [u8],
    memory: &mut Vec<Block>,
) -> Result<(), argon2::Error> {
    let blocks = argon.params().block_count();
    if memory.len() < blocks {
        memory.resize(blocks, Block::default());
    }
    argon.hash_password_into_with_memory(password, salt, out, memory)
}

/// The PHC string of a password with a salt of its own.
fn keep(password: &[u8], memory: &mut Vec<Block>) -> Result<String, argon2::Error> {
    let argon = Argon2::default();
    let salt = Salt::generate();
    let mut out = [0; HASH_BYTES];
    fill(&argon, password, &salt, &mut out, memory)?;
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: ParamsString::try_from(argon.params()).map_err(|_| argon2::Error::OutputTooLong)?,
        salt: Some(salt),
        hash: Some(Output::new(&out).map_err(|_| argon2::Error::OutputTooLong)?),
    };
    Ok(hash.to_string())
}

/// Whether this is the password of the PHC string, by the figures that it was made with.
fn is_kept(password: &[u8], kept: &str, memory: &mut Vec<Block>) -> bool {
    let mut check = || {
        let kept = PasswordHash::new(kept).ok()?;
        let (salt, expected) = (kept.salt?, kept.hash?);
        let algorithm = Algorithm::try_from(kept.algorithm.as_str()).ok()?;
        let version = kept.version.and_then(|version| Version::try_from(version).ok()).unwrap_or_default();
        let argon = Argon2::new(algorithm, version, Params::try_from(&kept).ok()?);
        let mut out = vec![0; expected.len()];
        fill(&argon, password, &salt, &mut out, memory).ok()?;
        // In a time that does not tell how much was right.
        Some(Output::new(&out).ok()? == expected)
    };
    check().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHasher, PasswordVerifier};

    use super::*;

    #[test]
    fn what_is_kept_is_what_everybody_keeps() {
        let mut memory = vec![];
        let kept = keep(b"correct horse", &mut memory).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        let parsed = PasswordHash::new(&kept).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        let theirs = Argon2::default().hash_password(b"battery staple").unwrap().to_string();
        assert!(is_kept(b"battery staple", &theirs, &mut memory), "with the memory of another");
        assert!(!is_kept(b"battery", &theirs, &mut memory) && !is_kept(b"", "", &mut memory));
    }

    #[tokio::test]
    async fn the_same_letters_are_the_same_password() {
        let passwords = Passwords::new().unwrap();
        let (composed, apart) =
            (Token::new("Gr\u{f6}\u{df}e und \u{212b}"), Token::new("Gro\u{308}\u{df}e und A\u{30a}"));
        let kept = passwords.hash(&composed).await.unwrap();
        assert!(passwords.is_right(&apart, Some(kept)).await.unwrap());
        // One that was kept as it was typed still opens its account.
        let as_typed = keep(apart.expose().as_bytes(), &mut vec![]).unwrap();
        assert!(passwords.is_right(&apart, Some(as_typed)).await.unwrap());
        let bell = Token::new("with a \u{7} bell");
        let kept = passwords.hash(&bell).await.unwrap();
        assert!(passwords.is_right(&bell, Some(kept)).await.unwrap());
    }

    #[tokio::test]
    async fn registrations_wait_in_a_short_queue_and_sign_ins_pass() {
        let passwords = Passwords::new().unwrap();
        let held = passwords.registering.acquire().await.unwrap();
        let password = Token::new("a long enough password");
        let waiting: Vec<_> =
            (0..WAITING_REGISTRATIONS).map(|_| passwords.registrations.try_acquire().unwrap()).collect();
        assert_eq!(passwords.hash(&password).await.unwrap_err().code, Code::Unavailable);
        assert!(!passwords.is_right(&password, None).await.unwrap());
        drop((waiting, held));
        let kept = passwords.hash(&password).await.unwrap();
        assert!(passwords.is_right(&password, Some(kept)).await.unwrap());
        assert_eq!(passwords.memory.lock().unwrap().len(), 1, "the same memory for all");
    }
}
