//! `cargo xtask bench service`: what the service carries on this machine, beside what somebody would build from the
//! documents instead, in the same run.
#![expect(clippy::print_stdout, reason = "the output of a command-line tool")]

mod full;
mod measure;
mod realtime;
mod rest;
mod system;

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use bedside_servers::Postgres;
use clap::Parser;
use serde_json::{Map, Value, json};

use rest::Flow;
use system::{Kind, Setup, System};

/// Clients at once.
const CLIENTS: [usize; 3] = [1, 10, 100];
/// Sockets at once, of people who wait.
const SOCKETS: usize = 1_000;
/// Those of one person; the service lets each have sixteen.
const SOCKETS_EACH: usize = 14;
/// Visits of the doctor that run.
const RUNNING: usize = 10;
/// Visits in the database of a practice of some years.
const VISITS: usize = 100_000;
/// Patients in one doctor's line, and how many of them come at once.
const LINE: usize = 200;
const COMING: usize = 10;
/// Devices that listen to one visit.
const LISTENERS: usize = 8;
/// Messages a second into it.
const RATES: [usize; 2] = [100, 200];

#[derive(Parser)]
struct Options {
    /// The service, built for release.
    #[arg(long)]
    service: PathBuf,
    /// Python with the peer's packages.
    #[arg(long)]
    python: PathBuf,
    /// Where the peer is.
    #[arg(long)]
    peer: PathBuf,
    /// Where the figures go, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Seconds for each figure.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = Options::parse();
    // Only the first finds none installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let postgres = Postgres::start_own()?;
    let mut report = Map::new();
    for (name, kind, is_shared) in [
        ("Bedside, SQLite", Kind::Ours, false),
        ("peer, SQLite", Kind::Peer, false),
        ("Bedside, PostgreSQL", Kind::Ours, true),
        ("peer, PostgreSQL", Kind::Peer, true),
    ] {
        println!("\n== {name}");
        let setup = Setup {
            service: &options.service,
            python: &options.python,
            peer: options.peer.clone(),
            postgres: is_shared.then(|| postgres.database()).transpose()?,
            patients: SOCKETS.div_ceil(SOCKETS_EACH),
        };
        let figures = measure(kind, &setup, Duration::from_secs(options.seconds)).await?;
        report.insert(name.to_owned(), figures);
    }
    if let Some(path) = options.report {
        std::fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
        println!("\n{}", path.display());
    }
    Ok(())
}

async fn measure(kind: Kind, setup: &Setup<'_>, lasts: Duration) -> Result<Value> {
    let system = Arc::new(System::start(kind, setup).await?);
    let mut visits = vec![];
    for patient in 0..RUNNING {
        visits.push(system.running(patient).await?);
    }
    let visits = Arc::new(visits);
    let mut all = Map::new();
    // Warm, and with something in the chat.
    realtime::deliver(&system, &visits[0], 1, 50, Duration::from_secs(2)).await?;
    let mut deliveries = Map::new();
    for rate in RATES {
        let delivery = realtime::deliver(&system, &visits[0], LISTENERS, rate, lasts).await?;
        let realtime::Delivery { figures, lost, out_of_order, .. } = &delivery;
        println!(
            "{rate} messages/s to {LISTENERS}: p50 {:.1} ms, p99 {:.1} ms, {lost} lost, {out_of_order} out of order",
            figures.p50_ms, figures.p99_ms
        );
        deliveries.insert(rate.to_string(), serde_json::to_value(&delivery)?);
    }
    all.insert("delivery".to_owned(), deliveries.into());
    for (flow, name) in Flow::ALL {
        let mut by_clients = Map::new();
        for clients in CLIENTS {
            let before = measure::processor(system.process())?;
            let figures = rest::run(&system, flow, &visits, clients, lasts).await?;
            let used = measure::processor(system.process())? - before;
            println!(
                "{name}, {clients} at once: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {} failed, {:.0} % of a core",
                figures.per_second,
                figures.p50_ms,
                figures.p99_ms,
                figures.failed,
                100.0 * used / lasts.as_secs_f64()
            );
            by_clients.insert(clients.to_string(), serde_json::to_value(&figures)?);
        }
        all.insert(name.to_owned(), by_clients.into());
    }
    let (each, sockets) = realtime::memory_each(&system, SOCKETS).await?;
    let memory = measure::memory(system.process())?;
    println!("{} sockets: {} KB each; {} MB in all", sockets.len(), each / 1_024, memory / 1_048_576);
    all.insert("socket_bytes".to_owned(), json!(each));
    all.insert("memory_bytes".to_owned(), json!(memory));
    drop(sockets);
    if kind == Kind::Ours {
        full::fill(&system, VISITS)?;
        println!("with {VISITS} visits in the database, 10 at once:");
        let mut figures = Map::new();
        for (flow, name) in Flow::ALL {
            let measured = rest::run(&system, flow, &visits, 10, lasts).await?;
            println!(
                "{name}: {:.0}/s, p50 {:.1} ms, p99 {:.1} ms, {} failed",
                measured.per_second, measured.p50_ms, measured.p99_ms, measured.failed
            );
            figures.insert(name.to_owned(), serde_json::to_value(&measured)?);
        }
        all.insert(format!("with {VISITS} visits"), figures.into());
        all.insert(format!("line of {LINE}"), full::line(&system, LINE, COMING).await?);
    }
    if let Some(system) = Arc::into_inner(system) {
        system.stop()?;
    }
    Ok(all.into())
}
