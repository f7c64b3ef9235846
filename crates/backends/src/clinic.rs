//! What the app asks of a consultation service, whoever's it is.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_protocol::{
    Attachment, AttachmentId, ChatPage, DeviceCheckKept, DeviceCheckReport, Dialect, FeedbackRequest,
    HistoryPage, IceServer, JoinRequest, JoinResponse, LeaveRequest, LoginRequest, QualityReport,
    RegisterRequest, Session, SessionId, Summary, Text, Token, User,
};
use bedside_proxy::Proxies;
use bytes::Bytes;
use tokio::sync::watch;

use crate::{BackendError, Link, bedside};

/// Somebody who is signed in, and their clinic.
pub struct Entered {
    /// The clinic as they use it.
    pub clinic: Arc<dyn Clinic>,
    /// They.
    pub user: User,
}

/// A service's front door: what it answers to everybody.
#[async_trait]
pub trait Door: Send + Sync {
    /// Whose service this is, where it says so.
    async fn name(&self) -> Result<Option<String>, BackendError>;

    /// Makes a patient's account.
    async fn register(&self, request: &RegisterRequest) -> Result<User, BackendError>;

    /// Signs in.
    async fn sign_in(&self, request: &LoginRequest) -> Result<Entered, BackendError>;

    /// Comes back with a refresh token that was kept.
    async fn resume(&self, refresh_token: Token) -> Result<Entered, BackendError>;
}

/// The service at an address, such as `https://clinic.example` or `127.0.0.1:8480`. All speak Bedside's own
/// dialect today; another's would be recognised here.
pub fn door(address: &str) -> Result<Box<dyn Door>, BackendError> {
    Ok(Box::new(bedside::Api::new(address)?))
}

/// What somebody does to a visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SessionAction {
    /// Calls the patient in.
    Admit,
    /// Puts it on hold.
    Pause,
    /// Takes it off.
    Resume,
    /// Ends it for both.
    End,
    /// The patient, called in, says *Not now*.
    Decline,
}

/// A clinic as one person uses it, signed in. Requests may go on at once, and each is answered or fails by
/// itself; tokens are renewed within.
#[async_trait]
pub trait Clinic: Send + Sync {
    /// Whether the service is on this machine, and so may be the other end.
    fn is_local(&self) -> bool;

    /// The proxies of the network, through which the service is reached.
    fn proxies(&self) -> &Proxies;

    /// How long the service takes to answer to something that costs it nothing.
    async fn round_trip(&self) -> Result<Duration, BackendError>;

    /// The words in which its clients find one another for a call.
    fn dialect(&self) -> Dialect;

    /// The refresh token, now and whenever it changes: each is to be kept at once, the one before is used up.
    async fn refresh_token(&self) -> watch::Receiver<Token>;

    /// Ends the sign-in, here and at the service.
    async fn sign_out(&self) -> Result<(), BackendError>;

    /// Starts the realtime link, which comes back by itself. `wait` gives how long to wait before each attempt,
    /// told whether the last one had been up.
    fn open_link(self: Arc<Self>, wait: Box<dyn FnMut(bool) -> Duration + Send + Sync>) -> Link;

    /// Open and coming visits.
    async fn sessions(&self) -> Result<Vec<Session>, BackendError>;

    /// One visit.
    async fn session(&self, id: SessionId) -> Result<Session, BackendError>;

    /// Enters the waiting room or the call.
    async fn join(&self, id: SessionId, request: &JoinRequest) -> Result<JoinResponse, BackendError>;

    /// Leaves the waiting room or the call.
    async fn leave(&self, id: SessionId, request: LeaveRequest) -> Result<Session, BackendError>;

    /// A doctor does something to a visit, or a patient declines to come in.
    async fn act(&self, id: SessionId, action: SessionAction) -> Result<Session, BackendError>;

    /// A page of the chat: after a `seq`, before one, or the newest.
    async fn chat(
        &self,
        id: SessionId,
        after: Option<u64>,
        before: Option<u64>,
    ) -> Result<ChatPage, BackendError>;

    /// Stores a file for a message.
    async fn upload(&self, id: SessionId, name: &Text, bytes: Bytes) -> Result<Attachment, BackendError>;

    /// Fetches a file.
    async fn download(&self, id: SessionId, attachment: AttachmentId) -> Result<Bytes, BackendError>;

    /// What a visit came to.
    async fn summary(&self, id: SessionId) -> Result<Summary, BackendError>;

    /// Asks the patient of a visit that has ended back: gives the new session.
    async fn recall(&self, id: SessionId) -> Result<Session, BackendError>;

    /// What the patient said of a visit.
    async fn feedback(&self, id: SessionId) -> Result<FeedbackRequest, BackendError>;

    /// Gives feedback.
    async fn give_feedback(&self, id: SessionId, feedback: &FeedbackRequest) -> Result<(), BackendError>;

    /// Relays, to try the network by.
    async fn ice_servers(&self) -> Result<Vec<IceServer>, BackendError>;

    /// Keeps what this device and its network can do, under a code.
    async fn keep_device_check(&self, report: &DeviceCheckReport) -> Result<DeviceCheckKept, BackendError>;

    /// Tells how the visit was seen and heard in the last ten seconds.
    async fn report_quality(&self, id: SessionId, report: &QualityReport) -> Result<(), BackendError>;

    /// Past visits.
    async fn history(&self, before: Option<SessionId>) -> Result<HistoryPage, BackendError>;
}
