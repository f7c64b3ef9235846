//! What the machine needs, installed where it can be.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

/// To build.
const BUILD: &[&str] = &[
    "build-essential",
    "cmake",
    "clang",
    "libclang-dev",
    "pkg-config",
    "libopenh264-dev",
    "libvpx-dev",
    "libasound2-dev",
    "libwebkit2gtk-4.1-dev",
    "libgtk-3-dev",
    "librsvg2-dev",
    "libssl-dev",
];
/// For pictures in the window.
const WEBVIEW: &[&str] =
    &["gstreamer1.0-plugins-good", "gstreamer1.0-plugins-bad", "gstreamer1.0-libav", "gstreamer1.0-gl"];
/// For the headless visit and tests: a screen, a sound server, a voice, someone who clicks.
const HEADLESS: &[&str] = &[
    "xvfb",
    "webkit2gtk-driver",
    "pulseaudio",
    "pulseaudio-utils",
    "espeak-ng",
    "sox",
    "imagemagick",
    "python3-venv",
    "python3-dev",
    BROWSER,
    "procps",
    // Networks with routers, a proxy and another relay, for tests of the ways through them.
    "iproute2",
    "iptables",
    "tinyproxy-bin",
    "coturn",
    // For the service on a database that several share.
    "postgresql",
    "nats-server",
    // For a keyring of one's own.
    "dbus",
    "gnome-keyring",
];

/// For the lab: hosts of their own, and someone who clicks in a browser.
#[cfg(target_os = "linux")]
const LAB: &[&str] = &["chromium-driver"];

/// For screens of Wayland sessions: what the feature `portal` is built with, a compositor with its portal, and
/// somebody who makes pictures.
#[cfg(target_os = "linux")]
const WAYLAND: &[&str] = &[
    "libpipewire-0.3-dev",
    "pipewire",
    "wireplumber",
    "sway",
    "swaybg",
    "xdg-desktop-portal",
    "xdg-desktop-portal-wlr",
    "gstreamer1.0-tools",
    "gstreamer1.0-pipewire",
];

/// As Debian calls it. Ubuntu has it under another name, as a snap.
const BROWSER: &str = "chromium";
const BROWSER_ELSEWHERE: &str = "chromium-browser";

/// Installs what a headless visit needs, or only what a desktop one does.
pub(crate) fn run(headless: bool) -> Result<()> {
    let headless = if headless { HEADLESS } else { &[] };
    install(&[BUILD, WEBVIEW, headless].concat())
}

/// Installs what the lab needs besides.
#[cfg(target_os = "linux")]
pub(crate) fn lab() -> Result<()> {
    install(LAB)
}

/// Installs what the tests of Wayland sessions need besides.
#[cfg(target_os = "linux")]
pub(crate) fn wayland() -> Result<()> {
    install(WAYLAND)
}

/// Installs what is missing, as root or with sudo; says what to install where there is no apt.
fn install(wanted: &[&'static str]) -> Result<()> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    if !Path::new("/usr/bin/apt-get").exists() {
        println!("On this system, install by hand what Debian calls: {}", wanted.join(" "));
        return Ok(());
    }
    let is_there =
        |package: &&str| is_installed(package) || (*package == BROWSER && is_installed(BROWSER_ELSEWHERE));
    let missing: Vec<&str> = wanted.iter().copied().filter(|package| !is_there(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("Installing {}", missing.join(" "));
    let root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout.starts_with(b"0"));
    if !root && !Command::new("sudo").arg("-v").status().is_ok_and(|status| status.success()) {
        bail!("please run as root: apt-get install {}", missing.join(" "));
    }
    let apt = |args: &[&str]| {
        let mut command = if root {
            Command::new("apt-get")
        } else {
            let mut sudo = Command::new("sudo");
            sudo.args(["--preserve-env=DEBIAN_FRONTEND", "apt-get"]);
            sudo
        };
        command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
        command
    };
    crate::run(&mut apt(&["update", "-qq"]))?;
    let missing = missing
        .into_iter()
        .map(|package| if package == BROWSER && !is_offered(package) { BROWSER_ELSEWHERE } else { package });
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(missing);
    crate::run(&mut apt(&install))
}

/// Whether apt could install it.
fn is_offered(package: &str) -> bool {
    let policy = Command::new("apt-cache").args(["policy", package]).output();
    let text = policy.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().any(|line| line.trim_start().starts_with("Candidate:") && !line.contains("(none)"))
}

fn is_installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["-W", "-f", "${Status}", package])
        .output()
        .is_ok_and(|found| found.stdout.ends_with(b"ok installed"))
}
