//! NATS (Debian's `nats-server`), alone or as a cluster.

use std::{
    io,
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{free_port, output};

const STARTS_WITHIN: Duration = Duration::from_secs(20);
const PROGRAM: &str = "/usr/sbin/nats-server";

/// One server.
#[derive(Debug)]
pub struct Nats {
    port: u16,
    /// Where those of its cluster reach it, and where it reaches them.
    cluster: Option<(u16, Vec<u16>)>,
    child: Option<Child>,
}

impl Nats {
    /// Starts one.
    pub fn start() -> io::Result<Self> {
        let mut server = Self { port: free_port()?, cluster: None, child: None };
        server.resume()?;
        Ok(server)
    }

    /// Starts some that know one another.
    pub fn start_cluster(servers: usize) -> io::Result<Vec<Self>> {
        let routes: Vec<u16> = (0..servers).map(|_| free_port()).collect::<io::Result<_>>()?;
        let mut cluster = vec![];
        for &route in &routes {
            let mut server = Self { port: free_port()?, cluster: Some((route, routes.clone())), child: None };
            server.resume()?;
            cluster.push(server);
        }
        Ok(cluster)
    }

    /// Where clients reach it.
    pub fn address(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Kills it; it can be started again.
    pub fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(|_| ())
    }

    /// Starts it again.
    pub fn resume(&mut self) -> io::Result<()> {
        // It ends with whoever started it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", PROGRAM, "--addr", "127.0.0.1"]);
        command.args(["--port", &self.port.to_string()]);
        if let Some((own, all)) = &self.cluster {
            let routes: Vec<_> = all.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
            command.args(["--cluster_name", "test", "--cluster", &format!("nats://127.0.0.1:{own}")]);
            command.args(["--routes", &routes.join(",")]);
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                let version = output(Command::new(PROGRAM).arg("--version"))?;
                return Err(io::Error::other(format!("{version} did not start")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.child = Some(child);
        Ok(())
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It ends with its starter in any case.
        let _ = self.kill();
    }
}
