//! Settings: flags over environment over file over defaults.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use bedside_consult::session::Limits;
use clap::Args;
use ipnet::IpNet;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    BucketConfig, BucketCredentials, Certificate, Config, IssuerConfig, MailConfig, NatsConfig, OwnRelay,
    Place, RelayConfig, RelayTls, SmsConfig,
};
use crate::{
    ServiceError,
    store::{Database, Password},
};

/// What prices are in unless it is said, as in the first source document.
const CURRENCY: &str = "INR";
/// The one that S3 services take where they have none.
const REGION: &str = "us-east-1";
/// A year, as the requirements have it.
const CHAT_DAYS: u32 = 365;

/// How a log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    Text,
    /// Lines of JSON, for programs.
    Json,
}

/// Settings, each of which may be left out: from flags, the environment or the file, by the same names.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on [default: 127.0.0.1:8480].
    #[arg(long, env = "BEDSIDE_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
    /// Folder for the database, files and keys; made when missing [default: bedside-data].
    #[arg(long, env = "BEDSIDE_DATA", global = true, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Folder for what people send one another, where it is not in --data: several services on one PostgreSQL share it.
    #[arg(long, env = "BEDSIDE_ATTACHMENTS", global = true, value_name = "FOLDER")]
    pub attachments: Option<PathBuf>,
    /// Bucket of an S3 service for what people send one another, in place of a folder.
    #[arg(long, env = "BEDSIDE_S3_BUCKET", global = true, value_name = "NAME")]
    pub s3_bucket: Option<String>,
    /// Its region [default: us-east-1].
    #[arg(long, env = "BEDSIDE_S3_REGION", global = true, value_name = "NAME")]
    pub s3_region: Option<String>,
    /// The service's address, where it is not Amazon's.
    #[arg(long, env = "BEDSIDE_S3_ENDPOINT", global = true, value_name = "ADDRESS")]
    pub s3_endpoint: Option<Url>,
    /// File of two lines, an access key's id and its secret. Without it, what the machine has been given counts.
    #[arg(long, env = "BEDSIDE_S3_KEY_FILE", global = true, value_name = "FILE")]
    pub s3_key_file: Option<PathBuf>,
    /// File with the keys that notes, messages and files are sealed with, a line of base64 each, the first of which
    /// seals [default: sealing.keys in --data]. All services of one database have the same.
    #[arg(long, env = "BEDSIDE_SEALING_KEYS_FILE", global = true, value_name = "FILE")]
    pub sealing_keys_file: Option<PathBuf>,
    /// PostgreSQL in place of a file in --data, such as postgres://bedside@db.example/bedside. Without a
    /// password, which others could see: that is in the file of --database-password-file, or PGPASSFILE names one.
    #[arg(long, env = "BEDSIDE_DATABASE", global = true, value_name = "ADDRESS")]
    pub database: Option<Url>,
    /// File with the password for it.
    #[arg(long, env = "BEDSIDE_DATABASE_PASSWORD_FILE", global = true, value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,
    /// Certificate of the service's own, and those that signed it (PEM), where nothing in front of it ends TLS. It and
    /// its key are read again when they have changed.
    #[arg(long, env = "BEDSIDE_TLS_CERTIFICATE", global = true, value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, env = "BEDSIDE_TLS_KEY", global = true, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Address to tell at how the service runs: /metrics, as Prometheus reads it. Not for everybody's eyes.
    #[arg(long, env = "BEDSIDE_METRICS_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,
    /// Origins whose pages may ask the service, such as https://clinic.example. Several with commas.
    #[arg(long, env = "BEDSIDE_CORS_ORIGINS", global = true, value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origins: Option<Vec<String>>,
    /// Path that the service is reached under behind a proxy that leaves it on, such as /bedside.
    #[arg(long, env = "BEDSIDE_PATH_PREFIX", global = true, value_name = "PATH")]
    pub path_prefix: Option<String>,
    /// How the log is written.
    #[arg(long, env = "BEDSIDE_LOG_FORMAT", global = true, value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
    /// Servers of NATS to carry what services on one database say to one another, such as nats://a:4222,nats://b:4222:
    /// for more than some ten services. While they are away PostgreSQL does it.
    #[arg(long, env = "BEDSIDE_NATS", global = true, value_name = "ADDRESS", value_delimiter = ',')]
    pub nats: Option<Vec<Url>>,
    /// What subjects begin with there: another for each database [default: bedside].
    #[arg(long, env = "BEDSIDE_NATS_SUBJECT", global = true, value_name = "WORD")]
    pub nats_subject: Option<String>,
    /// File with the password for it.
    #[arg(long, env = "BEDSIDE_NATS_PASSWORD_FILE", global = true, value_name = "FILE")]
    pub nats_password_file: Option<PathBuf>,
    /// File with credentials for it (.creds).
    #[arg(long, env = "BEDSIDE_NATS_CREDENTIALS_FILE", global = true, value_name = "FILE")]
    pub nats_credentials_file: Option<PathBuf>,
    /// Address of the relay, over UDP and TCP [default: port 3478 at the address of --listen].
    #[arg(long, env = "BEDSIDE_RELAY_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub relay_listen: Option<SocketAddr>,
    /// Address that clients reach the relay at [default: that of --listen]. Without it there is no
    /// relay when --listen is every address (0.0.0.0).
    #[arg(long, env = "BEDSIDE_RELAY_PUBLIC_IP", global = true, value_name = "ADDRESS")]
    pub relay_public_ip: Option<IpAddr>,
    /// Let the relay reach private networks: where all of the clinic's people are in one.
    #[arg(long, env = "BEDSIDE_RELAY_ALLOW_PRIVATE", global = true, num_args = 0..=1, default_missing_value = "true")]
    pub relay_allow_private: Option<bool>,
    /// Address of the relay over TLS, for networks that let only the Web through: port 443 if you can.
    #[arg(long, env = "BEDSIDE_RELAY_TLS_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub relay_tls_listen: Option<SocketAddr>,
    /// The name that clients reach it by, which the certificate is for.
    #[arg(long, env = "BEDSIDE_RELAY_TLS_NAME", global = true, value_name = "NAME")]
    pub relay_tls_name: Option<String>,
    /// The certificate and those that signed it (PEM).
    #[arg(long, env = "BEDSIDE_RELAY_TLS_CERTIFICATE", global = true, value_name = "FILE")]
    pub relay_tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, env = "BEDSIDE_RELAY_TLS_KEY", global = true, value_name = "FILE")]
    pub relay_tls_key: Option<PathBuf>,
    /// Addresses of a relay of the clinic's own, such as coturn, in place of the embedded one, with
    /// commas between them: stun:NAME:PORT, then turn:, then turns:.
    #[arg(long, env = "BEDSIDE_RELAY_URLS", global = true, value_name = "URL", value_delimiter = ',')]
    pub relay_urls: Option<Vec<String>>,
    /// File with the secret that it makes passwords with (coturn: static-auth-secret).
    #[arg(long, env = "BEDSIDE_RELAY_SECRET_FILE", global = true, value_name = "FILE")]
    pub relay_secret_file: Option<PathBuf>,
    /// Leave the relay off.
    #[arg(long, env = "BEDSIDE_NO_RELAY", global = true, num_args = 0..=1, default_missing_value = "true")]
    pub no_relay: Option<bool>,
    /// Minutes after the scheduled start at which nobody having come is a no-show [default: 15].
    #[arg(long, env = "BEDSIDE_NO_SHOW_MINUTES", global = true, value_name = "MINUTES")]
    pub no_show_minutes: Option<u32>,
    /// Minutes that a visit may run over [default: 30].
    #[arg(long, env = "BEDSIDE_GRACE_MINUTES", global = true, value_name = "MINUTES")]
    pub grace_minutes: Option<u32>,
    /// Minutes after which a visit ends in which neither side is any more [default: 10].
    #[arg(long, env = "BEDSIDE_ABSENT_MINUTES", global = true, value_name = "MINUTES")]
    pub absent_minutes: Option<u32>,
    /// Minutes after a visit's end in which the doctor may re-call the patient [default: 60].
    #[arg(long, env = "BEDSIDE_RECALL_MINUTES", global = true, value_name = "MINUTES")]
    pub recall_minutes: Option<u32>,
    /// Days after a visit's end for which its chat and its files are kept; 0 keeps them for ever [default: 365].
    #[arg(long, env = "BEDSIDE_CHAT_DAYS", global = true, value_name = "DAYS")]
    pub chat_days: Option<u32>,
    /// The clinic's name, as people see it before they sign in.
    #[arg(long, env = "BEDSIDE_CLINIC_NAME", global = true, value_name = "NAME")]
    pub clinic_name: Option<String>,
    /// What prices are in where it is not said, as a code such as EUR [default: INR].
    #[serde(rename = "default-currency", alias = "currency")]
    #[arg(long = "default-currency", env = "BEDSIDE_CURRENCY", global = true, value_name = "CODE")]
    pub currency: Option<String>,
    /// File with the key that access tokens are signed with, of at least 32 bytes, for other systems that are to read
    /// them [default: one of its own in --data].
    #[arg(long, env = "BEDSIDE_TOKEN_SECRET_FILE", global = true, value_name = "FILE")]
    pub token_secret_file: Option<PathBuf>,
    /// Another issuer whose access tokens are taken: the `iss` of its JWTs. Needs one of the two files.
    #[arg(long, env = "BEDSIDE_ISSUER", global = true, value_name = "NAME")]
    pub issuer: Option<String>,
    /// Whom its tokens must be for, where that is to be looked at: their `aud`.
    #[arg(long, env = "BEDSIDE_ISSUER_AUDIENCE", global = true, value_name = "NAME")]
    pub issuer_audience: Option<String>,
    /// File with the secret that it signs with (HS256).
    #[arg(long, env = "BEDSIDE_ISSUER_SECRET_FILE", global = true, value_name = "FILE")]
    pub issuer_secret_file: Option<PathBuf>,
    /// File with its public keys (a JWK Set).
    #[arg(long, env = "BEDSIDE_ISSUER_KEYS_FILE", global = true, value_name = "FILE")]
    pub issuer_keys_file: Option<PathBuf>,
    /// Address of its public keys (JWKS), asked for again as they change.
    #[arg(long, env = "BEDSIDE_ISSUER_KEYS_URL", global = true, value_name = "ADDRESS")]
    pub issuer_keys_url: Option<Url>,
    /// Mail server, such as smtp://user@mail.example:587, for reminders and forgotten passwords. Without a password in
    /// it. It has to be reached over TLS, but on this machine itself.
    #[arg(long, env = "BEDSIDE_MAIL_SERVER", global = true, value_name = "ADDRESS")]
    pub mail_server: Option<Url>,
    /// File with the password for it.
    #[arg(long, env = "BEDSIDE_MAIL_PASSWORD_FILE", global = true, value_name = "FILE")]
    pub mail_password_file: Option<PathBuf>,
    /// Whom mail is from, such as "The practice <hello@visits.example>".
    #[arg(long, env = "BEDSIDE_MAIL_FROM", global = true, value_name = "NAME <ADDRESS>")]
    pub mail_from: Option<String>,
    /// Gateway for text messages: it is asked POST {"id","to","text"}.
    #[arg(long, env = "BEDSIDE_SMS_URL", global = true, value_name = "ADDRESS")]
    pub sms_url: Option<Url>,
    /// File with the secret that these are signed with (Bedside-Signature: sha256=HMAC of the body).
    #[arg(long, env = "BEDSIDE_SMS_SECRET_FILE", global = true, value_name = "FILE")]
    pub sms_secret_file: Option<PathBuf>,
    /// Time zone that people are told times in, such as Europe/Berlin [default: UTC].
    #[arg(long, env = "BEDSIDE_TIME_ZONE", global = true, value_name = "NAME")]
    pub time_zone: Option<String>,
    /// Address that people reach the service by, such as https://visits.example, for links.
    #[arg(long, env = "BEDSIDE_PUBLIC_URL", global = true, value_name = "ADDRESS")]
    pub public_url: Option<Url>,
    /// Networks of the clinic's own proxies, whose word on where a request comes from counts. Several with commas.
    #[arg(
        long,
        env = "BEDSIDE_TRUSTED_PROXIES",
        global = true,
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub trusted_proxies: Option<Vec<IpNet>>,
}

