//! Whose service it is and how well it is reached, before a call shows it.

use std::time::{Duration, Instant};

use bedside_backends::door;
use bedside_session::{
    RttWindow,
    snapshot::{Connection, Screen},
};

use super::{App, Event};

/// How often the service is asked while the waiting room looks at the connection: often enough to
/// see the kitchen's Wi-Fi, too seldom to be in its way.
const EVERY: Duration = Duration::from_secs(1);

/// Looking at the connection.
#[derive(Default)]
pub(super) struct Reaching {
    log: RttWindow,
    under_way: bool,
    asked_at: Option<Instant>,
}

impl Reaching {
    pub(super) fn view(&self) -> Connection {
        let round_trip = self.log.round_trip().map(|time| time.as_millis());
        Connection {
            reach: self.log.verdict(),
            round_trip_ms: round_trip.and_then(|ms| u32::try_from(ms).ok()),
            ..Connection::default()
        }
    }
}

impl App {
    /// Asks whose service is at an address.
    pub(super) fn look_up(&mut self, service: String) {
        let service = service.trim().to_owned();
        self.clinic = None;
        self.looking_up.clone_from(&service);
        // Not an address yet: it is still being typed.
        let Ok(door) = door(&service) else { return };
        self.spawn(async move {
            // A service that does not answer, or has no name, is nobody's.
            let name = door.name().await.unwrap_or_default();
            Event::Clinic(service, name)
        });
    }

    /// Looks at the connection while the person looks at their devices.
    pub(super) fn tick_reach(&mut self) {
        if self.screen != Screen::Check {
            self.reach = Reaching::default();
            return;
        }
        if self.reach.under_way || self.reach.asked_at.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        (self.reach.under_way, self.reach.asked_at) = (true, Some(Instant::now()));
        self.ask(|clinic| async move { Event::Reached(clinic.round_trip().await.ok()) });
    }

    pub(super) fn on_reached(&mut self, round_trip: Option<Duration>) {
        // One that was asked before the screen was left is of a look that is over.
        if self.reach.under_way {
            self.reach.under_way = false;
            self.reach.log.push(round_trip);
        }
    }
}
