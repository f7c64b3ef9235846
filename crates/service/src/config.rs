//! How the service is set up.

mod aliases;
mod settings;

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use bedside_consult::session::Limits;
use bedside_redact::Secret;
use bedside_sealing::Keys;
use ipnet::IpNet;
use jiff::SignedDuration;
use url::Url;

pub use aliases::Aliases;
pub use settings::{LogFormat, Settings};

use crate::{
    ServiceError, folder,
    relay::RelayCredentials,
    store::{Database, Password},
};

/// Where files are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// In a folder.
    Folder(PathBuf),
    /// In a bucket of an S3 service.
    Bucket(BucketConfig),
}

/// A bucket of an S3 service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BucketConfig {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// The service's address, where it is not Amazon's.
    pub endpoint: Option<Url>,
    /// What it is opened with; without it, what the machine has been given.
    pub credentials: Option<BucketCredentials>,
}

impl BucketConfig {
    /// Only where an address says so itself: a service in the same rack.
    pub(crate) fn allows_http(&self) -> bool {
        self.endpoint.as_ref().is_some_and(|url| url.scheme() == "http")
    }
}

/// What a bucket is opened with: the id of an access key, and its secret.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BucketCredentials {
    /// A file of two lines.
    File(PathBuf),
    /// As they were found in the environment.
    Given {
        /// The access key's id.
        id: String,
        /// Its secret.
        secret: Secret<String>,
        /// What goes with a key that is given for a time (AWS STS).
        session: Option<Secret<String>>,
    },
}

/// A key of a bucket.
#[derive(Debug)]
pub(crate) struct BucketKey {
    pub(crate) id: String,
    pub(crate) secret: Secret<String>,
    pub(crate) session: Option<Secret<String>>,
}

/// Secrets that are in the environment, and in no file.
#[derive(Debug, Default)]
pub struct Secrets {
    /// The key that access tokens are signed with.
    pub token: Option<Secret<String>>,
    /// The database's password.
    pub database: Option<Secret<String>>,
    /// What the bucket is opened with.
    pub bucket: Option<BucketCredentials>,
}

impl BucketCredentials {
    pub(crate) fn read(&self) -> Result<BucketKey, ServiceError> {
        let path = match self {
            Self::File(path) => path,
            Self::Given { id, secret, session } => {
                return Ok(BucketKey { id: id.clone(), secret: secret.clone(), session: session.clone() });
            }
        };
        let wrong = |why: &dyn std::fmt::Display| ServiceError::Config(format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| wrong(&error))?;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        match (lines.next(), lines.next(), lines.next()) {
            (Some(id), Some(secret), None) => {
                Ok(BucketKey { id: id.to_owned(), secret: Secret::new(secret.to_owned()), session: None })
            }
            _ => Err(wrong(&"it has two lines, an access key's id and its secret")),
        }
    }
}

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Folder of the attachments, the relay's key, and the database where that is a file.
    pub data: PathBuf,
    /// Where the files are that people send one another.
    pub attachments: Place,
    /// The file with the keys that what patients and doctors write and send is sealed with; made in the data folder
    /// where it is not said.
    pub sealing_keys_file: Option<PathBuf>,
    /// What is kept where.
    pub database: Database,
    /// Its own certificate, where nothing in front of it ends TLS.
    pub tls: Option<Certificate>,
    /// Where it tells how it runs (Prometheus), if it does.
    pub metrics_listen: Option<SocketAddr>,
    /// Pages of these origins may ask it.
    pub cors_origins: Vec<String>,
    /// Under which path it is reached, beside none: `/bedside`.
    pub path_prefix: Option<String>,
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
    /// Days after a visit's end for which its chat and its files are kept; 0 is for ever.
    pub chat_days: u32,
    /// The clinic's name, as people see it before they sign in.
    pub clinic_name: Option<String>,
    /// What prices are in where it is not said (ISO 4217).
    pub currency: String,
    /// The file with the key that access tokens are signed with, at least 32 bytes; made in the data folder where it is
    /// not said. Other systems that are to read them have the same.
    pub token_secret_file: Option<PathBuf>,
    /// The same from the environment, where there is no file.
    pub token_secret: Option<Secret<String>>,
    /// Another issuer whose access tokens are taken.
    pub issuer: Option<IssuerConfig>,
    /// What carries what services say to one another, in place of PostgreSQL.
    pub nats: Option<NatsConfig>,
    /// How mail is sent, if it is.
    pub mail: Option<MailConfig>,
    /// How text messages are sent, if they are.
    pub sms: Option<SmsConfig>,
    /// In which time zone people are told times, by its name (IANA).
    pub time_zone: String,
    /// By which address people reach the service, for links.
    pub public_url: Option<Url>,
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

/// A certificate and its key, in PEM files that are read again when they have changed.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// It and those that signed it.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// Servers of NATS, which carry what services on one database say to one another, where there are many.
#[derive(Clone, Debug)]
pub struct NatsConfig {
    /// Where they are: `nats://host:4222`, or `tls://`. One with a user's name needs the file.
    pub servers: Vec<Url>,
    /// What its subjects begin with: another for each database.
    pub subject: String,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// Or the file with the credentials (`.creds`).
    pub credentials_file: Option<PathBuf>,
}

