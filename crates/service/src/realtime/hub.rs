//! Who is connected and subscribed to what, and who is present in which visit.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bedside_protocol::{Presence, PresenceStatus, ServerMessage, SessionId, UserId, stomp::Frame};
use tokio::sync::mpsc;

/// Frames waiting for one socket. A client that falls this far behind is cut off: it comes back
/// and fetches what it missed, which is better than hearing of it minutes late.
pub(crate) const OUTBOX: usize = 256;

/// Sockets of one person at a time: every device they have, and what a broken link left behind.
const MAX_SOCKETS: usize = 16;

/// How long somebody who dropped out counts as reconnecting (requirements §2.2).
const RECONNECTION_WINDOW: Duration = Duration::from_secs(60);

/// One WebSocket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct SocketId(u64);

/// What a socket's task is told.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Send this.
    Frame(Frame),
}

#[derive(Default)]
pub(crate) struct Hub {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    sockets: HashMap<SocketId, Socket>,
    /// Destination (a user's own with the user before it) to who listens.
    listeners: HashMap<String, Vec<(SocketId, String)>>,
    /// Only those who have been there and have not left.
    present: HashMap<(SessionId, UserId), Present>,
}

struct Socket {
    user: UserId,
    outbox: mpsc::Sender<Outgoing>,
    /// Subscription id to (key in `listeners`, the visit whose topic it is).
    subscriptions: HashMap<String, (String, Option<SessionId>)>,
}

#[derive(Default)]
struct Present {
    sockets: u32,
    absent_since: Option<Instant>,
    /// They left on purpose, and have not joined again.
    has_left: bool,
}

impl Present {
    fn status(&self) -> PresenceStatus {
        match self.absent_since {
            _ if self.has_left => PresenceStatus::Disconnected,
            None => PresenceStatus::Connected,
            Some(_) => PresenceStatus::Reconnecting,
        }
    }
}

/// A change of who is present.
pub(crate) type PresenceChange = (SessionId, UserId, PresenceStatus);

fn own(user: UserId, destination: &str) -> String {
    format!("{user}{destination}")
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a socket; what it is to send comes out of the receiver, which ends when it is cut off.
    /// None where the person has as many as one may have.
    pub(crate) fn connect(&self, user: UserId) -> Option<(SocketId, mpsc::Receiver<Outgoing>)> {
        let (outbox, receiver) = mpsc::channel(OUTBOX);
        let mut state = self.lock();
        if state.sockets.values().filter(|socket| socket.user == user).count() >= MAX_SOCKETS {
            return None;
        }
        state.next += 1;
        let id = SocketId(state.next);
        state.sockets.insert(id, Socket { user, outbox, subscriptions: HashMap::new() });
        Some((id, receiver))
    }

    /// Removes a socket; gives who is no longer present because of it.
    pub(crate) fn disconnect(&self, id: SocketId) -> Vec<PresenceChange> {
        let mut state = self.lock();
        let Some(socket) = state.sockets.remove(&id) else { return vec![] };
        let mut changes = vec![];
        for (key, visit) in socket.subscriptions.into_values() {
            state.unlisten(&key, id);
            changes.extend(visit.and_then(|visit| state.went(visit, socket.user)));
        }
        changes
    }

    /// Subscribes. `visit` is set where the destination is a visit's topic: being subscribed to
    /// it is what being present means.
    pub(crate) fn subscribe(
        &self,
        id: SocketId,
        subscription: &str,
        destination: &str,
        visit: Option<SessionId>,
    ) -> Option<PresenceChange> {
        let mut state = self.lock();
        let user = state.sockets.get(&id)?.user;
        let key =
            if destination.starts_with("/user/") { own(user, destination) } else { destination.to_owned() };
        state.listeners.entry(key.clone()).or_default().push((id, subscription.to_owned()));
        state.sockets.get_mut(&id)?.subscriptions.insert(subscription.to_owned(), (key, visit));
        visit.and_then(|visit| state.came(visit, user))
    }

    /// How many subscriptions a socket has, and whether one of them has this id.
    pub(crate) fn subscriptions(&self, id: SocketId, subscription: &str) -> (usize, bool) {
        self.lock().sockets.get(&id).map_or((0, false), |socket| {
            (socket.subscriptions.len(), socket.subscriptions.contains_key(subscription))
        })
    }

    /// Unsubscribes; an unknown subscription is no error.
    pub(crate) fn unsubscribe(&self, id: SocketId, subscription: &str) -> Option<PresenceChange> {
        let mut state = self.lock();
        let socket = state.sockets.get_mut(&id)?;
        let user = socket.user;
        let (key, visit) = socket.subscriptions.remove(subscription)?;
        if let Some(listeners) = state.listeners.get_mut(&key) {
            listeners.retain(|(socket, name)| *socket != id || name != subscription);
            if listeners.is_empty() {
                state.listeners.remove(&key);
            }
        }
        visit.and_then(|visit| state.went(visit, user))
    }

    /// Sends to everybody who listens to a topic.
    pub(crate) fn publish(&self, destination: &str, message: &ServerMessage) {
        self.lock().send(destination, destination, message);
    }

    /// Sends to one person's own destination; false when no socket of theirs listens to it.
    pub(crate) fn publish_to(&self, user: UserId, destination: &str, message: &ServerMessage) -> bool {
        self.lock().send(&own(user, destination), destination, message)
    }

    /// Whether a person is present in a visit.
    pub(crate) fn presence(&self, visit: SessionId, user: UserId) -> PresenceStatus {
        self.lock().present.get(&(visit, user)).map_or(PresenceStatus::Disconnected, Present::status)
    }

    /// Somebody left on purpose, whether or not they still listen: they are not waited for.
    pub(crate) fn left(&self, visit: SessionId, user: UserId) -> Option<PresenceChange> {
        let mut state = self.lock();
        let present = state.present.get_mut(&(visit, user))?;
        let was = present.status();
        present.has_left = true;
        if present.sockets == 0 {
            state.present.remove(&(visit, user));
        }
        (was != PresenceStatus::Disconnected).then_some((visit, user, PresenceStatus::Disconnected))
    }

    /// Somebody who listens joined: they are there again, even if they had left.
    pub(crate) fn joined(&self, visit: SessionId, user: UserId) -> Option<PresenceChange> {
        let mut state = self.lock();
        let present = state.present.get_mut(&(visit, user))?;
        std::mem::take(&mut present.has_left).then(|| (visit, user, present.status()))
    }

    /// Gives up on those who have been away for longer than the window.
    pub(crate) fn expire_absent(&self) -> Vec<PresenceChange> {
        let mut expired = vec![];
        self.lock().present.retain(|(visit, user), present| {
            let gone = present.absent_since.is_some_and(|since| since.elapsed() > RECONNECTION_WINDOW);
            if gone {
                expired.push((*visit, *user, PresenceStatus::Disconnected));
            }
            !gone
        });
        expired
    }
}

