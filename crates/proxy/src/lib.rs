//! TCP connections out of a network, through its HTTP proxy (CONNECT, RFC 9110 §9.3.6) where it has one.
//!
//! The proxy is the one that the system names: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, and
//! on Windows and macOS the system's settings, just as the client's HTTP reads them. A name and password
//! may stand in its address. Whoever connects speaks TLS over the connection if they need it: what passes
//! is not the proxy's to read.

use std::{error::Error, fmt, io, net::IpAddr, sync::Arc};

use http::Uri;
use hyper_util::client::{
    legacy::connect::{HttpConnector, proxy::Tunnel},
    proxy::matcher::{Intercept, Matcher},
};
use tokio::net::TcpStream;
use tower_service::Service;

/// What is to be spoken over a connection: proxies are named by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spoken {
    /// HTTP in the clear, and a WebSocket that begins so.
    Http,
    /// TLS, or anything else that a proxy has no business to read.
    Tls,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The other end, or the proxy, can't be reached.
    #[error("can't connect: {0}")]
    Io(#[from] io::Error),
    /// The proxy wants a name and a password, or others.
    #[error("this network's proxy wants a name and password")]
    NotAuthorized,
    /// The proxy does not let this through, or is none.
    #[error("this network's proxy refuses the connection")]
    Refused,
    /// The proxy is reached in a way that is not known here.
    #[error("this network's proxy is of a kind that can't be used: {0}")]
    UnknownKind(String),
    /// The host or the port is not one.
    #[error("this is not the address of a host")]
    BadAddress,
}

impl ProxyError {
    /// Whether it was the proxy that did not want, or can't be used.
    pub const fn is_of_proxy(&self) -> bool {
        match self {
            Self::NotAuthorized | Self::Refused | Self::UnknownKind(_) => true,
            Self::Io(_) | Self::BadAddress => false,
        }
    }
}

impl From<ProxyError> for io::Error {
    fn from(error: ProxyError) -> Self {
        match error {
            ProxyError::Io(error) => error,
            other => Self::other(other),
        }
    }
}

/// The proxies of this network.
#[derive(Clone, Default)]
pub struct Proxies {
    matcher: Option<Arc<Matcher>>,
    takes_loopback: bool,
}

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.matcher.is_some() { "as named" } else { "none" })
    }
}

impl Proxies {
    /// As the system names them. What is on this machine is never asked of a proxy.
    pub fn of_system() -> Self {
        Self { matcher: Some(Arc::new(Matcher::from_system())), takes_loopback: false }
    }

    /// One proxy for everything, such as `http://name:password@proxy.example:3128`; for tests, in which
    /// all is on this machine.
    pub fn through(proxy: &str) -> Self {
        Self { matcher: Some(Arc::new(Matcher::builder().all(proxy).build())), takes_loopback: true }
    }

