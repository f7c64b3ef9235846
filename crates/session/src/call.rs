//! One end's side of a call: signalling, and what to do when the connection breaks.
//!
//! ```text
//!            hello            offer/answer            connected
//!  Calling ─────────▶ (peer known) ─────▶ Connecting ─────────▶ Connected
//!     ▲                                      │  ▲                   │ no sign of life
//!     │ the other end said hello anew        │  │ ICE restart       ▼
//!     └──────────────────────────────────────┴──┴───────────── Reconnecting ──60 s──▶ Lost
//!                                                                   ▲                   │
//!                                                                   └──── Rejoin ───────┘
//! ```
//!
//! The doctor's end makes every offer. Every entry into a call has a fresh [`PeerId`]; a signal
//! to or from any other is stale and ignored. So a restart of either app, however sudden, looks
//! to the other side like a hello from somebody new, and all starts over with fresh connections.

use std::{collections::VecDeque, time::Duration};

use bedside_protocol::{Party, PeerId, SessionId, Signal, SignalBody};

use crate::{
    link::RECONNECTION_WINDOW,
    snapshot::{Participant, Track},
};

/// How long a negotiation may take before it is started again: lost signals, a dead relay.
const NEGOTIATE_WITHIN: Duration = Duration::from_secs(8);
/// How long after the connection broke new candidates are tried; many breaks heal by themselves.
const RESTART_AFTER: Duration = Duration::from_millis(500);
/// How often a hello is repeated while nobody answers.
const HELLO_EVERY: Duration = Duration::from_secs(2);
/// How many ends that were replaced are remembered: signals are seconds late, not minutes.
const MOST_REPLACED: usize = 16;
/// Ends that are new to us are met no more often than this: each costs a connection, and a hello is
/// repeated anyway.
const MEET_EVERY: Duration = Duration::from_secs(1);
/// ICE restarts before the connection is made from nothing.
const MAX_RESTARTS: u32 = 2;

/// Time since the driver started. Machines compare instants and never ask for one.
pub type Now = Duration;

/// How the call stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallPhase {
    /// The other end has not answered yet.
    Calling,
    /// The two are negotiating and looking for a way to one another.
    Connecting,
    /// Media flows.
    Connected,
    /// It flowed, and is being brought back until this time.
    Reconnecting {
        /// When it is given up.
        until: Now,
    },
    /// It was not brought back in time; both may rejoin.
    Lost,
    /// Over for this end.
    Closed,
}

/// What happens to a call.
#[derive(Clone, PartialEq, Debug)]
pub enum CallInput {
    /// A signal from the other end.
    Signal(Signal),
    /// The answer to [`CallAction::Offer`] or [`CallAction::Answer`].
    Described(String),
    /// The connection made a candidate.
    LocalCandidate {
        /// `candidate:` line; empty at their end.
        candidate: String,
        /// Media section.
        sdp_mid: Option<String>,
        /// Media section by number.
        sdp_m_line_index: Option<u16>,
    },
    /// Media can flow.
    Connected,
    /// No sign of life from the other end's network.
    Disconnected,
    /// The connection can't be used any more, or the stack refused a description.
    Failed,
    /// The realtime link is up again: what was sent meanwhile is lost.
    LinkUp,
    /// What this end sends has changed.
    Media(SentMedia),
    /// The person asks to try again.
    Rejoin,
    /// The person leaves.
    Leave,
    /// Time has passed.
    Tick,
}

/// What the driver is to do.
#[derive(Clone, PartialEq, Debug)]
pub enum CallAction {
    /// Close the connection there is, if any, and open a fresh one.
    OpenPeer,
    /// Close the connection.
    ClosePeer,
    /// Make an offer, with new candidates where `restart`, and say what it is.
    Offer {
        /// With an ICE restart.
        restart: bool,
    },
    /// Take this offer, make an answer and say what it is.
    Answer {
        /// The offer.
        sdp: String,
    },
    /// Take this answer.
    Accept {
        /// The answer.
        sdp: String,
    },
    /// Take this candidate.
    AddCandidate {
        /// `candidate:` line.
        candidate: String,
        /// Media section.
        sdp_mid: Option<String>,
        /// Media section by number.
        sdp_m_line_index: Option<u16>,
    },
    /// Send this to the other end.
    Send(Signal),
}

/// What an end says that it sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SentMedia {
    /// Sends sound.
    pub microphone: bool,
    /// Sends a picture.
    pub camera: bool,
    /// Shares a screen.
    pub screen: bool,
    /// The most pictures a second of the other's camera that its window can draw, where that is less than come.
    pub draws: Option<u32>,
}

