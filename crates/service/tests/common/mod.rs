//! A service on a port of its own, with people.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test uses its own part")]

use std::{net::SocketAddr, sync::LazyLock};

use bedside_protocol::{ConsultationMode, CreateAppointmentRequest, Role, SessionId, UserId};
use bedside_service::{
    App, Config, accounts,
    config::{Place, Settings},
};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

pub const PASSWORD: &str = "a long enough password";
/// Of everybody, so that a name is recognised where none should be.
pub const SURNAME: &str = "Quillfeather";
/// Where everybody's e-mail goes.
pub const DOMAIN: &str = "planted.example";

/// What the services of these tests keep things in: `sqlite`, which is the default, or `postgres`.
const DATABASE: &str = "BEDSIDE_TEST_DATABASE";

/// The server that they share.
static POSTGRES: LazyLock<bedside_servers::Postgres> =
    LazyLock::new(|| bedside_servers::Postgres::start().expect("PostgreSQL starts"));

/// The folder of files.
pub fn folder(place: &Place) -> &std::path::Path {
    match place {
        Place::Folder(folder) => folder,
        Place::Bucket(bucket) => panic!("they are in the bucket {}", bucket.name),
    }
}

/// A running service.
pub struct Service {
    pub address: SocketAddr,
    pub http: reqwest::Client,
    pub config: Config,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

/// Somebody with an account, signed in.
pub struct Person {
    pub id: UserId,
    pub token: String,
    pub refresh: String,
}

/// Two people with a visit, and some who have none in it.
pub struct Clinic {
    pub service: Service,
    pub doctor: Person,
    pub patient: Person,
    pub other_doctor: Person,
    pub other_patient: Person,
    pub admin: Person,
    pub session: SessionId,
}

/// What somebody signs in with.
pub fn email(name: &str) -> String {
    format!("{name}@{DOMAIN}")
}

/// A new database that several services can share.
pub fn shared_database() -> String {
    POSTGRES.database().unwrap()
}

/// Starts a service with a visit that is about to begin.
pub async fn clinic() -> Clinic {
    clinic_for(ConsultationMode::Video).await
}

/// The same, with a visit of this kind.
pub async fn clinic_for(mode: ConsultationMode) -> Clinic {
    clinic_of(mode, |_| ()).await
}

/// The same, with other settings.
pub async fn clinic_with(change: impl FnOnce(&mut Settings)) -> Clinic {
    clinic_of(ConsultationMode::Video, change).await
}

async fn clinic_of(mode: ConsultationMode, change: impl FnOnce(&mut Settings)) -> Clinic {
    // Only the first test of a process finds none installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        // A port of its own, and the same after a restart.
        relay_listen: Some(std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()),
        data: Some(folder.path().to_owned()),
        ..Settings::default()
    };
    if std::env::var(DATABASE).is_ok_and(|database| database == "postgres") {
        settings.database = Some(shared_database().parse().unwrap());
    }
    change(&mut settings);
    let config = settings.complete();
    let app = App::open(config.clone(), None).await.unwrap();
    let people = [
        (Role::Doctor, "doctor"),
        (Role::Patient, "patient"),
        (Role::Doctor, "other-doctor"),
        (Role::Patient, "other-patient"),
        (Role::ClinicAdmin, "admin"),
    ];
    let mut ids = vec![];
    for (role, name) in people {
        let name_shown = format!("{name} {SURNAME}");
        let user =
            accounts::create_by_administrator(&app, role, &email(name), PASSWORD, &name_shown, None, None)
                .await
                .unwrap();
        ids.push(user.id);
    }
    let now = Timestamp::now();
    let request = CreateAppointmentRequest::in_a_call(ids[1], now, 15, mode);
    let mut unit = app.store.begin(now).await.unwrap();
    let appointment = unit.add_appointment(&request, ids[0]).await.unwrap();
    let session = unit.session_for(appointment).await.unwrap().unwrap();
    unit.commit().await.unwrap();
    app.store.close().await;

    let service = Service::start(config, folder).await;
    let mut signed_in = vec![];
    for (_, name) in people {
        signed_in.push(service.sign_in(&email(name)).await);
    }
    let [doctor, patient, other_doctor, other_patient, admin] = signed_in.try_into().ok().unwrap();
    Clinic { service, doctor, patient, other_doctor, other_patient, admin, session: session.id }
}

/// Starts a service without anybody.
pub async fn service_with(change: impl FnOnce(&mut Settings)) -> Service {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        no_relay: Some(true),
        data: Some(folder.path().to_owned()),
        ..Settings::default()
    };
    change(&mut settings);
    Service::start(settings.complete(), folder).await
}

async fn launch(
    at: SocketAddr,
    config: &Config,
) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let config = config.clone();
    let task = tokio::spawn(async move { bedside_service::launch(listener, config, stopped).await.unwrap() });
    (address, stop, task)
}

