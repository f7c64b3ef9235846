//! The command line: commands, settings and their words.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::{Context, bail};
use bedside_consult::billing::{Pricing, Tier};
use bedside_protocol::ClinicId;
use clap::{Args, Parser, Subcommand};
use rust_decimal::Decimal;

/// The consultation service: sign-in, waiting room, chat and call signalling for visits between
/// doctors and patients, and a relay for calls whose networks let nothing else through.
///
/// Start it with `bedside-service serve`. Everything is kept in one folder (--data).
#[derive(Parser)]
#[command(name = "bedside-service", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Settings. What is given here wins over the environment, that over the file.
#[derive(Args)]
pub(crate) struct Settings {
    /// A TOML file with any of the settings below, by the names of their flags.
    #[arg(long, env = "BEDSIDE_CONFIG", global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8480].
    #[arg(long, env = "BEDSIDE_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,
    /// Folder for the database, files and keys; made when missing [default: bedside-data].
    #[arg(long, env = "BEDSIDE_DATA", global = true, value_name = "FOLDER")]
    pub(crate) data: Option<PathBuf>,
    /// Folder for what people send one another, where it is not in --data: several services on one PostgreSQL share it.
    #[arg(long, env = "BEDSIDE_ATTACHMENTS", global = true, value_name = "FOLDER")]
    pub(crate) attachments: Option<PathBuf>,
    /// PostgreSQL in place of a file in --data, such as postgres://bedside@db.example/bedside. Without a
    /// password, which others could see: that is in the file of --database-password-file, or PGPASSFILE names one.
    #[arg(long, env = "BEDSIDE_DATABASE", global = true, value_name = "ADDRESS")]
    pub(crate) database: Option<url::Url>,
    /// File with the password for it.
    #[arg(
        long,
        env = "BEDSIDE_DATABASE_PASSWORD_FILE",
        global = true,
        value_name = "FILE",
        requires = "database"
    )]
    pub(crate) database_password_file: Option<PathBuf>,
    /// Address of the relay, over UDP and TCP [default: port 3478 at the address of --listen].
    #[arg(long, env = "BEDSIDE_RELAY_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    pub(crate) relay_listen: Option<SocketAddr>,
    /// Address that clients reach the relay at [default: that of --listen]. Without it there is no
    /// relay when --listen is every address (0.0.0.0).
    #[arg(long, env = "BEDSIDE_RELAY_PUBLIC_IP", global = true, value_name = "ADDRESS")]
    pub(crate) relay_public_ip: Option<IpAddr>,
    /// Let the relay reach private networks: where all of the clinic's people are in one.
    #[arg(long, env = "BEDSIDE_RELAY_ALLOW_PRIVATE", global = true)]
    pub(crate) relay_allow_private: bool,
    /// Address of the relay over TLS, for networks that let only the Web through: port 443 if you can.
    #[arg(
        long,
        env = "BEDSIDE_RELAY_TLS_LISTEN",
        global = true,
        value_name = "ADDRESS:PORT",
        requires_all = ["relay_tls_name", "relay_tls_certificate", "relay_tls_key"]
    )]
    pub(crate) relay_tls_listen: Option<SocketAddr>,
    /// The name that clients reach it by, which the certificate is for.
    #[arg(long, env = "BEDSIDE_RELAY_TLS_NAME", global = true, value_name = "NAME")]
    pub(crate) relay_tls_name: Option<String>,
    /// The certificate and those that signed it (PEM).
    #[arg(long, env = "BEDSIDE_RELAY_TLS_CERTIFICATE", global = true, value_name = "FILE")]
    pub(crate) relay_tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, env = "BEDSIDE_RELAY_TLS_KEY", global = true, value_name = "FILE")]
    pub(crate) relay_tls_key: Option<PathBuf>,
    /// Addresses of a relay of the clinic's own, such as coturn, in place of the embedded one, with
    /// commas between them: stun:NAME:PORT, then turn:, then turns:.
    #[arg(long, env = "BEDSIDE_RELAY_URLS", global = true, value_name = "URL", value_delimiter = ',')]
    pub(crate) relay_urls: Option<Vec<String>>,
    /// File with the secret that it makes passwords with (coturn: static-auth-secret).
    #[arg(long, env = "BEDSIDE_RELAY_SECRET_FILE", global = true, value_name = "FILE")]
    pub(crate) relay_secret_file: Option<PathBuf>,
    /// Leave the relay off.
    #[arg(long, env = "BEDSIDE_NO_RELAY", global = true)]
    pub(crate) no_relay: bool,
    /// Minutes after the scheduled start at which nobody having come is a no-show [default: 15].
    #[arg(long, env = "BEDSIDE_NO_SHOW_MINUTES", global = true, value_name = "MINUTES")]
    pub(crate) no_show_minutes: Option<u32>,
    /// Minutes that a visit may run over [default: 30].
    #[arg(long, env = "BEDSIDE_GRACE_MINUTES", global = true, value_name = "MINUTES")]
    pub(crate) grace_minutes: Option<u32>,
    /// Minutes after which a visit ends in which neither side is any more [default: 10].
    #[arg(long, env = "BEDSIDE_ABSENT_MINUTES", global = true, value_name = "MINUTES")]
    pub(crate) absent_minutes: Option<u32>,
    /// Minutes after a visit's end in which the doctor may re-call the patient [default: 60].
    #[arg(long, env = "BEDSIDE_RECALL_MINUTES", global = true, value_name = "MINUTES")]
    pub(crate) recall_minutes: Option<u32>,
    /// The clinic's name, as people see it before they sign in.
    #[arg(long, env = "BEDSIDE_CLINIC_NAME", global = true, value_name = "NAME")]
    pub(crate) clinic_name: Option<String>,
    /// What prices are in where it is not said, as a code such as EUR [default: INR].
    #[arg(long = "default-currency", env = "BEDSIDE_CURRENCY", global = true, value_name = "CODE")]
    pub(crate) default_currency: Option<String>,
    /// Networks of the clinic's own proxies, whose word on where a request comes from counts. Several with commas.
    #[arg(
        long,
        env = "BEDSIDE_TRUSTED_PROXIES",
        global = true,
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    pub(crate) trusted_proxies: Option<Vec<ipnet::IpNet>>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run the service until it is told to stop (Ctrl-C or SIGTERM).
    Serve,
    /// Make accounts for doctors and administrators. The password is read from BEDSIDE_PASSWORD
    /// or, where that is not set, from standard input.
    #[command(subcommand)]
    Account(Account),
    /// Make an appointment and its session; prints both ids.
    Appointment {
        /// The patient's e-mail address.
        #[arg(long)]
        patient: String,
        /// The doctor's e-mail address.
        #[arg(long)]
        doctor: String,
        /// Minutes from now at which it starts.
        #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
        starts_in: i64,
        /// Minutes it is planned to last.
        #[arg(long, default_value_t = 15)]
        minutes: u16,
        /// video, audio or chat.
        #[arg(long, default_value = "video")]
        mode: String,
    },
    /// Set what a doctor charges for a visit.
    Price {
        /// The doctor's e-mail address.
        #[arg(long)]
        doctor: String,
        /// video, audio or chat.
        #[arg(long, default_value = "video")]
        mode: String,
        #[command(flatten)]
        fee: Fee,
        /// ISO 4217 code, such as EUR.
        #[arg(long)]
        currency: String,
    },
    /// Clinics that share this service: none sees the others' doctors, patients and appointments.
    #[command(subcommand)]
    Clinic(Clinic),
    /// The log of who did or looked at what.
    #[command(subcommand)]
    Audit(Audit),
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Look whether any line was changed or taken away since it was written. Prints how many there are and the seal of
    /// the last: kept elsewhere, it shows that none was taken from the end.
    Verify,
}

