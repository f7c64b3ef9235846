//! The visit one is in: what [`Stay`] and [`Call`] decide is done here.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bedside_backends::{BackendError, Clinic, SessionAction};
use bedside_protocol::{
    ClientMessage, Code, DeviceType, FeedbackRequest, IceServer, JoinResponse, LeaveRequest, Party, PeerId,
    Session, SessionId, SessionStatus, Signal, Summary, Text,
};
use bedside_rtc::PeerConfig;
use bedside_session::{
    Begun, CallAction, CallInput, ChatLog, JoinFailure, JoinId, MediaGrant, Stay, StayAction, StayInput,
    begin,
    snapshot::{Screen, UiCode, UiProblem},
};
use tokio_util::sync::CancellationToken;

use super::{App, Event};
use crate::{
    account,
    call::{self, ActiveCall},
    remote::KeyFrameRequests,
};

/// How long the other side counts as writing after it last said so.
const TYPING_LASTS: Duration = Duration::from_secs(6);

/// The visit one is in.
pub(crate) struct VisitState {
    pub(super) stay: Stay,
    pub(super) chat: ChatLog,
    pub(crate) call: Option<ActiveCall>,
    pub(super) other_types_since: Option<Instant>,
    pub(super) summary: Option<Summary>,
    pub(super) feedback_given: bool,
    /// How many pictures a second the other end was told that are drawn here.
    pub(super) draws: Option<u32>,
}

impl VisitState {
    pub(super) const fn id(&self) -> SessionId {
        self.stay.session().session_id
    }
}

/// A backend's error as the stay takes it.
fn failure(error: &BackendError) -> JoinFailure {
    tracing::info!(%error, "no place in the visit");
    match (error, error.code()) {
        (error, _) if error.is_unreachable() => JoinFailure::Unreachable,
        (_, Some(Code::SessionEnded)) => JoinFailure::Ended,
        (_, Some(Code::NotAdmitted)) => JoinFailure::NotAdmitted,
        _ => JoinFailure::Refused(account::problem(error)),
    }
}

impl App {
    /// The visit with this id, while one is in it.
    pub(super) fn visit_mut(&mut self, id: SessionId) -> Option<&mut VisitState> {
        self.visit.as_mut().filter(|visit| visit.id() == id)
    }

    /// A patient goes to the waiting room, a doctor calls somebody in, or either one goes back into
    /// a visit that runs.
    pub(super) async fn open_visit(&mut self, id: SessionId) {
        let Some(session) = self.sessions.iter().find(|s| s.session_id == id).cloned() else { return };
        let Some(me) = self.user.as_ref().map(|user| user.id) else { return };
        self.end_visit().await;
        // A leaving of before that is heard of late must not throw them out.
        if let Some(leaving) = self.leaving.remove(&id) {
            leaving.cancel();
        }
        self.declining.cancel();
        self.entries += 1;
        let mode = session.consultation_mode;
        let check = self.devices.check();
        let (stay, actions) =
            Stay::begin(session, self.party(), self.device, self.entries, check, self.now());
        self.visit = Some(VisitState {
            stay,
            chat: self.unsent.remove(&id).unwrap_or_else(|| ChatLog::new(id, me)),
            call: None,
            draws: None,
            other_types_since: None,
            summary: None,
            feedback_given: false,
        });
        self.listen_to_visit();
        self.open_devices(mode);
        self.follow(id, actions).await;
    }

    /// Lets the stay decide, and does what it says.
    pub(super) async fn stay(&mut self, input: StayInput) {
        let now = self.now();
        let Some(visit) = &mut self.visit else { return };
        let (id, actions) = (visit.id(), visit.stay.handle(input, now));
        self.follow(id, actions).await;
    }