impl SentMedia {
    /// The person at that end, as the screen shows them.
    pub fn participant(self, party: Party) -> Participant {
        let Self { microphone, camera, screen, .. } = self;
        let tracks = [(microphone, Track::Microphone), (camera, Track::Camera), (screen, Track::Screen)];
        let tracks = tracks.into_iter().filter_map(|(sends, track)| sends.then_some(track)).collect();
        Participant { party, tracks }
    }
}

/// One end of a call.
#[derive(Debug)]
pub struct Call {
    session: SessionId,
    party: Party,
    me: PeerId,
    other: Option<PeerId>,
    phase: CallPhase,
    has_peer: bool,
    /// Whether media has flowed over the connection there is. Only then can an ICE restart help;
    /// in the middle of its making it would undo it.
    has_flowed: bool,
    /// When a connection that broke has had time to heal by itself.
    heals_until: Option<Now>,
    negotiation: u32,
    /// Whether our description of this negotiation is being made or was sent.
    awaiting: Awaiting,
    /// When an end that was new to us was met last.
    met_at: Option<Now>,
    /// Ends that others took the place of: what of theirs is still on its way brings none of them back.
    replaced: VecDeque<PeerId>,
    /// When the present negotiation or attempt began.
    since: Now,
    restarts: u32,
    next_hello: Now,
    media: SentMedia,
    /// What the other end sends, as it last said.
    pub remote: Option<SentMedia>,
    /// Whether media has ever flowed in this call.
    pub was_connected: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Awaiting {
    Nothing,
    LocalOffer,
    RemoteAnswer,
    LocalAnswer,
}

impl Call {
    /// A call that begins now; perform the actions. `me` is fresh for every entry.
    pub fn begin(session: SessionId, party: Party, me: PeerId, now: Now) -> (Self, Vec<CallAction>) {
        let mut call = Self {
            session,
            party,
            me,
            other: None,
            phase: CallPhase::Calling,
            has_peer: false,
            has_flowed: false,
            heals_until: None,
            negotiation: 0,
            awaiting: Awaiting::Nothing,
            met_at: None,
            replaced: VecDeque::new(),
            since: now,
            restarts: 0,
            next_hello: now + HELLO_EVERY,
            media: SentMedia::default(),
            remote: None,
            was_connected: false,
        };
        // Open at once: gathering candidates and keys goes on while the hello travels.
        let actions = vec![call.open_peer(), call.hello(false)];
        (call, actions)
    }

    /// How it stands.
    pub const fn phase(&self) -> CallPhase {
        self.phase
    }

    /// The side that the other end is on.
    pub const fn other_party(&self) -> Party {
        match self.party {
            Party::Doctor => Party::Patient,
            Party::Patient => Party::Doctor,
        }
    }

    /// This end's id.
    pub const fn me(&self) -> PeerId {
        self.me
    }

    /// What is to be done about `input`.
    pub fn handle(&mut self, input: CallInput, now: Now) -> Vec<CallAction> {
        if self.phase == CallPhase::Closed {
            return vec![];
        }
        match input {
            CallInput::Signal(signal) => self.on_signal(signal, now),
            CallInput::Described(sdp) => self.on_described(sdp),
            CallInput::LocalCandidate { candidate, sdp_mid, sdp_m_line_index } => {
                let negotiation = self.negotiation;
                let body = SignalBody::Candidate { negotiation, candidate, sdp_mid, sdp_m_line_index };
                self.send(body).into_iter().collect()
            }
            CallInput::Connected => self.on_connected(),
            CallInput::Disconnected => self.on_disconnected(now),
            CallInput::Failed => self.on_failed(now),
            CallInput::LinkUp => self.on_link_up(now),
            CallInput::Media(media) => {
                self.media = media;
                self.send_media()
            }
            CallInput::Rejoin => self.on_rejoin(now),
            CallInput::Leave => self.on_leave(),
            CallInput::Tick => self.on_tick(now),
        }
    }

    fn on_signal(&mut self, signal: Signal, now: Now) -> Vec<CallAction> {
        let for_us = signal.session_id == self.session && signal.to.is_none_or(|to| to == self.me);
        if !for_us || signal.from == self.me || self.replaced.contains(&signal.from) {
            return vec![];
        }
        let is_flood = self.met_at.is_some_and(|at| now < at + MEET_EVERY);
        if is_flood && self.other.is_some_and(|other| other != signal.from) {
            return vec![];
        }
        if let SignalBody::Hello { reply } = signal.body {
            return self.on_hello(signal.from, reply, now);
        }
        // An offer is a hello as well: the answering end may have missed that.
        if let SignalBody::Offer { .. } = signal.body
            && self.party == Party::Patient
            && self.other != Some(signal.from)
        {
            let mut actions = self.meet(signal.from, now);
            actions.extend(self.on_body(signal.body, now));
            return actions;
        }
        if self.other == Some(signal.from) { self.on_body(signal.body, now) } else { vec![] }
    }

