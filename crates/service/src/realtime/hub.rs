//! Who is connected to this service and subscribed to what.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bedside_protocol::{SessionId, UserId, stomp::Frame};
use tokio::sync::mpsc;

use crate::{store::Listener, telemetry};

/// Frames waiting for one socket. A client that falls this far behind is cut off: it comes back
/// and fetches what it missed, which is better than hearing of it minutes late.
pub(crate) const OUTBOX: usize = 256;

/// Sockets of one person at a time, and of the guests in one visit: every device they have, and what a broken link left behind.
const MAX_SOCKETS: usize = 16;

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
    /// Keys of `listeners` that went away.
    unheard: Vec<String>,
    /// How many subscriptions to a visit's topic somebody has: being subscribed is what being present means.
    present: HashMap<Listener, u32>,
}

struct Socket {
    user: UserId,
    /// Of a guest: the one visit that they may hear of.
    only: Option<SessionId>,
    outbox: mpsc::Sender<Outgoing>,
    /// Subscription id to (key in `listeners`, the visit whose topic it is).
    subscriptions: HashMap<String, (String, Option<SessionId>)>,
}

fn own(user: UserId, destination: &str) -> String {
    format!("{user}{destination}")
}

/// By which a destination's listeners are found: everybody's, or one person's own.
pub(crate) fn key(destination: &str, user: Option<UserId>) -> String {
    user.map_or_else(|| destination.to_owned(), |user| own(user, destination))
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a socket; what it is to send comes out of the receiver, which ends when it is cut off.
    /// None where the person has as many as one may have.
    pub(crate) fn connect(
        &self,
        user: UserId,
        only: Option<SessionId>,
    ) -> Option<(SocketId, mpsc::Receiver<Outgoing>)> {
        let (outbox, receiver) = mpsc::channel(OUTBOX);
        let mut state = self.lock();
        let theirs = state.sockets.values().filter(|socket| socket.user == user && socket.only == only);
        if theirs.count() >= MAX_SOCKETS {
            return None;
        }
        state.next += 1;
        let id = SocketId(state.next);
        state.sockets.insert(id, Socket { user, only, outbox, subscriptions: HashMap::new() });
        Some((id, receiver))
    }

    /// Removes a socket; gives who is no longer present because of it.
    pub(crate) fn disconnect(&self, id: SocketId) -> Vec<Listener> {
        let mut state = self.lock();
        let Some(socket) = state.sockets.remove(&id) else { return vec![] };
        let mut changes = vec![];
        for (key, visit) in socket.subscriptions.into_values() {
            state.unlisten(&key, id);
            changes.extend(visit.and_then(|visit| state.went(visit, socket.user)));
        }
        changes
    }

    /// Subscribes. `visit` is set where the destination is a visit's topic; gives who is present because of it.
    pub(crate) fn subscribe(
        &self,
        id: SocketId,
        subscription: &str,
        destination: &str,
        visit: Option<SessionId>,
    ) -> Option<Listener> {
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

    /// Unsubscribes; an unknown subscription is no error. Gives who is no longer present because of it.
    pub(crate) fn unsubscribe(&self, id: SocketId, subscription: &str) -> Option<Listener> {
        let mut state = self.lock();
        let socket = state.sockets.get_mut(&id)?;
        let user = socket.user;
        let (key, visit) = socket.subscriptions.remove(subscription)?;
        if let Some(listeners) = state.listeners.get_mut(&key) {
            listeners.retain(|(socket, name)| *socket != id || name != subscription);
            if listeners.is_empty() {
                state.listeners.remove(&key);
                state.unheard.push(key);
            }
        }
        visit.and_then(|visit| state.went(visit, user))
    }

    /// Sends a message, as JSON, to the sockets that listen to a topic, or to a person's own destination; guests hear
    /// there only of their visit.
    pub(crate) fn deliver(
        &self,
        destination: &str,
        user: Option<UserId>,
        visit: Option<SessionId>,
        body: &str,
    ) {
        match user {
            None => self.lock().send(destination, destination, body, |_| true),
            Some(user) => self.lock().send(&own(user, destination), destination, body, |socket| {
                socket.only.is_none() || socket.only == visit
            }),
        }
    }

    /// Whether somebody here listens to this; see [`key`].
    pub(crate) fn has_listeners(&self, key: &str) -> bool {
        self.lock().listeners.contains_key(key)
    }

    /// What nobody here listens to any more, since this was last asked.
    pub(crate) fn take_unheard(&self) -> Vec<String> {
        std::mem::take(&mut self.lock().unheard)
    }

    /// How many sockets there are.
    pub(crate) fn sockets(&self) -> usize {
        self.lock().sockets.len()
    }

    /// Who is present in a visit through this service.
    pub(crate) fn present(&self) -> Vec<Listener> {
        self.lock().present.keys().copied().collect()
    }

    /// Whether somebody is present in a visit through this service.
    pub(crate) fn is_present(&self, listener: Listener) -> bool {
        self.lock().present.contains_key(&listener)
    }

    /// Ends every socket: something was missed, and whoever comes back fetches it.
    pub(crate) fn cut_all(&self) {
        for socket in self.lock().sockets.values_mut() {
            socket.cut();
        }
    }
}

impl Socket {
    /// Dropping its sender ends its task, which then disconnects it. Until then it is sent nothing more.
    fn cut(&mut self) {
        if !self.outbox.is_closed() {
            self.outbox = mpsc::channel(1).0;
        }
    }
}

impl State {
    fn send(&mut self, key: &str, destination: &str, body: &str, may_hear: impl Fn(&Socket) -> bool) {
        let Some(listeners) = self.listeners.get(key) else { return };
        let (mut too_slow, mut sent) = (vec![], 0);
        for (id, subscription) in listeners {
            let Some(socket) = self.sockets.get(id).filter(|socket| may_hear(socket)) else { continue };
            self.next += 1;
            let frame = Frame::new("MESSAGE")
                .header("destination", destination)
                .header("subscription", subscription.clone())
                .header("message-id", self.next.to_string())
                .header("content-type", "application/json")
                .body(body);
            if socket.outbox.try_send(Outgoing::Frame(frame)).is_err() {
                too_slow.push(*id);
            }
            sent += 1;
        }
        telemetry::count_messages(sent);
        for id in too_slow {
            if let Some(socket) = self.sockets.get_mut(&id)
                && !socket.outbox.is_closed()
            {
                tracing::warn!("a client that does not keep up is cut off");
                telemetry::count_cut_off();
                socket.cut();
            }
        }
    }

    fn unlisten(&mut self, key: &str, id: SocketId) {
        if let Some(listeners) = self.listeners.get_mut(key) {
            listeners.retain(|(socket, _)| *socket != id);
            if listeners.is_empty() {
                self.listeners.remove(key);
                self.unheard.push(key.to_owned());
            }
        }
    }

    fn came(&mut self, session: SessionId, user: UserId) -> Option<Listener> {
        let listener = Listener { session, user };
        let subscriptions = self.present.entry(listener).or_default();
        *subscriptions += 1;
        (*subscriptions == 1).then_some(listener)
    }

    fn went(&mut self, session: SessionId, user: UserId) -> Option<Listener> {
        let listener = Listener { session, user };
        let subscriptions = self.present.get_mut(&listener)?;
        *subscriptions -= 1;
        if *subscriptions > 0 {
            return None;
        }
        self.present.remove(&listener);
        Some(listener)
    }
}

#[cfg(test)]
mod tests {
    use bedside_protocol::topic;

    use super::*;

    #[test]
    fn a_message_reaches_those_who_listen_and_nobody_else() {
        let hub = Hub::default();
        let (visit, other) = (SessionId::generate(), SessionId::generate());
        let (a, mut a_out) = hub.connect(UserId::generate(), None).unwrap();
        let (b, mut b_out) = hub.connect(UserId::generate(), None).unwrap();
        hub.subscribe(a, "1", &topic::session(visit), Some(visit));
        hub.subscribe(b, "1", &topic::session(other), Some(other));
        hub.deliver(&topic::session(visit), None, None, "{}");
        assert!(matches!(a_out.try_recv(), Ok(Outgoing::Frame(f)) if f.get("subscription") == Some("1")));
        assert!(b_out.try_recv().is_err());
    }

    #[test]
    fn one_persons_queue_is_theirs_alone() {
        let hub = Hub::default();
        let (me, you) = (UserId::generate(), UserId::generate());
        let (a, mut a_out) = hub.connect(me, None).unwrap();
        let (b, mut b_out) = hub.connect(you, None).unwrap();
        hub.subscribe(a, "q", topic::SIGNALS, None);
        hub.subscribe(b, "q", topic::SIGNALS, None);
        hub.deliver(topic::SIGNALS, Some(me), None, "{}");
        assert!(a_out.try_recv().is_ok() && b_out.try_recv().is_err());
    }

    #[test]
    fn a_guest_hears_only_of_their_visit() {
        let hub = Hub::default();
        let (patient, visit) = (UserId::generate(), SessionId::generate());
        let (theirs, mut out) = hub.connect(patient, None).unwrap();
        let (guests, mut guest_out) = hub.connect(patient, Some(visit)).unwrap();
        hub.subscribe(theirs, "q", topic::NOTIFICATIONS, None);
        hub.subscribe(guests, "q", topic::NOTIFICATIONS, None);
        for about in [None, Some(SessionId::generate())] {
            hub.deliver(topic::NOTIFICATIONS, Some(patient), about, "{}");
            assert!(out.try_recv().is_ok() && guest_out.try_recv().is_err());
        }
        hub.deliver(topic::NOTIFICATIONS, Some(patient), Some(visit), "{}");
        assert!(out.try_recv().is_ok() && guest_out.try_recv().is_ok());
    }

    #[test]
    fn one_person_has_only_so_many_sockets() {
        let hub = Hub::default();
        let user = UserId::generate();
        let held: Vec<_> = (0..MAX_SOCKETS).map(|_| hub.connect(user, None).unwrap()).collect();
        assert!(hub.connect(user, None).is_none() && hub.connect(UserId::generate(), None).is_some());
        hub.disconnect(held[0].0);
        assert!(hub.connect(user, None).is_some());
    }

    #[test]
    fn one_is_present_until_ones_last_subscription_ends() {
        let hub = Hub::default();
        let (visit, user) = (SessionId::generate(), UserId::generate());
        let listener = Listener { session: visit, user };
        let (a, _a_out) = hub.connect(user, None).unwrap();
        let (b, _b_out) = hub.connect(user, None).unwrap();
        assert_eq!(hub.subscribe(a, "1", &topic::session(visit), Some(visit)), Some(listener));
        assert_eq!(hub.subscribe(b, "1", &topic::session(visit), Some(visit)), None, "they are already");
        assert_eq!(hub.disconnect(a), []);
        assert_eq!(hub.present(), [listener]);
        assert_eq!(hub.unsubscribe(b, "1"), Some(listener));
        assert_eq!((hub.disconnect(b), hub.present()), (vec![], vec![]));
    }

    #[test]
    fn who_has_missed_something_is_cut_off() {
        let hub = Hub::default();
        let (_socket, mut out) = hub.connect(UserId::generate(), None).unwrap();
        hub.cut_all();
        assert!(matches!(out.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }

    #[test]
    fn a_client_that_does_not_keep_up_is_cut_off() {
        let hub = Hub::default();
        let visit = SessionId::generate();
        let (a, mut out) = hub.connect(UserId::generate(), None).unwrap();
        hub.subscribe(a, "1", &topic::session(visit), Some(visit));
        for _ in 0..=OUTBOX {
            hub.deliver(&topic::session(visit), None, None, "{}");
        }
        let mut received = 0;
        while out.try_recv().is_ok() {
            received += 1;
        }
        assert_eq!(received, OUTBOX);
        assert!(matches!(out.try_recv(), Err(mpsc::error::TryRecvError::Disconnected)));
    }
}
