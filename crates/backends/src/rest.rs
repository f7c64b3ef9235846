//! REST.

use std::{sync::Arc, time::Duration};

use bedside_protocol::{
    Attachment, AttachmentId, ChatPage, Clinic, Code, DeviceCheckKept, DeviceCheckReport, Feedback,
    FeedbackRequest, HistoryPage, IceServer, JoinRequest, JoinResponse, LeaveRequest, LoginRequest, Problem,
    QualityReport, RefreshRequest, RegisterRequest, Session, SessionId, Summary, Text, Token, TokenPair,
    User,
};
use bedside_proxy::Proxies;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use crate::BackendError;

/// Longest wait for an answer; a service that takes longer is as good as gone.
const TIMEOUT: Duration = Duration::from_secs(10);
/// And for one that has a file in it, or answers to one: 10 MiB at 150 kbit/s, beside a call.
const FILE_TIMEOUT: Duration = Duration::from_secs(600);
/// And for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The service at one address.
#[derive(Clone, Debug)]
pub struct Api {
    base: Url,
    http: reqwest::Client,
    proxies: Proxies,
}

/// The service as one person uses it. Clones share their tokens.
#[derive(Clone, Debug)]
pub struct SignedIn {
    api: Api,
    tokens: Arc<Mutex<Tokens>>,
}

#[derive(Debug)]
struct Tokens {
    access: Token,
    refresh: Token,
    /// Told of every new refresh token: it must be kept at once, the old one is used up.
    keep: tokio::sync::watch::Sender<Token>,
}

impl Api {
    /// The service at `address`, such as `https://clinic.example` or `127.0.0.1:8480`.
    pub fn new(address: &str) -> Result<Self, BackendError> {
        Self::behind(address, Proxies::of_system())
    }

    /// The same, its realtime link through these proxies.
    pub(crate) fn behind(address: &str, proxies: Proxies) -> Result<Self, BackendError> {
        // TLS is asked of every address but this machine's own.
        let with_scheme = if address.contains("://") {
            address.to_owned()
        } else if address.starts_with("127.") || address.starts_with("localhost") {
            format!("http://{address}")
        } else {
            format!("https://{address}")
        };
        let base = Url::parse(with_scheme.trim_end_matches('/')).map_err(|_| BackendError::BadAddress)?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(BackendError::BadAddress);
        }
        // A second client in the process finds it installed; that is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("bedside/", env!("CARGO_PKG_VERSION")));
        // What is on this machine is no proxy's.
        let http = if is_local(&base) { http.no_proxy() } else { http };
        let http = http.build().map_err(|_| BackendError::BadAddress)?;
        Ok(Self { base, http, proxies })
    }

    /// Whether the service is on this machine.
    pub fn is_local(&self) -> bool {
        is_local(&self.base)
    }

    /// The network's proxies.
    pub const fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// The address of its WebSocket.
    pub fn websocket_url(&self) -> String {
        let mut url = self.base.clone();
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        // Only schemes that can't follow one another are refused.
        let _ = url.set_scheme(scheme);
        url.set_path(bedside_protocol::WEBSOCKET_PATH);
        url.into()
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
        url.set_path(path);
        url.set_query(query);
        self.http.request(method, url)
    }

    /// Makes a patient's account.
    pub async fn register(&self, request: &RegisterRequest) -> Result<User, BackendError> {
        read(self.request(Method::POST, "/api/v1/auth/register").json(request)).await
    }

    /// Signs in.
    pub async fn sign_in(&self, request: &LoginRequest) -> Result<(SignedIn, User), BackendError> {
        let pair: TokenPair = read(self.request(Method::POST, "/api/v1/auth/login").json(request)).await?;
        Ok(self.signed_in(pair))
    }

    /// Comes back with a refresh token that was kept.
    pub async fn resume(&self, refresh_token: Token) -> Result<(SignedIn, User), BackendError> {
        let request = RefreshRequest { refresh_token };
        let pair: TokenPair = read(self.request(Method::POST, "/api/v1/auth/refresh").json(&request)).await?;
        Ok(self.signed_in(pair))
    }

    /// Whose service this is.
    pub async fn clinic(&self) -> Result<Clinic, BackendError> {
        read(self.request(Method::GET, "/api/v1/clinic")).await
    }

    /// How long the service takes to answer to something that costs it nothing.
    pub async fn round_trip(&self) -> Result<Duration, BackendError> {
        let asked = std::time::Instant::now();
        send(self.request(Method::GET, "/health")).await?;
        Ok(asked.elapsed())
    }

    fn signed_in(&self, pair: TokenPair) -> (SignedIn, User) {
        let (keep, _) = tokio::sync::watch::channel(pair.refresh_token.clone());
        let tokens = Tokens { access: pair.access_token, refresh: pair.refresh_token, keep };
        (SignedIn { api: self.clone(), tokens: Arc::new(Mutex::new(tokens)) }, pair.user)
    }
}

fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| host == "localhost" || host.starts_with("127."))
}

impl SignedIn {
    /// The service.
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// The refresh token, now and whenever it changes.
    pub async fn refresh_token(&self) -> tokio::sync::watch::Receiver<Token> {
        self.tokens.lock().await.keep.subscribe()
    }

    /// An access token that is good for the next request, as far as is known.
    pub async fn access_token(&self) -> Token {
        self.tokens.lock().await.access.clone()
    }

    /// Trades the tokens for new ones, unless somebody else has since `used` was refused.
    pub async fn renew(&self, used: &Token) -> Result<Token, BackendError> {
        let mut tokens = self.tokens.lock().await;
        if tokens.access != *used {
            return Ok(tokens.access.clone());
        }
        let request = RefreshRequest { refresh_token: tokens.refresh.clone() };
        let pair: TokenPair =
            read(self.api.request(Method::POST, "/api/v1/auth/refresh").json(&request)).await?;
        tokens.access = pair.access_token;
        tokens.refresh = pair.refresh_token.clone();
        tokens.keep.send_replace(pair.refresh_token);
        Ok(tokens.access.clone())
    }

    /// Ends the sign-in, here and at the service.
    pub async fn sign_out(&self) -> Result<(), BackendError> {
        let request = RefreshRequest { refresh_token: self.tokens.lock().await.refresh.clone() };
        send(self.api.request(Method::POST, "/api/v1/auth/logout").json(&request)).await.map(drop)
    }

    /// Sends a request; once more with a new token when the old one has ended.
    async fn call(&self, make: impl Fn(&Api) -> RequestBuilder) -> Result<reqwest::Response, BackendError> {
        let token = self.access_token().await;
        match send(make(&self.api).bearer_auth(token.expose())).await {
            Err(error) if error.code() == Some(Code::NotSignedIn) => {
                let token = self.renew(&token).await?;
                send(make(&self.api).bearer_auth(token.expose())).await
            }
            outcome => outcome,
        }
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, BackendError> {
        json(self.call(|api| api.request(Method::GET, path)).await?).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
    ) -> Result<T, BackendError> {
        json(self.call(|api| api.request(Method::POST, path).json(body)).await?).await
    }

    /// Open and coming visits.
    pub async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        self.get("/api/v1/consultations/sessions").await
    }

    /// One visit.
    pub async fn session(&self, id: SessionId) -> Result<Session, BackendError> {
        self.get(&path(id, "")).await
    }

    /// Enters the waiting room or the call.
    pub async fn join(&self, id: SessionId, request: &JoinRequest) -> Result<JoinResponse, BackendError> {
        self.post(&path(id, "/join"), request).await
    }

    /// Leaves the waiting room or the call.
    pub async fn leave(&self, id: SessionId, request: LeaveRequest) -> Result<Session, BackendError> {
        self.post(&path(id, "/leave"), &request).await
    }

    /// One of `admit`, `end`, `pause`, `resume`, `cancel`.
    pub async fn act(&self, id: SessionId, action: &'static str) -> Result<Session, BackendError> {
        self.post(&path(id, &format!("/{action}")), &()).await
    }

    /// A page of the chat: after a `seq`, before one, or the newest.
    pub async fn chat(
        &self,
        id: SessionId,
        after: Option<u64>,
        before: Option<u64>,
    ) -> Result<ChatPage, BackendError> {
        let query = match (after, before) {
            (Some(after), _) => format!("/chat?after={after}"),
            (None, Some(before)) => format!("/chat?before={before}"),
            (None, None) => "/chat".to_owned(),
        };
        self.get(&path(id, &query)).await
    }

