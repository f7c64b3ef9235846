//! PostgreSQL (Debian's `postgresql`).

use std::{
    io,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use crate::{Folder, free_port, output};

/// Where there is one already: the tests make databases in it. `cargo xtask test` starts one for all of them.
const RUNNING: &str = "BEDSIDE_TEST_POSTGRES";
/// It has started long before; a machine that compiles beside it takes its time.
const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// The account that Debian's package makes: PostgreSQL does not run as root.
const ACCOUNT: &str = "postgres";

/// A PostgreSQL, started here or by others.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    /// None where others started it.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    programs: PathBuf,
    server: Option<Child>,
    folder: Folder,
}

impl Postgres {
    /// The one that is there for tests, or one of its own.
    pub fn start() -> io::Result<Self> {
        match std::env::var(RUNNING) {
            Ok(port) => {
                let port = port.parse().map_err(|_| io::Error::other(format!("{RUNNING} is no port")))?;
                Ok(Self { port, own: None })
            }
            Err(_) => Self::start_own(),
        }
    }

    /// Starts one that nobody else has.
    pub fn start_own() -> io::Result<Self> {
        let folder = Folder::new("postgres")?;
        let programs = programs()?;
        if is_root()? {
            output(Command::new("chown").arg(ACCOUNT).arg(folder.path()))?;
        }
        let data = folder.path().join("data");
        output(
            as_account(&programs.join("initdb"))?
                .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"])
                .arg(&data),
        )?;
        let mut own = Own { programs, server: None, folder };
        let port = free_port()?;
        own.run(port)?;
        Ok(Self { port, own: Some(own) })
    }

    /// A new, empty database; gives its address.
    pub fn database(&self) -> io::Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bedside_{}_{count}", std::process::id());
        self.sql("postgres", &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))?;
        self.sql("postgres", &format!("CREATE DATABASE {name}"))?;
        Ok(self.address(&name))
    }

    /// The address of a database.
    pub fn address(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// Runs a statement; gives what it prints.
    pub fn sql(&self, database: &str, statement: &str) -> io::Result<String> {
        let port = self.port.to_string();
        let asked = ["--host=127.0.0.1", "--username=postgres", "--no-psqlrc", "--tuples-only", "--no-align"];
        output(
            Command::new("psql")
                .args(asked)
                .args(["--set=ON_ERROR_STOP=1", "--quiet", "--port", &port, "--dbname", database])
                .args(["--command", statement]),
        )
    }

    /// Which port it is on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The variable that tells tests of this one.
    pub fn variable(&self) -> (&'static str, String) {
        (RUNNING, self.port.to_string())
    }

    /// Stops it, as a machine that loses its power does; it can be started again. Only one of one's own.
    pub fn halt(&mut self) -> io::Result<()> {
        self.own.as_mut().ok_or_else(not_ours)?.halt()
    }

    /// Starts it again, with what it had.
    pub fn resume(&mut self) -> io::Result<()> {
        let port = self.port;
        self.own.as_mut().ok_or_else(not_ours)?.run(port)
    }
}

fn not_ours() -> io::Error {
    io::Error::other("others started this PostgreSQL")
}

impl Own {
    fn run(&mut self, port: u16) -> io::Result<()> {
        let folder = self.folder.path();
        let mut server = as_account(&self.programs.join("postgres"))?;
        server.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
        server.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        // Many tests side by side; and that a machine may lose its power is not what they are about.
        server.args(["-c", "max_connections=400", "-c", "fsync=off"]);
        server.stdout(Stdio::null()).stderr(std::fs::File::create(folder.join("log"))?);
        let mut child = server.spawn()?;
        let deadline = Instant::now() + STARTS_WITHIN;
        let is_ready = || {
            let mut ask = Command::new(self.programs.join("pg_isready"));
            ask.args(["--quiet", "--host=127.0.0.1", "--port", &port.to_string()]).status()
        };
        while !is_ready()?.success() {
            let has_ended = child.try_wait()?.is_some();
            if has_ended || Instant::now() > deadline {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("PostgreSQL did not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.server = Some(child);
        Ok(())
    }

    fn halt(&mut self) -> io::Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        let mut stop = as_account(&self.programs.join("pg_ctl"))?;
        stop.args(["stop", "--mode=immediate", "-D"]).arg(self.folder.path().join("data"));
        output(&mut stop)?;
        server.wait().map(|_| ())
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if let (Err(_), Some(server)) = (self.halt(), &mut self.server) {
            // It ends with its starter in any case: see `as_account`.
            let _ = server.kill();
        }
    }
}

/// Where the programs are: Debian keeps each version's apart.
fn programs() -> io::Result<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest =
        versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    newest.ok_or_else(|| io::Error::other("PostgreSQL is missing: install Debian's postgresql"))
}

fn is_root() -> io::Result<bool> {
    Ok(output(Command::new("id").arg("-u"))? == "0")
}

/// A command that ends with whoever started it, and is not root's.
fn as_account(program: &std::path::Path) -> io::Result<Command> {
    let mut command = Command::new("setpriv");
    if is_root()? {
        command.args(["--reuid", ACCOUNT, "--regid", ACCOUNT, "--clear-groups"]);
    }
    command.args(["--pdeathsig", "INT", "--"]).arg(program).current_dir("/");
    Ok(command)
}
