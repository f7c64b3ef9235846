//! Which lines of the service and its rules the tests go through, and whether that is enough.

use std::path::Path;

use anyhow::{Context, Result, bail};
use bedside_servers::Postgres;
use serde_json::Value;

use crate::{cargo, root};

const CARGO_LLVM_COV: [&str; 3] = ["install", "cargo-llvm-cov", "--locked"];
/// Whose lines count: the service, and what it is made of.
const CRATES: [&str; 5] =
    ["bedside-authz", "bedside-consult", "bedside-protocol", "bedside-sealing", "bedside-service"];

/// Part of the sources, and how many of a hundred of its lines are to be gone through.
struct Gate {
    what: &'static str,
    /// Where its files are, from the project's root.
    under: &'static [&'static str],
    least: f64,
}

/// A wrong amount, or a visit that gets stuck, is found by nobody in time.
const GATES: [Gate; 3] = [
    Gate { what: "billing", under: &["crates/consult/src/billing"], least: 95.0 },
    Gate { what: "rules", under: &["crates/consult/src", "crates/authz/src"], least: 90.0 },
    Gate { what: "all", under: &["crates/"], least: 80.0 },
];

/// Runs the tests, counts, and fails where a gate is not reached.
pub(crate) fn run() -> Result<()> {
    if !cargo(&["llvm-cov", "--version"]).output().is_ok_and(|found| found.status.success()) {
        crate::run(&mut cargo(&CARGO_LLVM_COV))?;
    }
    let report = root().join("target/coverage.json");
    let mut tests = cargo(&["llvm-cov", "nextest", "--json", "--output-path"]);
    tests.arg(&report);
    for name in CRATES {
        tests.args(["-p", name]);
    }
    let postgres = cfg!(target_os = "linux").then(Postgres::start_own).transpose()?;
    tests.envs(postgres.as_ref().map(Postgres::variable));
    crate::run(&mut tests)?;
    let report: Value = serde_json::from_slice(&std::fs::read(report)?)?;
    let files = report["data"][0]["files"].as_array().context("no files in the report")?;
    let mut missed = vec![];
    for Gate { what, under, least } in GATES {
        let (mut lines, mut covered) = (0, 0);
        for file in files {
            let name = file["filename"].as_str().context("a file without a name")?;
            let name = Path::new(name).strip_prefix(root()).unwrap_or(Path::new(name));
            let counts = |path: &&str| name.to_string_lossy().starts_with(*path);
            if under.iter().any(counts) && !name.components().any(|part| part.as_os_str() == "tests") {
                lines += file["summary"]["lines"]["count"].as_u64().unwrap_or(0);
                covered += file["summary"]["lines"]["covered"].as_u64().unwrap_or(0);
            }
        }
        let percent = 100.0 * covered as f64 / lines.max(1) as f64;
        println!("{what}: {percent:.1} % of {lines} lines (at least {least})");
        if percent < least {
            missed.push(what);
        }
    }
    if !missed.is_empty() {
        bail!("too little is tested of {}", missed.join(", "));
    }
    Ok(())
}
