//! STUN and TURN servers: their addresses are looked up beforehand, within a limit, never by whoever
//! makes a connection. One that can't be found, or read, costs only itself.

use std::{net::SocketAddr, time::Duration};

use bedside_redact::Secret;
use tokio::task::JoinSet;
use webrtc::peer_connection::RTCIceServer;

use crate::tunnel::StreamRelay;

/// Servers taken: each is asked by each of the machine's addresses.
const MOST: usize = 8;
/// As the names of a URL say (RFC 7064, RFC 7065).
const PORT: u16 = 3478;
const TLS_PORT: u16 = 5349;

/// A STUN or TURN server.
#[derive(Clone, Debug)]
pub struct IceServer {
    /// `stun:host:port`, `turn:host:port?transport=udp` or `=tcp`, `turns:host:port?transport=tcp`.
    pub url: String,
    /// Name for a relay; empty for STUN.
    pub username: String,
    /// Its credential.
    pub credential: Secret<String>,
}

/// How a relay is spoken to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelayTransport {
    /// In datagrams.
    Udp,
    /// Over a stream in the clear; what is relayed is encrypted all the same.
    Tcp,
    /// Over TLS.
    Tls,
}

#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    scheme: &'a str,
    host: &'a str,
    port: u16,
    query: Option<&'a str>,
}

fn parse(url: &str) -> Option<Url<'_>> {
    let (scheme, rest) = url.split_once(':')?;
    let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
    let (host, port) = if let Some(literal) = authority.strip_prefix('[') {
        let (host, after) = literal.split_once(']')?;
        (host, after.strip_prefix(':'))
    } else {
        authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port)))
    };
    let usual = if scheme == "turns" { TLS_PORT } else { PORT };
    let port = port.map_or(Some(usual), |port| port.parse().ok())?;
    let is_known = matches!(scheme, "stun" | "turn" | "turns");
    let is_read = !host.is_empty() && !host.contains(['/', '@']) && is_known;
    is_read.then_some(Url { scheme, host, port, query })
}

impl Url<'_> {
    /// Whether it is spoken to over a stream.
    fn is_stream(&self) -> bool {
        self.scheme == "turns" || (self.scheme == "turn" && self.query == Some("transport=tcp"))
    }
}

impl IceServer {
    /// How this relay is spoken to; none for STUN, and for what can't be read.
    pub fn transport(&self) -> Option<RelayTransport> {
        let url = parse(&self.url)?;
        match url.scheme {
            "turns" => Some(RelayTransport::Tls),
            "turn" if url.is_stream() => Some(RelayTransport::Tcp),
            "turn" => Some(RelayTransport::Udp),
            _ => None,
        }
    }

    /// The way to a relay over a stream; none for anything else.
    pub(crate) fn way(&self) -> Option<StreamRelay> {
        let url = parse(&self.url).filter(Url::is_stream)?;
        let has_name = !self.username.is_empty() && !self.credential.expose().is_empty();
        has_name.then(|| StreamRelay {
            host: url.host.to_owned(),
            port: url.port,
            tls: url.scheme == "turns",
        })
    }

    /// The same relay for the stack, at the address that stands for it.
    pub(crate) fn at(&self, stands_for: SocketAddr) -> RTCIceServer {
        RTCIceServer {
            urls: vec![format!("turn:{stands_for}?transport=udp")],
            username: self.username.clone(),
            credential: self.credential.expose().clone(),
        }
    }

    /// As the stack takes it; none for one that it can't use. It speaks to relays over UDP alone, and
    /// refuses a whole connection for one server that it can't read (0.21.1).
    pub(crate) fn for_stack(&self) -> Option<RTCIceServer> {
        let url = parse(&self.url)?;
        url.host.parse::<std::net::IpAddr>().ok()?;
        let is_udp = !url.is_stream() && url.query.is_none_or(|query| query == "transport=udp");
        let has_name = !self.username.is_empty() && !self.credential.expose().is_empty();
        (is_udp && (url.scheme == "stun" || has_name)).then(|| RTCIceServer {
            urls: vec![self.url.clone()],
            username: self.username.clone(),
            credential: self.credential.expose().clone(),
        })
    }
}

