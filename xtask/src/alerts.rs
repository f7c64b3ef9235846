//! What whoever runs the service is given: alert rules, checked and tried by Prometheus's own program (Debian's
//! `prometheus`), and a unit that systemd finds hardened.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{root, run as run_command};

/// The most that systemd's reckoning of what a unit is exposed to may come to, of 100: this one's is 16, and what is left
/// of it is that the service listens.
const MOST_EXPOSED: &str = "--threshold=20";

pub(crate) fn run() -> Result<()> {
    let promtool = promtool()?;
    let packaging = root().join("packaging");
    run_command(Command::new(&promtool).args(["check", "rules"]).arg(packaging.join("alerts.yml")))?;
    run_command(Command::new(&promtool).args(["test", "rules"]).arg(packaging.join("alerts.test.yml")))?;
    if is_there("systemd-analyze") {
        let mut exposed = Command::new("systemd-analyze");
        exposed.args(["security", "--offline=true", "--no-pager", MOST_EXPOSED]);
        run_command(exposed.arg(packaging.join("bedside-service.service")))?;
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|done| done.status.success())
}

/// The program, taken out of its package where that is not installed: installing it would start a server.
fn promtool() -> Result<PathBuf> {
    if is_there("promtool") {
        return Ok("promtool".into());
    }
    let folder = root().join("target/tools/prometheus");
    let program = folder.join("usr/bin/promtool");
    if !program.exists() {
        std::fs::create_dir_all(&folder)?;
        run_command(Command::new("apt-get").args(["download", "prometheus"]).current_dir(&folder))?;
        let mut found = std::fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let package = found.find(|path| path.extension().is_some_and(|kind| kind == "deb"));
        let package = package.context("apt-get has brought no package")?;
        run_command(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&folder))?;
        std::fs::remove_file(package)?;
    }
    Ok(program)
}
