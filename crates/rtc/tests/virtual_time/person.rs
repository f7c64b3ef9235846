//! One end of a call as the client has it: the machine, the peer, and the engine of `bedside-call`;
//! a voice, a camera and a screen that are made up.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bedside_bwe::{Bitrate, ladder};
use bedside_call::{
    Drawing, EncodedVideo, LocalAudio, LocalVideo, MOST_CAMERA, ReceiverDemand, RemoteAudio, RemoteVideo,
    Uses, share, wanted_audio,
};
use bedside_media::{
    FRAME, JitterStats, OpusPacket, SAMPLE_RATE, SenderClock, TrackSource, VideoCodec, VideoPacket,
    VideoSource, codec::VideoDecoder,
};
use bedside_protocol::{Party, PeerId, SessionId, Signal};
use bedside_rtc::{
    AudioPacket, Candidate, Peer, PeerConfig, PeerEvent, PeerState, RemoteMedia, ReportBlock, SendFeedback,
    VideoFrame,
};
use bedside_session::{Call, CallAction, CallInput, CallPhase, SentMedia};
use tokio::sync::mpsc;

use crate::{
    scene,
    world::{End, World},
};

const TICK: Duration = Duration::from_millis(10);
/// What a picture takes to encode on a machine that can keep up.
const ENCODING: Duration = Duration::from_millis(4);
/// A signal's way through the service.
pub(crate) const SIGNALLING: Duration = Duration::from_millis(40);

/// What a person saw and heard, and how the call stood.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) phase: Option<CallPhase>,
    /// At 48 kHz, from the beginning of the call.
    pub(crate) heard: Vec<f32>,
    pub(crate) pictures: Vec<Shown>,
    pub(crate) sound: JitterStats,
}

/// A picture that was shown.
pub(crate) struct Shown {
    pub(crate) at: Duration,
    pub(crate) width: usize,
}

/// What comes in.
struct Remote {
    world: Arc<World>,
    audio: Mutex<RemoteAudio>,
    video: Mutex<RemoteVideo>,
    decoder: Mutex<Box<dyn VideoDecoder>>,
    seen: Arc<Mutex<Seen>>,
    /// When the other end took the picture of each number.
    taken: Arc<Mutex<Vec<Duration>>>,
    key_frame_wanted: AtomicBool,
    lost: AtomicU32,
}

impl RemoteMedia for Remote {
    fn audio(&self, packet: &OpusPacket<'_>) {
        self.audio.lock().unwrap().push(packet);
    }
    fn video(&self, _: VideoSource, packet: VideoPacket, now: Instant) {
        let mut video = self.video.lock().unwrap();
        for frame in video.push(packet, now) {
            match self.decoder.lock().unwrap().decode(&frame.data) {
                Ok(Some(picture)) => {
                    let shown = Shown { at: self.world.now(), width: picture.width() };
                    let taken = self.taken.lock().unwrap()[usize::from(scene::number(&picture))];
                    assert!(taken < shown.at, "shown before it was taken");
                    self.seen.lock().unwrap().pictures.push(shown);
                }
                Ok(None) => {}
                Err(_) => video.restart_at_key(),
            }
        }
    }
    fn sender_clock(&self, _: SenderClock) {}

    fn key_frame_due(&self, source: VideoSource, now: Instant, rtt: Duration) -> bool {
        if source != VideoSource::Camera {
            return false;
        }
        let mut video = self.video.lock().unwrap();
        video.set_rtt(rtt);
        video.poll_key_request(now)
    }
}

impl SendFeedback for Remote {
    fn key_frame_wanted(&self, _: VideoSource) {
        self.key_frame_wanted.store(true, Ordering::Relaxed);
    }
    fn report(&self, report: ReportBlock) {
        if report.source.is_audio() {
            self.lost.store((report.loss * 1e3) as u32, Ordering::Relaxed);
        }
    }
}

/// What a person does.
pub(crate) enum Step {
    Rejoin,
    LinkUp,
    Leave,
    /// Their machine draws pictures up to this width in time, and of larger ones fewer by their pixels.
    DrawUpTo(usize),
}

/// From outside: what they saw, and what they are to do.
pub(crate) struct Person {
    seen: Arc<Mutex<Seen>>,
    steps: mpsc::UnboundedSender<Step>,
    task: tokio::task::JoinHandle<()>,
}

impl Person {
    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
    pub(crate) fn phase(&self) -> CallPhase {
        self.seen().phase.expect("the call has begun")
    }
    /// Root mean square of what was heard since then.
    pub(crate) fn loudness_since(&self, since: Duration) -> f32 {
        let seen = self.seen();
        let heard = &seen.heard[since.as_millis() as usize * 48..];
        (heard.iter().map(|s| s * s).sum::<f32>() / heard.len() as f32).sqrt()
    }
    pub(crate) fn does(&self, step: Step) {
        assert!(self.steps.send(step).is_ok(), "they have left");
    }
    /// Leaves the call and waits until all of it is gone.
    pub(crate) async fn leaves(self) {
        self.does(Step::Leave);
        self.task.await.expect("nothing went wrong at this end");
    }
}