    /// Connects to a host. It is looked up by the proxy where there is one: a network that has one may
    /// have no names of the world outside.
    pub async fn connect(&self, host: &str, port: u16, spoken: Spoken) -> Result<TcpStream, ProxyError> {
        // An IPv6 address stands in brackets in URLs, and nowhere else.
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let stream = match self.proxy_of(host, port, spoken)? {
            Some((proxy, to)) => tunnel(&proxy, to).await?,
            None => TcpStream::connect((host, port)).await?,
        };
        // What is said in a call waits for nothing.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The proxy for a host, and the host as a proxy is asked for it; none where it is reached directly.
    fn proxy_of(
        &self,
        host: &str,
        port: u16,
        spoken: Spoken,
    ) -> Result<Option<(Intercept, Uri)>, ProxyError> {
        let Some(matcher) = &self.matcher else { return Ok(None) };
        if is_here(host) && !self.takes_loopback {
            return Ok(None);
        }
        let scheme = match spoken {
            Spoken::Http => "http",
            Spoken::Tls => "https",
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let to: Uri = format!("{scheme}://{host}:{port}").parse().map_err(|_| ProxyError::BadAddress)?;
        Ok(matcher.intercept(&to).map(|proxy| (proxy, to)))
    }
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

async fn tunnel(proxy: &Intercept, to: Uri) -> Result<TcpStream, ProxyError> {
    let kind = proxy.uri().scheme_str().unwrap_or_default();
    if kind != "http" {
        return Err(ProxyError::UnknownKind(kind.to_owned()));
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    std::future::poll_fn(|cx| tunnel.poll_ready(cx)).await.map_err(|error| refused(&error))?;
    Ok(tunnel.call(to).await.map_err(|error| refused(&error))?.into_inner())
}

/// Its type has no name outside of its crate (hyper-util 0.1.21), so that its words tell (a test holds them).
fn refused(error: &(dyn Error + 'static)) -> ProxyError {
    match error.source() {
        Some(source) => ProxyError::Io(io::Error::other(source.to_string())),
        None if error.to_string().contains("authorization required") => ProxyError::NotAuthorized,
        None => ProxyError::Refused,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Answers one request, and gives what was asked.
    async fn answers(with: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![];
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(with.as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap()
        });
        (address.to_string(), asked)
    }

    #[tokio::test]
    async fn a_host_is_asked_for_by_its_name() {
        let (proxy, asked) = answers("HTTP/1.1 200 Connection established\r\n\r\n").await;
        let proxies = Proxies::through(&format!("http://kiosk:s%3Ccret@{proxy}"));
        proxies.connect("relay.invalid", 443, Spoken::Tls).await.unwrap();
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("CONNECT relay.invalid:443 HTTP/1.1\r\n"), "{asked}");
        // "kiosk:s<cret"
        assert!(asked.to_lowercase().contains("proxy-authorization: basic "), "{asked}");
        assert!(asked.contains("a2lvc2s6czxjcmV0"), "{asked}");
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        for (answer, wanted) in [
            ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "wants a name"),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "refuses"),
            ("SSH-2.0-OpenSSH\r\n\r\n", "refuses"),
        ] {
            let (proxy, _asked) = answers(answer).await;
            let proxies = Proxies::through(&format!("http://{proxy}"));
            let error = proxies.connect("relay.invalid", 443, Spoken::Tls).await.unwrap_err();
            assert!(error.to_string().contains(wanted), "{answer}: {error}");
        }
    }

    #[test]
    fn what_is_here_is_reached_directly() {
        let matcher = Matcher::builder().all("http://192.0.2.1:3128").no("inside.example").build();
        let proxies = Proxies { matcher: Some(Arc::new(matcher)), takes_loopback: false };
        let has_proxy = |host| proxies.proxy_of(host, 443, Spoken::Tls).unwrap().is_some();
        for direct in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "inside.example", "a.inside.example"] {
            assert!(!has_proxy(direct), "{direct}");
        }
        for far in ["clinic.example", "192.0.2.7", "2001:db8::1"] {
            assert!(has_proxy(far), "{far}");
        }
        assert!(Proxies::default().proxy_of("clinic.example", 443, Spoken::Tls).unwrap().is_none());
    }

    #[tokio::test]
    async fn an_address_in_brackets_is_one_without() {
        let listener = TcpListener::bind("[::1]:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let far = Matcher::builder().all("http://192.0.2.1:3128").build();
        let proxies = Proxies { matcher: Some(Arc::new(far)), takes_loopback: false };
        proxies.connect("[::1]", port, Spoken::Tls).await.unwrap();
    }

    #[tokio::test]
    async fn a_proxy_of_another_kind_is_named() {
        let error = Proxies::through("socks5://192.0.2.1:1080").connect("a.invalid", 1, Spoken::Tls).await;
        assert!(matches!(error, Err(ProxyError::UnknownKind(kind)) if kind == "socks5"));
    }
}