/// One of the three kinds of price.
#[derive(Args)]
pub(crate) struct Fee {
    /// A flat fee, such as 500.00.
    #[arg(long, conflicts_with_all = ["per_minute", "tier"])]
    pub(crate) flat: Option<Decimal>,
    /// What each minute begun costs.
    #[arg(long, conflicts_with = "tier")]
    pub(crate) per_minute: Option<Decimal>,
    /// Fewest minutes that are charged.
    #[arg(long, requires = "per_minute", default_value_t = 5)]
    pub(crate) minimum_minutes: u32,
    /// Longest visit in minutes and its price, such as 15=500.00; once for each tier.
    #[arg(long, value_parser = read_tier)]
    pub(crate) tier: Vec<Tier>,
}

impl Fee {
    pub(crate) fn pricing(self) -> anyhow::Result<Pricing> {
        Ok(match (self.flat, self.per_minute) {
            (Some(fee), _) => Pricing::Flat(fee),
            (None, Some(rate)) => Pricing::PerMinute { rate, minimum_minutes: self.minimum_minutes },
            (None, None) if !self.tier.is_empty() => Pricing::Tiered(self.tier),
            (None, None) => bail!("a price is --flat, --per-minute or --tier"),
        })
    }
}

fn read_tier(text: &str) -> anyhow::Result<Tier> {
    let (up_to_minutes, price) = text.split_once('=').context("a tier is MINUTES=PRICE")?;
    Ok(Tier { up_to_minutes: up_to_minutes.parse()?, price: price.parse()? })
}

