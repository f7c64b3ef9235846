//! A whole visit: on the desktop for people to see, or headless for machines to check.

pub(crate) mod camera;
pub(crate) mod clinic;
pub(crate) mod measure;
pub(crate) mod person;
pub(crate) mod report;
mod sharing;
mod visit;
pub(crate) mod world;

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::root;
use clinic::{Clinic, DOCTOR, PASSWORD, PATIENT};

/// `cargo xtask demo`
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Without a desktop: virtual screens, cameras, microphones and speakers, and a driver that
    /// clicks. The default where there is no display.
    #[arg(long)]
    headless: bool,
    /// Write what was measured, as JSON.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Options {
    /// Without a desktop, with a report.
    pub(crate) const fn headless(report: PathBuf) -> Self {
        Self { headless: true, report: Some(report) }
    }

    pub(crate) fn is_headless(&self) -> bool {
        let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
        self.headless || (cfg!(target_os = "linux") && !display)
    }
}

/// Shows a visit.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.is_headless() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        return runtime.block_on(visit::run(options.report.as_deref()));
    }
    on_the_desktop()
}

/// The service and two windows, with the machine's own devices.
fn on_the_desktop() -> Result<()> {
    let folder = root().join("target/demo/desktop");
    let clinic = Clinic::open(&folder)?;
    let address = clinic.address();
    println!("\nThe service runs at {address}. Two windows open:\n");
    println!("  doctor:   {DOCTOR}\n  patient:  {PATIENT}\n  password: {PASSWORD} (both)\n");
    println!("Sign in as one in each. The patient enters the waiting room, the doctor calls in.");
    println!("Close both windows to end.\n");
    let mut windows = vec![];
    for person in ["doctor", "patient"] {
        let window = Command::new(root().join("target/debug/bedside"))
            .env("XDG_CONFIG_HOME", folder.join(person))
            .env("XDG_DATA_HOME", folder.join(person))
            .env("BEDSIDE_SERVICE", &address)
            .spawn()
            .context("the app can't be started")?;
        windows.push(window);
    }
    for mut window in windows {
        window.wait()?;
    }
    Ok(())
}
