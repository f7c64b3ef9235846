//! Configuration: flags over environment over file over defaults.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use bedside_consult::session::Limits;
use bedside_redact::Secret;
use ipnet::IpNet;
use jiff::SignedDuration;
use serde::Deserialize;
use url::Url;

use crate::{ServiceError, folder, relay::RelayCredentials, store::Database};

/// What prices are in unless it is said, as in the first source document.
const CURRENCY: &str = "INR";

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Folder of the attachments, the relay's key, and the database where that is a file.
    pub data: PathBuf,
    /// Folder of what people send one another.
    pub attachments: PathBuf,
    /// What is kept where.
    pub database: Database,
    /// The embedded relay, unless it is off or the clinic has its own.
    pub relay: Option<RelayConfig>,
    /// The clinic's own.
    pub own_relay: Option<OwnRelay>,
    /// Minutes after the scheduled start at which nobody having come is a no-show.
    pub no_show_minutes: u32,
    /// Minutes that a visit may run over its scheduled duration.
    pub grace_minutes: u32,
    /// Minutes after which a visit ends in which neither side is any more.
    pub absent_minutes: u32,
    /// Minutes after a visit's end in which the doctor may re-call the patient.
    pub recall_minutes: u32,
    /// The clinic's name, as people see it before they sign in.
    pub clinic_name: Option<String>,
    /// What prices are in where it is not said (ISO 4217).
    pub currency: String,
    /// Networks of the clinic's own proxies: what these say about where a request comes from is believed.
    pub trusted_proxies: Vec<IpNet>,
}

/// The embedded TURN relay.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Address it listens on, over UDP and TCP.
    pub listen: SocketAddr,
    /// And over TLS, which passes where only the Web does.
    pub tls: Option<RelayTls>,
    /// Address that clients reach it at, and that relayed packets come from.
    pub public_ip: IpAddr,
    /// Whether it relays into private networks: for a clinic whose people are all in one.
    pub allow_private: bool,
}

/// A relay of the clinic's own.
#[derive(Clone, Debug)]
pub struct OwnRelay {
    /// Where it is: `stun:`, `turn:` and `turns:` addresses, in the order in which they are tried.
    pub urls: Vec<String>,
    /// The file with the secret that it makes passwords with (coturn: `static-auth-secret`).
    pub secret_file: Option<PathBuf>,
}

/// The relay over TLS.
#[derive(Clone, Debug)]
pub struct RelayTls {
    /// Address it listens on; port 443 passes most firewalls.
    pub listen: SocketAddr,
    /// The name that clients reach it by, which the certificate is for.
    pub name: String,
    /// The certificate and those that signed it, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// The file, all of it optional. The same names as the flags.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileConfig {
    /// See [`Config::listen`].
    pub listen: Option<SocketAddr>,
    /// See [`Config::data`].
    pub data: Option<PathBuf>,
    /// See [`Config::attachments`]. Several services on one PostgreSQL share it.
    pub attachments: Option<PathBuf>,
    /// Where PostgreSQL is, as whom and which database, in place of a file in the folder:
    /// `postgres://bedside@db.example/bedside`.
    pub database: Option<Url>,
    /// The file with PostgreSQL's password.
    pub database_password_file: Option<PathBuf>,
    /// See [`RelayConfig::listen`].
    pub relay_listen: Option<SocketAddr>,
    /// See [`RelayConfig::public_ip`]. Needed for the relay when `listen` is every address.
    pub relay_public_ip: Option<IpAddr>,
    /// See [`RelayConfig::allow_private`].
    pub relay_allow_private: Option<bool>,
    /// See [`RelayTls::listen`]. Needs the three below.
    pub relay_tls_listen: Option<SocketAddr>,
    /// See [`RelayTls::name`].
    pub relay_tls_name: Option<String>,
    /// See [`RelayTls::certificate`].
    pub relay_tls_certificate: Option<PathBuf>,
    /// See [`RelayTls::key`].
    pub relay_tls_key: Option<PathBuf>,
    /// Addresses of a relay of the clinic's own, such as coturn, in place of the embedded one: `stun:`,
    /// then `turn:`, then `turns:`. Needs `relay_secret_file`.
    pub relay_urls: Option<Vec<String>>,
    /// The file with the secret that the clinic's own relay makes passwords with.
    pub relay_secret_file: Option<PathBuf>,
    /// Leaves the relay off.
    pub no_relay: Option<bool>,
    /// See [`Config::no_show_minutes`].
    pub no_show_minutes: Option<u32>,
    /// See [`Config::grace_minutes`].
    pub grace_minutes: Option<u32>,
    /// See [`Config::absent_minutes`].
    pub absent_minutes: Option<u32>,
    /// See [`Config::recall_minutes`].
    pub recall_minutes: Option<u32>,
    /// See [`Config::clinic_name`].
    pub clinic_name: Option<String>,
    /// See [`Config::currency`].
    pub currency: Option<String>,
    /// See [`Config::trusted_proxies`], such as `10.0.0.0/8`.
    pub trusted_proxies: Option<Vec<IpNet>>,
}

