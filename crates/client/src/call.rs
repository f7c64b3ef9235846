//! One call: its machine, its connection, and what is measured of it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_media::{MediaError, VideoSource};
use bedside_protocol::{IceServer, QualityReport, Signal, Token};
use bedside_redact::Secret;
use bedside_rtc::{Candidate, Peer, PeerConfig, PeerEvent, PeerState, PeerStats, RtcError};
use bedside_session::{
    CallAction, CallInput, CallPhase, Signalling,
    snapshot::{CallState, CallStatus, Quality, SentPicture, TrackStats},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{
    audio::{Audio, CallAudio},
    measuring::{Measuring, Second},
    quality::QualityLog,
    remote::{FrameChannels, KeyFrameRequests, ReceivePipeline, Reception},
    screen::ScreenSharing,
    video::Video,
};

/// The threads that media comes from and goes to.
pub(crate) struct Threads {
    pub(crate) audio: Audio,
    pub(crate) video: Video,
    pub(crate) screen: ScreenSharing,
}

impl Threads {
    /// Ends them.
    pub(crate) fn stop(self) {
        self.audio.stop();
        self.video.stop();
        self.screen.stop();
    }
}

/// Why a connection can't be made.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error(transparent)]
    Connection(#[from] RtcError),
    #[error(transparent)]
    Media(#[from] MediaError),
}

/// A call that goes on.
pub(crate) struct ActiveCall {
    machine: Box<dyn Signalling>,
    config: PeerConfig,
    open: Option<OpenPeer>,
    feeds: FrameChannels,
    key_frames: KeyFrameRequests,
    /// Whether this person agreed to be seen and heard.
    gate_open: bool,
    pub(crate) media_token: Token,
    quality: Quality,
    log: QualityLog,
    pub(crate) sending: Option<SentPicture>,
    received: Vec<TrackStats>,
    /// The other end described something that this one has nothing in common with; told once.
    incompatible: Incompatible,
}

/// Whether two ends that can't meet were told so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Incompatible {
    No,
    Found,
    Told,
}

/// The connection there is.
struct OpenPeer {
    peer: Peer,
    events: mpsc::Receiver<PeerEvent>,
    remote: Arc<ReceivePipeline>,
    reception: Arc<Reception>,
    measuring: Measuring,
}

impl ActiveCall {
    pub(crate) fn new(
        machine: Box<dyn Signalling>,
        config: PeerConfig,
        media_token: Token,
        feeds: FrameChannels,
        key_frames: KeyFrameRequests,
    ) -> Self {
        Self {
            machine,
            config,
            open: None,
            feeds,
            key_frames,
            gate_open: false,
            media_token,
            quality: Quality::default(),
            log: QualityLog::default(),
            sending: None,
            received: vec![],
            incompatible: Incompatible::No,
        }
    }

    /// New credentials, for the next connection.
    pub(crate) fn renew(&mut self, media_token: Token, servers: Vec<IceServer>) {
        self.media_token = media_token;
        self.config.ice_servers = ice(servers);
    }

    /// The next event of the connection; never, while there is none.
    pub(crate) async fn next_event(&mut self) -> Option<PeerEvent> {
        match &mut self.open {
            Some(open) => open.events.recv().await,
            None => std::future::pending().await,
        }
    }

    /// What the connection tells of, as the machine takes it.
    pub(crate) fn on_event(&mut self, event: Option<PeerEvent>) -> Option<CallInput> {
        let state = match event {
            Some(PeerEvent::Candidate(Candidate { candidate, sdp_mid, sdp_m_line_index })) => {
                return Some(CallInput::LocalCandidate { candidate, sdp_mid, sdp_m_line_index });
            }
            Some(PeerEvent::GatheringComplete) => return None,
            Some(PeerEvent::State(state)) => state,
            // The stack gave up without a word.
            None => PeerState::Failed,
        };
        if let Some(OpenPeer { peer, .. }) = &self.open {
            peer.set_connected(state == PeerState::Connected);
        }
        if state == PeerState::Connected {
            // What was sent while it was broken did not arrive.
            self.key_frames.camera.request();
            self.key_frames.screen.request();
        }
        match state {
            PeerState::Connecting => None,
            PeerState::Connected => Some(CallInput::Connected),
            PeerState::Disconnected => Some(CallInput::Disconnected),
            PeerState::Failed => Some(CallInput::Failed),
        }
    }

    /// Whether it was just found that the two ends can't meet.
    pub(crate) fn take_incompatible(&mut self) -> bool {
        let is_found = self.incompatible == Incompatible::Found;
        if is_found {
            self.incompatible = Incompatible::Told;
        }
        is_found
    }

    /// Lets this person's sound and picture out, or keeps them in.
    pub(crate) fn set_sending_allowed(&mut self, open: bool, threads: &Threads) {
        // Opened anew it would begin anew, at the ladder's first step.
        if open != self.gate_open {
            self.gate_open = open;
            self.connect_media(threads);
        }
    }

    /// Gives the media threads the connection that there is.
    pub(crate) fn connect_media(&self, threads: &Threads) {
        let open = self.open.as_ref().filter(|_| self.gate_open);
        threads.audio.set_call(open.map(|open| CallAudio {
            outgoing: Arc::new(open.peer.media()),
            remote: open.remote.clone(),
            reception: open.reception.clone(),
        }));
        threads.video.set_call(open.map(|open| Arc::new(open.peer.media()) as _));
        threads.screen.set_call(open.map(|open| Arc::new(open.peer.media()) as _));
    }

    pub(crate) fn is_gate_open(&self) -> bool {
        self.gate_open
    }

    pub(crate) fn handle(&mut self, input: CallInput, now: Duration) -> Vec<CallAction> {
        self.machine.handle(input, now)
    }

    /// Does what the machine decided; gives the signals to send. What the stack refuses goes back
    /// to the machine.
    pub(crate) async fn perform(
        &mut self,
        actions: Vec<CallAction>,
        threads: &Threads,
        tasks: &TaskTracker,
        now: Duration,
    ) -> Vec<Signal> {
        let mut signals = vec![];
        let mut queue: VecDeque<CallAction> = actions.into();
        while let Some(action) = queue.pop_front() {
            let outcome = match action {
                CallAction::Send(signal) => {
                    signals.push(signal);
                    Ok(None)
                }
                CallAction::OpenPeer => {
                    self.close_peer(threads, tasks);
                    self.open_peer(threads).await.map(|()| None)
                }
                CallAction::ClosePeer => {
                    self.close_peer(threads, tasks);
                    Ok(None)
                }
                CallAction::Offer { restart } => match &mut self.open {
                    Some(OpenPeer { peer, .. }) => {
                        peer.offer(restart).await.map(Some).map_err(CallError::from)
                    }
                    None => Ok(None),
                },
                CallAction::Answer { sdp } => match &mut self.open {
                    Some(OpenPeer { peer, .. }) => peer.answer(sdp).await.map(Some).map_err(CallError::from),
                    None => Ok(None),
                },
                CallAction::Accept { sdp } => match &mut self.open {
                    Some(OpenPeer { peer, .. }) => {
                        peer.accept(sdp).await.map(|()| None).map_err(CallError::from)
                    }
                    None => Ok(None),
                },
                CallAction::AddCandidate { candidate, sdp_mid, sdp_m_line_index } => {
                    if let Some(OpenPeer { peer, .. }) = &mut self.open
                        && let Err(error) =
                            peer.add_candidate(Candidate { candidate, sdp_mid, sdp_m_line_index }).await
                    {
                        // One way less to reach the other end; the others remain.
                        tracing::debug!(%error, "a candidate was not taken");
                    }
                    Ok(None)
                }
            };
            match outcome {
                Ok(Some(sdp)) => queue.extend(self.machine.handle(CallInput::Described(sdp), now)),
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "the connection starts over");
                    let is_incompatible = matches!(error, CallError::Connection(RtcError::Incompatible(_)));
                    if is_incompatible && self.incompatible == Incompatible::No {
                        self.incompatible = Incompatible::Found;
                    }
                    // Not at once, or a stack that refuses everything would be asked for ever.
                    self.machine.handle(CallInput::Disconnected, now);
                }
            }
        }
        signals
    }

    async fn open_peer(&mut self, threads: &Threads) -> Result<(), CallError> {
        let remote = Arc::new(ReceivePipeline::new(self.feeds.clone())?);
        let reception = Arc::new(Reception::new(self.key_frames.clone()));
        let (peer, events) = Peer::open(&self.config, remote.clone(), reception.clone()).await?;
        self.feeds.camera.begin();
        self.feeds.screen.begin();
        let measuring = Measuring::new(&self.feeds, Instant::now());
        self.open = Some(OpenPeer { peer, events, remote, reception, measuring });
        self.log.restart();
        self.connect_media(threads);
        Ok(())
    }

    fn close_peer(&mut self, threads: &Threads, tasks: &TaskTracker) {
        if let Some(OpenPeer { peer, events, remote, .. }) = self.open.take() {
            threads.audio.set_call(None);
            threads.video.set_call(None);
            threads.screen.set_call(None);
            drop(events);
            tasks.spawn(async move {
                peer.close().await;
                remote.close();
            });
        }
    }

    /// Ends the call: says good-bye and closes the connection; gives the signals to send.
    pub(crate) async fn end(mut self, threads: &Threads, tasks: &TaskTracker, now: Duration) -> Vec<Signal> {
        let actions = self.machine.handle(CallInput::Leave, now);
        let signals = self.perform(actions, threads, tasks, now).await;
        self.close_peer(threads, tasks);
        signals
    }

    /// Measures once a second; gives what the service is to be told, every ten.
    pub(crate) async fn tick(&mut self, threads: &Threads) -> Option<QualityReport> {
        let OpenPeer { peer, remote, reception, measuring, .. } = self.open.as_mut()?;
        let now = Instant::now();
        if !measuring.is_due(now) {
            return None;
        }
        let (sends, stats): (_, PeerStats) = (self.machine.remote(), peer.stats().await);
        let Second { quality, tracks, most } =
            measuring.measure(remote, &self.feeds, &stats, reception, sends, now);
        if let Some(most) = most {
            peer.limit(VideoSource::Camera, most).await;
        }
        threads.video.set_pace(sends.and_then(|sends| sends.draws));
        (self.quality, self.received) = (Quality { sending: self.sending, ..quality }, tracks);
        let (link, late) = (peer.media().link(), threads.audio.shared.late());
        tracing::debug!(?link, ?late, sending = ?self.sending, "call");
        let talks = self.gate_open && self.machine.phase() == CallPhase::Connected;
        talks.then(|| self.log.push(self.quality, threads.audio.shared.levels().speaker))?
    }

    /// The most pictures a second that this end's window can draw, where that is less than come.
    pub(crate) fn draws(&self) -> Option<u32> {
        self.open.as_ref().and_then(|open| open.measuring.draws())
    }

    /// For the screen.
    pub(crate) fn state(&self, now: Duration) -> CallState {
        let (status, seconds_left) = match self.machine.phase() {
            CallPhase::Calling => (CallStatus::Calling, None),
            CallPhase::Connecting => (CallStatus::Connecting, None),
            CallPhase::Connected => (CallStatus::Connected, None),
            CallPhase::Reconnecting { until } => {
                (CallStatus::Reconnecting, Some(until.saturating_sub(now).as_secs() as u32))
            }
            CallPhase::Lost | CallPhase::Closed => (CallStatus::Lost, None),
        };
        CallState {
            status,
            seconds_left,
            participants: self.machine.participants(),
            quality: self.quality,
            received: self.received.clone(),
        }
    }
}

/// Relays as the connection takes them.
pub(crate) fn ice(servers: Vec<IceServer>) -> Vec<bedside_rtc::IceServer> {
    servers
        .into_iter()
        .map(|server| bedside_rtc::IceServer {
            url: server.urls,
            username: server.username.unwrap_or_default(),
            credential: Secret::new(server.credential.map(|c| c.expose().to_owned()).unwrap_or_default()),
        })
        .collect()
}
