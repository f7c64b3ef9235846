//! Three services as processes behind a plain balancer, killed one after another while people write: nothing that was
//! confirmed is lost or doubled, and everybody is back within seconds.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_protocol::{app, stomp::Frame, topic};
use bedside_servers::Nats;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use crate::{
    common::{Clinic, Person, clinic_with, folder, shared_database},
    sockets::{Socket, send},
};

/// What the services share.
struct Shared {
    database: String,
    attachments: std::path::PathBuf,
    sealing_keys: std::path::PathBuf,
    /// Servers of NATS, with commas between them.
    nats: Option<String>,
}

/// A service as clinics run it.
struct Process {
    child: Child,
    address: SocketAddr,
    data: tempfile::TempDir,
}

impl Process {
    async fn start(shared: &Shared) -> Self {
        let data = tempfile::tempdir().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut process = Self { child: Self::run(shared, data.path(), address), address, data };
        process.is_up().await;
        process
    }

    fn run(shared: &Shared, data: &std::path::Path, address: SocketAddr) -> Child {
        Command::new(env!("CARGO_BIN_EXE_bedside-service"))
            .args(["--listen", &address.to_string(), "--database", &shared.database, "--no-relay"])
            .args(shared.nats.iter().flat_map(|servers| ["--nats", servers]))
            .arg("--data")
            .arg(data)
            .arg("--attachments")
            .arg(&shared.attachments)
            .arg("--sealing-keys-file")
            .arg(&shared.sealing_keys)
            .arg("serve")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn is_up(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(self.address).await.is_err() {
            assert!(self.child.try_wait().unwrap().is_none(), "the service has ended");
            assert!(Instant::now() < deadline, "the service does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn kill(&mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    async fn start_again(&mut self, shared: &Shared) {
        self.child = Self::run(shared, self.data.path(), self.address);
        self.is_up().await;
    }
}

/// Connects each client to the next service that answers, and knows nothing of what they say.
async fn balance(listener: TcpListener, services: Vec<SocketAddr>) {
    let next = Arc::new(AtomicUsize::new(0));
    loop {
        let (mut client, _) = listener.accept().await.unwrap();
        let (services, next) = (services.clone(), next.clone());
        tokio::spawn(async move {
            for _ in 0..services.len() {
                let service = services[next.fetch_add(1, Ordering::Relaxed) % services.len()];
                if let Ok(mut server) = TcpStream::connect(service).await {
                    // Either end may break off.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
            }
        });
    }
}

/// What one person wrote and heard.
#[derive(Default)]
struct Told {
    /// Client's id to the service's, of what was confirmed.
    confirmed: BTreeMap<String, String>,
    /// How many of others' messages they heard as they were written.
    heard: usize,
    /// The longest that they were away.
    longest_away: Duration,
}

/// Writes one message after another, each again until it is confirmed, and comes back when cut off.
async fn write(address: SocketAddr, clinic: Arc<Clinic>, who: Arc<Person>, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let mut socket = None;
    let mut away_since = Instant::now();
    let mut is_first = true;
    while !stop.load(Ordering::Relaxed) {
        let id = uuid::Uuid::new_v4().to_string();
        let payload = json!({ "sessionId": clinic.session, "messageType": "text", "content": id, "clientMessageId": id });
        let frame = send(app::CHAT_SEND, &json!({ "type": "CHAT_MESSAGE", "payload": payload }));
        loop {
            let mut live = match socket.take() {
                Some(live) => live,
                None => match comes_back(address, &clinic, &who).await {
                    Some(live) => {
                        if !is_first {
                            told.longest_away = told.longest_away.max(away_since.elapsed());
                        }
                        is_first = false;
                        live
                    }
                    None => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            if let Some(message) = confirmed(&mut live, &frame, &id, &mut told.heard).await {
                told.confirmed.insert(id, message);
                socket = Some(live);
                break;
            }
            away_since = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    told
}

async fn comes_back(address: SocketAddr, clinic: &Clinic, who: &Person) -> Option<Socket> {
    let mut socket = Socket::try_signed_in_at(address, &who.token).await?;
    socket.try_subscribe(&topic::session(clinic.session)).await.then_some(socket)
}

/// The service's id of a message, once it has come back.
async fn confirmed(socket: &mut Socket, frame: &Frame, id: &str, others: &mut usize) -> Option<String> {
    if !socket.try_send(frame).await {
        return None;
    }
    loop {
        let heard = tokio::time::timeout(Duration::from_secs(5), socket.try_frame()).await.ok()??;
        let heard: Value = serde_json::from_str(&heard.body).unwrap_or_default();
        if heard["payload"]["clientMessageId"] == id {
            return Some(heard["payload"]["messageId"].as_str().unwrap().to_owned());
        }
        *others += usize::from(heard["type"] == "CHAT_MESSAGE");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_services_may_die() {
    survive(vec![]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_services_and_any_server_of_nats_may_die() {
    survive(Nats::start_cluster(3).unwrap()).await;
}

async fn survive(mut cluster: Vec<Nats>) {
    let database = shared_database();
    let url = database.parse().unwrap();
    let clinic = Arc::new(clinic_with(|settings| settings.database = Some(url)).await);
    clinic.in_the_call().await;
    let addresses: Vec<_> = cluster.iter().map(Nats::address).collect();
    let shared = Shared {
        database,
        attachments: folder(&clinic.service.config.attachments).to_owned(),
        sealing_keys: clinic.service.config.sealing_keys_path(),
        nats: (!cluster.is_empty()).then(|| addresses.join(",")),
    };
    let mut processes = vec![];
    for _ in 0..3 {
        processes.push(Process::start(&shared).await);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = listener.local_addr().unwrap();
    let balancer = tokio::spawn(balance(listener, processes.iter().map(|process| process.address).collect()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = vec![];
    for name in ["doctor", "patient", "doctor", "patient"] {
        let who = Arc::new(clinic.service.sign_in(&crate::common::email(name)).await);
        writers.push(tokio::spawn(write(front, clinic.clone(), who, stop.clone())));
    }
    // Each in its turn, while the others go on.
    for process in &mut processes {
        tokio::time::sleep(Duration::from_millis(700)).await;
        process.kill().await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        process.start_again(&shared).await;
    }
    for server in &mut cluster {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill().unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.resume().unwrap();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::Relaxed);
    let mut confirmed = BTreeMap::new();
    for writer in writers {
        let told = tokio::time::timeout(Duration::from_secs(30), writer).await.unwrap().unwrap();
        assert!(told.longest_away < Duration::from_secs(5), "away for {:?}", told.longest_away);
        assert!(told.confirmed.len() > 10, "they hardly wrote");
        // There are three others: of whom some are at other services.
        assert!(told.heard > told.confirmed.len(), "heard {} of others", told.heard);
        confirmed.extend(told.confirmed);
    }
    balancer.abort();
    let stored = stored(&clinic).await;
    for (id, message) in &confirmed {
        let found: Vec<_> = stored.iter().filter(|(content, _)| content == id).collect();
        assert_eq!(found.len(), 1, "a confirmed message is stored once");
        assert_eq!(&found[0].1, message);
    }
}

/// All messages of the visit: what they say and their ids.
async fn stored(clinic: &Clinic) -> Vec<(String, String)> {
    let (mut all, mut after) = (vec![], 0);
    loop {
        let path = clinic.path(&format!("/chat?after={after}&limit=100"));
        let (_, page) = clinic.service.send(Method::GET, &path, Some(&clinic.doctor.token), None).await;
        let items = page["items"].as_array().unwrap();
        if items.is_empty() {
            return all;
        }
        for item in items {
            let seq = item["seq"].as_u64().unwrap();
            assert_eq!(seq, after + 1, "numbers without a gap");
            after = seq;
            let text = |name: &str| item[name].as_str().unwrap().to_owned();
            all.push((text("content"), text("messageId")));
        }
    }
}
