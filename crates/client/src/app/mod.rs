//! The actor that holds the client's state.

mod chat;
mod devices;
mod events;
mod network;
mod past;
mod reach;
mod screen;
mod view;
mod visit;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_backends::{BackendError, Clinic, Entered, Wire, WireEvent};
use bedside_devices::{Screen as SharableScreen, Sound, Trouble};
use bedside_media::VideoCodec;
use bedside_protocol::{
    ChatPage, DeviceId, FeedbackRequest, HistoryPage, JoinResponse, NetworkCheck, OutgoingMessage, Session,
    SessionId, Summary, User,
};
use bedside_session::{
    Backoff, ChatLog, JoinId, Snapshot,
    link::ASK_AGAIN,
    snapshot::{Link, Screen, UiProblem},
};
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    ClientConfig, Command, account,
    audio::Audio,
    audio::Shared,
    call::Threads,
    frame_channel::FrameChannel,
    remote::FrameChannels,
    screen::{ScreenEvent, ScreenSharing},
    settings::Settings,
    vault::Vault,
    video::{CameraEvent, Video},
};
use devices::{DeviceEvent, DevicesState};
use network::NetworkTesting;
use past::Past;
use reach::Reaching;
use screen::Sharing;
use visit::VisitState;

/// Events waiting for the actor: answers of the service, devices. Senders wait when it is full.
const EVENTS: usize = 256;
/// How often time is looked at.
const TICK: Duration = Duration::from_millis(50);

/// The how manieth sign-in of this run: an answer to an earlier one's request is recognised.
pub(crate) type Account = u64;

/// The how manieth asking for the list of sessions: an answer that was overtaken is recognised.
pub(crate) type Asked = u64;

/// What the actor hears of.
pub(crate) enum Event {
    SignedIn {
        attempt: u64,
        service: String,
        outcome: account::Outcome,
    },
    Resumed {
        service: String,
        outcome: Option<account::Outcome>,
    },
    Sessions(Asked, Result<Vec<Session>, BackendError>),
    Session(Result<Session, BackendError>),
    Acted(Result<Session, BackendError>),
    Left(Session),
    /// The service has heard that the patient does not come in now.
    Declined(SessionId, Result<Session, BackendError>),
    Joined(SessionId, JoinId, Result<JoinResponse, BackendError>),
    /// The service did not answer to something that goes on being asked.
    Unanswered(BackendError),
    /// And now it did.
    Answered,
    Page(SessionId, Result<ChatPage, BackendError>),
    Uploaded(SessionId, Result<OutgoingMessage, BackendError>),
    Summary(SessionId, Result<Summary, BackendError>),
    FeedbackGiven(SessionId, Result<(), BackendError>),
    /// Whose service this is, as the one at this address says.
    Clinic(String, Option<String>),
    /// The service answered after this time, or not.
    Reached(Option<Duration>),
    /// What a test of the network came to, if it could be made.
    NetworkTested(u64, Option<NetworkCheck>),
    /// The code that it was kept under.
    DeviceCheckKept(u64, Option<String>),
    Recalled(Result<Session, BackendError>),
    PastPage(SessionId, Result<ChatPage, BackendError>),
    PastFeedback(SessionId, Result<FeedbackRequest, BackendError>),
    /// The page before this visit, or the first.
    History(Option<SessionId>, Result<HistoryPage, BackendError>),
    Camera(CameraEvent),
    /// What there is to share.
    Screens(u64, Result<Vec<SharableScreen>, Trouble>),
    Screen(ScreenEvent),
    Device(DeviceEvent),
}

/// A sign-in, or the kept token, that the service did not answer to yet.
struct Asking {
    /// None for the kept token.
    credentials: Option<account::Credentials>,
    /// When to ask again; none while it is being asked.
    again_at: Option<Instant>,
}

