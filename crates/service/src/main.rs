//! `bedside-service`: the consultation service's command line.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bedside_consult::billing::{Currency, Pricing, Tier};
use bedside_protocol::{ConsultationMode, CreateAppointmentRequest, Role};
use bedside_service::{App, accounts, config::FileConfig, store::Chain};
use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

/// The consultation service: sign-in, waiting room, chat and call signalling for visits between
/// doctors and patients, and a relay for calls whose networks let nothing else through.
///
/// Start it with `bedside-service serve`. Everything is kept in one folder (--data).
#[derive(Parser)]
#[command(name = "bedside-service", version)]
struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

/// Settings. What is given here wins over the environment, that over the file.
#[derive(Args)]
struct Settings {
    /// A TOML file with any of the settings below, by the names of their flags.
    #[arg(long, env = "BEDSIDE_CONFIG", global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address to listen on [default: 127.0.0.1:8480].
    #[arg(long, env = "BEDSIDE_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Folder for the database, files and keys; made when missing [default: bedside-data].
    #[arg(long, env = "BEDSIDE_DATA", global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Folder for what people send one another, where it is not in --data: several services on one PostgreSQL share it.
    #[arg(long, env = "BEDSIDE_ATTACHMENTS", global = true, value_name = "FOLDER")]
    attachments: Option<PathBuf>,
    /// PostgreSQL in place of a file in --data, such as postgres://bedside@db.example/bedside. Without a
    /// password, which others could see: that is in the file of --database-password-file, or PGPASSFILE names one.
    #[arg(long, env = "BEDSIDE_DATABASE", global = true, value_name = "ADDRESS")]
    database: Option<url::Url>,
    /// File with the password for it.
    #[arg(
        long,
        env = "BEDSIDE_DATABASE_PASSWORD_FILE",
        global = true,
        value_name = "FILE",
        requires = "database"
    )]
    database_password_file: Option<PathBuf>,
    /// Address of the relay, over UDP and TCP [default: port 3478 at the address of --listen].
    #[arg(long, env = "BEDSIDE_RELAY_LISTEN", global = true, value_name = "ADDRESS:PORT")]
    relay_listen: Option<SocketAddr>,
    /// Address that clients reach the relay at [default: that of --listen]. Without it there is no
    /// relay when --listen is every address (0.0.0.0).
    #[arg(long, env = "BEDSIDE_RELAY_PUBLIC_IP", global = true, value_name = "ADDRESS")]
    relay_public_ip: Option<IpAddr>,
    /// Let the relay reach private networks: where all of the clinic's people are in one.
    #[arg(long, env = "BEDSIDE_RELAY_ALLOW_PRIVATE", global = true)]
    relay_allow_private: bool,
    /// Address of the relay over TLS, for networks that let only the Web through: port 443 if you can.
    #[arg(
        long,
        env = "BEDSIDE_RELAY_TLS_LISTEN",
        global = true,
        value_name = "ADDRESS:PORT",
        requires_all = ["relay_tls_name", "relay_tls_certificate", "relay_tls_key"]
    )]
    relay_tls_listen: Option<SocketAddr>,
    /// The name that clients reach it by, which the certificate is for.
    #[arg(long, env = "BEDSIDE_RELAY_TLS_NAME", global = true, value_name = "NAME")]
    relay_tls_name: Option<String>,
    /// The certificate and those that signed it (PEM).
    #[arg(long, env = "BEDSIDE_RELAY_TLS_CERTIFICATE", global = true, value_name = "FILE")]
    relay_tls_certificate: Option<PathBuf>,
    /// Its key (PEM).
    #[arg(long, env = "BEDSIDE_RELAY_TLS_KEY", global = true, value_name = "FILE")]
    relay_tls_key: Option<PathBuf>,
    /// Addresses of a relay of the clinic's own, such as coturn, in place of the embedded one, with
    /// commas between them: stun:NAME:PORT, then turn:, then turns:.
    #[arg(long, env = "BEDSIDE_RELAY_URLS", global = true, value_name = "URL", value_delimiter = ',')]
    relay_urls: Option<Vec<String>>,
    /// File with the secret that it makes passwords with (coturn: static-auth-secret).
    #[arg(long, env = "BEDSIDE_RELAY_SECRET_FILE", global = true, value_name = "FILE")]
    relay_secret_file: Option<PathBuf>,
    /// Leave the relay off.
    #[arg(long, env = "BEDSIDE_NO_RELAY", global = true)]
    no_relay: bool,
    /// Minutes after the scheduled start at which nobody having come is a no-show [default: 15].
    #[arg(long, env = "BEDSIDE_NO_SHOW_MINUTES", global = true, value_name = "MINUTES")]
    no_show_minutes: Option<u32>,
    /// Minutes that a visit may run over [default: 30].
    #[arg(long, env = "BEDSIDE_GRACE_MINUTES", global = true, value_name = "MINUTES")]
    grace_minutes: Option<u32>,
    /// Minutes after which a visit ends in which neither side is any more [default: 10].
    #[arg(long, env = "BEDSIDE_ABSENT_MINUTES", global = true, value_name = "MINUTES")]
    absent_minutes: Option<u32>,
    /// Minutes after a visit's end in which the doctor may re-call the patient [default: 60].
    #[arg(long, env = "BEDSIDE_RECALL_MINUTES", global = true, value_name = "MINUTES")]
    recall_minutes: Option<u32>,
    /// The clinic's name, as people see it before they sign in.
    #[arg(long, env = "BEDSIDE_CLINIC_NAME", global = true, value_name = "NAME")]
    clinic_name: Option<String>,
    /// What prices are in where it is not said, as a code such as EUR [default: INR].
    #[arg(long = "default-currency", env = "BEDSIDE_CURRENCY", global = true, value_name = "CODE")]
    default_currency: Option<String>,
    /// Networks of the clinic's own proxies, whose word on where a request comes from counts. Several with commas.
    #[arg(
        long,
        env = "BEDSIDE_TRUSTED_PROXIES",
        global = true,
        value_name = "NETWORK",
        value_delimiter = ','
    )]
    trusted_proxies: Option<Vec<ipnet::IpNet>>,
}