/// A doctor and a patient in a call.
pub(crate) fn visit(world: &Arc<World>) -> [Person; 2] {
    let session = SessionId::generate();
    let taken = [(); 2].map(|()| Arc::new(Mutex::new(vec![])));
    let wires = [(); 2].map(|()| mpsc::unbounded_channel::<(Duration, Signal)>());
    let senders = [wires[0].0.clone(), wires[1].0.clone()];
    let mut number = 0;
    wires.map(|(_, from_other)| {
        let at = number;
        number += 1;
        let party = [Party::Doctor, Party::Patient][at];
        let (call, actions) = Call::begin(session, party, PeerId::generate(), world.now());
        let seen = Arc::new(Mutex::new(Seen::default()));
        seen.lock().unwrap().phase = Some(call.phase());
        let (steps, doing) = mpsc::unbounded_channel();
        let running = Running {
            end: Arc::new(End { world: world.clone(), number: at }),
            world: world.clone(),
            call,
            peer: None,
            seen: seen.clone(),
            to_other: senders[1 - at].clone(),
            from_other,
            coming: VecDeque::new(),
            taken: taken[at].clone(),
            others_taken: taken[1 - at].clone(),
            local_audio: LocalAudio::new(0).unwrap(),
            local_video: LocalVideo::new(0, world.instant()),
            next_picture: Duration::ZERO,
            ticks: 0,
            draws_up_to: usize::MAX,
            demand: ReceiverDemand::default(),
            measured: Measured::default(),
        };
        Person { seen, steps, task: tokio::spawn(running.run(actions, doing)) }
    })
}

struct Running {
    world: Arc<World>,
    end: Arc<End>,
    call: Call,
    peer: Option<(Peer, mpsc::Receiver<PeerEvent>, Arc<Remote>)>,
    seen: Arc<Mutex<Seen>>,
    to_other: mpsc::UnboundedSender<(Duration, Signal)>,
    from_other: mpsc::UnboundedReceiver<(Duration, Signal)>,
    /// Signals on their way, in order.
    coming: VecDeque<(Duration, Signal)>,
    taken: Arc<Mutex<Vec<Duration>>>,
    others_taken: Arc<Mutex<Vec<Duration>>>,
    local_audio: LocalAudio,
    local_video: LocalVideo,
    next_picture: Duration,
    ticks: u32,
    draws_up_to: usize,
    demand: ReceiverDemand,
    measured: Measured,
}

/// Where the counters stood a second ago.
#[derive(Default)]
struct Measured {
    pictures: usize,
    bytes: u64,
}