impl Settings {
    /// Reads a TOML file.
    pub fn read(path: &Path) -> Result<Self, ServiceError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ServiceError::Config(format!("{} can't be read: {error}", path.display())))?;
        toml::from_str(&text)
            .map_err(|error| ServiceError::Config(format!("{}: {}", path.display(), error.message())))
    }

    /// What this leaves out, from `other`.
    pub fn or(self, other: Self) -> Result<Self, ServiceError> {
        let table = |settings| {
            toml::Table::try_from(settings).map_err(|error| ServiceError::Config(error.to_string()))
        };
        let mut all = table(other)?;
        all.extend(table(self)?);
        all.try_into().map_err(|error: toml::de::Error| ServiceError::Config(error.message().to_owned()))
    }

    /// Whether what belongs together is together, and everything can be what it is.
    pub fn check(&self) -> Result<(), ServiceError> {
        let relay_tls = [
            self.relay_tls_listen.is_some(),
            self.relay_tls_name.is_some(),
            self.relay_tls_certificate.is_some(),
            self.relay_tls_key.is_some(),
        ];
        let issuer_keys = [
            self.issuer_secret_file.is_some(),
            self.issuer_keys_file.is_some(),
            self.issuer_keys_url.is_some(),
        ];
        let has_issuer_keys = issuer_keys.contains(&true);
        let nats = self.nats.as_deref().unwrap_or_default();
        let subject = self.nats_subject.as_deref().unwrap_or("bedside");
        let is_subject = subject.split('.').all(|word| {
            !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        });
        let is_origin = |origin: &String| {
            Url::parse(origin).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.host().is_some() && url.path() == "/"
            })
        };
        let is_here = |url: &Url| matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let rules = [
            (
                self.tls_certificate.is_some() == self.tls_key.is_some(),
                "tls-certificate and tls-key belong together",
            ),
            (
                relay_tls.iter().all(|is| *is == relay_tls[0]),
                "relay-tls-listen, relay-tls-name, relay-tls-certificate and relay-tls-key belong together",
            ),
            (
                self.database_password_file.is_none() || self.database.is_some(),
                "database-password-file is for a database",
            ),
            (
                self.mail_server.is_some() == self.mail_from.is_some(),
                "mail-server and mail-from belong together",
            ),
            (
                self.issuer.is_some() == has_issuer_keys,
                "issuer needs issuer-secret-file, issuer-keys-file or issuer-keys-url",
            ),
            (
                self.issuer_keys_url.as_ref().is_none_or(|url| url.scheme() == "https" || is_here(url)),
                "issuer-keys-url begins with https: whoever is on the way could give their own keys",
            ),
            (
                self.s3_bucket.is_some()
                    || (self.s3_region.is_none() && self.s3_endpoint.is_none() && self.s3_key_file.is_none()),
                "s3-region, s3-endpoint and s3-key-file are for an s3-bucket",
            ),
            (
                self.s3_bucket.is_none() || self.attachments.is_none(),
                "attachments are in a folder or in s3-bucket",
            ),
            (self.nats.is_none() || !nats.is_empty(), "nats is one address or more"),
            (is_subject, "nats-subject is words of letters and digits, with full stops between them"),
            (
                self.cors_origins.iter().flatten().all(is_origin),
                "cors-origins are like https://clinic.example: a name, and no path; not *",
            ),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, why)) => Err(ServiceError::Config((*why).to_owned())),
            None => Ok(()),
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
                Some(url) => {
                    Database::Postgres { url, password: self.database_password_file.map(Password::File) }
                }
                None => Database::Sqlite(data.join("bedside.sqlite")),
            },
            attachments: match self.s3_bucket {
                Some(name) => Place::Bucket(BucketConfig {
                    name,
                    region: self.s3_region.unwrap_or_else(|| REGION.to_owned()),
                    endpoint: self.s3_endpoint,
                    credentials: self.s3_key_file.map(BucketCredentials::File),
                }),
                None => Place::Folder(self.attachments.unwrap_or_else(|| data.join("attachments"))),
            },
            sealing_keys_file: self.sealing_keys_file,
            data,
            tls: self
                .tls_certificate
                .zip(self.tls_key)
                .map(|(certificate, key)| Certificate { certificate, key }),
            metrics_listen: self.metrics_listen,
            cors_origins: self.cors_origins.unwrap_or_default(),
            path_prefix: self
                .path_prefix
                .map(|path| format!("/{}", path.trim_matches('/')))
                .filter(|path| path != "/"),
            // Nobody can send to "any address": without the one that clients reach there is no relay.
            relay: (!self.no_relay.unwrap_or(false) && own_relay.is_none() && !public_ip.is_unspecified())
                .then_some(relay),
            own_relay,
            no_show_minutes: self.no_show_minutes.unwrap_or(minutes(limits.no_show_after)),
            grace_minutes: self.grace_minutes.unwrap_or(minutes(limits.grace)),
            absent_minutes: self.absent_minutes.unwrap_or(minutes(limits.absent_after)),
            recall_minutes: self.recall_minutes.unwrap_or(minutes(limits.recall_within)),
            chat_days: self.chat_days.unwrap_or(CHAT_DAYS),
            clinic_name: self.clinic_name.filter(|name| !name.trim().is_empty()),
            currency: self.currency.unwrap_or_else(|| CURRENCY.to_owned()),
            token_secret_file: self.token_secret_file,
            token_secret: None,
            issuer: self.issuer.map(|name| IssuerConfig {
                name,
                audience: self.issuer_audience,
                secret_file: self.issuer_secret_file,
                keys_file: self.issuer_keys_file,
                keys_url: self.issuer_keys_url,
            }),
            nats: self.nats.map(|servers| NatsConfig {
                servers,
                subject: self.nats_subject.unwrap_or_else(|| "bedside".to_owned()),
                password_file: self.nats_password_file,
                credentials_file: self.nats_credentials_file,
            }),
            mail: self.mail_server.zip(self.mail_from).map(|(server, from)| MailConfig {
                server,
                password_file: self.mail_password_file,
                from,
            }),
            sms: self.sms_url.map(|url| SmsConfig { url, secret_file: self.sms_secret_file }),
            time_zone: self.time_zone.unwrap_or_else(|| "UTC".to_owned()),
            public_url: self.public_url,
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nearer_wins() {
        let file: Settings = toml::from_str("listen = '0.0.0.0:80'\ngrace-minutes = 5\n").unwrap();
        let flags = Settings { grace_minutes: Some(7), ..Settings::default() };
        let config = flags.or(file).unwrap().complete();
        assert_eq!(config.listen, "0.0.0.0:80".parse().unwrap());
        assert_eq!((config.grace_minutes, config.no_show_minutes), (7, 15));
        assert!(config.relay.is_none(), "on every address, and no word of how it is reached");
        assert_eq!(Settings::default().complete().relay.unwrap().public_ip, Ipv4Addr::LOCALHOST);
    }

    #[test]
    fn what_belongs_together_is_together() {
        let check = |text: &str| toml::from_str::<Settings>(text).unwrap().check();
        assert!(Settings::default().check().is_ok());
        for half in [
            "tls-certificate = 'a.pem'",
            "relay-tls-name = 'turn.example'",
            "database-password-file = 'a'",
            "mail-server = 'smtp://mail.example'",
            "issuer = 'user-service'",
            "nats = []",
            "nats-subject = 'a b'",
            "cors-origins = ['*']",
        ] {
            assert!(check(half).is_err(), "{half}");
        }
        assert!(
            check("tls-certificate = 'a.pem'\ntls-key = 'b.pem'\ncors-origins = ['https://a.example']")
                .is_ok()
        );
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        assert!(toml::from_str::<Settings>("lisen = '0.0.0.0:80'").is_err());
    }
}
