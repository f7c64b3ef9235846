//! Python environments for tools that come from PyPI.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::root;

/// The Python of an environment in `folder` that has `packages`, made at the first use; none
/// where it can't be made.
pub(crate) fn environment(folder: &str, packages: &[&str]) -> Result<Option<PathBuf>> {
    let folder = root().join(folder);
    let python = folder.join("bin/python");
    let has_all = |python: &PathBuf| {
        let pip = ["-m", "pip", "--disable-pip-version-check", "show", "--quiet"];
        Command::new(python)
            .args(pip)
            .args(packages.iter().map(|package| package.split("==").next().unwrap_or(package)))
            .output()
            .is_ok_and(|done| done.status.success())
    };
    if has_all(&python) {
        return Ok(Some(python));
    }
    let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"];
    let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status()?.success()
        && Command::new(&python).args(pip).args(packages).status()?.success();
    Ok((made && has_all(&python)).then_some(python))
}
