//! Python environments for tools that come from PyPI.

use std::{path::PathBuf, process::Command};

use anyhow::Result;

use crate::root;

/// The Python of an environment in `folder` that has `packages`, made at the first use; none
/// where it can't be made.
pub(crate) fn environment(folder: &str, packages: &[&str]) -> Result<Option<PathBuf>> {
    let folder = root().join(folder);
    let python = folder.join("bin/python");
    // Of several, it is content with one.
    let has = |python: &PathBuf, package: &str| {
        let name = package.split("==").next().unwrap_or(package);
        let pip = ["-m", "pip", "--disable-pip-version-check", "show", "--quiet", name];
        Command::new(python).args(pip).output().is_ok_and(|done| done.status.success())
    };
    let has_all = |python: &PathBuf| packages.iter().all(|package| has(python, package));
    if has_all(&python) {
        return Ok(Some(python));
    }
    let pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet"];
    let made = Command::new("python3").args(["-m", "venv"]).arg(&folder).status()?.success()
        && Command::new(&python).args(pip).args(packages).status()?.success();
    Ok((made && has_all(&python)).then_some(python))
}