/// A mail server (RFC 5321).
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// `smtp://user@host:587`, over TLS by STARTTLS but on this machine itself; or `smtps://user@host:465`.
    pub server: Url,
    /// The file with the user's password.
    pub password_file: Option<PathBuf>,
    /// Whom mail is from: `The practice <hello@visits.example>`.
    pub from: String,
}

/// A gateway for text messages, which takes `POST {"id","to","text"}`.
#[derive(Clone, Debug)]
pub struct SmsConfig {
    /// Where it is.
    pub url: Url,
    /// The file with the secret that requests are signed with.
    pub secret_file: Option<PathBuf>,
}

/// Another issuer of access tokens (RFC 7519).
#[derive(Clone, Debug)]
pub struct IssuerConfig {
    /// As its tokens name it: their `iss`.
    pub name: String,
    /// Whom they must be for, where that is to be looked at: their `aud`.
    pub audience: Option<String>,
    /// The file with the secret that they are signed with (HS256).
    pub secret_file: Option<PathBuf>,
    /// Or the file with the public keys (RFC 7517).
    pub keys_file: Option<PathBuf>,
    /// The address of its public keys, as a JWK set (RFC 7517).
    pub keys_url: Option<Url>,
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
        self.own_key("relay.key")
    }

    /// The key that access tokens are signed with: the file's, or one's own, made at the first start.
    pub fn token_secret(&self) -> Result<Secret<Vec<u8>>, ServiceError> {
        let path = match (&self.token_secret_file, &self.token_secret) {
            (Some(path), _) => path,
            (None, Some(secret)) => return Ok(Secret::new(secret.expose().trim().as_bytes().to_vec())),
            (None, None) => return self.own_key("token.key"),
        };
        let secret = std::fs::read(path)
            .map_err(|error| ServiceError::Config(format!("{} can't be read: {error}", path.display())))?;
        Ok(Secret::new(secret.trim_ascii().to_vec()))
    }

    /// With secrets of the environment, where no file says otherwise.
    #[must_use]
    pub fn with(mut self, secrets: Secrets) -> Self {
        self.token_secret = secrets.token;
        if let Database::Postgres { password: password @ None, .. } = &mut self.database {
            *password = secrets.database.map(Password::Given);
        }
        if let Place::Bucket(BucketConfig { credentials: credentials @ None, .. }) = &mut self.attachments {
            *credentials = secrets.bucket;
        }
        self
    }

    /// Where the keys are that things are sealed with.
    pub fn sealing_keys_path(&self) -> PathBuf {
        self.sealing_keys_file.clone().unwrap_or_else(|| self.data.join("sealing.keys"))
    }

    /// The keys that things are sealed with: the file's, or one of one's own, made at the first start.
    pub fn sealing_keys(&self) -> Result<Keys, ServiceError> {
        let path = self.sealing_keys_path();
        let wrong = |why: &dyn std::fmt::Display| ServiceError::Config(format!("{}: {why}", path.display()));
        if self.sealing_keys_file.is_none() && !path.exists() {
            folder::open(&self.data)?;
            write_private(&path, format!("{}\n", bedside_sealing::new_key().expose()).as_bytes())?;
        }
        let file = std::fs::read_to_string(&path).map_err(|error| wrong(&error))?;
        Keys::read(&Secret::new(file)).map_err(|error| wrong(&error))
    }

    fn own_key(&self, name: &str) -> Result<Secret<Vec<u8>>, ServiceError> {
        folder::open(&self.data)?;
        let path = self.data.join(name);
        match std::fs::read(&path) {
            Ok(key) if key.len() == 32 => return Ok(Secret::new(key)),
            Ok(_) => return Err(ServiceError::Config(format!("{} is damaged; remove it", path.display()))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let key = rand::random::<[u8; 32]>().to_vec();
        write_private(&path, &key)?;
        Ok(Secret::new(key))
    }
}

/// Writes a file that is not there yet and that nobody else reads.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    std::io::Write::write_all(&mut file, bytes)?;
    // What is sealed with it is on the disk sooner than it otherwise.
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clinics_own_relay_takes_the_place_of_the_embedded_one() {
        let folder = tempfile::tempdir().unwrap();
        let secret_file = folder.path().join("secret");
        let config = |urls: &str| {
            let text =
                format!("relay-urls = [{urls}]\nrelay-secret-file = {:?}", secret_file.display().to_string());
            toml::from_str::<Settings>(&text).unwrap().complete()
        };
        let own = config("'stun:turn.example', 'turns:turn.example:443'");
        assert!(own.relay.is_none() && own.own_relay_credentials().is_err(), "there is no such file");
        std::fs::write(&secret_file, " \n").unwrap();
        assert!(own.own_relay_credentials().is_err(), "nobody is to be let in by nothing");
        std::fs::write(&secret_file, "north\n").unwrap();
        assert!(own.own_relay_credentials().unwrap().is_some());
        assert!(config("'https://turn.example'").own_relay_credentials().is_err());
        assert!(config("").own_relay_credentials().is_err(), "none is no relay");
        let half = Settings { relay_urls: Some(vec!["turn:turn.example".into()]), ..Settings::default() };
        let half = half.complete();
        assert!(half.relay.is_none() && half.own_relay_credentials().is_err(), "nor half of one");
        assert!(Settings::default().complete().own_relay_credentials().unwrap().is_none());
    }
}
