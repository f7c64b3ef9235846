//! Two clients and a service in one process, without devices.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]

#[path = "../../../../service/tests/common/mod.rs"]
pub mod common;

use std::time::Duration;

use bedside_client::{Client, ClientConfig, Command};
use bedside_protocol::{ChatMessage, ConsultationMode, MessageType};
use bedside_session::{
    Snapshot,
    snapshot::{CallStatus, Link, Screen},
};
use common::{Clinic, PASSWORD, email};

/// A doctor's and a patient's client at one service.
pub struct Visit {
    pub clinic: Clinic,
    pub doctor: Client,
    pub patient: Client,
    _folders: [tempfile::TempDir; 2],
}

/// Waits until a client shows what is wanted.
pub async fn until(client: &Client, what: &str, wanted: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let mut snapshots = client.snapshots();
    let found = tokio::time::timeout(Duration::from_secs(40), async {
        loop {
            let now = snapshots.borrow_and_update().clone();
            if wanted(&now) {
                return now;
            }
            snapshots.changed().await.expect("the client runs");
        }
    });
    match found.await {
        Ok(snapshot) => snapshot,
        Err(late) => panic!("waited in vain for {what}: {late}, {:?}", client.snapshots().borrow()),
    }
}

/// What the two have written, and not what the chat says by itself.
pub fn written(messages: &[ChatMessage]) -> Vec<&ChatMessage> {
    messages.iter().filter(|message| message.message_type != MessageType::System).collect()
}

/// The words of it.
pub fn words(snapshot: &Snapshot) -> Vec<String> {
    let visit = snapshot.visit.as_ref();
    let chat = visit.map(|visit| written(&visit.chat.messages)).unwrap_or_default();
    chat.into_iter().map(|message| message.content.reveal().to_owned()).collect()
}

/// Whether media can flow.
pub fn is_connected(snapshot: &Snapshot) -> bool {
    status(snapshot) == Some(CallStatus::Connected)
}

/// How the call stands.
pub fn status(snapshot: &Snapshot) -> Option<CallStatus> {
    snapshot.visit.as_ref().and_then(|visit| visit.call.as_ref()).map(|call| call.status)
}

/// A client that is signed in.
pub async fn signed_in(clinic: &Clinic, name: &str, relay_only: bool) -> (Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let client = Client::start(ClientConfig {
        folder: folder.path().to_owned(),
        service: None,
        relay_only,
        vp8_only: false,
        without_devices: true,
    });
    client.command(Command::SignIn {
        service: clinic.service.address.to_string(),
        email: email(name).as_str().into(),
        password: PASSWORD.into(),
    });
    until(&client, "the link", |s| s.link == Link::Up).await;
    (client, folder)
}

impl Visit {
    /// Both are signed in; nobody has come yet.
    pub async fn begin() -> Self {
        Self::begin_over(ConsultationMode::Video, false).await
    }

    /// The same, for a visit of this kind, with media through the service's relay where
    /// `relay_only`.
    pub async fn begin_over(mode: ConsultationMode, relay_only: bool) -> Self {
        let clinic = common::clinic_for(mode).await;
        let (doctor, doctors) = signed_in(&clinic, "doctor", relay_only).await;
        let (patient, patients) = signed_in(&clinic, "patient", relay_only).await;
        Self { clinic, doctor, patient, _folders: [doctors, patients] }
    }

    /// The patient comes, the doctor calls them in, they talk.
    pub async fn talk(&self) {
        let id = self.clinic.session;
        until(&self.patient, "the appointment", |s| s.sessions.iter().any(|s| s.session_id == id)).await;
        self.patient.command(Command::Enter { session: id });
        until(&self.patient, "the check", |s| s.screen == Screen::Check).await;
        self.patient.command(Command::Ready);
        until(&self.doctor, "the patient's arrival", |s| s.sessions.iter().any(|s| s.patient_ready)).await;
        self.doctor.command(Command::Admit { session: id });
        until(&self.patient, "being called in", |s| s.screen == Screen::CalledIn).await;
        self.patient.command(Command::Join);
        until(&self.doctor, "the doctor's connection", is_connected).await;
        until(&self.patient, "the patient's connection", is_connected).await;
    }

    /// Closes both and waits for their end.
    pub async fn close(self) -> Clinic {
        let closed = async { tokio::join!(self.doctor.close(), self.patient.close()) };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the clients end");
        self.clinic
    }
}

/// Names of this process's threads that belong to a client.
#[cfg(target_os = "linux")]
pub fn media_threads() -> Vec<String> {
    std::fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| ["audio", "video", "camera", "sound", "decode"].contains(&name.as_str()))
        .collect()
}
