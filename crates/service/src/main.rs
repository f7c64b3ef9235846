//! `bedside-service`: the consultation service's command line.

mod cli;

use std::process::ExitCode;

use anyhow::{Context, bail};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bedside_consult::billing::Currency;
use bedside_protocol::{ConsultationMode, CreateAppointmentRequest, Role};
use bedside_service::{
    App, accounts,
    config::{Aliases, LogFormat, Settings},
    keys, machines,
    store::Chain,
};
use clap::Parser;
use cli::{Account, Audit, Cli, Clinic, Command, Keys};
use jiff::{SignedDuration, Timestamp};

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
    // What asks others over TLS takes what the process has.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = Cli::parse();
    let file = cli.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
    let own = cli.settings.or(file)?;
    let aliases = Aliases::find(&own, |name| std::env::var(name).ok())?;
    let settings = own.or(aliases.settings)?;
    settings.check()?;
    log(settings.log_format);
    if !aliases.taken.is_empty() {
        tracing::info!(names = aliases.taken.join(", "), "settings by other systems' names are taken");
    }
    if !aliases.without_effect.is_empty() {
        tracing::warn!(names = aliases.without_effect.join(", "), "these settings have no effect here");
    }
    let config = settings.complete().with(aliases.secrets);
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
        Command::Clinic(Clinic::Add { name }) => {
            let made = accounts::add_clinic(&App::open(config, None).await?, &name).await?;
            print(&made.with_context(|| format!("there is a clinic called {name} already"))?.to_string());
        }
        Command::Clinic(Clinic::List) => {
            for (id, name) in App::open(config, None).await?.store.clinics().await? {
                print(&format!("{id} {name}"));
            }
        }
        Command::Keys(Keys::Add) => {
            print(&format!("{} is there: start all services again, then keys promote", keys::add(&config)?));
        }
        Command::Keys(Keys::Promote) => {
            print(&format!(
                "{} seals: start all services again, then keys seal-anew",
                keys::promote(&config)?
            ));
        }
        Command::Keys(Keys::SealAnew) => {
            let changed = keys::seal_anew(&App::open(config, None).await?).await?;
            print(&format!("{changed} things were sealed anew: the other keys can go from the file"));
        }
        Command::Backup { to } => bedside_service::backup::backup(&config, &to).await?,
        Command::Restore { from } => bedside_service::backup::restore(&config, &from).await?,
        Command::Doctor => {
            let found = bedside_service::doctor::examine(&config).await;
            for finding in &found {
                match &finding.found {
                    Ok(is) => print(&format!("  ok  {}: {is}", finding.what)),
                    Err(wrong) => print(&format!("  !!  {}: {wrong}", finding.what)),
                }
            }
            let wrong = found.iter().filter(|finding| finding.found.is_err()).count();
            if wrong > 0 {
                bail!("{wrong} of {} things need somebody", found.len());
            }
        }
        Command::Openapi => print(&bedside_service::openapi().to_pretty_json()?),
        Command::Account(account) => {
            let app = App::open(config, None).await?;
            let (role, email, name, specialization, clinic) = match account {
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
                Account::SetClinic { email, clinic } => {
                    return Ok(accounts::set_clinic(&app, anybody(&app, &email).await?, clinic).await?);
                }
                Account::AddKiosk(cli::Machine { name, clinic, lasts }) => {
                    return say_machine(machines::add(&app, Role::Kiosk, &name, clinic, lasts.into()).await);
                }
                Account::AddService(cli::Machine { name, clinic, lasts }) => {
                    return say_machine(
                        machines::add(&app, Role::Service, &name, clinic, lasts.into()).await,
                    );
                }
                Account::RenewToken { id, lasts } => {
                    return say_machine(machines::renew(&app, id, lasts.into()).await);
                }
                Account::AddDoctor { email, name, specialization, clinic } => {
                    (Role::Doctor, email, name, specialization, clinic)
                }
                Account::AddAdmin { email, name, clinic } => (Role::ClinicAdmin, email, name, None, clinic),
                Account::AddPatient { email, name, clinic } => (Role::Patient, email, name, None, clinic),
            };
            let password = password()?;
            let made = accounts::create_by_administrator(
                &app,
                role,
                &email,
                &password,
                &name,
                specialization,
                clinic,
            )
            .await;
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

fn log(format: Option<LogFormat>) {
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt()
        // Last wins: these print what they carry, whatever level is asked for.
        .with_env_filter(tracing_subscriber::EnvFilter::new(format!("{asked},{}", bedside_service::SILENCED)))
        .with_writer(std::io::stderr);
    match format.unwrap_or(LogFormat::Text) {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).init(),
    }
}

#[expect(clippy::print_stdout, reason = "the output of a command")]
fn print(line: &str) {
    println!("{line}");
}

/// Prints a machine's id, until when its token lasts, and the token itself, each in a line.
fn say_machine(made: Result<machines::Machine, bedside_protocol::Problem>) -> anyhow::Result<()> {
    let made = made.map_err(|problem| anyhow::anyhow!(problem.detail.unwrap_or(problem.title)))?;
    print(&format!("{}\n{}\n{}", made.id, made.until, made.token.expose()));
    Ok(())
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
    use bedside_consult::billing::Pricing;
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
