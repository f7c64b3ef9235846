//! An S3 service (PyPI's `localbucket`), with a bucket in it. It looks at nobody's credentials.

use std::{
    io,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{Folder, free_port};

const STARTS_WITHIN: Duration = Duration::from_secs(20);
/// Where its program is, where it is not in the project's own environment of tools.
const PROGRAM: &str = "BEDSIDE_TEST_BUCKET";

/// A running one.
#[derive(Debug)]
pub struct Bucket {
    port: u16,
    folder: Folder,
    child: Child,
}

impl Bucket {
    /// Its only bucket.
    pub const NAME: &'static str = "files";

    /// Starts one.
    ///
    /// # Errors
    /// Where it is not installed (`cargo xtask test` does that) or does not start.
    pub fn start() -> io::Result<Self> {
        let own = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/bin/localbucket");
        let program = std::env::var_os(PROGRAM).map_or_else(own, PathBuf::from);
        let folder = Folder::new("bucket")?;
        std::fs::create_dir(folder.path().join(Self::NAME))?;
        let port = free_port()?;
        // It ends with whoever started it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&program);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string()]).arg(folder.path());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(io::Error::other(format!("{} did not start", program.display())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Self { port, folder, child })
    }

    /// Where clients reach it.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What it holds, as files.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join(Self::NAME)
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It ends with its starter in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
