//! `bedside-service doctor`: looks whether everything that the service needs is there, changes nothing, and says what
//! to do.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use futures_util::StreamExt;
use jiff::Timestamp;
use tokio::net::{TcpListener, UdpSocket};

use crate::{
    Config,
    blobs::Blobs,
    config::Place,
    config::RelayConfig,
    descriptors, folder,
    outgoing::Outgoing,
    store::{Schema, Store},
};

/// How long each thing has to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// Fewer connections than a small clinic has at once, after a restart.
const FEW_CONNECTIONS: usize = 256;
/// A clock that is further away than this has people's tokens end early, and waiting rooms open late.
const CLOCK_WITHIN: i64 = 5;
/// STUN's binding request, and what every one of its messages has (RFC 8489 §5).
const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const MAGIC_COOKIE: u32 = 0x2112_A442;

/// What was looked at.
#[derive(Debug)]
pub struct Finding {
    /// What.
    pub what: &'static str,
    /// How it is, or what is wrong and what to do.
    pub found: Result<String, String>,
}

fn finding(what: &'static str, found: Result<String, String>) -> Finding {
    Finding { what, found }
}

/// Looks at everything, one thing after the other.
pub async fn examine(config: &Config) -> Vec<Finding> {
    let mut found = vec![
        finding("folder", folder_of(&config.data)),
        finding("database", database(config).await),
        finding("attachments", attachments(config).await),
        finding("keys", keys(config)),
        finding("connections", connections()),
    ];
    let (is_running, listens) = listens(config).await;
    found.push(finding("address", listens));
    match &config.relay {
        Some(relay) => found.push(finding("relay", relay_answers(relay, is_running).await)),
        None if config.own_relay.is_some() => {
            let own = config.own_relay_credentials();
            let own = own.map(|_| "the clinic's own".to_owned()).map_err(|error| error.to_string());
            found.push(finding("relay", own));
        }
        None => {
            let why = "there is none: calls between networks that let nothing else through fail. Give \
                --relay-public-ip, the address that people reach this machine at"
                .to_owned();
            found.push(finding("relay", Err(why)));
        }
    }
    if let Some(url) = &config.public_url {
        found.push(finding("public address", public(url, is_running).await));
    }
    if let Some(tls) = &config.tls {
        let opened = crate::tls::Tls::open(&tls.certificate, &tls.key);
        let said = opened.map(|_| "the certificate and its key can be read".to_owned());
        found.push(finding(
            "certificate",
            said.map_err(|error| {
                format!("{}: {error}. Both files are PEM, and belong together", tls.certificate.display())
            }),
        ));
    }
    match Outgoing::open(config) {
        Ok(outgoing) => {
            let late =
                || Some(Err("the mail server does not answer: is it its address and port?".to_owned()));
            let answers = tokio::time::timeout(ANSWERS_WITHIN, outgoing.mail_answers()).await;
            if let Some(answers) = answers.unwrap_or_else(|_| late()) {
                found.push(finding("mail", answers));
            }
        }
        Err(error) => found.push(finding("mail and text messages", Err(error.to_string()))),
    }
    found
}

fn folder_of(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let Ok(there) = std::fs::metadata(path) else { return made_at_first(path) };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if there.permissions().mode() & 0o077 != 0 {
            return Err(format!("others on this machine may look into {shown}: chmod 700 {shown}"));
        }
    }
    if there.permissions().readonly() {
        return Err(format!("{shown} can't be written to"));
    }
    match folder::free(path) {
        Ok(Some(free)) if free < folder::LITTLE => {
            Err(format!("less than {} MB are free under {shown}: make room", free / 1_048_576))
        }
        Ok(free) => Ok(match free {
            Some(free) => format!("{shown}, {} GB free", free / 1_073_741_824),
            None => shown.to_string(),
        }),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// A folder that is not there: the first start makes it, where there is something to make it in.
fn made_at_first(path: &Path) -> Result<String, String> {
    let shown = path.display();
    // With what it is in. More than that missing is a slip of the keyboard, or a disk that is not mounted.
    let mut above = path.ancestors().skip(1).take(3);
    let is_root = |above: &Path| above.has_root() && above.parent().is_none();
    if above.any(|above| above.as_os_str().is_empty() || (above.is_dir() && !is_root(above))) {
        Ok(format!("{shown} is made at the first start"))
    } else {
        Err(format!(
            "{shown} is not there, nor what it would be in: is it written right, and is its disk mounted?"
        ))
    }
}

fn keys(config: &Config) -> Result<String, String> {
    let path = config.sealing_keys_path();
    if config.sealing_keys_file.is_none() && !path.exists() {
        return made_at_first(&path);
    }
    let keys = config.sealing_keys().map_err(|error| error.to_string())?;
    let ids: Vec<String> = keys.ids().map(|id| id.to_string()).collect();
    Ok(format!("{}: {} seals", path.display(), ids.join(", then ")))
}

async fn attachments(config: &Config) -> Result<String, String> {
    let path = match &config.attachments {
        Place::Folder(path) => path,
        Place::Bucket(bucket) => {
            let said = |error: &dyn std::fmt::Display| {
                format!("{error}. Look at s3-endpoint, s3-region, s3-key-file, and what the key may do")
            };
            let blobs = Blobs::bucket(bucket).map_err(|error| said(&error))?;
            let mut names = blobs.names();
            return match tokio::time::timeout(ANSWERS_WITHIN, names.next()).await {
                Ok(None | Some(Ok(_))) => Ok(format!("the bucket {}", bucket.name)),
                Ok(Some(Err(error))) => Err(said(&error)),
                Err(_) => Err("it does not answer: is it up, and does a firewall stand between?".to_owned()),
            };
        }
    };
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => Ok(path.display().to_string()),
        Ok(_) => Err(format!("{} is no folder", path.display())),
        Err(_) => made_at_first(path),
    }
}