    fn on_hello(&mut self, from: PeerId, reply: bool, now: Now) -> Vec<CallAction> {
        let mut actions = vec![];
        let is_new = self.other != Some(from);
        if is_new {
            actions.extend(self.meet(from, now));
        }
        if !reply {
            actions.push(self.hello(true));
        }
        // The other end knows nothing of us yet, or has forgotten.
        let idle = self.awaiting == Awaiting::Nothing && !self.is_connected();
        if self.party == Party::Doctor && (is_new || (idle && self.phase != CallPhase::Lost)) {
            actions.extend(self.offer(false, now));
        }
        actions.extend(self.send_media());
        actions
    }

    fn on_body(&mut self, body: SignalBody, now: Now) -> Vec<CallAction> {
        match body {
            SignalBody::Offer { negotiation, sdp }
                if self.party == Party::Patient && negotiation > self.negotiation =>
            {
                self.negotiation = negotiation;
                self.awaiting = Awaiting::LocalAnswer;
                self.since = now;
                if self.phase == CallPhase::Calling || self.phase == CallPhase::Lost {
                    self.phase = CallPhase::Connecting;
                }
                vec![CallAction::Answer { sdp }]
            }
            SignalBody::Answer { negotiation, sdp }
                if self.awaiting == Awaiting::RemoteAnswer && negotiation == self.negotiation =>
            {
                self.awaiting = Awaiting::Nothing;
                vec![CallAction::Accept { sdp }]
            }
            SignalBody::Candidate { negotiation, candidate, sdp_mid, sdp_m_line_index }
                if negotiation == self.negotiation =>
            {
                vec![CallAction::AddCandidate { candidate, sdp_mid, sdp_m_line_index }]
            }
            SignalBody::Restart if self.party == Party::Doctor && self.has_flowed => self.offer(true, now),
            SignalBody::Media { microphone, camera, screen, draws } => {
                self.remote = Some(SentMedia { microphone, camera, screen, draws });
                vec![]
            }
            // Whether the visit goes on is the session's to say; the call waits for a new hello.
            SignalBody::Bye => {
                self.other = None;
                self.remote = None;
                self.phase = CallPhase::Calling;
                self.negotiation = 0;
                self.awaiting = Awaiting::Nothing;
                self.next_hello = now + HELLO_EVERY;
                vec![self.open_peer()]
            }
            _ => vec![],
        }
    }

    /// Starts over with an end that is new to us.
    fn meet(&mut self, other: PeerId, now: Now) -> Vec<CallAction> {
        let knew_another = self.other.is_some();
        self.met_at = Some(now);
        if let Some(before) = self.other.replace(other).filter(|before| *before != other) {
            self.replaced.push_back(before);
            if self.replaced.len() > MOST_REPLACED {
                self.replaced.pop_front();
            }
        }
        self.remote = None;
        self.negotiation = 0;
        self.awaiting = Awaiting::Nothing;
        self.restarts = 0;
        self.since = now;
        if !matches!(self.phase, CallPhase::Reconnecting { .. }) {
            self.phase = CallPhase::Connecting;
        }
        // The connection of a call that has met nobody yet is as good as fresh.
        if knew_another || !self.has_peer { vec![self.open_peer()] } else { vec![] }
    }

    fn offer(&mut self, restart: bool, now: Now) -> Vec<CallAction> {
        if self.other.is_none() {
            return vec![];
        }
        self.negotiation += 1;
        self.awaiting = Awaiting::LocalOffer;
        self.since = now;
        vec![CallAction::Offer { restart: restart && self.negotiation > 1 }]
    }

    fn on_described(&mut self, sdp: String) -> Vec<CallAction> {
        let negotiation = self.negotiation;
        let body = match self.awaiting {
            Awaiting::LocalOffer => {
                self.awaiting = Awaiting::RemoteAnswer;
                SignalBody::Offer { negotiation, sdp }
            }
            Awaiting::LocalAnswer => {
                self.awaiting = Awaiting::Nothing;
                SignalBody::Answer { negotiation, sdp }
            }
            // Meanwhile the other end started over.
            Awaiting::Nothing | Awaiting::RemoteAnswer => return vec![],
        };
        self.send(body).into_iter().collect()
    }

    fn on_connected(&mut self) -> Vec<CallAction> {
        if self.phase == CallPhase::Lost {
            return vec![];
        }
        self.phase = CallPhase::Connected;
        self.was_connected = true;
        self.has_flowed = true;
        self.heals_until = None;
        self.restarts = 0;
        self.send_media()
    }

