//! The command line: commands, settings and their words.

use std::path::PathBuf;

use anyhow::{Context, bail};
use bedside_consult::billing::{Pricing, Tier};
use bedside_protocol::{ClinicId, UserId};
use bedside_service::config::Settings;
use clap::{Args, Parser, Subcommand};
use jiff::SignedDuration;
use rust_decimal::Decimal;

/// The consultation service: sign-in, waiting room, chat and call signalling for visits between
/// doctors and patients, and a relay for calls whose networks let nothing else through.
///
/// Start it with `bedside-service serve`. Everything is kept in one folder (--data).
#[derive(Parser)]
#[command(name = "bedside-service", version)]
pub(crate) struct Cli {
    /// A TOML file with any of the settings below, by the names of their flags.
    #[arg(long, env = "BEDSIDE_CONFIG", global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    #[command(subcommand)]
    pub(crate) command: Command,
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
    /// The keys that notes, messages and files are sealed with.
    #[command(subcommand)]
    Keys(Keys),
    /// Copy all that is kept into a new folder, while the service runs: the database, files and keys. Of PostgreSQL by
    /// its own pg_dump. Whoever has it can read what patients wrote: keep it as closed as the service.
    Backup {
        /// Which folder.
        #[arg(long)]
        to: PathBuf,
    },
    /// Bring a backup back, to where nothing is yet.
    Restore {
        /// The backup's folder.
        #[arg(long)]
        from: PathBuf,
    },
    /// Look whether everything that the service needs is there, and say what to do. Changes nothing; look again while
    /// the service runs, as some of it is only seen then.
    Doctor,
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Add a new key. Start all services again, so that all can open what it seals; then `promote`.
    Add,
    /// Let the newest key seal. Start all services again; then `seal-anew`.
    Promote,
    /// Seal everything anew with the first key, while services run that were all started again since. Afterwards the
    /// others can go from the file.
    SealAnew,
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

/// A machine's account.
#[derive(Args)]
pub(crate) struct Machine {
    /// Where it stands, or what it is.
    #[arg(long)]
    pub(crate) name: String,
    /// Of which clinic, as `clinic list` has its id; without it a kiosk is of none, and another system of all.
    #[arg(long)]
    pub(crate) clinic: Option<ClinicId>,
    #[command(flatten)]
    pub(crate) lasts: Lasts,
}

/// How long a machine's token lasts.
#[derive(Args)]
pub(crate) struct Lasts {
    /// Days that its token lasts.
    #[arg(long, default_value_t = 365)]
    days: u16,
}

impl From<Lasts> for SignedDuration {
    fn from(lasts: Lasts) -> Self {
        Self::from_hours(24 * i64::from(lasts.days))
    }
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
    /// Make the account of a machine in a waiting room, at which patients check in; prints its id, when its token ends,
    /// and the token, which is told this once.
    AddKiosk(Machine),
    /// Make the account of another system of the clinic's, such as its calendar; prints the same.
    AddService(Machine),
    /// Give a kiosk or another system another token; the one before has ended.
    RenewToken {
        /// Its id, as it was printed when it was made.
        #[arg(long)]
        id: UserId,
        #[command(flatten)]
        lasts: Lasts,
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
