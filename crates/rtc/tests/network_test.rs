//! The network test, over a relay that is reached in all ways, in some, over a narrow line, and not at all.

mod support;

use std::{net::SocketAddr, time::Duration};

use bedside_bwe::Bitrate;
use bedside_rtc::{IceServer, NetworkMeasured, PeerConfig, RelayWays, test_network};
use support::{LocalRelay, is_tcp, is_tls, is_udp, local_relay, narrow_line};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// People wait for it.
const PATIENCE: Duration = Duration::from_secs(6);

async fn tried(config: &PeerConfig) -> NetworkMeasured {
    let began = Instant::now();
    let found = test_network(config, &CancellationToken::new()).await;
    assert!(began.elapsed() < PATIENCE, "{:?}", began.elapsed());
    found
}

fn udp_address(relay: &LocalRelay) -> SocketAddr {
    let url = &relay.servers.iter().find(|server| is_udp(&server.url)).unwrap().url;
    url.trim_start_matches("turn:").split('?').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_network_is_good_in_every_way() {
    let relay = local_relay().await;
    let found = tried(&relay.by(|_| true)).await;
    assert_eq!(found.ways, RelayWays { udp: true, tcp: true, tls: true });
    let loopback = found.loopback.expect("something came through");
    assert!(loopback.rate > Bitrate::kbps(600), "{loopback:?}");
    assert!(loopback.loss < 0.02, "{loopback:?}");
    assert!(loopback.rtt.is_some_and(|rtt| rtt < Duration::from_millis(50)), "{loopback:?}");
    relay.relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_network_without_udp_is_told_from_one_with() {
    let relay = local_relay().await;
    // Where the relay over UDP should be, nobody is.
    let nobody = IceServer {
        url: "turn:127.0.0.1:9?transport=udp".into(),
        ..relay.servers.iter().find(|server| is_udp(&server.url)).unwrap().clone()
    };
    let mut config = relay.by(|url| is_tcp(url) || is_tls(url));
    config.ice_servers.insert(0, nobody);
    let found = tried(&config).await;
    assert_eq!(found.ways, RelayWays { udp: false, tcp: true, tls: true });
    assert!(found.loopback.is_some_and(|loopback| loopback.rate > Bitrate::kbps(400)), "{found:?}");
    relay.relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_narrow_line_shows_how_narrow_it_is() {
    let relay = local_relay().await;
    for line in [150, 260, 450] {
        let near = narrow_line(udp_address(&relay), line * 1_000).await;
        let mut config = relay.by(is_udp);
        config.ice_servers[0].url = format!("turn:{near}?transport=udp");
        let found = tried(&config).await;
        let rate = found.loopback.expect("something came through").rate;
        let share = rate.ratio(Bitrate::kbps(line));
        assert!((0.7..=1.1).contains(&share), "{rate} of {line} kbit/s");
    }
    relay.relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_comes_through_nothing_is_made_up() {
    let relay = local_relay().await;
    let mut config = relay.by(is_udp);
    config.ice_servers[0].url = "turn:127.0.0.1:9?transport=udp".into();
    assert_eq!(tried(&config).await, NetworkMeasured::default());
    config.ice_servers.clear();
    assert_eq!(tried(&config).await, NetworkMeasured::default());
    relay.relay.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_that_nobody_waits_for_ends_at_once() {
    let relay = local_relay().await;
    let config = relay.by(|_| true);
    let stop = CancellationToken::new();
    let began = Instant::now();
    let (_, ()) = tokio::join!(test_network(&config, &stop), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.cancel();
    });
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    relay.relay.stop().await;
}
