//! Where the refresh token is kept: the system's keyring, or, where there is none, a file that
//! only this user can read, encrypted with a key in another such file. The file keeps the token
//! out of backups of the one and glances at it; it is no defence against this user's own
//! programs, as the keyring is not either.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use aes_gcm::{Aes256Gcm, KeyInit, Nonce, aead::Aead};
use bedside_protocol::Token;
use keyring::Entry;

const SERVICE: &str = "org.bedside.app";

/// Why a token can't be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    #[error("the keyring failed: {0}")]
    Keyring(#[from] keyring::Error),
    #[error("the token's file failed: {0}")]
    File(#[from] io::Error),
    #[error("the token's file is damaged")]
    Damaged,
}

/// The vault of one user of this machine. Every call may block on the keyring.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    folder: PathBuf,
    keyring: bool,
}

impl Vault {
    pub(crate) fn open(folder: &Path) -> Self {
        let keyring = Entry::store_status().is_ok();
        tracing::info!(keyring, "where the sign-in is kept");
        Self { folder: folder.to_owned(), keyring }
    }

    /// The token kept for the service at `address`.
    pub(crate) fn read(&self, address: &str) -> Result<Option<Token>, VaultError> {
        if self.keyring {
            return match self.entry(address)?.get_password() {
                Ok(token) => Ok(Some(Token::new(token))),
                Err(keyring::Error::NoEntry) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        let sealed = match fs::read(self.file()) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let (nonce, sealed) = sealed.split_first_chunk::<12>().ok_or(VaultError::Damaged)?;
        let plain = self.cipher()?.decrypt(&Nonce::from(*nonce), sealed).map_err(|_| VaultError::Damaged)?;
        let (kept_for, token): (String, String) =
            serde_json::from_slice(&plain).map_err(|_| VaultError::Damaged)?;
        Ok((kept_for == address).then(|| Token::new(token)))
    }

    /// Keeps a token in place of the one before.
    pub(crate) fn write(&self, address: &str, token: &Token) -> Result<(), VaultError> {
        if self.keyring {
            return Ok(self.entry(address)?.set_password(token.expose())?);
        }
        let plain = serde_json::to_vec(&(address, token.expose())).map_err(|_| VaultError::Damaged)?;
        let nonce: [u8; 12] = rand::random();
        let sealed =
            self.cipher()?.encrypt(&Nonce::from(nonce), &plain[..]).map_err(|_| VaultError::Damaged)?;
        let new = self.folder.join("sign-in.new");
        write_private(&new, &[&nonce[..], &sealed].concat())?;
        Ok(fs::rename(new, self.file())?)
    }

    /// Forgets the token.
    pub(crate) fn forget(&self, address: &str) -> Result<(), VaultError> {
        if self.keyring {
            return match self.entry(address)?.delete_credential() {
                Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
                Err(error) => Err(error.into()),
            };
        }
        match fs::remove_file(self.file()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Each folder of settings has its own sign-in: two people may share a machine.
    fn entry(&self, address: &str) -> Result<Entry, keyring::Error> {
        Entry::new(SERVICE, &format!("{address} {}", self.folder.display()))
    }

    fn file(&self) -> PathBuf {
        self.folder.join("sign-in")
    }

    fn cipher(&self) -> Result<Aes256Gcm, VaultError> {
        let path = self.folder.join("sign-in.key");
        let key = match fs::read(&path) {
            Ok(key) => key,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.folder)?;
                let key = rand::random::<[u8; 32]>().to_vec();
                write_private(&path, &key)?;
                key
            }
            Err(error) => return Err(error.into()),
        };
        Aes256Gcm::new_from_slice(&key).map_err(|_| VaultError::Damaged)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that a vault does, with the keyring of this session.
    #[test]
    #[ignore = "run by the next one, in a session of its own"]
    fn in_this_sessions_keyring() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::open(folder.path());
        assert!(vault.keyring, "there is a keyring");
        assert!(vault.read("a").unwrap().is_none());
        vault.write("a", &Token::new("planted-token")).unwrap();
        vault.write("a", &Token::new("its-follower")).unwrap();
        assert_eq!(vault.read("a").unwrap().unwrap().expose(), "its-follower");
        assert!(vault.read("b").unwrap().is_none(), "another service's is not given away");
        let another = Vault { folder: folder.path().join("another"), ..vault.clone() };
        assert!(another.read("a").unwrap().is_none(), "nor another person's on this machine");
        vault.forget("a").unwrap();
        vault.forget("a").unwrap();
        assert!(vault.read("a").unwrap().is_none());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing lies in a file");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_keyring_keeps_it_where_there_is_one() {
        let home = tempfile::tempdir().unwrap();
        let session = "echo | gnome-keyring-daemon --unlock --components=secrets > /dev/null \
            && exec \"$0\" --ignored --exact vault::tests::in_this_sessions_keyring";
        let done = std::process::Command::new("dbus-run-session")
            .args(["--", "sh", "-c", session])
            .arg(std::env::current_exe().unwrap())
            .env("HOME", home.path())
            .env("XDG_RUNTIME_DIR", home.path())
            .env_remove("XDG_DATA_HOME")
            .output()
            .expect("dbus-run-session, which `cargo xtask setup` installs");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(
            done.status.success() && said.contains("1 passed"),
            "{said}{}",
            String::from_utf8_lossy(&done.stderr)
        );
    }

    #[test]
    fn without_a_keyring_a_file_keeps_it_unreadably() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault { folder: folder.path().to_owned(), keyring: false };
        assert!(vault.read("a").unwrap().is_none());
        vault.write("a", &Token::new("planted-token")).unwrap();
        assert_eq!(vault.read("a").unwrap().unwrap().expose(), "planted-token");
        assert!(vault.read("b").unwrap().is_none(), "another service's is not given away");
        let stored = fs::read(vault.file()).unwrap();
        assert!(!stored.windows(7).any(|w| w == b"planted"));
        fs::write(vault.file(), &stored[..20]).unwrap();
        assert!(matches!(vault.read("a"), Err(VaultError::Damaged)));
        vault.forget("a").unwrap();
        vault.forget("a").unwrap();
        assert!(vault.read("a").unwrap().is_none());
    }
}
