//! Everything that CI runs.

use std::{process::Command, time::Instant};

use anyhow::{Context, Result};
use bedside_servers::Postgres;

use crate::{alerts, build_page, cargo, contract, demo, python, root, setup};

/// The spelling checker, whose newer versions know more words, so that an upgrade may need a change here and there; and a
/// service of S3's kind and a reader of FHIR for tests.
const TOOLS: &[&str] = &["typos==1.52.0", "localbucket==1.2.1", "fhir.resources==8.3.0"];

/// Runs all checks, the quick ones first.
pub(crate) fn run() -> Result<()> {
    let began = Instant::now();
    setup::run(true)?;
    build_page()?;
    let ui = root().join("ui");
    let npx = |args: &[&str]| {
        let mut command = Command::new("npx");
        command.args(args).current_dir(&ui);
        command
    };
    run_step("UI format", &mut npx(&["prettier", "--check", "."]))?;
    run_step("UI types", &mut npx(&["tsc", "--noEmit"]))?;
    run_step("UI lint", &mut npx(&["eslint", ".", "--max-warnings", "0"]))?;
    run_step("UI tests", &mut npx(&["vitest", "run"]))?;
    let tools = python::environment("target/tools", TOOLS)?
        .context("the spelling checker and others can't be had")?;
    run_step("spelling", Command::new(tools.with_file_name("typos")).current_dir(root()))?;
    run_step("format", &mut cargo(&["fmt", "--all", "--check"]))?;
    if cfg!(target_os = "linux") {
        step("alert rules and the unit", alerts::run)?;
    }
    run_step("build", &mut cargo(&["build", "--workspace", "--all-targets"]))?;
    // Each test in a process of its own: some count threads and tasks, and none may see another's.
    if !cargo(&["nextest", "--version"]).output().is_ok_and(|found| found.status.success()) {
        run_step("nextest", &mut cargo(&["install", "cargo-nextest", "--locked"]))?;
    }
    let tests = ["nextest", "run", "--workspace", "--no-fail-fast"];
    // One for all who need it: each of their own would take a second to start.
    let postgres = cfg!(target_os = "linux").then(Postgres::start_own).transpose()?;
    let with_postgres = |mut command: Command| {
        command.envs(postgres.as_ref().map(Postgres::variable));
        command
    };
    run_step("tests, and that generated files are fresh", &mut with_postgres(cargo(&tests)))?;
    if postgres.is_some() {
        let mut service = with_postgres(cargo(&tests));
        // Those that have a PostgreSQL of their own on both have been seen.
        service
            .args(["-E", "binary(api) and not test(/^(away|instances)::|^killed::any/)"])
            .env("BEDSIDE_TEST_DATABASE", "postgres");
        run_step("the service's tests on PostgreSQL", &mut service)?;
    }
    step("the service's document, tried", contract::run)?;
    // With what is built already: alone it would choose other features of what is shared, and build that anew.
    step("a whole visit", || demo::run(&demo::Options::headless(root().join("target/demo/report.json"))))?;
    let clippy = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run_step("clippy", &mut cargo(&clippy))?;
    println!("\nAll green in {} minutes.", began.elapsed().as_secs().div_ceil(60));
    Ok(())
}

fn run_step(name: &str, command: &mut Command) -> Result<()> {
    step(name, || crate::run(command))
}

fn step(name: &str, run: impl FnOnce() -> Result<()>) -> Result<()> {
    let began = Instant::now();
    println!("\n== {name}");
    run()?;
    println!("== {name}: {} s", began.elapsed().as_secs());
    Ok(())
}
