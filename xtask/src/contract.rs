//! The service's OpenAPI document, tried by a program that knows only it (schemathesis): what is answered is what the
//! document says.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use crate::{python, root};

/// Of PyPI; a newer one finds other things.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
const PASSWORD: &str = "a long enough password";
/// Requests made up for each operation, beside those at the edges of what is allowed.
const EXAMPLES: &str = "10";
/// What would end the sign-in that it asks with.
const LEFT_OUT: &str = "/auth/(logout|sessions|password)";
/// It takes what the document allows for what the service must take. What is not of a value's shape (a visit in the
/// past, hours that end before they begin) no document says.
const NOT_ASKED: &str = "positive_data_acceptance";

/// The service, gone when this is.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // Its folder goes with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries it.
pub(crate) fn run() -> Result<()> {
    let python = python::environment("target/contract", &[SCHEMATHESIS])?;
    let python = python.context("schemathesis can't be had")?;
    let folder = root().join("target/contract/data");
    if folder.exists() {
        std::fs::remove_dir_all(&folder)?;
    }
    let service = || {
        let mut command = Command::new(root().join("target/debug/bedside-service"));
        command.arg("--data").arg(&folder).arg("--no-relay=true");
        command
    };
    let account = ["account", "add-doctor", "--email", "doctor@x.example", "--name", "Doctor"];
    crate::run(service().args(account).env("BEDSIDE_PASSWORD", PASSWORD).stdout(Stdio::null()))?;
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let log = std::fs::File::create(root().join("target/contract/service.log"))?;
    let running = service().args(["--listen", &address, "serve"]).stdout(log).spawn()?;
    let _running = Service(running);
    let document = format!("http://{address}/api/v1/openapi.json");
    let until = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(&address).is_err() {
        if Instant::now() > until {
            bail!("the service does not start: see target/contract/service.log");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let token = sign_in(&python, &address)?;
    let mut tries = Command::new(python.with_file_name("st"));
    tries.args(["run", &document, "--max-examples", EXAMPLES, "--phases", "coverage,fuzzing"]);
    tries.args(["--workers", "2", "--generation-deterministic", "--exclude-path-regex", LEFT_OUT]);
    tries.args(["--exclude-checks", NOT_ASKED, "--header", &format!("Authorization: Bearer {token}")]);
    crate::run(&mut tries)
}

/// A doctor's token: asked for with what there is, as this program speaks no HTTP.
fn sign_in(python: &std::path::Path, address: &str) -> Result<String> {
    let ask = format!(
        "import json, urllib.request as r; q = r.Request('http://{address}/api/v1/auth/login', \
         json.dumps({{'email': 'doctor@x.example', 'password': '{PASSWORD}'}}).encode(), \
         {{'content-type': 'application/json'}}); print(json.load(r.urlopen(q))['accessToken'])"
    );
    let done = Command::new(python).args(["-c", &ask]).output()?;
    if !done.status.success() {
        bail!("nobody can sign in: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8(done.stdout)?.trim().to_owned())
}