    async fn follow(&mut self, id: SessionId, actions: Vec<StayAction>) {
        for action in actions {
            match action {
                StayAction::Show(screen) => self.screen = screen,
                StayAction::AskToJoin { id: join, admit, mut request } => {
                    request.device_type = Some(DeviceType::Desktop);
                    request.browser = Some(Text::new(concat!("Bedside ", env!("CARGO_PKG_VERSION"))));
                    request.os = Some(Text::new(std::env::consts::OS));
                    if request.ready == Some(true) {
                        self.declining.cancel();
                    }
                    self.ask(|api| async move {
                        if admit && let Err(error) = api.act(id, SessionAction::Admit).await {
                            return Event::Joined(id, join, Err(error));
                        }
                        let mut answer = api.join(id, &request).await;
                        if let Ok(answer) = &mut answer {
                            answer.ice_servers = resolved(std::mem::take(&mut answer.ice_servers)).await;
                        }
                        Event::Joined(id, join, answer)
                    });
                }
                StayAction::AskSession => {
                    self.insist(move |api| async move { api.session(id).await }, Event::Session);
                }
                StayAction::OpenCall(grant) => self.open_call(id, grant).await,
                StayAction::RenewCall(grant) => {
                    if let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.as_mut()) {
                        call.renew(grant.media_token, grant.ice_servers);
                    }
                }
                StayAction::CloseCall => self.end_call().await,
                StayAction::Gate(open) => {
                    if let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.as_mut()) {
                        call.set_sending_allowed(open, &self.threads);
                    }
                    self.announce_media_state().await;
                }
                StayAction::Ring => self.chime(),
                StayAction::CloseDevices => self.close_devices(),
                StayAction::Unsubscribe => {
                    if let Some(wire) = &self.wire {
                        wire.unwatch(id);
                    }
                }
                StayAction::TellOfLeaving => self.tell_of_leaving(id),
                StayAction::EndForBoth => self.act(SessionAction::End),
                StayAction::Decline => {
                    // Given up once they are ready, or go.
                    self.declining = self.signed_out.child_token();
                    self.insist_until(
                        self.declining.clone(),
                        move |api| async move { api.act(id, SessionAction::Decline).await },
                        move |outcome| Event::Declined(id, outcome),
                    );
                }
                StayAction::FetchSummary => self.insist(
                    move |api| async move { api.summary(id).await },
                    move |summary| Event::Summary(id, summary),
                ),
                StayAction::Forget => {
                    self.end_visit().await;
                    self.screen = Screen::Home;
                }
                StayAction::RefreshSessions => self.refresh_sessions(),
                StayAction::Problem(problem) => self.problem = Some(problem),
            }
        }
    }

    pub(super) async fn on_join_answered(
        &mut self,
        id: SessionId,
        join: JoinId,
        outcome: Result<JoinResponse, BackendError>,
    ) {
        self.busy = false;
        if self.visit_mut(id).is_none() {
            // Gone while this was under way. The service may have heard of the two in either
            // order, even where its answer was lost.
            if outcome.as_ref().err().is_none_or(BackendError::is_unreachable) {
                self.tell_of_leaving(id);
            }
            return;
        }
        self.stay(match outcome {
            Ok(response) => StayInput::Joined(join, Box::new(response)),
            Err(error) => StayInput::JoinFailed(join, failure(&error)),
        })
        .await;
    }

    async fn open_call(&mut self, id: SessionId, grant: MediaGrant) {
        let now = self.now();
        let config = PeerConfig {
            ice_servers: call::ice(grant.ice_servers),
            relay_only: self.config.relay_only,
            loopback: self.signed_in.as_ref().is_some_and(|clinic| clinic.is_local()),
            proxies: self.signed_in.as_ref().map(|clinic| clinic.proxies().clone()).unwrap_or_default(),
            video_codecs: self.decodes.clone(),
            ..PeerConfig::default()
        };
        let key_frames = KeyFrameRequests {
            camera: self.threads.video.key_frame.clone(),
            screen: self.threads.screen.key_frame.clone(),
        };
        let feeds = self.feeds.clone();
        let dialect = self.signed_in.as_ref().map(|clinic| clinic.dialect()).unwrap_or_default();
        let Some(visit) = &mut self.visit else { return };
        let Begun { call, actions } = begin(dialect, id, visit.stay.party(), PeerId::generate(), now);
        visit.call = Some(ActiveCall::new(call, config, grant.media_token, feeds, key_frames));
        self.perform(actions).await;
    }

    /// The service tells from now on: what happened before is asked for, so that nothing falls
    /// between the two. While the link is down its coming up does the same.
    pub(super) fn on_watching(&mut self, id: SessionId) {
        let Some(visit) = self.visit_mut(id) else { return };
        let actions = visit.chat.on_link_up();
        self.chat_actions(id, actions);
        self.ask(|api| async move { Event::Session(api.session(id).await) });
    }

    /// Leaves the call and the topic, whatever the visit's state.
    pub(super) async fn end_visit(&mut self) {
        self.end_call().await;
        let Some(mut visit) = self.visit.take() else { return };
        let id = visit.id();
        if let Some(wire) = &self.wire {
            wire.unwatch(id);
        }
        // What was written and not confirmed yet goes on being sent.
        if visit.chat.is_waiting() {
            // Off the screen nothing counts as read.
            drop(visit.chat.set_open(false));
            self.unsent.insert(id, visit.chat);
        }
    }

    async fn end_call(&mut self) {
        let now = self.now();
        if let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.take()) {
            let token = call.media_token.clone();
            let signals = call.end(&self.threads, &self.tasks, now).await;
            for signal in signals {
                self.signal(signal, &token);
            }
        }
    }

    fn tell_of_leaving(&mut self, id: SessionId) {
        self.declining.cancel();
        // Given up when they come back.
        let leaving: CancellationToken = self.signed_out.child_token();
        if let Some(before) = self.leaving.insert(id, leaving.clone()) {
            before.cancel();
        }
        let device = self.device;
        self.insist_until(
            leaving,
            move |api| async move { api.leave(id, LeaveRequest { device: Some(device) }).await },
            |left| match left {
                Ok(session) => Event::Left(session),
                Err(error) => Event::Session(Err(error)),
            },
        );
    }

    /// Something that the doctor does to the visit.
    pub(super) fn act(&mut self, action: SessionAction) {
        let Some(visit) = &self.visit else { return };
        let id = visit.id();
        self.busy = true;
        self.insist(move |api| async move { api.act(id, action).await }, Event::Acted);
    }

    /// The service has heard that this person left.
    pub(super) fn on_left(&mut self, session: &Session) {
        self.leaving.remove(&session.session_id);
        // They stopped calling at the moment in which the patient joined.
        let runs = matches!(session.status, SessionStatus::InProgress | SessionStatus::Paused);
        if runs && self.party() == Party::Doctor && self.screen == Screen::Home {
            self.problem = Some(UiProblem { code: UiCode::JoinedMeanwhile, message: String::new() });
        }
        self.refresh_sessions();
    }

    pub(super) async fn on_link_up(&mut self) {
        let unsent: Vec<_> = self.unsent.iter_mut().map(|(id, chat)| (*id, chat.on_link_up())).collect();
        for (id, actions) in unsent {
            self.chat_actions(id, actions);
        }
        let Some(visit) = &mut self.visit else { return };
        let (id, actions) = (visit.id(), visit.chat.on_link_up());
        self.chat_actions(id, actions);
        self.stay(StayInput::LinkUp).await;
        self.on_call(CallInput::LinkUp).await;
    }

    /// Lets the call's machine decide, and does what it says.
    pub(super) async fn on_call(&mut self, input: CallInput) {
        let now = self.now();
        let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.as_mut()) else { return };
        let actions = call.handle(input, now);
        self.perform(actions).await;
    }

    async fn perform(&mut self, actions: Vec<CallAction>) {
        if actions.is_empty() {
            return;
        }
        let now = self.now();
        let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.as_mut()) else { return };
        let token = call.media_token.clone();
        let signals = call.perform(actions, &self.threads, &self.tasks, now).await;
        if call.take_incompatible() {
            self.problem = Some(UiProblem { code: UiCode::Incompatible, message: String::new() });
        }
        for signal in signals {
            self.signal(signal, &token);
        }
    }

    fn signal(&self, signal: Signal, token: &bedside_protocol::Token) {
        if let Some(wire) = &self.wire {
            tracing::debug!(kind = signal.body.name(), "signal");
            wire.send(&ClientMessage::Signal(signal), Some(token.clone()));
        }
    }

    pub(super) async fn tick_visit(&mut self) {
        let Some(visit) = &mut self.visit else { return };
        if visit.other_types_since.is_some_and(|at| at.elapsed() > TYPING_LASTS) {
            visit.other_types_since = None;
        }
        let id = visit.id();
        let report = match &mut visit.call {
            Some(call) => call.tick(&self.threads).await,
            None => None,
        };
        let draws = visit.call.as_ref().and_then(ActiveCall::draws);
        let is_other_pace = std::mem::replace(&mut visit.draws, draws) != draws;
        if is_other_pace {
            self.announce_media_state().await;
        }
        if let (Some(report), Some(signed_in)) = (report, self.signed_in.clone()) {
            let signed_out = self.signed_out.clone();
            // One that does not arrive is not asked for again: the next has its time in it.
            self.tasks.spawn(async move {
                let told = signed_out.run_until_cancelled(signed_in.report_quality(id, &report)).await;
                if let Some(Err(error)) = told {
                    tracing::info!(%error, "how the visit is was not told");
                }
            });
        }
        self.stay(StayInput::Tick).await;
    }

    pub(super) fn give_feedback(&mut self, feedback: FeedbackRequest) {
        let Some(visit) = &self.visit else { return };
        let id = visit.id();
        self.busy = true;
        let give = move |api: Arc<dyn Clinic>| {
            let feedback = feedback.clone();
            async move { api.give_feedback(id, &feedback).await }
        };
        self.insist(give, move |outcome| match outcome {
            // Given before, from here or elsewhere: that is what was wanted.
            Err(error) if error.code() == Some(Code::FeedbackGiven) => Event::FeedbackGiven(id, Ok(())),
            outcome => Event::FeedbackGiven(id, outcome),
        });
    }
}

/// How long a relay's name may take to be looked up. Where that takes longer, another way is found
/// without it.
const LOOK_UP_WITHIN: Duration = Duration::from_millis(800);

/// Servers by address: names are looked up here, beside the actor and before there is a connection that
/// waits for it.
pub(super) async fn resolved(servers: Vec<IceServer>) -> Vec<IceServer> {
    let urls = servers.iter().map(|server| server.urls.clone()).collect();
    let found = bedside_rtc::resolve(urls, LOOK_UP_WITHIN).await;
    let at = |(server, urls): (IceServer, Vec<String>)| {
        urls.into_iter().map(move |urls| IceServer { urls, ..server.clone() })
    };
    servers.into_iter().zip(found).flat_map(at).collect()
}
