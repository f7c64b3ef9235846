//! The systems that are measured: ours, and the one that somebody would build instead.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

/// Everybody's.
const PASSWORD: &str = "only for the bench";

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ours,
    Peer,
}

/// A running one, with a doctor and patients.
pub(crate) struct System {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    pub(crate) doctor: String,
    pub(crate) doctor_id: String,
    /// Another doctor's id; the peer has none.
    pub(crate) other_doctor: String,
    /// Its address, where it is that.
    pub(crate) postgres: Option<String>,
    /// Python, with SQLite's module.
    pub(crate) python: PathBuf,
    /// Their ids and tokens.
    pub(crate) patients: Vec<(String, String)>,
    child: Child,
    folder: tempfile::TempDir,
}

pub(crate) struct Setup<'a> {
    pub(crate) service: &'a Path,
    pub(crate) python: &'a Path,
    pub(crate) peer: PathBuf,
    /// PostgreSQL's address, or a file.
    pub(crate) postgres: Option<String>,
    pub(crate) patients: usize,
}

fn free() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl System {
    pub(crate) async fn start(kind: Kind, setup: &Setup<'_>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = free()?;
        let child = match kind {
            Kind::Ours => {
                let command = |args: &[&str]| {
                    let mut command = Command::new(setup.service);
                    command.arg("--data").arg(folder.path()).args(["--no-relay", "--listen"]);
                    command.arg(address.to_string());
                    if let Some(database) = &setup.postgres {
                        command.args(["--database", database]);
                    }
                    command.args(args).env("BEDSIDE_PASSWORD", PASSWORD).env("RUST_LOG", "warn");
                    command
                };
                let add = |role: &str, name: &str| -> Result<()> {
                    let email = format!("{name}@bench.example");
                    let done = command(&["account", role, "--email", &email, "--name", name]).output()?;
                    if !done.status.success() {
                        bail!("{}", String::from_utf8_lossy(&done.stderr));
                    }
                    Ok(())
                };
                add("add-doctor", "doctor")?;
                add("add-doctor", "other-doctor")?;
                for number in 0..setup.patients {
                    add("add-patient", &format!("patient-{number}"))?;
                }
                command(&["serve"]).stdout(Stdio::null()).spawn()?
            }
            Kind::Peer => Command::new(setup.python)
                .args(["-m", "uvicorn", "app:app", "--loop", "uvloop", "--log-level", "warning", "--host"])
                .args(["127.0.0.1", "--port", &address.port().to_string()])
                .current_dir(&setup.peer)
                .env(
                    "PEER_DATABASE",
                    setup
                        .postgres
                        .clone()
                        .unwrap_or_else(|| folder.path().join("peer.sqlite").display().to_string()),
                )
                .stdout(Stdio::null())
                .spawn()?,
        };
        let http = reqwest::Client::builder().pool_max_idle_per_host(256).build()?;
        let mut system = Self {
            kind,
            address,
            http,
            doctor: String::new(),
            doctor_id: String::new(),
            other_doctor: String::new(),
            postgres: setup.postgres.clone(),
            python: setup.python.to_owned(),
            patients: vec![],
            child,
            folder,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while system.http.get(system.url("/health")).send().await.is_err() {
            if Instant::now() > deadline {
                bail!("{kind:?} does not start");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        (system.doctor_id, system.doctor) = system.sign_in("doctor").await?;
        if kind == Kind::Ours {
            system.other_doctor = system.sign_in("other-doctor").await?.0;
        }
        for number in 0..setup.patients {
            let patient = system.sign_in(&format!("patient-{number}")).await?;
            system.patients.push(patient);
        }
        Ok(system)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Where its data is.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn process(&self) -> u32 {
        self.child.id()
    }

    /// Where visits are.
    pub(crate) const fn visits(&self) -> &'static str {
        match self.kind {
            Kind::Ours => "/api/v1/consultations/sessions",
            Kind::Peer => "/sessions",
        }
    }

    async fn sign_in(&self, name: &str) -> Result<(String, String)> {
        let (path, body) = match self.kind {
            Kind::Ours => {
                let email = format!("{name}@bench.example");
                ("/api/v1/auth/login", json!({ "email": email, "password": PASSWORD }))
            }
            Kind::Peer => ("/login", json!({ "user": name, "role": "ANY" })),
        };
        let answer: Value = self.http.post(self.url(path)).json(&body).send().await?.json().await?;
        let token = answer["accessToken"].as_str().with_context(|| format!("no token: {answer}"))?;
        let id = answer["user"]["id"].as_str().unwrap_or(name);
        Ok((id.to_owned(), token.to_owned()))
    }

    /// A visit now, of the doctor and a patient.
    pub(crate) fn create(&self, patient: usize) -> reqwest::RequestBuilder {
        let body = json!({
            "patientId": self.patients[patient].0, "consultationMode": "VIDEO", "scheduledDurationMinutes": 15,
        });
        let path = match self.kind {
            Kind::Ours => "/api/v1/consultations/sessions/instant",
            Kind::Peer => "/sessions",
        };
        self.http.post(self.url(path)).bearer_auth(&self.doctor).json(&body)
    }

    /// A visit that runs; gives its id.
    pub(crate) async fn running(&self, patient: usize) -> Result<String> {
        let made: Value = self.create(patient).send().await?.error_for_status()?.json().await?;
        let id = made["sessionId"].as_str().context("no session")?.to_owned();
        let steps: &[(&str, &str, Value)] = match self.kind {
            Kind::Ours => &[
                (&self.patients[patient].1, "join", json!({ "ready": true })),
                (&self.doctor, "admit", json!({})),
                (&self.doctor, "join", json!({})),
                (&self.patients[patient].1, "join", json!({})),
            ],
            Kind::Peer => &[(&self.doctor, "join", json!({}))],
        };
        for (token, step, body) in steps {
            let path = self.url(&format!("{}/{id}/{step}", self.visits()));
            self.http.post(path).bearer_auth(token).json(body).send().await?.error_for_status()?;
        }
        Ok(id)
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}
