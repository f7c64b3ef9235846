//! How much somebody may relay, and to where.

use std::{
    net::IpAddr,
    time::{Duration, Instant as Clock},
};

/// From a client, or to one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Direction {
    Up,
    Down,
}

/// What somebody may relay, bytes in a second: the best picture, audio, and repairs of both, twice,
/// for a call that is being made anew.
const BYTES_PER_SECOND: f64 = 1_000_000.0;
/// And at once: half a second of that.
const BURST_BYTES: f64 = BYTES_PER_SECOND / 2.0;

/// A bucket that fills with time.
#[derive(Debug)]
pub(super) struct Allowance {
    bytes: f64,
    at: Option<Clock>,
}

impl Allowance {
    pub(super) const fn full() -> Self {
        Self { bytes: BURST_BYTES, at: None }
    }

    pub(super) fn take(&mut self, bytes: usize, now: Clock) -> bool {
        let passed = self.at.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        self.bytes = (self.bytes + passed.as_secs_f64() * BYTES_PER_SECOND).min(BURST_BYTES);
        let affords = self.bytes >= bytes as f64;
        if affords {
            self.bytes -= bytes as f64;
        }
        affords
    }
}

/// Channel data, or a STUN indication (RFC 8656 §12, RFC 8489 §5): what carries somebody's packets.
pub(super) fn is_relayed_data(data: &[u8]) -> bool {
    match data {
        [first, ..] if first >> 6 == 0b01 => true,
        [first, second, ..] => first & 0x01 == 0 && second & 0x10 != 0,
        _ => false,
    }
}

/// Whether an address is somebody's in the network at large.
pub(super) fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let is_shared = a == 100 && (64..128).contains(&b); // RFC 6598: a provider's own network
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || is_shared
                || a == 0
                || a >= 240)
        }
        IpAddr::V6(ip) => {
            let [first, ..] = ip.segments();
            let inner = embedded_v4(ip);
            !(ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80)
                && inner.is_none_or(|inner| is_public(IpAddr::V4(inner)))
        }
    }
}

/// Private, but somebody's: what a clinic may open its relay to.
pub(super) fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xfe00 == 0xfc00,
    }
}

/// The IPv4 address that a translated or tunnelled one leads to (RFC 6052, RFC 3056).
fn embedded_v4(ip: std::net::Ipv6Addr) -> Option<std::net::Ipv4Addr> {
    let bytes = ip.octets();
    if bytes[..12] == [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0] {
        return Some([bytes[12], bytes[13], bytes[14], bytes[15]].into());
    }
    (bytes[..2] == [0x20, 0x02]).then(|| [bytes[2], bytes[3], bytes[4], bytes[5]].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_no_way_into_private_networks() {
        for private in [
            "127.0.0.1",
            "10.0.0.1",
            "192.168.1.1",
            "172.16.0.9",
            "169.254.169.254",
            "224.0.0.1",
            "0.0.0.0",
            "100.64.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::1",
        ] {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "198.51.100.7", "2001:db8::1", "64:ff9b::808:808"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        assert!(is_private("192.168.1.1".parse().unwrap()) && !is_private("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn nobody_relays_more_than_their_share() {
        let (mut allowance, began) = (Allowance::full(), Clock::now());
        let passed = |seconds: u64, allowance: &mut Allowance| {
            (0..seconds * 2_000)
                .filter(|n| allowance.take(1_200, began + Duration::from_micros(n * 500)))
                .count()
                * 1_200
        };
        let bytes = passed(10, &mut allowance) as f64;
        assert!((bytes / 10.0 - BYTES_PER_SECOND).abs() < BYTES_PER_SECOND * 0.1, "{bytes}");
        assert!(is_relayed_data(&[0x40, 0, 0, 4]) && is_relayed_data(&[0x00, 0x16]));
        assert!(!is_relayed_data(&[0x00, 0x03]) && !is_relayed_data(&[]));
    }
}
