//! A service with demo people.

use std::{
    fs,
    io::Write,
    net::{SocketAddr, TcpListener, TcpStream, UdpSocket},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::root;

pub(crate) const NAME: &str = "Lindenhof Practice";
pub(crate) const DOCTOR: &str = "amara.okafor@demo.example";
pub(crate) const PATIENT: &str = "maria.keller@demo.example";
pub(crate) const PASSWORD: &str = "only for the demo";

/// A running service. Stops when dropped.
pub(crate) struct Clinic {
    data: PathBuf,
    listen: SocketAddr,
    relay: SocketAddr,
    process: Option<Child>,
}

impl Clinic {
    /// A fresh database with a doctor, two patients and their appointments, and the service on it.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let data = folder.join("service");
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        fs::create_dir_all(&data)?;
        let mut clinic = Self {
            data,
            // Free now; nothing else on the machine asks for ports in between.
            listen: TcpListener::bind("127.0.0.1:0")?.local_addr()?,
            relay: UdpSocket::bind("127.0.0.1:0")?.local_addr()?,
            process: None,
        };
        clinic.tell(&[
            "account",
            "add-doctor",
            "--email",
            DOCTOR,
            "--name",
            "Dr. Amara Okafor",
            "--specialization",
            "General practice",
        ])?;
        clinic.tell(&["account", "add-patient", "--email", PATIENT, "--name", "Maria Keller"])?;
        clinic.tell(&["account", "add-patient", "--email", "jo.lindt@demo.example", "--name", "Jo Lindt"])?;
        for (patient, starts_in) in [(PATIENT, "2"), ("jo.lindt@demo.example", "25"), (PATIENT, "4320")] {
            clinic.tell(&[
                "appointment",
                "--patient",
                patient,
                "--doctor",
                DOCTOR,
                "--starts-in",
                starts_in,
            ])?;
        }
        clinic.tell(&["price", "--doctor", DOCTOR, "--flat", "48.50", "--currency", "EUR"])?;
        clinic.start()?;
        Ok(clinic)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.listen.to_string()
    }

    /// Where its relay is, over UDP and TCP.
    #[cfg(target_os = "linux")]
    pub(crate) const fn relay(&self) -> SocketAddr {
        self.relay
    }

    fn command(&self) -> Command {
        let mut command = Command::new(root().join("target/debug/bedside-service"));
        command
            .args(["--listen", &self.listen.to_string(), "--relay-listen", &self.relay.to_string()])
            .args(["--clinic-name", NAME, "--data"])
            .arg(&self.data);
        command
    }

    /// Runs one of the administrator's commands.
    pub(crate) fn tell(&self, args: &[&str]) -> Result<()> {
        let done = self
            .command()
            .args(args)
            .env("BEDSIDE_PASSWORD", PASSWORD)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .output()?;
        if !done.status.success() {
            bail!("bedside-service {} failed: {}", args.join(" "), String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    /// Starts the service and waits until it answers.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = fs::File::options().create(true).append(true).open(self.data.join("service.log"))?;
        let process =
            self.command().arg("serve").stderr(log).spawn().context("the service can't be started")?;
        self.process = Some(process);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(15) {
            if let Ok(mut socket) = TcpStream::connect(self.listen) {
                socket.write_all(b"GET /ready HTTP/1.0\r\n\r\n")?;
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the service did not come up; see {}", self.data.join("service.log").display())
    }

    /// Kills the service, as a crash would.
    pub(crate) fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }
}

impl Drop for Clinic {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            println!("the service was not stopped: {error}");
        }
    }
}