/// The actor.
pub(crate) struct App {
    config: ClientConfig,
    settings: Settings,
    vault: Vault,
    service: String,
    snapshots: watch::Sender<Snapshot>,
    events: mpsc::Sender<(Option<Account>, Event)>,
    event_queue: Option<mpsc::Receiver<(Option<Account>, Event)>>,
    account: Account,
    /// Which of the person's devices this one is, for as long as it runs: a visit is entered again only at a
    /// press, and two windows on one machine are two.
    device: DeviceId,
    /// Ends what goes on being asked for this person.
    signed_out: CancellationToken,
    /// Ends the telling that they have left a visit.
    leaving: HashMap<SessionId, CancellationToken>,
    /// Ends the telling that the patient does not come in now.
    declining: CancellationToken,
    /// Visits entered so far.
    entries: u64,
    tasks: TaskTracker,
    started: Instant,

    signed_in: Option<Arc<dyn Clinic>>,
    user: Option<User>,
    wire: Option<Box<dyn Wire>>,
    wire_events: Option<mpsc::Receiver<WireEvent>>,
    link: Link,
    asking: Option<Asking>,
    /// Attempts to sign in so far: an answer that was overtaken is recognised.
    attempts: u64,

    screen: Screen,
    sessions: Vec<Session>,
    sessions_asked: Asked,
    sessions_answered: Asked,
    history: Option<HistoryPage>,
    past: Option<Past>,
    reach: Reaching,
    network: NetworkTesting,
    clinic: Option<String>,
    /// The address whose clinic was asked for last.
    looking_up: String,
    visit: Option<VisitState>,
    /// Chats of visits that were left before all that was written had been confirmed.
    unsent: HashMap<SessionId, ChatLog>,
    busy: bool,
    problem: Option<UiProblem>,

    sound: Arc<Sound>,
    threads: Threads,
    sharing: Sharing,
    devices: DevicesState,
    feeds: FrameChannels,
    /// Codecs of video that the page can decode, the best first.
    decodes: Vec<VideoCodec>,
}

impl App {
    /// The actor, what it shows, and the loudness of its sound.
    pub(crate) fn new(
        config: ClientConfig,
        feeds: FrameChannels,
        self_video: Arc<FrameChannel>,
    ) -> (Self, watch::Receiver<Snapshot>, Arc<Shared>) {
        let (events, event_queue) = mpsc::channel(EVENTS);
        let settings = Settings::read(&config.folder);
        // Without a codec or a thread there is no client.
        let audio = Audio::start().expect("Opus and a thread for it");
        let camera_events = events.clone();
        let video = Video::start(self_video, move |event| {
            // Full only when the actor hangs, and then nobody looks.
            if camera_events.try_send((None, Event::Camera(event))).is_err() {
                tracing::warn!("a camera's event was dropped");
            }
        })
        .expect("a thread for the camera");
        let screen_events = events.clone();
        let screen = ScreenSharing::start(move |event| {
            if screen_events.try_send((None, Event::Screen(event))).is_err() {
                tracing::warn!("an event of the shared screen was dropped");
            }
        })
        .expect("a thread for the screen");
        let service = config.service.clone().or(settings.service.clone()).unwrap_or_default();
        let devices = DevicesState::new(&settings);
        let device = DeviceId::generate();
        let (snapshots, receiver) = watch::channel(view::first(&service, device));
        let app = Self {
            vault: Vault::open(&config.folder),
            device,
            settings,
            service,
            snapshots,
            events,
            event_queue: Some(event_queue),
            account: 0,
            signed_out: CancellationToken::new(),
            leaving: HashMap::new(),
            declining: CancellationToken::new(),
            entries: 0,
            tasks: TaskTracker::new(),
            started: Instant::now(),
            signed_in: None,
            user: None,
            wire: None,
            wire_events: None,
            link: Link::Off,
            asking: None,
            attempts: 0,
            screen: Screen::Starting,
            sessions: vec![],
            sessions_asked: 0,
            sessions_answered: 0,
            history: None,
            past: None,
            reach: Reaching::default(),
            network: NetworkTesting::default(),
            clinic: None,
            looking_up: String::new(),
            visit: None,
            unsent: HashMap::new(),
            busy: false,
            problem: None,
            sound: Arc::new(Sound::new()),
            devices,
            feeds,
            decodes: vec![],
            config,
            threads: Threads { audio, video, screen },
            sharing: Sharing::default(),
        };
        let shared = app.threads.audio.shared.clone();
        (app, receiver, shared)
    }

