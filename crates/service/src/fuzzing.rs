//! Ways in for `cargo xtask fuzz`, and for nobody else.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{files, relay};

/// A packet to the relay: what it does before its server sees one.
pub fn relay_packet(packet: &[u8]) {
    relay::look_at(packet, SocketAddr::from((Ipv4Addr::LOCALHOST, 5_000)));
}

/// A file that somebody sends: kept once, it is kept again as it is.
pub fn file(bytes: &[u8]) {
    let Ok(kept) = files::accept("a", bytes.to_vec()) else { return };
    let again = files::accept(&kept.name, kept.bytes.clone()).expect("what is kept can be kept");
    assert_eq!((again.bytes, again.size), (kept.bytes, kept.size));
}