    /// Stores a file for a message.
    pub async fn upload(&self, id: SessionId, name: &Text, bytes: Bytes) -> Result<Attachment, BackendError> {
        let response = self
            .call(|api| {
                let request = api.request(Method::POST, &path(id, "/attachments"));
                request.query(&[("name", name.reveal())]).timeout(FILE_TIMEOUT).body(bytes.clone())
            })
            .await?;
        json(response).await
    }

    /// Fetches a file.
    pub async fn download(&self, id: SessionId, attachment: AttachmentId) -> Result<Bytes, BackendError> {
        let path = path(id, &format!("/attachments/{attachment}"));
        let response = self.call(|api| api.request(Method::GET, &path).timeout(FILE_TIMEOUT)).await?;
        response.bytes().await.map_err(|_| BackendError::Unreachable)
    }

    /// What a visit came to.
    pub async fn summary(&self, id: SessionId) -> Result<Summary, BackendError> {
        self.get(&path(id, "/summary")).await
    }

    /// Asks the patient of a visit that has ended back: gives the new session.
    pub async fn recall(&self, id: SessionId) -> Result<Session, BackendError> {
        self.post(&path(id, "/recall"), &()).await
    }

    /// What the patient said of a visit.
    pub async fn feedback(&self, id: SessionId) -> Result<FeedbackRequest, BackendError> {
        Ok(self.get::<Feedback>(&path(id, "/feedback")).await?.given)
    }

    /// Gives feedback.
    pub async fn give_feedback(&self, id: SessionId, feedback: &FeedbackRequest) -> Result<(), BackendError> {
        self.call(|api| api.request(Method::POST, &path(id, "/feedback")).json(feedback)).await.map(drop)
    }

    /// Relays, to try the network by.
    pub async fn ice_servers(&self) -> Result<Vec<IceServer>, BackendError> {
        self.get("/api/v1/ice-servers").await
    }

    /// Keeps what this device and its network can do, under a code.
    pub async fn keep_device_check(
        &self,
        report: &DeviceCheckReport,
    ) -> Result<DeviceCheckKept, BackendError> {
        self.post("/api/v1/device-checks", report).await
    }

    /// Tells how the visit was seen and heard in the last ten seconds.
    pub async fn report_quality(&self, id: SessionId, report: &QualityReport) -> Result<(), BackendError> {
        self.call(|api| api.request(Method::POST, &path(id, "/quality")).json(report)).await.map(drop)
    }

    /// Past visits.
    pub async fn history(&self, before: Option<SessionId>) -> Result<HistoryPage, BackendError> {
        let query = before.map(|id| format!("?before={id}")).unwrap_or_default();
        self.get(&format!("/api/v1/consultations/history{query}")).await
    }
}

fn path(id: SessionId, rest: &str) -> String {
    format!("/api/v1/consultations/sessions/{id}{rest}")
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, BackendError> {
    json(send(request).await?).await
}

async fn send(request: RequestBuilder) -> Result<reqwest::Response, BackendError> {
    let response = request.send().await.map_err(|_| BackendError::Unreachable)?;
    if response.status().is_success() {
        return Ok(response);
    }
    // A proxy in front of a stopped service answers with these and no problem of ours.
    let gateway = matches!(
        response.status(),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    let problem: Result<Problem, _> = response.json().await;
    Err(match problem {
        Ok(problem) => BackendError::Refused(problem),
        Err(_) if gateway => BackendError::Unreachable,
        Err(_) => BackendError::Garbled,
    })
}

async fn json<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, BackendError> {
    let bytes = response.bytes().await.map_err(|_| BackendError::Unreachable)?;
    serde_json::from_slice(&bytes).map_err(|_| BackendError::Garbled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_what_is_clear() {
        let url = |address| Api::new(address).map(|api| api.websocket_url()).ok();
        assert_eq!(url("127.0.0.1:8480").as_deref(), Some("ws://127.0.0.1:8480/ws/consultation"));
        assert_eq!(url("clinic.example").as_deref(), Some("wss://clinic.example/ws/consultation"));
        assert_eq!(url("http://10.0.0.5:80/").as_deref(), Some("ws://10.0.0.5/ws/consultation"));
        for wrong in ["", "ftp://x", "https://", "not an address"] {
            assert_eq!(url(wrong), None, "{wrong}");
        }
    }
}
