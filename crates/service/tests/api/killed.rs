//! Services as processes, one or three behind a plain balancer, killed one after another while people write: nothing that
//! was confirmed is lost or doubled, and everybody is back within seconds.
//!
//! `BEDSIDE_TEST_KILLS` says how often, and `BEDSIDE_TEST_SOCKETS` how many others are connected meanwhile.
#![expect(clippy::print_stdout, reason = "figures of a run by hand")]

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

use bedside_protocol::{Role, app, stomp::Frame, topic};
use bedside_servers::{Nats, Postgres};
use bedside_service::{App, machines, store::Database};
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
    /// None for a file of the only one.
    database: Option<String>,
    attachments: std::path::PathBuf,
    sealing_keys: std::path::PathBuf,
    /// Servers of NATS, with commas between them.
    nats: Option<String>,
}

/// A service as clinics run it.
struct Process {
    child: Child,
    address: SocketAddr,
    data: std::path::PathBuf,
}

impl Process {
    async fn start(shared: &Shared, data: std::path::PathBuf) -> Self {
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut process = Self { child: Self::run(shared, &data, address), address, data };
        process.is_up().await;
        process
    }

    fn run(shared: &Shared, data: &std::path::Path, address: SocketAddr) -> Child {
        Command::new(env!("CARGO_BIN_EXE_bedside-service"))
            .args(["--listen", &address.to_string(), "--no-relay=true"])
            .args(shared.database.iter().flat_map(|database| ["--database", database]))
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
        self.child = Self::run(shared, &self.data, self.address);
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

/// The longest that a message may take from its first sending, with all that is killed meanwhile: to notice that nothing
/// comes, to come back, and what a service waits for its database.
const LONGEST: Duration = Duration::from_secs(10);

/// What one person wrote and heard.
#[derive(Default)]
struct Told {
    /// Client's id to the service's, of what was confirmed.
    confirmed: BTreeMap<String, String>,
    /// How many of others' messages they heard as they were written.
    heard: usize,
    /// The longest that a message of theirs took from when they first sent it, away or not.
    longest_away: Duration,
}

/// Writes one message after another, each again until it is confirmed, and comes back when cut off.
async fn write(address: SocketAddr, clinic: Arc<Clinic>, who: Arc<Person>, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let mut socket = None;
    while !stop.load(Ordering::Relaxed) {
        let id = uuid::Uuid::new_v4().to_string();
        let payload = json!({ "sessionId": clinic.session, "messageType": "text", "content": id, "clientMessageId": id });
        let frame = send(app::CHAT_SEND, &json!({ "type": "CHAT_MESSAGE", "payload": payload }));
        // The first time they come, nobody has missed them.
        let mut sent = socket.is_some().then(Instant::now);
        loop {
            let mut live = match socket.take() {
                Some(live) => live,
                None => match comes_back(address, &clinic, &who).await {
                    Some(live) => live,
                    None => {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
            };
            let since = *sent.get_or_insert_with(Instant::now);
            if let Some(message) = confirmed(&mut live, &frame, &id, &mut told.heard).await {
                told.longest_away = told.longest_away.max(since.elapsed());
                told.confirmed.insert(id, message);
                socket = Some(live);
                break;
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    told
}

async fn comes_back(address: SocketAddr, clinic: &Clinic, who: &Person) -> Option<Socket> {
    let mut socket = Socket::try_signed_in_at(address, &who.token).await?;
    let hears = socket.try_subscribe(topic::ERRORS).await
        && socket.try_subscribe(&topic::session(clinic.session)).await;
    hears.then_some(socket)
}

/// The service's id of a message, once it has come back.
async fn confirmed(socket: &mut Socket, frame: &Frame, id: &str, others: &mut usize) -> Option<String> {
    if !socket.try_send(frame).await {
        return None;
    }
    loop {
        // Where nothing comes, they come back: the same message again is the same message.
        let heard = tokio::time::timeout(Duration::from_secs(2), socket.try_frame()).await.ok()??;
        let heard: Value = serde_json::from_str(&heard.body).unwrap_or_default();
        if heard["type"] == "CHAT_MESSAGE" && heard["payload"]["clientMessageId"] == id {
            return Some(heard["payload"]["messageId"].as_str().unwrap().to_owned());
        }
        *others += usize::from(heard["type"] == "CHAT_MESSAGE");
        if heard["payload"]["code"] == "unavailable" {
            // Not now: again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            if !socket.try_send(frame).await {
                return None;
            }
        }
    }
}

/// A number of the environment, or this.
fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().map_or(otherwise, |number| number.parse().unwrap())
}

/// Sockets of one person; the service lets each have sixteen.
const SOCKETS_EACH: usize = 14;

/// Connected for as long as the test lasts, and again when cut off; gives the longest that it was away.
async fn listens(address: SocketAddr, token: String, stop: Arc<AtomicBool>) -> Duration {
    let (mut longest, mut away_since) = (Duration::ZERO, None::<Instant>);
    while !stop.load(Ordering::Relaxed) {
        let subscribed = async {
            let mut socket = Socket::try_signed_in_at(address, &token).await?;
            socket.try_subscribe(topic::NOTIFICATIONS).await.then_some(socket)
        };
        let Some(mut socket) = subscribed.await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        longest = longest.max(away_since.map_or(Duration::ZERO, |since| since.elapsed()));
        // Until it is cut off; a beat comes every ten seconds.
        loop {
            let heard = tokio::time::timeout(Duration::from_millis(500), socket.try_frame()).await;
            match heard {
                Ok(None) => break,
                Err(_) if stop.load(Ordering::Relaxed) => return longest,
                Ok(Some(_)) | Err(_) => {}
            }
        }
        away_since = Some(Instant::now());
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_service_may_die() {
    let mut clinic = clinic_with(|_| ()).await;
    clinic.in_the_call().await;
    let shared = Shared {
        database: match &clinic.service.config.database {
            Database::Sqlite(_) => None,
            Database::Postgres { url, .. } => Some(url.to_string()),
        },
        attachments: folder(&clinic.service.config.attachments).to_owned(),
        sealing_keys: clinic.service.config.sealing_keys_path(),
        nats: None,
    };
    clinic.service.stop().await;
    let data = clinic.service.config.data.clone();
    let process = Process::start(&shared, data).await;
    let (told, mut clinic, _) = survive(clinic, shared, vec![process], vec![]).await;
    clinic.service.start_again().await;
    check(&clinic, told).await;
}

/// A server that the services stand on, which may die as well.
enum Beneath {
    Nats(Nats),
    /// The bus as well, where there is no NATS.
    Postgres(Postgres),
}

impl Beneath {
    fn kill(&mut self) {
        match self {
            Self::Nats(server) => server.kill().unwrap(),
            Self::Postgres(server) => server.halt().unwrap(),
        }
    }

    fn resume(&mut self) {
        match self {
            Self::Nats(server) => server.resume().unwrap(),
            Self::Postgres(server) => server.resume().unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_services_may_die() {
    of_three(shared_database(), vec![]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_services_and_their_bus_may_die() {
    let postgres = Postgres::start_own().unwrap();
    of_three(postgres.database().unwrap(), vec![Beneath::Postgres(postgres)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_of_three_services_and_any_server_of_nats_may_die() {
    let cluster = Nats::start_cluster(3).unwrap();
    of_three(shared_database(), cluster.into_iter().map(Beneath::Nats).collect()).await;
}

async fn of_three(database: String, beneath: Vec<Beneath>) {
    let url = database.parse().unwrap();
    let clinic = clinic_with(|settings| settings.database = Some(url)).await;
    clinic.in_the_call().await;
    let addresses = |server: &Beneath| match server {
        Beneath::Nats(server) => Some(server.address()),
        Beneath::Postgres(_) => None,
    };
    let addresses: Vec<_> = beneath.iter().filter_map(addresses).collect();
    let shared = Shared {
        database: Some(database),
        attachments: folder(&clinic.service.config.attachments).to_owned(),
        sealing_keys: clinic.service.config.sealing_keys_path(),
        nats: (!addresses.is_empty()).then(|| addresses.join(",")),
    };
    let data = tempfile::tempdir().unwrap();
    let mut processes = vec![];
    for number in 0..3 {
        processes.push(Process::start(&shared, data.path().join(number.to_string())).await);
    }
    let (told, clinic, _beneath) = survive(clinic, shared, processes, beneath).await;
    check(&clinic, told).await;
}

/// Kills each in its turn while people write; gives what they were told.
async fn survive(
    clinic: Clinic,
    shared: Shared,
    mut processes: Vec<Process>,
    mut beneath: Vec<Beneath>,
) -> (Vec<Told>, Clinic, Vec<Beneath>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = listener.local_addr().unwrap();
    let balancer = tokio::spawn(balance(listener, processes.iter().map(|process| process.address).collect()));
    let stop = Arc::new(AtomicBool::new(false));
    let clinic = Arc::new(clinic);
    let mut writers = vec![];
    for who in [&clinic.doctor, &clinic.patient, &clinic.doctor, &clinic.patient] {
        let who = Person { id: who.id, token: who.token.clone(), refresh: String::new() };
        writers.push(tokio::spawn(write(front, clinic.clone(), Arc::new(who), stop.clone())));
    }
    let mut listeners = vec![];
    let others = number("BEDSIDE_TEST_SOCKETS", 0);
    if others > 0 {
        let app = App::open(clinic.service.config.clone(), None).await.unwrap();
        for person in 0..others.div_ceil(SOCKETS_EACH) {
            let lasts = jiff::SignedDuration::from_hours(1);
            let made = machines::add(&app, Role::Service, &format!("{person}"), None, lasts).await.unwrap();
            for _ in 0..SOCKETS_EACH.min(others - person * SOCKETS_EACH) {
                listeners.push(tokio::spawn(listens(front, made.token.expose().to_owned(), stop.clone())));
            }
        }
        app.store.close().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    // Each in its turn, while the others go on.
    let services = processes.len();
    for kill in 0..number("BEDSIDE_TEST_KILLS", 3) {
        let process = &mut processes[kill % services];
        tokio::time::sleep(Duration::from_millis(700)).await;
        process.kill().await;
        tokio::time::sleep(Duration::from_millis(if services > 1 { 700 } else { 50 })).await;
        process.start_again(&shared).await;
    }
    for server in &mut beneath {
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.kill();
        tokio::time::sleep(Duration::from_millis(700)).await;
        server.resume();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    stop.store(true, Ordering::Relaxed);
    let mut told = vec![];
    for writer in writers {
        told.push(tokio::time::timeout(Duration::from_secs(30), writer).await.unwrap().unwrap());
    }
    let mut longest = Duration::ZERO;
    for listener in listeners {
        longest =
            longest.max(tokio::time::timeout(Duration::from_secs(30), listener).await.unwrap().unwrap());
    }
    assert!(longest < Duration::from_secs(5), "of {others} others, one was away for {longest:?}");
    balancer.abort();
    for process in &mut processes {
        process.kill().await;
    }
    println!(
        "{others} others away for {longest:?} at the longest, the writers for {:?}",
        told.iter().map(|told| told.longest_away).max().unwrap_or_default()
    );
    (told, Arc::into_inner(clinic).unwrap(), beneath)
}

/// What was confirmed is there once, as it was confirmed.
async fn check(clinic: &Clinic, told: Vec<Told>) {
    let mut confirmed = BTreeMap::new();
    for told in told {
        assert!(told.longest_away < LONGEST, "a message took {:?}", told.longest_away);
        assert!(told.confirmed.len() > 10, "they hardly wrote");
        // There are three others: of whom some are at other services.
        assert!(told.heard > told.confirmed.len(), "heard {} of others", told.heard);
        confirmed.extend(told.confirmed);
    }
    let mut stored_once = BTreeMap::new();
    for (content, message) in stored(clinic).await {
        assert!(stored_once.insert(content, message).is_none(), "a message is stored twice");
    }
    println!("{} messages confirmed, {} stored", confirmed.len(), stored_once.len());
    for (id, message) in &confirmed {
        assert_eq!(stored_once.get(id), Some(message), "a confirmed message is stored as it was confirmed");
    }
    let (_, visit) =
        clinic.service.send(Method::GET, &clinic.path(""), Some(&clinic.doctor.token), None).await;
    assert_eq!(visit["status"], "IN_PROGRESS", "the visit goes on");
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
            if item["messageType"] == "text" {
                all.push((text("content"), text("messageId")));
            }
        }
    }
}
