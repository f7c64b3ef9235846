//! The snapshot: what the screens are made of.

use bedside_protocol::DeviceId;
use bedside_session::{
    Snapshot,
    snapshot::{Chat, Connection, Devices, Link, PendingMessage, Screen, Visit},
};

use super::{App, past::Past, visit::VisitState};

/// Before anything is known.
pub(super) fn first(service: &str, device: DeviceId) -> Snapshot {
    Snapshot {
        service: service.to_owned(),
        clinic: None,
        user: None,
        link: Link::Off,
        screen: Screen::Starting,
        sessions: vec![],
        visit: None,
        history: None,
        past: None,
        connection: Connection::default(),
        device,
        devices: Devices::default(),
        busy: false,
        problem: None,
    }
}

impl App {
    /// Shows the state as it is now, if it is another one.
    pub(super) fn show(&self) {
        let now = Snapshot {
            service: self.service.clone(),
            clinic: self.clinic.clone(),
            user: self.user.clone(),
            link: self.link,
            screen: self.screen,
            sessions: self.sessions.clone(),
            visit: self.visit.as_ref().map(|visit| self.view_visit(visit)),
            history: self.history.clone(),
            past: self.past.as_ref().map(Past::view),
            connection: Connection { test: self.network.view(), ..self.reach.view() },
            device: self.device,
            devices: self.devices.snapshot(&self.threads.audio.shared),
            busy: self.busy,
            problem: self.problem.clone(),
        };
        self.snapshots.send_if_modified(|shown| {
            let changed = *shown != now;
            if changed {
                *shown = now;
            }
            changed
        });
    }

    fn view_visit(&self, visit: &VisitState) -> Visit {
        let (stay, now) = (&visit.stay, self.now());
        let pending = visit.chat.pending().iter().map(|pending| PendingMessage {
            id: pending.outgoing.client_message_id,
            content: pending.outgoing.content.clone(),
            refused: pending.refused.as_ref().map(|problem| problem.title.clone()),
        });
        Visit {
            party: stay.party(),
            ready: stay.is_ready(),
            other_presence: stay.other_presence(),
            chat: Chat {
                messages: visit.chat.messages().cloned().collect(),
                pending: pending.collect(),
                has_older: visit.chat.has_older(),
                unread: visit.chat.unread(),
                other_types: visit.other_types_since.is_some(),
            },
            call: visit.call.as_ref().map(|call| call.state(now)),
            elapsed_seconds: stay.elapsed_seconds(now),
            clock_runs: stay.clock_runs(),
            minutes_left: stay.minutes_left(now),
            summary: visit.summary.clone(),
            screen: self.sharing.view(),
            feedback_given: visit.feedback_given,
            session: stay.session().clone(),
        }
    }
}
