//! One end of a call as the client has it: drives the call machine and the peer; what is said and
//! shown is in `media`.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bedside_protocol::Signal;
use bedside_rtc::{Candidate, Peer, PeerConfig, PeerEvent, PeerState};
use bedside_session::{Call, CallAction, CallInput};
use tokio::sync::mpsc;

use crate::{
    media::{Media, Remote},
    visit::Step,
    world::{End, World},
};

const TICK: Duration = Duration::from_millis(10);
/// A signal's way through the service.
const SIGNALLING: Duration = Duration::from_millis(40);

/// An open peer, and what comes in by it.
pub(crate) struct Connection {
    pub(crate) peer: Peer,
    pub(crate) remote: Arc<Remote>,
    events: mpsc::Receiver<PeerEvent>,
}

/// A signal, and when it comes out of the service.
pub(crate) struct Sent {
    due: Duration,
    signal: Signal,
}

/// One end.
pub(crate) struct Driver {
    pub(crate) world: Arc<World>,
    pub(crate) end: Arc<End>,
    pub(crate) call: Call,
    pub(crate) connection: Option<Connection>,
    pub(crate) to_other: mpsc::UnboundedSender<Sent>,
    pub(crate) from_other: mpsc::UnboundedReceiver<Sent>,
    /// Signals on their way, in order.
    pub(crate) coming: VecDeque<Sent>,
    pub(crate) media: Media,
    pub(crate) ticks: u32,
}

impl Driver {
    pub(crate) async fn run(mut self, actions: Vec<CallAction>, mut steps: mpsc::UnboundedReceiver<Step>) {
        self.perform(actions).await;
        let began = self.world.now();
        loop {
            let next = began + TICK * self.ticks;
            let tick = self.world.sleep(next.saturating_sub(self.world.now()));
            tokio::select! {
                biased;
                Some(step) = steps.recv() => match step {
                    Step::Rejoin => self.input(CallInput::Rejoin).await,
                    Step::LinkUp => self.input(CallInput::LinkUp).await,
                    Step::Leave => break,
                    Step::DrawUpTo(width) => self.media.draws_up_to = width,
                },
                event = next_event(&mut self.connection) => self.on_event(event).await,
                () = tick => self.on_tick().await,
            }
            self.media.seen().phase = Some(self.call.phase());
        }
        self.input(CallInput::Leave).await;
        assert!(self.connection.is_none());
    }

    async fn input(&mut self, input: CallInput) {
        let actions = self.call.handle(input, self.world.now());
        self.perform(actions).await;
    }

    async fn perform(&mut self, actions: Vec<CallAction>) {
        let mut queue = VecDeque::from(actions);
        while let Some(action) = queue.pop_front() {
            let described = match action {
                CallAction::Send(signal) => {
                    if self.world.is_open() {
                        // The other end may have left already.
                        let _ = self.to_other.send(Sent { due: self.world.now() + SIGNALLING, signal });
                    }
                    Ok(None)
                }
                CallAction::OpenPeer => {
                    self.close().await;
                    self.open().await;
                    Ok(None)
                }
                CallAction::ClosePeer => {
                    self.close().await;
                    Ok(None)
                }
                CallAction::Offer { restart } => self.peer().offer(restart).await.map(Some),
                CallAction::Answer { sdp } => self.peer().answer(sdp).await.map(Some),
                CallAction::Accept { sdp } => self.peer().accept(sdp).await.map(|()| None),
                CallAction::AddCandidate { candidate, sdp_mid, sdp_m_line_index } => {
                    let candidate = Candidate { candidate, sdp_mid, sdp_m_line_index };
                    self.peer().add_candidate(candidate).await.map(|()| None)
                }
            };
            match described {
                Ok(Some(sdp)) => queue.extend(self.call.handle(CallInput::Described(sdp), self.world.now())),
                Ok(None) => {}
                // As the client has it.
                Err(_) => drop(self.call.handle(CallInput::Disconnected, self.world.now())),
            }
        }
    }

    fn peer(&mut self) -> &mut Peer {
        let connection = self.connection.as_mut();
        &mut connection.expect("the machine asks nothing of a peer that it has not opened").peer
    }

    async fn open(&mut self) {
        let remote = Arc::new(self.media.begin());
        let config = PeerConfig { loopback: true, ..PeerConfig::default() };
        let opened = Peer::open_on(self.end.clone(), &config, remote.clone(), remote.clone()).await;
        let (peer, events) = opened.unwrap();
        self.connection = Some(Connection { peer, remote, events });
    }

    async fn close(&mut self) {
        if let Some(Connection { peer, events, .. }) = self.connection.take() {
            drop(events);
            peer.close().await;
        }
    }

    async fn on_event(&mut self, event: Option<PeerEvent>) {
        let state = match event {
            Some(PeerEvent::Candidate(Candidate { candidate, sdp_mid, sdp_m_line_index })) => {
                return self.input(CallInput::LocalCandidate { candidate, sdp_mid, sdp_m_line_index }).await;
            }
            Some(PeerEvent::GatheringComplete) => return,
            Some(PeerEvent::State(state)) => state,
            None => PeerState::Failed,
        };
        self.peer().set_connected(state == PeerState::Connected);
        match state {
            PeerState::Connecting => {}
            PeerState::Connected => self.input(CallInput::Connected).await,
            PeerState::Disconnected => self.input(CallInput::Disconnected).await,
            PeerState::Failed => self.input(CallInput::Failed).await,
        }
    }

    async fn on_tick(&mut self) {
        while let Ok(sent) = self.from_other.try_recv() {
            self.coming.push_back(sent);
        }
        while let Some(sent) = self.coming.pop_front_if(|sent| sent.due <= self.world.now()) {
            self.input(CallInput::Signal(sent.signal)).await;
        }
        if (self.ticks + 1).is_multiple_of(5) {
            self.input(CallInput::Tick).await;
        }
        if (self.ticks + 1).is_multiple_of(100)
            && let Some(told) = self.media.measure(self.connection.as_ref()).await
        {
            self.input(CallInput::Media(told)).await;
        }
        let draws = self.call.remote.and_then(|sends| sends.draws);
        self.media.tick(self.ticks, draws, self.connection.as_ref());
        self.ticks += 1;
    }
}

async fn next_event(connection: &mut Option<Connection>) -> Option<PeerEvent> {
    match connection {
        Some(connection) => connection.events.recv().await,
        None => std::future::pending().await,
    }
}
