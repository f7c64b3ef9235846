//! REST.

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Arc, LazyLock},
    time::Duration,
};

use async_trait::async_trait;
use bedside_protocol::{
    Attachment, AttachmentId, ChatPage, Code, DeviceCheckKept, DeviceCheckReport, Dialect, Feedback,
    FeedbackRequest, HistoryPage, IceServer, JoinRequest, JoinResponse, LeaveRequest, LoginRequest, Problem,
    QualityReport, RefreshRequest, RegisterRequest, Session, SessionId, Summary, Text, Token, TokenPair,
    User,
};
use bedside_proxy::Proxies;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::{Mutex, watch};

use super::stomp;
use crate::{BackendError, Clinic, Door, Entered, Link, SessionAction};

/// Longest wait for an answer; a service that takes longer is as good as gone.
const TIMEOUT: Duration = Duration::from_secs(10);
/// And for one that has a file in it, or answers to one: 10 MiB at 150 kbit/s, beside a call.
const FILE_TIMEOUT: Duration = Duration::from_secs(600);
/// And for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);

/// The service at one address.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    base: Url,
    http: reqwest::Client,
    proxies: Proxies,
}

/// The service as one person uses it.
#[derive(Debug)]
pub(super) struct SignedIn {
    api: Api,
    tokens: Mutex<Tokens>,
}

#[derive(Debug)]
struct Tokens {
    access: Token,
    refresh: Token,
    /// Told of every new refresh token: it must be kept at once, the old one is used up.
    keep: watch::Sender<Token>,
}

impl Api {
    /// The service at `address`, such as `https://clinic.example` or `127.0.0.1:8480`.
    pub(crate) fn new(address: &str) -> Result<Self, BackendError> {
        Self::behind(address, Proxies::of_system())
    }