impl FileConfig {
    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, ServiceError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ServiceError::Config(format!("{} can't be read: {error}", path.display())))?;
        toml::from_str(&text)
            .map_err(|error| ServiceError::Config(format!("{}: {}", path.display(), error.message())))
    }

    /// What this leaves out, from `other`.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            data: self.data.or(other.data),
            attachments: self.attachments.or(other.attachments),
            database: self.database.or(other.database),
            database_password_file: self.database_password_file.or(other.database_password_file),
            relay_listen: self.relay_listen.or(other.relay_listen),
            relay_public_ip: self.relay_public_ip.or(other.relay_public_ip),
            relay_allow_private: self.relay_allow_private.or(other.relay_allow_private),
            relay_tls_listen: self.relay_tls_listen.or(other.relay_tls_listen),
            relay_tls_name: self.relay_tls_name.or(other.relay_tls_name),
            relay_tls_certificate: self.relay_tls_certificate.or(other.relay_tls_certificate),
            relay_tls_key: self.relay_tls_key.or(other.relay_tls_key),
            relay_urls: self.relay_urls.or(other.relay_urls),
            relay_secret_file: self.relay_secret_file.or(other.relay_secret_file),
            no_relay: self.no_relay.or(other.no_relay),
            no_show_minutes: self.no_show_minutes.or(other.no_show_minutes),
            grace_minutes: self.grace_minutes.or(other.grace_minutes),
            absent_minutes: self.absent_minutes.or(other.absent_minutes),
            recall_minutes: self.recall_minutes.or(other.recall_minutes),
            clinic_name: self.clinic_name.or(other.clinic_name),
            currency: self.currency.or(other.currency),
            trusted_proxies: self.trusted_proxies.or(other.trusted_proxies),
        }
    }

    /// The whole, with the defaults for what is still left out.
    pub fn complete(self) -> Config {
        let listen = self.listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8480)));
        let public_ip = self.relay_public_ip.unwrap_or(listen.ip());
        let tls = self.relay_tls_listen.zip(self.relay_tls_name);
        let tls = tls.zip(self.relay_tls_certificate.zip(self.relay_tls_key));
        let relay = RelayConfig {
            tls: tls.map(|((listen, name), (certificate, key))| RelayTls { listen, name, certificate, key }),
            listen: self.relay_listen.unwrap_or(SocketAddr::new(listen.ip(), 3478)),
            public_ip,
            allow_private: self.relay_allow_private.unwrap_or(false),
        };
        let has_own = !self.no_relay.unwrap_or(false)
            && (self.relay_urls.is_some() || self.relay_secret_file.is_some());
        let own_relay = has_own.then(|| OwnRelay {
            urls: self.relay_urls.unwrap_or_default(),
            secret_file: self.relay_secret_file,
        });
        let limits = Limits::default();
        let minutes = |d: SignedDuration| u32::try_from(d.as_mins()).unwrap_or(0);
        let data = self.data.unwrap_or_else(|| PathBuf::from("bedside-data"));
        Config {
            listen,
            database: match self.database {
                Some(url) => Database::Postgres { url, password_file: self.database_password_file },
                None => Database::Sqlite(data.join("bedside.sqlite")),
            },
            attachments: self.attachments.unwrap_or_else(|| data.join("attachments")),
            data,
            // Nobody can send to "any address": without the one that clients reach there is no relay.
            relay: (!self.no_relay.unwrap_or(false) && own_relay.is_none() && !public_ip.is_unspecified())
                .then_some(relay),
            own_relay,
            no_show_minutes: self.no_show_minutes.unwrap_or(minutes(limits.no_show_after)),
            grace_minutes: self.grace_minutes.unwrap_or(minutes(limits.grace)),
            absent_minutes: self.absent_minutes.unwrap_or(minutes(limits.absent_after)),
            recall_minutes: self.recall_minutes.unwrap_or(minutes(limits.recall_within)),
            clinic_name: self.clinic_name.filter(|name| !name.trim().is_empty()),
            currency: self.currency.unwrap_or_else(|| CURRENCY.to_owned()),
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
        }
    }
}