/// Each URL with addresses in place of its name, one for each family; none where no address was found
/// `within` this time. All are looked up at once, and no more than a few.
pub async fn resolve(urls: Vec<String>, within: Duration) -> Vec<Vec<String>> {
    let mut resolved = vec![vec![]; urls.len()];
    let mut lookups = JoinSet::new();
    for (at, url) in urls.into_iter().take(MOST).enumerate() {
        // Looked up when it is needed: its name is what its certificate is for.
        if parse(&url).is_some_and(|url| url.is_stream()) {
            resolved[at] = vec![url];
            continue;
        }
        lookups.spawn(async move {
            let found = tokio::time::timeout(within, addresses(&url)).await;
            (at, url, found.unwrap_or_default())
        });
    }
    while let Some(done) = lookups.join_next().await {
        let Ok((at, url, addresses)) = done else { continue };
        if addresses.is_empty() {
            tracing::info!("a relay's address was not found in time, or can't be read");
        }
        let Some(url) = parse(&url) else { continue };
        let query = url.query.map_or(String::new(), |query| format!("?{query}"));
        resolved[at] =
            addresses.into_iter().map(|address| format!("{}:{address}{query}", url.scheme)).collect();
    }
    resolved
}

/// The first address of each family.
async fn addresses(url: &str) -> Vec<SocketAddr> {
    let Some(url) = parse(url) else { return vec![] };
    let Ok(found) = tokio::net::lookup_host((url.host, url.port)).await else { return vec![] };
    let found: Vec<SocketAddr> = found.collect();
    let first = |is_v4: bool| found.iter().find(|address| address.is_ipv4() == is_v4).copied();
    [first(true), first(false)].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> IceServer {
        IceServer { url: url.into(), username: "1:u".into(), credential: Secret::new("p".into()) }
    }

    #[test]
    fn urls_are_read_as_they_are_written() {
        let url = |scheme, host, port, query| Some(Url { scheme, host, port, query });
        assert_eq!(
            parse("turn:relay.example:443?transport=tcp"),
            url("turn", "relay.example", 443, Some("transport=tcp"))
        );
        assert_eq!(parse("turns:relay.example"), url("turns", "relay.example", 5349, None));
        assert_eq!(parse("stun:[2001:db8::2]"), url("stun", "2001:db8::2", 3478, None));
        for wrong in ["", "turn", "turn:", "http://x", "turn:a:b", "turn://x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_not_found_costs_only_itself() {
        let urls = ["turn:no-such-host.invalid", "rubbish", "turn:127.0.0.1:9?transport=udp"];
        let resolved = resolve(urls.map(str::to_owned).to_vec(), Duration::from_secs(2)).await;
        assert_eq!(resolved, [vec![], vec![], vec!["turn:127.0.0.1:9?transport=udp".to_owned()]]);
    }

    #[test]
    fn what_the_stack_can_not_use_is_kept_from_it() {
        for url in ["turn:name.example", "turn:192.0.2.1?transport=tcp", "turns:192.0.2.1", "stun:"] {
            assert!(server(url).for_stack().is_none(), "{url}");
        }
        let nameless = IceServer { username: String::new(), ..server("turn:192.0.2.1") };
        assert!(nameless.for_stack().is_none());
        assert!(server("stun:[2001:db8::2]:3478").for_stack().is_some());
    }

    #[tokio::test]
    async fn a_relay_over_a_stream_keeps_its_name() {
        let url = "turns:relay.example:443?transport=tcp".to_owned();
        assert_eq!(resolve(vec![url.clone()], Duration::ZERO).await, [vec![url.clone()]]);
        let way = server(&url).way().unwrap();
        assert_eq!(way, StreamRelay { host: "relay.example".into(), port: 443, tls: true });
        assert!(server("turn:192.0.2.1?transport=tcp").way().is_some_and(|way| !way.tls && way.port == 3478));
        assert!(server("turn:192.0.2.1?transport=udp").way().is_none());
    }
}