impl State {
    fn send(&mut self, key: &str, destination: &str, message: &ServerMessage) -> bool {
        let Some(listeners) = self.listeners.get(key).filter(|listeners| !listeners.is_empty()) else {
            return false;
        };
        // A message of ours always has a JSON form.
        let Ok(body) = serde_json::to_string(message) else { return false };
        let mut too_slow = vec![];
        for (id, subscription) in listeners {
            let Some(socket) = self.sockets.get(id) else { continue };
            self.next += 1;
            let frame = Frame::new("MESSAGE")
                .header("destination", destination)
                .header("subscription", subscription.clone())
                .header("message-id", self.next.to_string())
                .header("content-type", "application/json")
                .body(body.clone());
            if socket.outbox.try_send(Outgoing::Frame(frame)).is_err() {
                too_slow.push(*id);
            }
        }
        for id in too_slow {
            // Dropping its sender ends its task, which then disconnects it. Until then it is sent nothing more.
            if let Some(socket) = self.sockets.get_mut(&id)
                && !socket.outbox.is_closed()
            {
                tracing::warn!("a client that does not keep up is cut off");
                socket.outbox = mpsc::channel(1).0;
            }
        }
        true
    }

    fn unlisten(&mut self, key: &str, id: SocketId) {
        if let Some(listeners) = self.listeners.get_mut(key) {
            listeners.retain(|(socket, _)| *socket != id);
            if listeners.is_empty() {
                self.listeners.remove(key);
            }
        }
    }

    fn came(&mut self, visit: SessionId, user: UserId) -> Option<PresenceChange> {
        let present = self.present.entry((visit, user)).or_default();
        present.sockets += 1;
        (present.absent_since, present.has_left) = (None, false);
        (present.sockets == 1).then_some((visit, user, PresenceStatus::Connected))
    }

    fn went(&mut self, visit: SessionId, user: UserId) -> Option<PresenceChange> {
        let present = self.present.get_mut(&(visit, user))?;
        present.sockets = present.sockets.saturating_sub(1);
        if present.sockets > 0 {
            return None;
        }
        if present.has_left {
            self.present.remove(&(visit, user));
            return None;
        }
        present.absent_since = Some(Instant::now());
        Some((visit, user, PresenceStatus::Reconnecting))
    }
}

