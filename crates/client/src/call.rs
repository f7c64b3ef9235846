//! One call: its machine, its connection, and what is measured of it.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_media::MediaError;
use bedside_protocol::{IceServer, QualityReport, Signal, Token};
use bedside_redact::Secret;
use bedside_rtc::{Candidate, Peer, PeerConfig, PeerEvent, PeerState, PeerStats, RtcError};
use bedside_session::{
    CallAction, CallInput, CallPhase, Signalling,
    snapshot::{CallState, CallStatus, Quality, SentPicture},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::{
    audio::{Audio, CallAudio},
    quality::{self, MACHINES, QualityLog},
    remote::{Feeds, KeyFrameRequests, Reception, Remote},
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

/// How often what comes in is measured.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

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
    feeds: Feeds,
    key_frames: KeyFrameRequests,
    /// Whether this person agreed to be seen and heard.
    gate_open: bool,
    pub(crate) media_token: Token,
    quality: Quality,
    log: QualityLog,
    pub(crate) sending: Option<SentPicture>,
    measured: Measured,
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
    remote: Arc<Remote>,
    reception: Arc<Reception>,
}

/// Where the counters stood when they were last looked at.
struct Measured {
    at: Instant,
    frames: u64,
    bytes: u64,
    played: u64,
    concealed: u64,
    /// Audio packets, and how many of them there should have been.
    received: u64,
    expected: u64,
}

impl Measured {
    /// A connection of which nothing has come yet, after so many frames.
    const fn nothing(at: Instant, frames: u64) -> Self {
        Self { at, frames, bytes: 0, played: 0, concealed: 0, received: 0, expected: 0 }
    }
}

impl ActiveCall {
    pub(crate) fn new(
        machine: Box<dyn Signalling>,
        config: PeerConfig,
        media_token: Token,
        feeds: Feeds,
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
            incompatible: Incompatible::No,
            measured: Measured::nothing(Instant::now(), 0),
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
    pub(crate) fn open_gate(&mut self, open: bool, threads: &Threads) {
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
        let remote = Arc::new(Remote::new(self.feeds.clone())?);
        let reception = Arc::new(Reception::new(self.key_frames.clone()));
        let (peer, events) = Peer::open(&self.config, remote.clone(), reception.clone()).await?;
        self.open = Some(OpenPeer { peer, events, remote, reception });
        self.feeds.camera.begin();
        self.feeds.screen.begin();
        let frames = self.feeds.camera.progress().0;
        self.measured = Measured::nothing(Instant::now(), frames);
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
    pub(crate) async fn tend(&mut self, audio: &Audio) -> Option<QualityReport> {
        let OpenPeer { peer, remote, reception, .. } = self.open.as_ref()?;
        let now = Instant::now();
        let passed = now.duration_since(self.measured.at);
        if passed < MEASURE_EVERY {
            return None;
        }
        let (jitter, arrivals) = (remote.audio_stats(), remote.arrivals());
        let (frames, width, height) = self.feeds.camera.progress();
        if self.machine.remote().is_some_and(|remote| !remote.camera) {
            self.feeds.camera.pause();
        }
        let freezes = self.feeds.camera.freezes(now);
        let stats: PeerStats = peer.stats().await;
        let per_second = |new: u64, old: u64| (new.saturating_sub(old) as f64 / passed.as_secs_f64()).round();
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f32 * 100.0 / whole as f32 };
        let Measured { frames: frames_before, bytes, played, concealed, received, expected, .. } =
            self.measured;
        let link = peer.media().link();
        let rtt = reception.rtt().or(stats.round_trip);
        // Begun anew after a fault, they count from nothing.
        let concealed_percent =
            share(jitter.concealed.saturating_sub(concealed), jitter.played.saturating_sub(played))
                .min(100.0);
        let packets = arrivals.expected() - expected;
        let missed = packets.saturating_sub(arrivals.received() - received);
        let mouth_to_ear = rtt.unwrap_or_default() / 2 + jitter.level + MACHINES;
        self.quality = Quality {
            fps: per_second(frames, frames_before) as u32,
            width,
            height,
            round_trip_ms: rtt.map(|rtt| rtt.as_millis() as u32),
            concealed_percent,
            frozen_percent: freezes.as_secs_f32() * 10.0,
            lost_there_percent: reception.audio_loss().max(reception.video_loss()) * 100.0,
            bits_per_second: per_second(remote.bytes() * 8, bytes * 8) as u64,
            relayed: stats.relayed.unwrap_or(false),
            sending: self.sending,
            packet_loss_percent: share(missed, packets),
            jitter_ms: arrivals.jitter_ms().round() as u32,
            mos: if packets == 0 && self.machine.remote().is_some_and(|remote| remote.microphone) {
                // They speak, and nothing comes.
                1.0
            } else {
                bedside_call::mos(mouth_to_ear, f64::from(concealed_percent) / 100.0) as f32
            },
            path: stats.path.map(quality::path),
            transport: stats.transport.map(quality::transport),
        };
        let late = audio.shared.late();
        tracing::debug!(?self.quality, ?jitter, ?link, ?late, "call");
        self.measured = Measured {
            at: now,
            frames,
            bytes: remote.bytes(),
            played: jitter.played,
            concealed: jitter.concealed,
            received: arrivals.received(),
            expected: arrivals.expected(),
        };
        let talks = self.gate_open && self.machine.phase() == CallPhase::Connected;
        talks.then(|| self.log.push(self.quality, audio.shared.levels().speaker))?
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
        CallState { status, seconds_left, participants: self.machine.participants(), quality: self.quality }
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
