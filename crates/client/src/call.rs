//! One call: its machine, its connection, and what is measured of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_protocol::{IceServer, Signal, Token};
use bedside_redact::Secret;
use bedside_rtc::{Candidate, Peer, PeerConfig, PeerEvent, PeerState, PeerStats};
use bedside_session::{
    Call, CallAction, CallInput, CallPhase,
    snapshot::{CallState, CallStatus, Quality, SentPicture},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{audio::Audio, feed::Feed, remote::Remote, video::Video};

/// How often what comes in is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

/// A call that goes on.
pub(crate) struct ActiveCall {
    machine: Call,
    config: PeerConfig,
    peer: Option<(Peer, mpsc::Receiver<PeerEvent>, Arc<Remote>)>,
    feed: Arc<Feed>,
    key_frame_wanted: Arc<AtomicBool>,
    /// Whether this person agreed to be seen and heard.
    gate_open: bool,
    pub(crate) media_token: Token,
    quality: Quality,
    pub(crate) sending: Option<SentPicture>,
    measured: (Instant, u64, u64, u64, u64),
}

impl ActiveCall {
    pub(crate) fn new(
        machine: Call,
        config: PeerConfig,
        media_token: Token,
        feed: Arc<Feed>,
        key_frame_wanted: Arc<AtomicBool>,
    ) -> Self {
        Self {
            machine,
            config,
            peer: None,
            feed,
            key_frame_wanted,
            gate_open: false,
            media_token,
            quality: Quality::default(),
            sending: None,
            measured: (Instant::now(), 0, 0, 0, 0),
        }
    }

    /// New credentials, for the next connection.
    pub(crate) fn renew(&mut self, media_token: Token, servers: Vec<IceServer>) {
        self.media_token = media_token;
        self.config.ice_servers = ice(servers);
    }

    /// The next event of the connection; never, while there is none.
    pub(crate) async fn next_event(&mut self) -> Option<PeerEvent> {
        match &mut self.peer {
            Some((_, events, _)) => events.recv().await,
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
        if let Some((peer, _, _)) = &self.peer {
            peer.set_connected(state == PeerState::Connected);
        }
        if state == PeerState::Connected {
            // What was sent while it was broken did not arrive.
            self.key_frame_wanted.store(true, Ordering::Relaxed);
        }
        match state {
            PeerState::Connecting => None,
            PeerState::Connected => Some(CallInput::Connected),
            PeerState::Disconnected => Some(CallInput::Disconnected),
            PeerState::Failed => Some(CallInput::Failed),
        }
    }

    /// Lets this person's sound and picture out, or keeps them in.
    pub(crate) fn open_gate(&mut self, open: bool, audio: &Audio, video: &Video) {
        // Opened anew it would begin anew, at the ladder's first step.
        if open != self.gate_open {
            self.gate_open = open;
            self.connect_media(audio, video);
        }
    }

    fn connect_media(&self, audio: &Audio, video: &Video) {
        let peer = self.peer.as_ref().filter(|_| self.gate_open);
        audio.set_call(peer.map(|(peer, _, remote)| (peer.media(), remote.clone())));
        let sends = peer.map(|(peer, _, _)| peer.media());
        video.set_call(sends);
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
        audio: &Audio,
        video: &Video,
        tasks: &TaskTracker,
        now: Duration,
    ) -> Vec<Signal> {
        let mut signals = vec![];
        let mut queue: std::collections::VecDeque<CallAction> = actions.into();
        while let Some(action) = queue.pop_front() {
            let outcome = match action {
                CallAction::Send(signal) => {
                    signals.push(signal);
                    Ok(None)
                }
                CallAction::OpenPeer => {
                    self.close_peer(audio, video, tasks);
                    self.open_peer(audio, video).await.map(|()| None)
                }
                CallAction::ClosePeer => {
                    self.close_peer(audio, video, tasks);
                    Ok(None)
                }
                CallAction::Offer { restart } => match &mut self.peer {
                    Some((peer, _, _)) => peer.offer(restart).await.map(Some).map_err(|e| e.to_string()),
                    None => Ok(None),
                },
                CallAction::Answer { sdp } => match &mut self.peer {
                    Some((peer, _, _)) => peer.answer(sdp).await.map(Some).map_err(|e| e.to_string()),
                    None => Ok(None),
                },
                CallAction::Accept { sdp } => match &mut self.peer {
                    Some((peer, _, _)) => peer.accept(sdp).await.map(|()| None).map_err(|e| e.to_string()),
                    None => Ok(None),
                },
                CallAction::AddCandidate { candidate, sdp_mid, sdp_m_line_index } => {
                    if let Some((peer, _, _)) = &mut self.peer
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
                    tracing::warn!(error, "the connection starts over");
                    // Not at once, or a stack that refuses everything would be asked for ever.
                    self.machine.handle(CallInput::Disconnected, now);
                }
            }
        }
        signals
    }

    async fn open_peer(&mut self, audio: &Audio, video: &Video) -> Result<(), String> {
        let remote =
            Remote::new(self.feed.clone(), self.key_frame_wanted.clone()).map_err(|e| e.to_string())?;
        let remote = Arc::new(remote);
        let (peer, events) = Peer::open(&self.config, remote.clone()).await.map_err(|e| e.to_string())?;
        self.peer = Some((peer, events, remote));
        self.measured = (Instant::now(), self.feed.progress().0, 0, 0, 0);
        self.connect_media(audio, video);
        Ok(())
    }

    fn close_peer(&mut self, audio: &Audio, video: &Video, tasks: &TaskTracker) {
        if let Some((peer, events, remote)) = self.peer.take() {
            audio.set_call(None);
            video.set_call(None);
            drop(events);
            tasks.spawn(async move {
                peer.close().await;
                remote.close();
            });
        }
    }

    /// Ends the call: says good-bye and closes the connection; gives the signals to send.
    pub(crate) async fn end(
        mut self,
        audio: &Audio,
        video: &Video,
        tasks: &TaskTracker,
        now: Duration,
    ) -> Vec<Signal> {
        let actions = self.machine.handle(CallInput::Leave, now);
        let signals = self.perform(actions, audio, video, tasks, now).await;
        self.close_peer(audio, video, tasks);
        signals
    }

    /// Asks for a key frame where one is needed, and measures once a second.
    pub(crate) async fn tend(&mut self, audio: &Audio) {
        let Some((peer, _, remote)) = &self.peer else { return };
        let now = Instant::now();
        if remote.poll_key_request(now) {
            peer.request_key_frame().await;
        }
        let (at, pictures, bytes, played, concealed) = self.measured;
        let passed = now.duration_since(at);
        if passed < MEASURE_EVERY {
            return;
        }
        let jitter = remote.jitter.lock().unwrap_or_else(std::sync::PoisonError::into_inner).stats();
        let (shown, width, height) = self.feed.progress();
        let stats: PeerStats = peer.stats().await;
        let per_second = |new: u64, old: u64| (new.saturating_sub(old) as f64 / passed.as_secs_f64()).round();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f32 * 100.0 / whole as f32 };
        self.quality = Quality {
            fps: per_second(shown, pictures) as u32,
            width,
            height,
            round_trip_ms: stats.round_trip.map(|rtt| rtt.as_millis() as u32),
            concealed_percent: share(jitter.concealed - concealed, jitter.played - played).min(100.0),
            bits_per_second: per_second(remote.bytes() * 8, bytes * 8) as u64,
            relayed: stats.relayed.unwrap_or(false),
            sending: self.sending,
        };
        let (ran_dry, overran) = audio.shared.late();
        tracing::debug!(?self.quality, ?jitter, available = stats.available, ran_dry, overran, "call");
        self.measured = (now, shown, remote.bytes(), jitter.played, jitter.concealed);
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
        let remote = self.machine.remote;
        CallState {
            status,
            seconds_left,
            remote_microphone: remote.is_some_and(|r| r.microphone),
            remote_camera: remote.is_some_and(|r| r.camera),
            quality: self.quality,
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
