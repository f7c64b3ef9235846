//! Where a request comes from: the address of its connection, or the one that a proxy of the clinic's own names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use bedside_protocol::Code;
use ipnet::IpNet;

use crate::{app::Shared, error::ApiError};

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectedTo(pub(crate) SocketAddr);

/// Where a request comes from, as it is counted: an IPv6 address by its first 56 bits, which
/// are one customer's (RIPE-690).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Origin(pub(crate) IpAddr);

impl FromRequestParts<Shared> for Origin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let connected = parts.extensions.get::<ConnectedTo>().ok_or(Code::Internal)?;
        Ok(Self::of(connected.0.ip(), &parts.headers, &app.config.trusted_proxies))
    }
}

impl Origin {
    /// The last address that is no trusted proxy's, read from the connection back. What stands before it in
    /// `X-Forwarded-For` is whatever the client wrote there.
    pub(crate) fn of(connected: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(&ip));
        let named = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let named: Vec<&str> = named.flat_map(|value| value.split(',')).map(str::trim).collect();
        let mut ip = connected.to_canonical();
        for name in named.into_iter().rev() {
            match name.parse::<IpAddr>() {
                Ok(before) if is_trusted(ip) => ip = before.to_canonical(),
                _ => break,
            }
        }
        Self(counted(ip))
    }
}

/// As it is counted.
pub(crate) fn counted(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d & 0xff00, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(connected: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        Origin::of(connected.parse().unwrap(), &headers, &trusted).0.to_string()
    }

    #[test]
    fn only_the_clinics_own_proxies_are_believed() {
        assert_eq!(origin("192.0.2.1", &[]), "192.0.2.1");
        assert_eq!(origin("192.0.2.1", &["198.51.100.7"]), "192.0.2.1", "anybody can write that");
        assert_eq!(origin("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(origin("10.0.0.1", &["127.0.0.1, 198.51.100.7"]), "198.51.100.7");
        assert_eq!(origin("10.0.0.1", &["198.51.100.7", "10.0.0.2"]), "198.51.100.7", "two of them");
        assert_eq!(origin("10.0.0.1", &["unknown"]), "10.0.0.1");
        assert_eq!(origin("::ffff:10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn an_ipv6_customer_is_one() {
        assert_eq!(origin("2001:db8:1:2:3:4:5:6", &[]), "2001:db8:1::");
        assert_eq!(origin("2001:db8:1:1ff::1", &[]), "2001:db8:1:100::");
    }
}