#[derive(Subcommand)]
enum Command {
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
    /// The log of who did or looked at what.
    #[command(subcommand)]
    Audit(Audit),
    /// Print the OpenAPI document.
    Openapi,
}

#[derive(Subcommand)]
enum Audit {
    /// Look whether any line was changed or taken away since it was written. Prints how many there are and the seal of
    /// the last: kept elsewhere, it shows that none was taken from the end.
    Verify,
}

/// One of the three kinds of price.
#[derive(Args)]
struct Fee {
    /// A flat fee, such as 500.00.
    #[arg(long, conflicts_with_all = ["per_minute", "tier"])]
    flat: Option<Decimal>,
    /// What each minute begun costs.
    #[arg(long, conflicts_with = "tier")]
    per_minute: Option<Decimal>,
    /// Fewest minutes that are charged.
    #[arg(long, requires = "per_minute", default_value_t = 5)]
    minimum_minutes: u32,
    /// Longest visit in minutes and its price, such as 15=500.00; once for each tier.
    #[arg(long, value_parser = read_tier)]
    tier: Vec<Tier>,
}

impl Fee {
    fn pricing(self) -> anyhow::Result<Pricing> {
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
enum Account {
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
    },
    /// Make an administrator's account.
    AddAdmin {
        /// To sign in with.
        #[arg(long)]
        email: String,
        /// Shown to nobody but administrators.
        #[arg(long)]
        name: String,
    },
    /// Make a patient's account for them, as the clinic's desk does.
    AddPatient {
        /// To sign in with.
        #[arg(long)]
        email: String,
        /// As the doctor sees it.
        #[arg(long)]
        name: String,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // In words: a backtrace helps nobody who runs a clinic's service.
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "why a command failed")]
fn say(line: &str) {
    eprintln!("bedside-service: {line}");
}

async fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        // Last wins: these print what they carry, whatever level is asked for.
        .with_env_filter(tracing_subscriber::EnvFilter::new(format!("{asked},{}", bedside_service::SILENCED)))
        .with_writer(std::io::stderr)
        .init();
    let settings = &cli.settings;
    let flags = FileConfig {
        listen: settings.listen,
        data: settings.data.clone(),
        attachments: settings.attachments.clone(),
        database: settings.database.clone(),
        database_password_file: settings.database_password_file.clone(),
        relay_listen: settings.relay_listen,
        relay_public_ip: settings.relay_public_ip,
        relay_allow_private: settings.relay_allow_private.then_some(true),
        relay_tls_listen: settings.relay_tls_listen,
        relay_tls_name: settings.relay_tls_name.clone(),
        relay_tls_certificate: settings.relay_tls_certificate.clone(),
        relay_tls_key: settings.relay_tls_key.clone(),
        relay_urls: settings.relay_urls.clone(),
        relay_secret_file: settings.relay_secret_file.clone(),
        no_relay: settings.no_relay.then_some(true),
        no_show_minutes: settings.no_show_minutes,
        grace_minutes: settings.grace_minutes,
        absent_minutes: settings.absent_minutes,
        recall_minutes: settings.recall_minutes,
        clinic_name: settings.clinic_name.clone(),
        currency: settings.default_currency.clone(),
        trusted_proxies: settings.trusted_proxies.clone(),
    };
    let file = settings.config.as_deref().map(FileConfig::read).transpose()?.unwrap_or_default();
    let config = flags.or(file).complete();
    match cli.command {
        Command::Serve => {
            let listener = tokio::net::TcpListener::bind(config.listen)
                .await
                .with_context(|| format!("{} can't be listened on", config.listen))?;
            bedside_service::launch(listener, config, stop_signal()).await?;
        }
        Command::Audit(Audit::Verify) => match App::open(config, None).await?.store.audit_chain().await? {
            Chain::Whole { lines, last } => {
                let seal = URL_SAFE_NO_PAD.encode(last);
                print(&format!("{lines} lines, as they were written; the last seal is {seal}"));
            }
            Chain::Broken { number } => bail!("line {number} of the audit log is not as it was written"),
        },
        Command::Openapi => print(&bedside_service::openapi().to_pretty_json()?),
        Command::Account(account) => {
            let app = App::open(config, None).await?;
            let (role, email, name, specialization) = match account {
                Account::Confirm { email } => {
                    return Ok(accounts::confirm(&app, anybody(&app, &email).await?).await?);
                }
                Account::Disable { email } => {
                    return Ok(accounts::set_disabled(&app, anybody(&app, &email).await?, true).await?);
                }
                Account::Enable { email } => {
                    return Ok(accounts::set_disabled(&app, anybody(&app, &email).await?, false).await?);
                }
                Account::SetPassword { email } => {
                    let set = accounts::set_password(&app, anybody(&app, &email).await?, &password()?).await;
                    return set.map_err(|problem| anyhow::anyhow!(problem.detail.unwrap_or(problem.title)));
                }
                Account::AddDoctor { email, name, specialization } => {
                    (Role::Doctor, email, name, specialization)
                }
                Account::AddAdmin { email, name } => (Role::ClinicAdmin, email, name, None),
                Account::AddPatient { email, name } => (Role::Patient, email, name, None),
            };
            let password = password()?;
            let made =
                accounts::create_by_administrator(&app, role, &email, &password, &name, specialization).await;
            match made {
                Ok(user) => print(&user.id.to_string()),
                Err(problem) => bail!("{}", problem.detail.unwrap_or(problem.title)),
            }
        }
        Command::Appointment { patient, doctor, starts_in, minutes, mode } => {
            let app = App::open(config, None).await?;
            let now = Timestamp::now();
            let mode = read_mode(&mode)?;
            let doctor = account(&app, &doctor, Role::Doctor).await?;
            let patient = account(&app, &patient, Role::Patient).await?;
            let start = now + SignedDuration::from_mins(starts_in);
            let request = CreateAppointmentRequest::in_a_call(patient, start, minutes, mode);
            let mut unit = app.store.begin(now).await?;
            let appointment = unit.add_appointment(&request, doctor).await?;
            let session = unit.session_for(appointment).await?.context("the session was not made")?;
            unit.commit().await?;
            print(&format!("{appointment} {}", session.id));
        }
        Command::Price { doctor, mode, fee, currency } => {
            let pricing = fee.pricing()?;
            let currency = Currency::from_code(&currency)
                .with_context(|| format!("{currency} is no currency: its code is like EUR"))?;
            pricing.check(currency)?;
            let app = App::open(config, None).await?;
            let doctor = account(&app, &doctor, Role::Doctor).await?;
            let mut unit = app.store.begin(Timestamp::now()).await?;
            unit.set_pricing(doctor, read_mode(&mode)?, &pricing, currency.code(), true).await?;
            unit.commit().await?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn print(line: &str) {
    println!("{line}");
}

async fn account(app: &App, email: &str, role: Role) -> anyhow::Result<bedside_protocol::UserId> {
    let found = app.store.account_by_email(email).await?.filter(|account| account.user.role == role);
    let account = found.with_context(|| format!("no {} has this address", role.as_str().to_lowercase()))?;
    if !account.is_confirmed {
        bail!(
            "somebody registered with this address, and nobody has confirmed that it is theirs: \
             make sure, then `account confirm`; or make the account anew with `account add-patient`"
        );
    }
    Ok(account.user.id)
}

async fn anybody(app: &App, email: &str) -> anyhow::Result<bedside_protocol::UserId> {
    let found = app.store.account_by_email(email).await?;
    Ok(found.context("nobody has this address")?.user.id)
}

fn read_mode(text: &str) -> anyhow::Result<ConsultationMode> {
    Ok(match text {
        "video" => ConsultationMode::Video,
        "audio" => ConsultationMode::Audio,
        "chat" => ConsultationMode::Chat,
        _ => bail!("a mode is video, audio or chat"),
    })
}

fn password() -> anyhow::Result<String> {
    if let Ok(password) = std::env::var("BEDSIDE_PASSWORD") {
        return Ok(password);
    }
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Resolves when the process is told to stop.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn every_command_is_one() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_price_is_of_one_kind() {
        let pricing = |kind: &[&str]| {
            let of = ["bedside-service", "price", "--doctor", "d@a.example", "--currency", "EUR"];
            let cli = Cli::try_parse_from(of.iter().chain(kind)).ok()?;
            let Command::Price { fee, .. } = cli.command else { return None };
            fee.pricing().ok()
        };
        assert_eq!(pricing(&["--flat", "48.50"]), Some(Pricing::Flat("48.50".parse().unwrap())));
        let rate = "1.5".parse().unwrap();
        assert_eq!(pricing(&["--per-minute", "1.5"]), Some(Pricing::PerMinute { rate, minimum_minutes: 5 }));
        let tiers = pricing(&["--tier", "15=500", "--tier", "30=800"]);
        assert!(matches!(tiers, Some(Pricing::Tiered(tiers)) if tiers.len() == 2));
        assert_eq!(pricing(&[]), None);
        assert_eq!(pricing(&["--flat", "1", "--per-minute", "1"]), None);
        assert_eq!(pricing(&["--tier", "15"]), None);
    }
}