    fn on_disconnected(&mut self, now: Now) -> Vec<CallAction> {
        if self.phase == CallPhase::Connected {
            self.phase = CallPhase::Reconnecting { until: now + RECONNECTION_WINDOW };
            self.since = now;
            self.heals_until = Some(now + RESTART_AFTER);
        }
        vec![]
    }

    fn on_failed(&mut self, now: Now) -> Vec<CallAction> {
        self.on_disconnected(now);
        if self.phase == CallPhase::Lost || !self.has_peer {
            return vec![];
        }
        self.start_over(now)
    }

    /// A fresh connection to the same other end, or to whoever says hello.
    fn start_over(&mut self, now: Now) -> Vec<CallAction> {
        // A new id: the other end then drops its half as well, whatever state that is in.
        self.me = PeerId::generate();
        self.other = None;
        self.negotiation = 0;
        self.awaiting = Awaiting::Nothing;
        self.restarts = 0;
        self.since = now;
        self.next_hello = now + HELLO_EVERY;
        vec![self.open_peer(), self.hello(false)]
    }

    const fn open_peer(&mut self) -> CallAction {
        (self.has_peer, self.has_flowed, self.heals_until) = (true, false, None);
        CallAction::OpenPeer
    }

    fn on_link_up(&mut self, now: Now) -> Vec<CallAction> {
        match self.phase {
            CallPhase::Connected => self.send_media(),
            CallPhase::Calling | CallPhase::Connecting => {
                self.next_hello = now + HELLO_EVERY;
                vec![self.hello(false)]
            }
            CallPhase::Reconnecting { .. } => self.restart(now),
            CallPhase::Lost | CallPhase::Closed => vec![],
        }
    }

    /// New candidates for the connection there is, where that can help; else a fresh one.
    fn restart(&mut self, now: Now) -> Vec<CallAction> {
        self.since = now;
        self.heals_until = None;
        if self.other.is_none() {
            self.next_hello = now + HELLO_EVERY;
            return vec![self.hello(false)];
        }
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS || !self.has_flowed {
            return self.start_over(now);
        }
        match self.party {
            Party::Doctor => self.offer(true, now),
            Party::Patient => self.send(SignalBody::Restart).into_iter().collect(),
        }
    }

    fn on_rejoin(&mut self, now: Now) -> Vec<CallAction> {
        if self.is_connected() {
            return vec![];
        }
        self.phase = if self.was_connected {
            CallPhase::Reconnecting { until: now + RECONNECTION_WINDOW }
        } else {
            CallPhase::Calling
        };
        self.start_over(now)
    }

    fn on_leave(&mut self) -> Vec<CallAction> {
        let bye = self.send(SignalBody::Bye);
        self.phase = CallPhase::Closed;
        self.has_peer = false;
        bye.into_iter().chain([CallAction::ClosePeer]).collect()
    }

    fn on_tick(&mut self, now: Now) -> Vec<CallAction> {
        match self.phase {
            CallPhase::Reconnecting { until } if now >= until => {
                self.phase = CallPhase::Lost;
                self.has_peer = false;
                self.other = None;
                vec![CallAction::ClosePeer]
            }
            CallPhase::Connected | CallPhase::Lost | CallPhase::Closed => vec![],
            CallPhase::Calling | CallPhase::Connecting | CallPhase::Reconnecting { .. }
                if self.other.is_none() =>
            {
                if now < self.next_hello {
                    return vec![];
                }
                self.next_hello = now + HELLO_EVERY;
                vec![self.hello(false)]
            }
            CallPhase::Reconnecting { .. } if self.heals_until.is_some_and(|until| now >= until) => {
                self.restart(now)
            }
            CallPhase::Reconnecting { .. } | CallPhase::Connecting | CallPhase::Calling
                if now >= self.since + NEGOTIATE_WITHIN =>
            {
                if matches!(self.phase, CallPhase::Reconnecting { .. }) {
                    self.restart(now)
                } else {
                    self.start_over(now)
                }
            }
            CallPhase::Calling | CallPhase::Connecting | CallPhase::Reconnecting { .. } => vec![],
        }
    }

    const fn is_connected(&self) -> bool {
        matches!(self.phase, CallPhase::Connected)
    }

    fn hello(&self, reply: bool) -> CallAction {
        let to = if reply { self.other } else { None };
        CallAction::Send(Signal {
            session_id: self.session,
            from: self.me,
            to,
            body: SignalBody::Hello { reply },
        })
    }

    fn send(&self, body: SignalBody) -> Option<CallAction> {
        let to = Some(self.other?);
        Some(CallAction::Send(Signal { session_id: self.session, from: self.me, to, body }))
    }

    fn send_media(&self) -> Vec<CallAction> {
        let SentMedia { microphone, camera, screen, draws } = self.media;
        let body = SignalBody::Media { microphone, camera, screen, draws };
        self.send(body).into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