impl Service {
    async fn start(config: Config, folder: tempfile::TempDir) -> Self {
        let (address, stop, task) = launch(config.listen, &config).await;
        Self { address, http: reqwest::Client::new(), config, stop, task: Some(task), _folder: folder }
    }

    /// Starts one with these settings.
    pub async fn start_with(config: Config) -> Self {
        Self::start(Config { listen: "127.0.0.1:0".parse().unwrap(), ..config }, tempfile::tempdir().unwrap())
            .await
    }

    /// Starts another on the same database and attachments.
    pub async fn beside(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            listen: "127.0.0.1:0".parse().unwrap(),
            data: folder.path().to_owned(),
            relay: None,
            sealing_keys_file: Some(self.config.sealing_keys_path()),
            ..self.config.clone()
        };
        Self::start(config, folder).await
    }

    /// Starts it where it was and with what it had, after [`Service::stop`].
    pub async fn start_again(&mut self) {
        let (_, stop, task) = launch(self.address, &self.config).await;
        (self.stop, self.task) = (stop, Some(task));
    }

    pub async fn sign_in(&self, email: &str) -> Person {
        let body = json!({ "email": email, "password": PASSWORD });
        let (status, pair) = self.send(Method::POST, "/api/v1/auth/login", None, Some(body)).await;
        assert_eq!(status, StatusCode::OK, "{pair}");
        let text = |name: &str| pair[name].as_str().unwrap().to_owned();
        Person {
            id: pair["user"]["id"].as_str().unwrap().parse().unwrap(),
            token: text("accessToken"),
            refresh: text("refreshToken"),
        }
    }

    /// Sends a request; gives the status and the body, null where there is none.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.http.request(method, format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or(Value::Null))
    }

    /// Stops it, and waits until everything in it has ended.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        let task = self.task.take().unwrap();
        tokio::time::timeout(std::time::Duration::from_secs(10), task).await.expect("stops in time").unwrap();
    }
}

impl Clinic {
    /// A path of the visit's.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/consultations/sessions/{}{rest}", self.session)
    }

    pub async fn post(&self, who: &Person, rest: &str, body: Value) -> (StatusCode, Value) {
        self.service.send(Method::POST, &self.path(rest), Some(&who.token), Some(body)).await
    }

    /// The appointment of the visit.
    pub async fn appointment(&self) -> String {
        let (_, session) =
            self.service.send(Method::GET, &self.path(""), Some(&self.doctor.token), None).await;
        session["appointmentId"].as_str().unwrap().to_owned()
    }

    /// What a new link into an appointment's visit says.
    pub async fn link(&self, appointment: &str) -> Value {
        let path = format!("/api/v1/appointments/{appointment}/links");
        let body = Some(json!({ "minutes": 10 }));
        let (status, link) = self.service.send(Method::POST, &path, Some(&self.doctor.token), body).await;
        assert_eq!(status, StatusCode::CREATED, "{link}");
        link
    }

    /// The token of somebody who has come into the visit by a link.
    pub async fn guest(&self) -> String {
        let link = self.link(&self.appointment().await).await;
        let body = Some(json!({ "token": link["token"] }));
        let (status, pair) = self.service.send(Method::POST, "/api/v1/auth/link", None, body).await;
        assert_eq!(status, StatusCode::OK, "{pair}");
        pair["accessToken"].as_str().unwrap().to_owned()
    }

    /// Another appointment of the same two, and its visit.
    pub async fn another_visit(&self) -> (String, String) {
        let body = json!({
            "patientId": self.patient.id, "scheduledDurationMinutes": 15, "consultationMode": "VIDEO",
            "scheduledStartTime": Timestamp::now() + jiff::SignedDuration::from_mins(5),
        });
        let (status, made) = self
            .service
            .send(Method::POST, "/api/v1/appointments", Some(&self.doctor.token), Some(body))
            .await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        (text("appointmentId"), text("sessionId"))
    }

    /// Both are in the call.
    pub async fn in_the_call(&self) -> (String, String) {
        self.post(&self.patient, "/join", json!({ "ready": true })).await;
        self.post(&self.doctor, "/admit", json!({})).await;
        let (_, doctor) = self.post(&self.doctor, "/join", json!({})).await;
        let (_, patient) = self.post(&self.patient, "/join", json!({})).await;
        let token = |join: &Value| join["accessToken"].as_str().unwrap().to_owned();
        (token(&doctor), token(&patient))
    }
}

/// What a client tells of ten good seconds.
pub fn quality_report() -> Value {
    serde_json::json!({
        "at": "2026-11-28T10:00:00Z", "audioLevel": 0.2, "videoBitrate": 900_000, "fps": 30, "width": 640,
        "height": 360, "packetLossPercent": 1.0, "jitterMs": 4, "roundTripMs": 40, "concealedPercent": 0.5,
        "mos": 4.2, "path": "relay", "transport": "tls",
    })
}
