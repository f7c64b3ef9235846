//! A whole visit of two clients and a service, from sign-in to feedback, on machines without
//! devices; and what its log at trace level gives away: nothing.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use crate::support::{
    Visit,
    common::{DOMAIN, PASSWORD, SURNAME},
    until, words, written,
};
use bedside_client::Command;
use bedside_protocol::{FeedbackRequest, FeedbackTag};
use bedside_session::{Snapshot, snapshot::Screen};

const MESSAGE: &str = "planted words about a rash";
const FILE: &str = "planted-scan.png";
const REVIEW: &str = "planted praise";
/// Longer than any word of a log, and not longer than a token (43 characters).
const TOKEN_LENGTH: usize = 40;
/// The first bytes of a picture, which is all that is looked at.
const PNG: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\0IEND\xaeB`\x82";

/// Where the log goes.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything, at the finest level, as the binaries log it.
    fn start() -> Self {
        let log = Self::default();
        let writer = log.clone();
        let filter = format!("trace,{},{}", bedside_service::SILENCED, bedside_client::SILENCED);
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .init();
        log
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

/// Runs of characters that tokens are made of.
fn longest_run(line: &str) -> usize {
    let is_of_a_token = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    line.split(|c| !is_of_a_token(c)).map(str::len).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_visit_without_devices_and_without_a_name_in_the_log() {
    let log = Log::start();
    let visit = Visit::begin().await;
    visit.talk().await;
    let (doctor, patient) = (&visit.doctor, &visit.patient);

    patient.command(Command::SendText { text: MESSAGE.into() });
    until(doctor, "the message", |s| words(s) == [MESSAGE]).await;
    doctor.command(Command::SendFile { name: FILE.into(), bytes: PNG.into() });
    let shown = until(patient, "the picture", |s| words(s).len() == 2).await;
    let picture = written(&shown.visit.unwrap().chat.messages)[1].attachment.clone().expect("a picture");
    let (reply, bytes) = tokio::sync::oneshot::channel();
    patient.command(Command::Fetch { attachment: picture.attachment_id, reply });
    assert_eq!(bytes.await.expect("it is there"), PNG);

    doctor.command(Command::End);
    for client in [doctor, patient] {
        let after =
            until(client, "the summary", |s| s.visit.as_ref().is_some_and(|v| v.summary.is_some())).await;
        assert_eq!(after.screen, Screen::After);
    }
    patient.command(Command::Feedback {
        feedback: FeedbackRequest {
            is_public: None,
            overall_rating: 5,
            audio_quality: Some(4),
            video_quality: None,
            doctor_behaviour: Some(5),
            review_text: Some(REVIEW.into()),
            feedback_tags: vec![FeedbackTag::Thorough],
            would_recommend: Some(true),
        },
    });
    until(patient, "the thanks", |s| s.visit.as_ref().is_some_and(|v| v.feedback_given)).await;
    patient.command(Command::History);
    let past = until(patient, "the history", |s| s.history.is_some()).await;
    assert_eq!(past.history.unwrap().items.len(), 1);
    let session = visit.clinic.session;
    patient.command(Command::OpenPast { session });
    let has_all =
        |s: &Snapshot| s.past.as_ref().is_some_and(|past| past.feedback.is_some() && past.chat.is_some());
    let opened = until(patient, "the past visit", has_all).await;
    let past = opened.past.unwrap();
    assert_eq!(written(&past.chat.unwrap().messages).len(), 2);
    assert_eq!(past.feedback.unwrap().overall_rating, 5);
    let (reply, bytes) = tokio::sync::oneshot::channel();
    patient.command(Command::Fetch { attachment: picture.attachment_id, reply });
    assert_eq!(bytes.await.expect("it is still there"), PNG);
    doctor.command(Command::Recall { session });
    let is_asked_back = |s: &Snapshot| s.sessions.iter().any(|one| one.recalled_from == Some(session));
    until(patient, "being asked back", is_asked_back).await;
    until(doctor, "the room", |s| s.screen == Screen::Home && is_asked_back(s)).await;
    let mut clinic = visit.close().await;
    clinic.service.stop().await;

    let text = log.text();
    assert!(text.lines().count() > 50, "the log is on: {text}");
    assert!(text.contains("bedside_service") && text.contains("bedside_client"), "both log");
    let people = [&clinic.doctor, &clinic.patient];
    let tokens = people.iter().flat_map(|person| [person.token.as_str(), person.refresh.as_str()]);
    let planted = [SURNAME, DOMAIN, PASSWORD, MESSAGE, FILE, REVIEW, "Bearer", "typ host", "a=candidate"];
    for secret in planted.into_iter().chain(tokens) {
        let found: Vec<&str> = text.lines().filter(|line| line.contains(secret)).collect();
        assert!(found.is_empty(), "{secret} is in the log: {found:#?}");
    }
    let like_a_token: Vec<&str> = text.lines().filter(|line| longest_run(line) >= TOKEN_LENGTH).collect();
    assert!(like_a_token.is_empty(), "this may be a token: {like_a_token:#?}");
}