impl Config {
    /// The timers of a visit.
    pub fn limits(&self) -> Limits {
        let minutes = |count: u32| SignedDuration::from_mins(i64::from(count));
        Limits {
            opens_before: Limits::default().opens_before,
            no_show_after: minutes(self.no_show_minutes),
            grace: minutes(self.grace_minutes),
            absent_after: minutes(self.absent_minutes),
            recall_within: minutes(self.recall_minutes),
        }
    }

    /// What hands out credentials for the clinic's own relay, if there is one.
    pub fn own_relay_credentials(&self) -> Result<Option<RelayCredentials>, ServiceError> {
        let Some(OwnRelay { urls, secret_file }) = &self.own_relay else { return Ok(None) };
        let missing =
            |what: &str| ServiceError::Config(format!("for a relay of one's own {what} is missing"));
        let secret_file = secret_file.as_ref().ok_or_else(|| missing("relay-secret-file"))?;
        if urls.is_empty() {
            return Err(missing("relay-urls"));
        }
        let is_known = |url: &&String| ["stun:", "turn:", "turns:"].iter().any(|kind| url.starts_with(kind));
        if let Some(url) = urls.iter().find(|url| !is_known(url)) {
            return Err(ServiceError::Config(format!("{url} is no address of a relay: turn:NAME:PORT")));
        }
        let secret = std::fs::read_to_string(secret_file).map_err(|error| {
            ServiceError::Config(format!("{} can't be read: {error}", secret_file.display()))
        })?;
        let secret = secret.trim();
        if secret.is_empty() {
            return Err(ServiceError::Config(format!("{} is empty", secret_file.display())));
        }
        Ok(Some(RelayCredentials::for_clinics_own(urls.clone(), Secret::new(secret.as_bytes().to_vec()))))
    }

    /// The key that relay credentials are made with, made at the first start. It outlives a
    /// restart, so that a running call's credentials do.
    pub fn relay_secret(&self) -> Result<Secret<Vec<u8>>, ServiceError> {
        folder::open(&self.data)?;
        let path = self.data.join("relay.key");
        match std::fs::read(&path) {
            Ok(key) if key.len() == 32 => return Ok(Secret::new(key)),
            Ok(_) => return Err(ServiceError::Config(format!("{} is damaged; remove it", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let key = rand::random::<[u8; 32]>().to_vec();
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        std::io::Write::write_all(&mut options.open(&path)?, &key)?;
        Ok(Secret::new(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearer_wins() {
        let file: FileConfig = toml::from_str("listen = '0.0.0.0:80'\ngrace-minutes = 5\n").unwrap();
        let flags = FileConfig { grace_minutes: Some(7), ..FileConfig::default() };
        let config = flags.or(file).complete();
        assert_eq!(config.listen, "0.0.0.0:80".parse().unwrap());
        assert_eq!((config.grace_minutes, config.no_show_minutes), (7, 15));
        assert!(config.relay.is_none(), "on every address, and no word of how it is reached");
        assert_eq!(FileConfig::default().complete().relay.unwrap().public_ip, Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn a_clinics_own_relay_takes_the_place_of_the_embedded_one() {
        let folder = tempfile::tempdir().unwrap();
        let secret_file = folder.path().join("secret");
        let config = |urls: &str| {
            let text =
                format!("relay-urls = [{urls}]\nrelay-secret-file = {:?}", secret_file.display().to_string());
            toml::from_str::<FileConfig>(&text).unwrap().complete()
        };
        let own = config("'stun:turn.example', 'turns:turn.example:443'");
        assert!(own.relay.is_none() && own.own_relay_credentials().is_err(), "there is no such file");
        std::fs::write(&secret_file, " \n").unwrap();
        assert!(own.own_relay_credentials().is_err(), "nobody is to be let in by nothing");
        std::fs::write(&secret_file, "north\n").unwrap();
        assert!(own.own_relay_credentials().unwrap().is_some());
        assert!(config("'https://turn.example'").own_relay_credentials().is_err());
        assert!(config("").own_relay_credentials().is_err(), "none is no relay");
        let half = FileConfig { relay_urls: Some(vec!["turn:turn.example".into()]), ..FileConfig::default() };
        let half = half.complete();
        assert!(half.relay.is_none() && half.own_relay_credentials().is_err(), "nor half of one");
        assert!(FileConfig::default().complete().own_relay_credentials().unwrap().is_none());
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        assert!(toml::from_str::<FileConfig>("lisen = '0.0.0.0:80'").is_err());
    }
}
