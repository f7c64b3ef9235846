//! The network test: this device calls itself through the service's relay, before a doctor does.

use bedside_backends::Clinic;
use bedside_protocol::{ConsultationMode, DeviceCheckReport, NetworkCheck};
use bedside_rtc::{PeerConfig, test_network};
use bedside_session::{
    network,
    snapshot::{NetworkTest, Screen},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{App, Event, visit};
use crate::call;

/// Which test of this run: one that was overtaken is recognised.
type TestNumber = u64;

/// The network test, as far as it is.
#[derive(Default)]
pub(super) struct NetworkTesting {
    count: TestNumber,
    shown: NetworkTest,
    /// The one that counts; none before the first. Dropped, it ends.
    current: Option<DropGuard>,
}

impl NetworkTesting {
    pub(super) fn view(&self) -> NetworkTest {
        self.shown.clone()
    }

    fn is_current(&self, number: TestNumber) -> bool {
        self.current.is_some() && self.count == number
    }
}

impl App {
    /// Tries the network once by itself when the person looks at their devices, and stops when they go on.
    pub(super) fn tick_network_test(&mut self) {
        if self.screen == Screen::Check {
            if self.network.current.is_none() {
                self.test_network();
            }
        } else if self.network.current.is_some() {
            self.network = NetworkTesting { count: self.network.count, ..NetworkTesting::default() };
        }
    }

    /// Tries it now.
    pub(super) fn test_network(&mut self) {
        let Some(signed_in) = self.signed_in.clone() else { return };
        if self.screen != Screen::Check || self.network.shown.runs {
            return;
        }
        let (number, stop) = (self.network.count + 1, self.signed_out.child_token());
        self.network = NetworkTesting {
            count: number,
            shown: NetworkTest { runs: true, ..NetworkTest::default() },
            current: Some(stop.clone().drop_guard()),
        };
        let (events, account) = (self.events.clone(), self.account);
        // Not dropped half-way: what it opened is to be closed.
        self.tasks.spawn(async move {
            let found = try_network(&*signed_in, &stop).await;
            // Closed while it went on.
            let _ = events.send((Some(account), Event::NetworkTested(number, found))).await;
        });
    }

    pub(super) fn on_network_tested(&mut self, number: TestNumber, found: Option<NetworkCheck>) {
        if !self.network.is_current(number) {
            return;
        }
        let mode = self.visit.as_ref().map(|visit| visit.stay.session().consultation_mode);
        let with_picture = mode == Some(ConsultationMode::Video);
        let verdict = found.and_then(|found| network::verdict(&found, with_picture));
        self.network.shown = NetworkTest { runs: false, verdict, found, code: None };
        if let Some(network) = found {
            tracing::info!(?network, ?verdict, "the network was tried");
            let report = DeviceCheckReport { devices: self.devices.check(), network };
            self.ask(move |signed_in| async move {
                let kept = signed_in.keep_device_check(&report).await;
                // Without a code the person still has the words.
                Event::DeviceCheckKept(number, kept.ok().map(|kept| kept.code))
            });
        }
    }

    pub(super) fn on_device_check_kept(&mut self, number: TestNumber, code: Option<String>) {
        if self.network.is_current(number) {
            self.network.shown.code = code;
        }
    }
}

/// What the network carries; none where the service has no relay to try it by, or does not answer.
async fn try_network(clinic: &dyn Clinic, stop: &CancellationToken) -> Option<NetworkCheck> {
    let servers = stop.run_until_cancelled(clinic.ice_servers()).await?.ok()?;
    let ice_servers = call::ice(visit::resolved(servers).await);
    if !ice_servers.iter().any(|server| server.transport().is_some()) {
        return None;
    }
    let config = PeerConfig {
        ice_servers,
        loopback: clinic.is_local(),
        proxies: clinic.proxies().clone(),
        ..PeerConfig::default()
    };
    let found = test_network(&config, stop).await;
    Some(NetworkCheck {
        bits_per_second: found.loopback.map(|loopback| loopback.rate.as_bps()),
        loss_percent: found.loopback.map(|loopback| (loopback.loss * 100.0).round() as u8),
        round_trip_ms: found.loopback.and_then(|loopback| loopback.rtt).map(|rtt| rtt.as_millis() as u32),
        udp: found.ways.udp,
        tcp: found.ways.tcp,
        tls: found.ways.tls,
    })
}