    /// The same, its realtime link through these proxies.
    pub(super) fn behind(address: &str, proxies: Proxies) -> Result<Self, BackendError> {
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

    /// The address of its WebSocket.
    pub(super) fn websocket_url(&self) -> String {
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

    /// The network's proxies.
    pub(super) const fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    fn entered(&self, pair: TokenPair) -> Entered {
        let (keep, _) = watch::channel(pair.refresh_token.clone());
        let tokens = Tokens { access: pair.access_token, refresh: pair.refresh_token, keep };
        let clinic = Arc::new(SignedIn { api: self.clone(), tokens: Mutex::new(tokens) });
        Entered { clinic, user: pair.user }
    }
}

#[async_trait]
impl Door for Api {
    async fn name(&self) -> Result<Option<String>, BackendError> {
        let clinic: bedside_protocol::Clinic = read(self.request(Method::GET, "/api/v1/clinic")).await?;
        Ok(clinic.name)
    }

    async fn register(&self, request: &RegisterRequest) -> Result<User, BackendError> {
        read(self.request(Method::POST, "/api/v1/auth/register").json(request)).await
    }

    async fn sign_in(&self, request: &LoginRequest) -> Result<Entered, BackendError> {
        let pair: TokenPair = read(self.request(Method::POST, "/api/v1/auth/login").json(request)).await?;
        Ok(self.entered(pair))
    }

    async fn resume(&self, refresh_token: Token) -> Result<Entered, BackendError> {
        let request = RefreshRequest { attempt: Some(attempt(&refresh_token)), refresh_token };
        let pair: TokenPair = read(self.request(Method::POST, "/api/v1/auth/refresh").json(&request)).await?;
        Ok(self.entered(pair))
    }
}

/// The secret that this app uses a refresh token with: the same each time it asks again, and known to no one who
/// has only the token.
fn attempt(refresh: &Token) -> Token {
    static OF_THIS_RUN: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    Token::new(format!("{:016x}", OF_THIS_RUN.hash_one(refresh.expose())))
}

/// This machine's own addresses, which need no TLS. A name that only begins like one is another's.
fn is_local(url: &Url) -> bool {
    let is_own = |host: &str| {
        let ip = host.trim_matches(['[', ']']).parse::<IpAddr>();
        host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
    };
    url.host_str().is_some_and(is_own)
}

impl SignedIn {
    /// The service.
    pub(super) const fn api(&self) -> &Api {
        &self.api
    }

    /// An access token that is good for the next request, as far as is known.
    pub(super) async fn access_token(&self) -> Token {
        self.tokens.lock().await.access.clone()
    }

    /// Trades the tokens for new ones, unless somebody else has since `used` was refused.
    pub(super) async fn renew(&self, used: &Token) -> Result<Token, BackendError> {
        let mut tokens = self.tokens.lock().await;
        if tokens.access != *used {
            return Ok(tokens.access.clone());
        }
        let request =
            RefreshRequest { refresh_token: tokens.refresh.clone(), attempt: Some(attempt(&tokens.refresh)) };
        let pair: TokenPair =
            read(self.api.request(Method::POST, "/api/v1/auth/refresh").json(&request)).await?;
        tokens.access = pair.access_token;
        tokens.refresh = pair.refresh_token.clone();
        tokens.keep.send_replace(pair.refresh_token);
        Ok(tokens.access.clone())
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
}

#[async_trait]
impl Clinic for SignedIn {
    fn is_local(&self) -> bool {
        is_local(&self.api.base)
    }

    fn proxies(&self) -> &Proxies {
        &self.api.proxies
    }

    async fn round_trip(&self) -> Result<Duration, BackendError> {
        let asked = std::time::Instant::now();
        send(self.api.request(Method::GET, "/health")).await?;
        Ok(asked.elapsed())
    }

    fn dialect(&self) -> Dialect {
        Dialect::Bedside
    }

    async fn refresh_token(&self) -> watch::Receiver<Token> {
        self.tokens.lock().await.keep.subscribe()
    }

    async fn sign_out(&self) -> Result<(), BackendError> {
        let request =
            RefreshRequest { refresh_token: self.tokens.lock().await.refresh.clone(), attempt: None };
        send(self.api.request(Method::POST, "/api/v1/auth/logout").json(&request)).await.map(drop)
    }

    fn open_link(self: Arc<Self>, wait: Box<dyn FnMut(bool) -> Duration + Send + Sync>) -> Link {
        stomp::start(self, wait)
    }

    async fn sessions(&self) -> Result<Vec<Session>, BackendError> {
        self.get("/api/v1/consultations/sessions").await
    }

    async fn session(&self, id: SessionId) -> Result<Session, BackendError> {
        self.get(&path(id, "")).await
    }

    async fn join(&self, id: SessionId, request: &JoinRequest) -> Result<JoinResponse, BackendError> {
        self.post(&path(id, "/join"), request).await
    }

    async fn leave(&self, id: SessionId, request: LeaveRequest) -> Result<Session, BackendError> {
        self.post(&path(id, "/leave"), &request).await
    }

    async fn act(&self, id: SessionId, action: SessionAction) -> Result<Session, BackendError> {
        let action = match action {
            SessionAction::Admit => "/admit",
            SessionAction::Pause => "/pause",
            SessionAction::Resume => "/resume",
            SessionAction::End => "/end",
            SessionAction::Decline => "/decline",
        };
        self.post(&path(id, action), &()).await
    }

    async fn chat(
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

    async fn upload(&self, id: SessionId, name: &Text, bytes: Bytes) -> Result<Attachment, BackendError> {
        let response = self
            .call(|api| {
                let request = api.request(Method::POST, &path(id, "/attachments"));
                request.query(&[("name", name.reveal())]).timeout(FILE_TIMEOUT).body(bytes.clone())
            })
            .await?;
        json(response).await
    }

    async fn download(&self, id: SessionId, attachment: AttachmentId) -> Result<Bytes, BackendError> {
        let path = path(id, &format!("/attachments/{attachment}"));
        let response = self.call(|api| api.request(Method::GET, &path).timeout(FILE_TIMEOUT)).await?;
        response.bytes().await.map_err(unreached)
    }

    async fn summary(&self, id: SessionId) -> Result<Summary, BackendError> {
        self.get(&path(id, "/summary")).await
    }

    async fn recall(&self, id: SessionId) -> Result<Session, BackendError> {
        self.post(&path(id, "/recall"), &()).await
    }

    async fn feedback(&self, id: SessionId) -> Result<FeedbackRequest, BackendError> {
        Ok(self.get::<Feedback>(&path(id, "/feedback")).await?.given)
    }

    async fn give_feedback(&self, id: SessionId, feedback: &FeedbackRequest) -> Result<(), BackendError> {
        self.call(|api| api.request(Method::POST, &path(id, "/feedback")).json(feedback)).await.map(drop)
    }

    async fn ice_servers(&self) -> Result<Vec<IceServer>, BackendError> {
        self.get("/api/v1/ice-servers").await
    }

    async fn keep_device_check(&self, report: &DeviceCheckReport) -> Result<DeviceCheckKept, BackendError> {
        self.post("/api/v1/device-checks", report).await
    }

    async fn report_quality(&self, id: SessionId, report: &QualityReport) -> Result<(), BackendError> {
        self.call(|api| api.request(Method::POST, &path(id, "/quality")).json(report)).await.map(drop)
    }

    async fn history(&self, before: Option<SessionId>) -> Result<HistoryPage, BackendError> {
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
    let response = request.send().await.map_err(unreached)?;
    if response.status().is_success() {
        return Ok(response);
    }
    // A proxy in front of a stopped service answers with these and no problem of ours.
    let gateway = matches!(
        response.status(),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    );
    if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        return Err(BackendError::ProxyWantsName);
    }
    let problem: Result<Problem, _> = response.json().await;
    Err(match problem {
        // It is there and can't do it at the moment: asked again as if it were not.
        Ok(problem) if problem.code == Code::Unavailable => BackendError::Unreachable,
        Ok(problem) => BackendError::Refused(problem),
        Err(_) if gateway => BackendError::Unreachable,
        Err(_) => BackendError::Garbled,
    })
}

/// Why nothing came back. What a proxy answered to `CONNECT` is told in words alone, somewhere below.
fn unreached(error: reqwest::Error) -> BackendError {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = cause {
        if error.to_string().contains("proxy authorization required") {
            return BackendError::ProxyWantsName;
        }
        cause = error.source();
    }
    BackendError::Unreachable
}

async fn json<T: DeserializeOwned>(response: reqwest::Response) -> Result<T, BackendError> {
    let bytes = response.bytes().await.map_err(unreached)?;
    serde_json::from_slice(&bytes).map_err(|_| BackendError::Garbled)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

    #[tokio::test]
    async fn a_proxy_that_wants_a_name_is_told_from_a_service_that_is_silent() {
        let proxy = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", proxy.local_addr().unwrap());
        let answering = tokio::spawn(async move {
            for _ in 0..2 {
                let (mut stream, _) = proxy.accept().await.unwrap();
                let mut asked = [0; 1_024];
                let _ = stream.read(&mut asked).await.unwrap();
                let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().proxy(reqwest::Proxy::all(&address).unwrap()).build().unwrap();
        for url in ["https://clinic.example/health", "http://clinic.example/health"] {
            let refused = send(http.get(url)).await;
            assert!(matches!(refused, Err(BackendError::ProxyWantsName)), "{url}: {refused:?}");
        }
        answering.await.unwrap();
        let silent = send(http.get("https://clinic.example/health")).await;
        assert!(matches!(silent, Err(BackendError::Unreachable)), "{silent:?}");
    }
}
