//! A picture of every screen in every state, both looks and both sizes, to be looked at: the page
//! alone in Chromium, fed with made-up snapshots (`ui/gallery`).

use std::{
    fs,
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{build_page, root, setup};

/// The development server's, as `ui/vite.config.ts` has it.
const PORT: u16 = 1420;
const SIZES: [(u32, u32); 2] = [(1280, 800), (800, 600)];
/// Chromium's numbers for what a person prefers.
const LOOKS: [(&str, u32); 2] = [("light", 1), ("dark", 0)];

struct Server(Child);

impl Server {
    fn start() -> Result<Self> {
        let ui = root().join("ui");
        if TcpStream::connect(("localhost", PORT)).is_ok() {
            bail!("something else serves on port {PORT} already");
        }
        // Not through npx, which would outlive its child's end.
        let vite = Command::new("node")
            .args(["node_modules/vite/bin/vite.js", "--logLevel", "error"])
            .current_dir(ui)
            .spawn()?;
        let server = Self(vite);
        let began = Instant::now();
        while TcpStream::connect(("localhost", PORT)).is_err() {
            if began.elapsed() > Duration::from_secs(30) {
                bail!("the page's server does not come up");
            }
            sleep(Duration::from_millis(100));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn chromium(arguments: &[String], scene: &str) -> Result<String> {
    let done = Command::new("chromium")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--virtual-time-budget=4000", "--force-device-scale-factor=1"])
        .args(arguments)
        .arg(format!("http://localhost:{PORT}/gallery/index.html{scene}"))
        .stderr(Stdio::null())
        .output()
        .context("chromium can't be started")?;
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Takes them all, or those whose name begins with `only`.
pub(crate) fn run(only: &str) -> Result<()> {
    setup::run(true)?;
    build_page()?;
    let folder = root().join("target/screens");
    fs::create_dir_all(&folder)?;
    let _server = Server::start()?;
    let page = chromium(&["--dump-dom".into()], "")?;
    let names = page.split("<div id=\"root\">").nth(1).and_then(|rest| rest.split('<').next());
    let names: Vec<&str> =
        names.context("the gallery does not open")?.lines().filter(|n| n.starts_with(only)).collect();
    for name in &names {
        for (look, number) in LOOKS {
            for (width, height) in SIZES {
                shoot(&folder.join(format!("{name}-{look}-{width}.png")), name, number, (width, height))?;
            }
        }
    }
    println!("{} screens, each in two looks and two sizes: {}", names.len(), folder.display());
    Ok(())
}

fn shoot(file: &Path, name: &str, look: u32, (width, height): (u32, u32)) -> Result<()> {
    if file.exists() {
        fs::remove_file(file)?;
    }
    let arguments = [
        format!("--screenshot={}", file.display()),
        format!("--window-size={width},{height}"),
        format!("--blink-settings=preferredColorScheme={look}"),
    ];
    chromium(&arguments, &format!("?scene={name}"))?;
    if !file.exists() {
        bail!("no picture of {name}");
    }
    Ok(())
}