impl Running {
    async fn run(mut self, actions: Vec<CallAction>, mut steps: mpsc::UnboundedReceiver<Step>) {
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
                    Step::DrawUpTo(width) => self.draws_up_to = width,
                },
                event = next_event(&mut self.peer) => self.on_event(event).await,
                () = tick => self.on_tick().await,
            }
            self.seen.lock().unwrap().phase = Some(self.call.phase());
        }
        self.input(CallInput::Leave).await;
        assert!(self.peer.is_none());
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
                        let _ = self.to_other.send((self.world.now() + SIGNALLING, signal));
                    }
                    Ok(None)
                }
                CallAction::OpenPeer => {
                    self.close_peer().await;
                    self.open_peer().await;
                    Ok(None)
                }
                CallAction::ClosePeer => {
                    self.close_peer().await;
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
        &mut self.peer.as_mut().expect("the machine asks nothing of a peer that it has not opened").0
    }

    async fn open_peer(&mut self) {
        let remote = Arc::new(Remote {
            world: self.world.clone(),
            audio: Mutex::new(RemoteAudio::new().unwrap()),
            video: Mutex::new(RemoteVideo::default()),
            decoder: Mutex::new(VideoCodec::default().decoder().unwrap()),
            seen: self.seen.clone(),
            taken: self.others_taken.clone(),
            key_frame_wanted: AtomicBool::new(false),
            lost: AtomicU32::new(0),
        });
        let config = PeerConfig { loopback: true, ..PeerConfig::default() };
        let opened = Peer::open_on(self.end.clone(), &config, remote.clone(), remote.clone()).await;
        let (peer, events) = opened.unwrap();
        self.peer = Some((peer, events, remote));
        self.local_video = LocalVideo::new(0, self.world.instant());
    }

    async fn close_peer(&mut self) {
        if let Some((peer, events, _)) = self.peer.take() {
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
        self.ticks += 1;
        while let Ok(signal) = self.from_other.try_recv() {
            self.coming.push_back(signal);
        }
        while let Some((_, signal)) = self.coming.pop_front_if(|(due, _)| *due <= self.world.now()) {
            self.input(CallInput::Signal(signal)).await;
        }
        if self.ticks.is_multiple_of(5) {
            self.input(CallInput::Tick).await;
        }
        if self.ticks.is_multiple_of(100) {
            self.measure().await;
        }
        self.speak();
        self.listen();
        if self.world.now() >= self.next_picture {
            self.show();
        }
    }

    /// As the client does of what its page tells it.
    async fn measure(&mut self) {
        let Some((peer, _, remote)) = &self.peer else { return };
        let bytes = remote.video.lock().unwrap().bytes();
        let drawing = {
            let seen = self.seen.lock().unwrap();
            let new = &seen.pictures[self.measured.pictures..];
            // Of larger ones as many as it has time for.
            let drawn =
                new.iter().map(|shown| (self.draws_up_to as f64 / shown.width as f64).powi(2).min(1.0));
            let drawn = drawn.sum::<f64>() as u64;
            let received = Bitrate::bps(bytes.saturating_sub(self.measured.bytes) * 8);
            self.measured = Measured { pictures: seen.pictures.len(), bytes };
            Drawing { drawn, late: new.len() as u64 - drawn, behind: Duration::ZERO, received }
        };
        let before = self.demand.pace();
        if let Some(most) = self.demand.on_drawn(&drawing, self.world.instant()) {
            peer.limit(VideoSource::Camera, most).await;
        }
        let draws = self.demand.pace();
        if draws != before {
            let media = SentMedia { microphone: true, camera: true, screen: false, draws };
            self.input(CallInput::Media(media)).await;
        }
    }

    fn speak(&mut self) {
        let first = u64::from(self.ticks - 1) * FRAME as u64;
        let said: [f32; FRAME] =
            std::array::from_fn(|n| scene::voice((first + n as u64) as f64 / f64::from(SAMPLE_RATE)));
        let encoded = self.local_audio.capture(&said, self.world.instant()).unwrap();
        let (Some(encoded), Some((peer, _, remote))) = (encoded, &self.peer) else { return };
        let link = peer.media().link();
        peer.media().set_wanted(TrackSource::Microphone, wanted_audio(&link));
        let least_camera = self.local_video.sent().map(|_| ladder::STEPS[0].needs);
        let uses = Uses { least_camera, screen: Bitrate::ZERO };
        let lost = remote.lost.load(Ordering::Relaxed) as f32 / 1e3;
        self.local_audio.set_link(share(&link, uses).audio, lost).unwrap();
        peer.media().audio(AudioPacket {
            timestamp: encoded.timestamp,
            captured: encoded.captured,
            data: encoded.data.into(),
        });
    }

    fn listen(&mut self) {
        let mut seen = self.seen.lock().unwrap();
        let Some((_, _, remote)) = &self.peer else { return seen.heard.extend([0.0; FRAME]) };
        let mut audio = remote.audio.lock().unwrap();
        seen.heard.extend(audio.pull().unwrap());
        seen.sound = audio.stats();
    }

    /// The camera gives a picture, thirty times a second.
    fn show(&mut self) {
        let (now, at) = (self.world.now(), self.world.instant());
        self.next_picture = (self.next_picture + Duration::from_secs(1) / 30).max(now);
        let Some((peer, _, remote)) = &self.peer else { return };
        let media = peer.media();
        if !media.is_connected() {
            return;
        }
        if remote.key_frame_wanted.swap(false, Ordering::Relaxed) {
            self.local_video.request_key_frame();
        }
        let link = media.link();
        let most = media.most(VideoSource::Camera);
        self.local_video.set_limit(most);
        self.local_video.set_pace(self.call.remote.and_then(|sends| sends.draws));
        media.set_wanted(TrackSource::Video(VideoSource::Camera), MOST_CAMERA.min(most));
        self.local_video.note_encoding(ENCODING);
        let Some(step) = self.local_video.wants(&link, Bitrate::ZERO, at).unwrap() else { return };
        let number = {
            let mut taken = self.taken.lock().unwrap();
            taken.push(now);
            u16::try_from(taken.len() - 1).expect("a visit of under half an hour")
        };
        let picture = scene::picture(number, step.width, step.height);
        let encoded = self.local_video.encode(&picture, step, at).unwrap();
        let is_sent = encoded.is_some_and(|encoded| {
            let EncodedVideo { timestamp, captured, codec, data, is_key: _ } = encoded;
            let frame = VideoFrame { timestamp, captured, codec, data: data.into() };
            media.video(VideoSource::Camera, frame)
        });
        if !is_sent {
            self.local_video.request_key_frame();
        }
    }
}

async fn next_event(peer: &mut Option<(Peer, mpsc::Receiver<PeerEvent>, Arc<Remote>)>) -> Option<PeerEvent> {
    match peer {
        Some((_, events, _)) => events.recv().await,
        None => std::future::pending().await,
    }
}
