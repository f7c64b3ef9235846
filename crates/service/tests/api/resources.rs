//! What a machine runs out of: a disk that is full, and memory that slow senders would take.
#![cfg(target_os = "linux")]

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    process::{Child, Command},
};

use crate::common::PASSWORD;

/// Megabytes of the disk that the service has: a little more than an empty database and what SQLite keeps beside it.
const DISK: usize = 24;

/// A service that runs as a process, with a doctor and a patient.
struct Service {
    child: Child,
    address: SocketAddr,
    data: PathBuf,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Service {
    /// One whose data is on a disk of its own, where it has a size.
    async fn start(disk: Option<usize>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = env!("CARGO_BIN_EXE_bedside-service");
        let common = format!("{program} --data {} --no-relay=true --listen {address}", data.display());
        let account = |role: &str| {
            format!("{common} account add-{role} --email {role}@planted.example --name 'Planted {role}'")
        };
        let mount = disk.map_or("true".to_owned(), |megabytes| {
            format!("mount -t tmpfs -o size={megabytes}m tmpfs {}", data.display())
        });
        let script = format!(
            "set -e; {mount}; {} >&2; {} >&2; exec {common} serve",
            account("doctor"),
            account("patient")
        );
        // A disk of one's own takes a namespace of one's own.
        let child = Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", &script])
            .env("BEDSIDE_PASSWORD", PASSWORD)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // Only the first finds none installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::new();
        let mut service = Self { child, address, data, http, _folder: folder };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).await.is_err() {
            assert!(service.child.try_wait().unwrap().is_none(), "the service has ended");
            assert!(Instant::now() < deadline, "the service does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        service
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request =
            self.http.request(method, format!("http://{}{path}", self.address)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            assert!(answer.headers().contains_key("retry-after"), "{path}: when to ask again");
        }
        (status, answer.json().await.unwrap_or_default())
    }

    async fn sign_in(&self, role: &str) -> (String, Value) {
        let body = json!({ "email": format!("{role}@planted.example"), "password": PASSWORD });
        let (status, pair) = self.send(Method::POST, "/api/v1/auth/login", "", Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{pair}");
        (pair["accessToken"].as_str().unwrap().to_owned(), pair["user"]["id"].clone())
    }

    /// A visit of the two; gives its path, and the tokens of the doctor and of the patient.
    async fn visit(&self) -> (String, String, String) {
        let ((doctor, _), (patient, id)) = (self.sign_in("doctor").await, self.sign_in("patient").await);
        let body = json!({ "patientId": id, "consultationMode": "VIDEO", "scheduledDurationMinutes": 15 });
        let path = "/api/v1/consultations/sessions";
        let (status, made) = self.send(Method::POST, &format!("{path}/instant"), &doctor, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        (format!("{path}/{}", made["sessionId"].as_str().unwrap()), doctor, patient)
    }

    /// Its data as its process sees it.
    fn disk(&self) -> PathBuf {
        let process = self.child.id().unwrap();
        Path::new("/proc").join(process.to_string()).join("root").join(self.data.strip_prefix("/").unwrap())
    }

    /// Bytes of memory that are its own.
    fn memory(&self) -> u64 {
        let path = format!("/proc/{}/smaps_rollup", self.child.id().unwrap());
        let text = std::fs::read_to_string(path).unwrap();
        let line = text.lines().find(|line| line.starts_with("Pss_Anon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
    }
}

#[tokio::test]
async fn with_a_full_disk_people_read_on_and_are_told_what_was_not_kept() {
    let service = Service::start(Some(DISK)).await;
    let (visit, doctor, patient) = service.visit().await;
    let notes = format!("{visit}/notes");
    let write =
        async |text: &str| service.send(Method::PUT, &notes, &doctor, Some(json!({ "notes": text }))).await.0;
    assert_eq!(write("before").await, StatusCode::OK);
    // Something else on the machine takes all that there is.
    let other = service.disk().join("other");
    let mut other_file = std::fs::File::create(&other).unwrap();
    while other_file.write_all(&[7; 4_096]).is_ok() {}
    let long = "x".repeat(19_000);
    let mut kept = "before".to_owned();
    let mut refused = false;
    for count in 0..2_000 {
        let text = format!("{count} {long}");
        match write(&text).await {
            StatusCode::OK => kept = text,
            status => {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
                refused = true;
                break;
            }
        }
    }
    assert!(refused, "there is no room for all of it");
    // The patient and the doctor see what there is.
    for (path, token) in [(&visit, &patient), (&format!("{visit}/chat"), &patient), (&notes, &doctor)] {
        let (status, answer) = service.send(Method::GET, path, token, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
    }
    let (_, read) = service.send(Method::GET, &notes, &doctor, None).await;
    assert!(read["notes"] == json!(kept), "what was refused is not there, and what was kept is");
    let file = service.http.post(format!("http://{}{visit}/attachments?name=a.txt", service.address));
    let sent = file.bearer_auth(&patient).body("text ".repeat(100_000)).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::SERVICE_UNAVAILABLE);

    // There is room for it once, but not while it is brought into its place: it is not there by half.
    let size = std::fs::metadata(&other).unwrap().len();
    other_file.set_len(size - 700 * 1_024).unwrap();
    let file = service.http.post(format!("http://{}{visit}/attachments?name=a.txt", service.address));
    let sent = file.bearer_auth(&patient).body("text ".repeat(100_000)).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::SERVICE_UNAVAILABLE);

    // Somebody makes room: it goes on by itself, and nothing of what was refused is in the way.
    drop(other_file);
    std::fs::remove_file(other).unwrap();
    assert_eq!(write("after").await, StatusCode::OK);
    let file = service.http.post(format!("http://{}{visit}/attachments?name=a.txt", service.address));
    let sent = file.bearer_auth(&patient).body("text ".repeat(100_000)).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    // Who looked meanwhile is written down now.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (_, audit) = service.send(Method::GET, "/api/v1/audit?limit=200", &patient, None).await;
        let did =
            |action: &str| audit["items"].as_array().unwrap().iter().any(|line| line["action"] == action);
        if did("SESSION_READ") && did("NOTES_READ") {
            break;
        }
        assert!(Instant::now() < deadline, "{audit}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn files_that_stop_halfway_take_no_memory() {
    const SENT: usize = 12 * 1024 * 1024;
    let service = Service::start(None).await;
    let (visit, doctor, patient) = service.visit().await;
    let before = service.memory();
    let mut stalled = vec![];
    for token in [&doctor, &patient] {
        // As many as one person may send at once.
        for _ in 0..4 {
            let mut socket = TcpStream::connect(service.address).await.unwrap();
            let head = format!(
                "POST {visit}/attachments?name=a.txt HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
                 content-type: text/plain\r\ncontent-length: {}\r\n\r\n",
                SENT + 1
            );
            socket.write_all(head.as_bytes()).await.unwrap();
            stalled.push(socket);
        }
    }
    let part = vec![b'a'; 64 * 1024];
    for socket in &mut stalled {
        for _ in 0..SENT / part.len() {
            socket.write_all(&part).await.unwrap();
        }
    }
    let held = service.memory().saturating_sub(before);
    let sent = (SENT * stalled.len()) as u64;
    assert!(held < sent / 6, "of {sent} bytes that came, {held} are in memory");
}
