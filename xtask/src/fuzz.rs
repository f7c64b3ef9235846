//! Tries what reads the words of others with words that nobody would say (`fuzz/`).

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{cargo, root};

const CARGO_FUZZ: [&str; 3] = ["install", "cargo-fuzz", "--locked"];

/// `cargo xtask fuzz`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this target.
    target: Option<String>,
    /// How long each is tried.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Tries each target, and ends at the first that fails.
pub(crate) fn run(options: &Options) -> Result<()> {
    let fuzz = |args: &[&str]| {
        // The toolchain that started this one is not the one that sanitizers need.
        let mut command = Command::new("cargo");
        command.args(["+nightly", "fuzz"]).args(args).current_dir(root());
        command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    if !fuzz(&["--version"]).output().is_ok_and(|found| found.status.success()) {
        crate::run(&mut cargo(&CARGO_FUZZ))?;
    }
    let mut targets = vec![];
    for entry in fs::read_dir(root().join("fuzz/fuzz_targets"))? {
        let path = entry?.path();
        targets.push(path.file_stem().context("a target without a name")?.to_string_lossy().into_owned());
    }
    targets.sort();
    targets.retain(|target| options.target.as_ref().is_none_or(|wanted| wanted == target));
    for target in &targets {
        println!("\n== {target}, {} s", options.seconds);
        let time = format!("-max_total_time={}", options.seconds);
        crate::run(&mut fuzz(&["run", target, "--", &time, "-max_len=4096", "-print_final_stats=1"]))?;
    }
    println!("\n{} targets tried, {} s each: nothing found", targets.len(), options.seconds);
    Ok(())
}