    /// Runs until the last command sender is gone, then leaves everything.
    pub(crate) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let Some(mut events) = self.event_queue.take() else { return };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        self.list_devices();
        self.look_up(self.service.clone());
        self.resume();
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command).await,
                    None => break,
                },
                Some((account, event)) = events.recv() => {
                    // An answer for somebody who has signed out meanwhile is nobody's.
                    if account.is_none_or(|account| account == self.account) {
                        self.on_event(event).await;
                    }
                }
                event = next_wire(&mut self.wire_events) => self.on_wire(event).await,
                event = next_peer(&mut self.visit) => self.on_peer(event).await,
                _ = tick.tick() => self.on_tick().await,
            }
            self.tick_sharing().await;
            self.show();
        }
        // Tasks that still report find the queue closed and end.
        drop(events);
        self.close().await;
    }

    async fn close(mut self) {
        self.signed_out.cancel();
        self.end_visit().await;
        if let Some(wire) = self.wire.take() {
            drop(self.wire_events.take());
            wire.close().await;
        }
        self.signed_in = None;
        self.close_devices();
        self.tasks.close();
        self.tasks.wait().await;
        let threads = self.threads;
        let stopped = tokio::task::spawn_blocking(move || threads.stop());
        if let Err(error) = stopped.await {
            tracing::error!(%error, "the media threads did not stop");
        }
    }

    /// Time since the start, as the machines take it.
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs a request beside the actor; its outcome comes back as an event.
    fn spawn(&self, request: impl Future<Output = Event> + Send + 'static) {
        let events = self.events.clone();
        self.tasks.spawn(async move {
            // Closed while the request was under way.
            let _ = events.send((None, request.await)).await;
        });
    }

    /// Runs a request of the signed-in person.
    fn ask<F, R>(&self, request: F)
    where
        F: FnOnce(Arc<dyn Clinic>) -> R,
        R: Future<Output = Event> + Send + 'static,
    {
        if let Some(signed_in) = &self.signed_in {
            let (events, request, account) = (self.events.clone(), request(signed_in.clone()), self.account);
            let signed_out = self.signed_out.clone();
            self.tasks.spawn(async move {
                if let Some(event) = signed_out.run_until_cancelled(request).await {
                    // Closed while the request was under way.
                    let _ = events.send((Some(account), event)).await;
                }
            });
        }
    }

    /// The same, asked again until the service answers: whatever the person did is not lost.
    fn insist<T, R>(
        &self,
        request: impl Fn(Arc<dyn Clinic>) -> R + Send + 'static,
        event: impl FnOnce(Result<T, BackendError>) -> Event + Send + 'static,
    ) where
        T: Send + 'static,
        R: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        self.insist_until(self.signed_out.clone(), request, event);
    }

    /// The same, until `given_up`.
    fn insist_until<T, R>(
        &self,
        given_up: CancellationToken,
        request: impl Fn(Arc<dyn Clinic>) -> R + Send + 'static,
        event: impl FnOnce(Result<T, BackendError>) -> Event + Send + 'static,
    ) where
        T: Send + 'static,
        R: Future<Output = Result<T, BackendError>> + Send + 'static,
    {
        let Some(signed_in) = self.signed_in.clone() else { return };
        let (events, account) = (self.events.clone(), self.account);
        let asking = async move {
            let mut was_told = false;
            loop {
                let answer = request(signed_in.clone()).await;
                let unreached = match answer {
                    Err(error) if error.is_unreachable() => error,
                    // Closed while the request was under way.
                    answer => {
                        if was_told {
                            let _ = events.send((Some(account), Event::Answered)).await;
                        }
                        let _ = events.send((Some(account), event(answer))).await;
                        return;
                    }
                };
                if !was_told {
                    let _ = events.send((Some(account), Event::Unanswered(unreached))).await;
                }
                was_told = true;
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        self.tasks.spawn(async move { given_up.run_until_cancelled(asking).await });
    }

    fn fail(&mut self, error: &BackendError) {
        tracing::info!(%error, "not done");
        self.problem = Some(account::problem(error));
    }

    fn resume(&mut self) {
        if self.service.is_empty() {
            self.screen = Screen::SignIn;
            return;
        }
        let (vault, service) = (self.vault.clone(), self.service.clone());
        self.spawn(async move {
            Event::Resumed { outcome: account::resume(vault, service.clone()).await, service }
        });
    }

    fn enter_account(&mut self, service: String, Entered { clinic, user }: Entered) {
        self.asking = None;
        self.problem = None;
        self.busy = false;
        self.settings.service = Some(service.clone());
        self.settings.write(&self.config.folder);
        self.service.clone_from(&service);
        if self.looking_up != service {
            self.look_up(service.clone()); // Typed and sent at once: another clinic's name was shown.
        }
        let (vault, tokens) = (self.vault.clone(), clinic.clone());
        self.tasks.spawn(account::keep_tokens(vault, service, tokens));
        let mut backoff = Backoff::default();
        let wait = move |was_up| {
            if was_up {
                backoff.reset();
            }
            backoff.next(rand::random())
        };
        let bedside_backends::Link { wire, events } = clinic.clone().open_link(Box::new(wait));
        (self.wire, self.wire_events, self.link) = (Some(wire), Some(events), Link::Connecting);
        (self.signed_in, self.user, self.screen) = (Some(clinic), Some(user), Screen::Home);
        self.refresh_sessions();
    }

    /// Forgets the person who was signed in.
    async fn leave_account(&mut self) {
        self.end_visit().await;
        self.close_devices();
        if let Some(wire) = self.wire.take() {
            drop(self.wire_events.take());
            self.tasks.spawn(wire.close());
        }
        let (vault, service) = (self.vault.clone(), self.service.clone());
        self.tasks.spawn_blocking(move || {
            if let Err(error) = vault.forget(&service) {
                tracing::warn!(%error, "the sign-in was not forgotten");
            }
        });
        (self.signed_in, self.user, self.link, self.screen) = (None, None, Link::Off, Screen::SignIn);
        (self.sessions, self.history, self.past) = (vec![], None, None);
        self.unsent.clear();
        self.leaving.clear();
        (self.busy, self.asking) = (false, None);
        std::mem::take(&mut self.signed_out).cancel();
        // What was asked for this person and is still under way is not the next one's.
        self.account += 1;
    }

    fn refresh_sessions(&mut self) {
        self.sessions_asked += 1;
        let asked = self.sessions_asked;
        self.ask(|api| async move { Event::Sessions(asked, api.sessions().await) });
    }

    /// Takes a list as the answer it is: one that was overtaken, by a newer list or by news of a
    /// session, undoes nothing.
    fn on_sessions(&mut self, asked: Asked, mut sessions: Vec<Session>) {
        if asked <= self.sessions_answered {
            return;
        }
        self.sessions_answered = asked;
        for session in &mut sessions {
            let known = self.sessions.iter().find(|known| known.session_id == session.session_id);
            if let Some(known) = known.filter(|known| known.revision > session.revision) {
                session.clone_from(known);
            }
        }
        self.sessions = sessions;
    }
}

async fn next_wire(events: &mut Option<mpsc::Receiver<WireEvent>>) -> WireEvent {
    if let Some(queue) = events
        && let Some(event) = queue.recv().await
    {
        return event;
    }
    std::future::pending().await
}

async fn next_peer(visit: &mut Option<VisitState>) -> Option<bedside_rtc::PeerEvent> {
    match visit.as_mut().and_then(|visit| visit.call.as_mut()) {
        Some(call) => call.next_event().await,
        None => std::future::pending().await,
    }
}
