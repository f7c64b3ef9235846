//! What the service carries (`crates/bench`), built as it is released.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{cargo, python, root, run as run_command};

/// The peer's packages: what the documents' own examples are written with.
const PEER: &[&str] =
    &["fastapi", "python-socketio", "uvicorn[standard]", "uvloop", "pyjwt", "aiosqlite", "asyncpg"];

#[derive(Args)]
pub(crate) struct Options {
    /// What is measured.
    what: What,
    /// Where the figures go, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// The consultation service.
    Service,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let What::Service = options.what;
    run_command(&mut cargo(&["build", "--release", "-p", "bedside-service", "-p", "bedside-bench"]))?;
    let python = python::environment("target/peer", PEER)?.context("the peer's packages can't be had")?;
    let programs = root().join("target/release");
    let mut bench = Command::new(programs.join("bedside-bench"));
    bench.arg("--service").arg(programs.join("bedside-service")).arg("--python").arg(python);
    bench.arg("--peer").arg(root().join("crates/bench/peer"));
    if let Some(report) = &options.report {
        bench.arg("--report").arg(report);
    }
    run_command(&mut bench)
}