/// A change of presence as the topic hears of it.
pub(crate) fn presence_message(
    row: &crate::store::SessionRow,
    change: PresenceChange,
) -> Option<ServerMessage> {
    let (session_id, user_id, status) = change;
    let presence = Presence { user_id, party: row.party(user_id)?, status };
    Some(ServerMessage::ParticipantStatus(bedside_protocol::ParticipantStatus { session_id, presence }))
}

#[cfg(test)]
mod tests {
    use bedside_protocol::{Typing, topic};

    use super::*;

    fn typing(session_id: SessionId) -> ServerMessage {
        ServerMessage::Typing(Typing { session_id, typing: true, user_id: None })
    }

    #[test]
    fn a_message_reaches_those_who_listen_and_nobody_else() {
        let hub = Hub::default();
        let (visit, other) = (SessionId::generate(), SessionId::generate());
        let (a, mut a_out) = hub.connect(UserId::generate()).unwrap();
        let (b, mut b_out) = hub.connect(UserId::generate()).unwrap();
        hub.subscribe(a, "1", &topic::session(visit), Some(visit));
        hub.subscribe(b, "1", &topic::session(other), Some(other));
        hub.publish(&topic::session(visit), &typing(visit));
        assert!(matches!(a_out.try_recv(), Ok(Outgoing::Frame(f)) if f.get("subscription") == Some("1")));
        assert!(b_out.try_recv().is_err());
    }

    #[test]
    fn one_persons_queue_is_theirs_alone() {
        let hub = Hub::default();
        let (me, you) = (UserId::generate(), UserId::generate());
        let (a, _a_out) = hub.connect(me).unwrap();
        let (b, mut b_out) = hub.connect(you).unwrap();
        hub.subscribe(a, "q", topic::SIGNALS, None);
        hub.subscribe(b, "q", topic::SIGNALS, None);
        assert!(hub.publish_to(me, topic::SIGNALS, &typing(SessionId::generate())));
        assert!(b_out.try_recv().is_err());
    }

    #[test]
    fn one_person_has_only_so_many_sockets() {
        let hub = Hub::default();
        let user = UserId::generate();
        let held: Vec<_> = (0..MAX_SOCKETS).map(|_| hub.connect(user).unwrap()).collect();
        assert!(hub.connect(user).is_none() && hub.connect(UserId::generate()).is_some());
        hub.disconnect(held[0].0);
        assert!(hub.connect(user).is_some());
    }

    #[test]
    fn who_left_is_gone_although_they_still_listen() {
        let hub = Hub::default();
        let (visit, user) = (SessionId::generate(), UserId::generate());
        let (socket, _out) = hub.connect(user).unwrap();
        hub.subscribe(socket, "1", &topic::session(visit), Some(visit));
        let gone = Some((visit, user, PresenceStatus::Disconnected));
        assert_eq!((hub.left(visit, user), hub.left(visit, user)), (gone, None), "said once");
        assert_eq!(hub.presence(visit, user), PresenceStatus::Disconnected);
        assert_eq!(hub.joined(visit, user), Some((visit, user, PresenceStatus::Connected)));
        hub.left(visit, user);
        assert!(hub.disconnect(socket).is_empty(), "nobody waits for them");
        assert_eq!(hub.presence(visit, user), PresenceStatus::Disconnected);
    }

    #[test]
    fn dropping_out_is_reconnecting_until_one_is_back() {
        let hub = Hub::default();
        let (visit, user) = (SessionId::generate(), UserId::generate());
        let (a, _out) = hub.connect(user).unwrap();
        assert_eq!(
            hub.subscribe(a, "1", &topic::session(visit), Some(visit)),
            Some((visit, user, PresenceStatus::Connected))
        );
        assert_eq!(hub.disconnect(a), [(visit, user, PresenceStatus::Reconnecting)]);
        assert_eq!(hub.presence(visit, user), PresenceStatus::Reconnecting);
        let (b, _out) = hub.connect(user).unwrap();
        hub.subscribe(b, "1", &topic::session(visit), Some(visit));
        assert_eq!(hub.presence(visit, user), PresenceStatus::Connected);
        assert!(hub.expire_absent().is_empty());
    }

    #[test]
    fn a_client_that_does_not_keep_up_is_cut_off() {
        let hub = Hub::default();
        let visit = SessionId::generate();
        let (a, mut out) = hub.connect(UserId::generate()).unwrap();
        hub.subscribe(a, "1", &topic::session(visit), Some(visit));
        for _ in 0..=OUTBOX {
            hub.publish(&topic::session(visit), &typing(visit));
        }
        let mut received = 0;
        while out.try_recv().is_ok() {
            received += 1;
        }
        assert_eq!(received, OUTBOX);
        assert!(matches!(out.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}