#[derive(Subcommand)]
pub(crate) enum Account {
    /// Confirm whose an account is that somebody registered, after having made sure.
    Confirm {
        /// Whose.
        #[arg(long)]
        email: String,
    },
    /// Let nobody sign in with an account any more, and end what is signed in.
    Disable {
        /// Whose.
        #[arg(long)]
        email: String,
    },
    /// Let somebody sign in again.
    Enable {
        /// Who.
        #[arg(long)]
        email: String,
    },
    /// Let somebody belong to a clinic, or to none.
    SetClinic {
        /// Who.
        #[arg(long)]
        email: String,
        /// To which, as `clinic list` has its id; to none without it.
        #[arg(long)]
        clinic: Option<ClinicId>,
    },
    /// Set a new password, for somebody who has forgotten theirs. It is read as for a new account.
    SetPassword {
        /// Whose.
        #[arg(long)]
        email: String,
    },
    /// Make a doctor's account.
    AddDoctor {
        /// To sign in with.
        #[arg(long)]
        email: String,
        /// As patients see it.
        #[arg(long)]
        name: String,
        /// Such as Cardiology.
        #[arg(long)]
        specialization: Option<String>,
        /// Of which clinic, as `clinic list` has its id.
        #[arg(long)]
        clinic: Option<ClinicId>,
    },
    /// Make an administrator's account.
    AddAdmin {
        /// To sign in with.
        #[arg(long)]
        email: String,
        /// Shown to nobody but administrators.
        #[arg(long)]
        name: String,
        /// Of which clinic, as `clinic list` has its id.
        #[arg(long)]
        clinic: Option<ClinicId>,
    },
    /// Make a patient's account for them, as the clinic's desk does.
    AddPatient {
        /// To sign in with.
        #[arg(long)]
        email: String,
        /// As the doctor sees it.
        #[arg(long)]
        name: String,
        /// Of which clinic, as `clinic list` has its id.
        #[arg(long)]
        clinic: Option<ClinicId>,
    },
}

#[derive(Subcommand)]
pub(crate) enum Clinic {
    /// Make one; prints its id.
    Add {
        /// What it is called.
        #[arg(long)]
        name: String,
    },
    /// Print all of them: an id and a name in a line.
    List,
}