async fn database(config: &Config) -> Result<String, String> {
    let looked = tokio::time::timeout(ANSWERS_WITHIN, Store::schema(&config.database)).await;
    let looked =
        looked.map_err(|_| "it does not answer: is it up, and does a firewall stand between?".to_owned())?;
    match looked.map_err(|error| format!("{error}. Look at --database and its password's file"))? {
        Schema::Missing => Ok("it is empty: the first start fills it".to_owned()),
        Schema::Older { has, wants } => Ok(format!("schema {has}: the next start brings it to {wants}")),
        Schema::Current { schema, clock } => {
            let off = clock.map(|clock| (clock.as_second() - Timestamp::now().as_second()).abs());
            match off {
                Some(off) if off > CLOCK_WITHIN => Err(format!(
                    "its clock and this machine's are {off} s apart: let both follow a time server"
                )),
                _ => Ok(format!("schema {schema}")),
            }
        }
        Schema::Newer(has) => Err(format!(
            "schema {has} is a newer version's: start that version, or restore a backup of before"
        )),
    }
}

fn connections() -> Result<String, String> {
    let share = descriptors::share();
    if share.connections < FEW_CONNECTIONS {
        return Err(format!(
            "only {} connections at once: let the process have more descriptors (ulimit -n, LimitNOFILE=65536)",
            share.connections
        ));
    }
    Ok(format!("{} requests and {} realtime clients at once", share.connections, share.sockets))
}

/// Whether a service of ours is there already, and how it is.
async fn listens(config: &Config) -> (bool, Result<String, String>) {
    let address = config.listen;
    match TcpListener::bind(address).await {
        Ok(_) => (false, Ok(format!("{address} is free"))),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let near = if address.ip().is_unspecified() {
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
            } else {
                address
            };
            let scheme = if config.tls.is_some() { "https" } else { "http" };
            // Whose certificate it is does not matter here.
            let client =
                reqwest::Client::builder().tls_danger_accept_invalid_certs(true).timeout(ANSWERS_WITHIN);
            let answer = match client.build() {
                Ok(client) => client.get(format!("{scheme}://{near}/ready")).send().await,
                Err(error) => return (false, Err(error.to_string())),
            };
            match answer.map(|answer| answer.status().as_u16()) {
                Ok(200) => (true, Ok(format!("a service runs at {address}, and is ready"))),
                Ok(503) => {
                    (true, Err(format!("a service runs at {address}, but its database does not answer")))
                }
                _ => {
                    (false, Err(format!("another program has {address}: stop it, or give another --listen")))
                }
            }
        }
        Err(error) => {
            (false, Err(format!("{address} can't be listened on: {error}. Is it one of this machine's?")))
        }
    }
}

/// Asks the relay what a client asks first. It answers while the service runs.
async fn relay_answers(relay: &RelayConfig, is_running: bool) -> Result<String, String> {
    let address = SocketAddr::new(relay.public_ip, relay.listen.port());
    if !is_running {
        return Ok(format!("it will be at {address}; look again while the service runs"));
    }
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let asked = async {
        let socket = UdpSocket::bind(any).await?;
        let mut request = vec![];
        request.extend(BINDING_REQUEST.to_be_bytes());
        request.extend(0_u16.to_be_bytes());
        request.extend(MAGIC_COOKIE.to_be_bytes());
        request.extend(rand::random::<[u8; 12]>());
        socket.send_to(&request, address).await?;
        let mut answer = [0; 512];
        let (length, _) = socket.recv_from(&mut answer).await?;
        let is_answer =
            length >= 20 && answer[..2] == BINDING_SUCCESS.to_be_bytes() && answer[4..20] == request[4..20];
        Ok::<_, std::io::Error>(is_answer)
    };
    match tokio::time::timeout(ANSWERS_WITHIN, asked).await {
        Ok(Ok(true)) => Ok(format!("it answers at {address}, from here; try it from outside as well")),
        Ok(Ok(false)) => Err(format!("something else answers at {address}, UDP")),
        Ok(Err(error)) => Err(format!("{address}: {error}")),
        Err(_) => Err(format!(
            "nothing comes back from {address}, UDP: is it this machine's address as others see it, and does the \
             firewall let UDP through?"
        )),
    }
}

async fn public(url: &url::Url, is_running: bool) -> Result<String, String> {
    if !is_running {
        return Ok(format!("{url}; look again while the service runs"));
    }
    let asked = async {
        let client = reqwest::Client::builder().timeout(ANSWERS_WITHIN).build()?;
        client.get(url.join("health").unwrap_or_else(|_| url.clone())).send().await
    };
    let answer = asked.await.map_err(|error| {
        format!(
            "{url} does not answer ({}): do its name, its certificate and the proxy fit?",
            error.without_url()
        )
    })?;
    if !answer.status().is_success() {
        return Err(format!("{url} answers {}: is the proxy's way to this service right?", answer.status()));
    }
    Ok(format!("{url} answers"))
}
