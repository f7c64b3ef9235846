//! The service as a package for Debian and its like.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result};

use crate::{cargo, root};

/// What is where in it: from the project's root, and its mode.
const FILES: [(&str, &str, &str); 6] = [
    ("target/release/bedside-service", "usr/bin/bedside-service", "755"),
    ("packaging/bedside-service.service", "usr/lib/systemd/system/bedside-service.service", "644"),
    ("packaging/service.toml", "etc/bedside/service.toml", "644"),
    ("packaging/alerts.yml", "usr/share/bedside-service/alerts.yml", "644"),
    ("packaging/grafana.json", "usr/share/bedside-service/grafana.json", "644"),
    ("LICENSE", "usr/share/doc/bedside-service/copyright", "644"),
];

/// After it was installed or brought up to date: it runs on as the new one where it ran.
const AFTER: &str = "#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ \"$1\" = configure ] && [ -n \"$2\" ]; then
        systemctl try-restart bedside-service.service
    fi
fi
";
/// Before it is taken away.
const BEFORE_REMOVAL: &str = "#!/bin/sh
set -e
if [ -d /run/systemd/system ] && [ \"$1\" = remove ]; then
    systemctl disable --now bedside-service.service
fi
";

/// Builds it; gives where it is.
pub(crate) fn run() -> Result<()> {
    crate::run(&mut cargo(&["build", "--release", "-p", "bedside-service"]))?;
    let folder = root().join("target/package/bedside-service");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    for (from, to, mode) in FILES {
        let to = folder.join(to);
        fs::create_dir_all(to.parent().context("a file has a folder")?)?;
        fs::copy(root().join(from), &to)?;
        crate::run(Command::new("chmod").arg(mode).arg(&to))?;
    }
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let version = env!("CARGO_PKG_VERSION");
    let about = folder.join("DEBIAN");
    fs::create_dir(&about)?;
    fs::write(
        about.join("control"),
        format!(
            "Package: bedside-service\nVersion: {version}\nArchitecture: {architecture}\nSection: net\n\
             Priority: optional\nMaintainer: The Bedside developers <hello@bedside.health>\n\
             Depends: {}\nRecommends: postgresql\n\
             Description: consultation service of Bedside\n \
             Sign-in, waiting room, chat and call signalling for visits between doctors and\n \
             patients, and a relay for calls whose networks let nothing else through.\n",
            libraries(&folder.join("usr/bin/bedside-service"))?
        ),
    )?;
    fs::write(about.join("conffiles"), "/etc/bedside/service.toml\n")?;
    for (name, script) in [("postinst", AFTER), ("prerm", BEFORE_REMOVAL)] {
        fs::write(about.join(name), script)?;
        crate::run(Command::new("chmod").arg("755").arg(about.join(name)))?;
    }
    let package = root().join(format!("target/package/bedside-service_{version}_{architecture}.deb"));
    crate::run(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&folder).arg(&package))?;
    println!("{}", package.display());
    Ok(())
}

/// The packages that have what the program is linked with: the C library and what comes with it, of the version that it
/// asks for at the least.
fn libraries(program: &Path) -> Result<String> {
    let symbols = output(Command::new("objdump").arg("-T").arg(program))?;
    let versions = symbols.split("GLIBC_").skip(1).filter_map(|rest| {
        let version = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
        let mut numbers = version.split('.').map(|number| number.parse::<u32>().ok());
        Some((numbers.next()??, numbers.next()??))
    });
    let (major, minor) = versions.max().context("it is linked with no C library")?;
    Ok(format!("libc6 (>= {major}.{minor}), libgcc-s1"))
}

fn output(command: &mut Command) -> Result<String> {
    let done = command.output().with_context(|| format!("{command:?}"))?;
    anyhow::ensure!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}
