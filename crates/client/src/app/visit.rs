//! The visit one is in: entering, waiting, the call, the chat, the end.

use std::time::{Duration, Instant};

use bedside_backends::{BackendError, SignedIn};
use bedside_protocol::{
    AttachmentId, ChatMessage, ChatPage, ClientMessage, ClientMessageId, Code, ConsultationMode, DeviceCheck,
    FeedbackRequest, JoinRequest, JoinResponse, MessageType, OutgoingMessage, Party, PeerId, PresenceStatus,
    Session, SessionId, SessionStatus, Signal, Summary, Text, Typing, app, topic,
};
use bedside_rtc::PeerConfig;
use bedside_session::{
    Call, CallAction, CallInput, ChatAction, ChatLog,
    snapshot::{Screen, UiCode, UiProblem},
};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{ASK_AGAIN, App, Event};
use crate::call::{self, ActiveCall};

/// A media token is asked for anew this long before it ends.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// And never sooner than this, whatever lifetime the service gave.
const RENEW_AFTER: Duration = Duration::from_secs(30);
/// How long before a visit ends by itself both are told (requirements §2.2).
const WARN_BEFORE_MINUTES: u32 = 5;
/// How long the other side counts as writing after it last said so.
const TYPING_LASTS: Duration = Duration::from_secs(6);

/// The visit one is in.
pub(crate) struct VisitState {
    pub(super) session: Session,
    pub(super) party: Party,
    pub(super) other_presence: PresenceStatus,
    pub(super) chat: ChatLog,
    pub(crate) call: Option<ActiveCall>,
    /// The person wants to be in the call as soon as they may.
    pub(super) wants_call: bool,
    /// The patient pressed *I'm ready*, and what their devices could do then.
    ready: bool,
    device_check: Option<DeviceCheck>,
    /// The doctor's calling-in has not been answered by the service yet.
    admits: bool,
    /// They left on purpose: an answer that is still under way brings nobody back.
    has_left: bool,
    joining: Joining,
    /// When `session.elapsed_seconds` was true, on this machine's clock.
    pub(super) session_at: Instant,
    pub(super) other_types_since: Option<Instant>,
    pub(super) summary: Option<Summary>,
    pub(super) feedback_given: bool,
}

/// Asking the service for a place in the call, again and again until it answers.
#[derive(Default)]
struct Joining {
    /// Which of this run's joins: an answer that was overtaken is recognised. 0 for none.
    number: u64,
    under_way: bool,
    /// It did not answer: when to ask again.
    again_at: Option<Instant>,
    /// When the media token should be renewed.
    renew_at: Option<Instant>,
}

impl Joining {
    /// Nothing is wanted any more.
    fn give_up(&mut self) {
        *self = Self::default();
    }

    fn is_due(&self) -> bool {
        let is_past = |at: Option<Instant>| at.is_some_and(|at| Instant::now() >= at);
        !self.under_way && (is_past(self.again_at) || is_past(self.renew_at))
    }
}

impl VisitState {
    /// Minutes until the visit ends by itself, by the service's clock; only when that is near.
    pub(super) fn minutes_left(&self) -> Option<u32> {
        let end = self.session.ends_by_itself?;
        let left = end.duration_since(self.session.as_of).as_secs();
        let left = left - i64::try_from(self.session_at.elapsed().as_secs()).unwrap_or(i64::MAX);
        // A minute begun counts: nobody is told of none while there is some left.
        let minutes = u32::try_from((left.max(0) + 59) / 60).ok()?;
        (minutes <= WARN_BEFORE_MINUTES).then_some(minutes)
    }

    /// Whether this person's sound and picture may leave the machine.
    fn opens_gate(&self) -> bool {
        self.wants_call
            && self.session.status != SessionStatus::Paused
            && self.session.consultation_mode != ConsultationMode::Chat
    }
}

impl App {
    fn open_visit(&mut self, session: Session) {
        self.leaving.cancel();
        let Some(user) = &self.user else { return };
        let party = self.party();
        let mode = session.consultation_mode;
        let other = session.participants.iter().find(|p| p.party != party).map(|p| p.status);
        self.visit = Some(VisitState {
            chat: ChatLog::new(session.session_id, user.id),
            party,
            other_presence: other.unwrap_or(PresenceStatus::Disconnected),
            call: None,
            wants_call: false,
            ready: false,
            device_check: None,
            admits: false,
            has_left: false,
            joining: Joining::default(),
            session_at: Instant::now(),
            other_types_since: None,
            summary: None,
            feedback_given: false,
            session,
        });
        self.listen_to_visit();
        self.open_devices(mode);
    }

    /// The service tells from now on: what happened before is asked for, so that nothing falls
    /// between the two. While the link is down its coming up does the same.
    pub(super) fn on_subscribed(&mut self, destination: &str) {
        let Some(visit) = &mut self.visit else { return };
        let id = visit.session.session_id;
        if destination != topic::session(id) {
            return;
        }
        let actions = visit.chat.on_link_up();
        self.chat_actions(actions);
        self.ask(|api| async move { Event::Session(api.session(id).await) });
    }

    /// Leaves the call and the topic, whatever the visit's state.
    pub(super) async fn end_visit(&mut self) {
        self.end_call().await;
        if let Some(visit) = self.visit.take()
            && let Some(realtime) = &self.realtime
        {
            realtime.unsubscribe(topic::session(visit.session.session_id));
        }
    }

    async fn end_call(&mut self) {
        let now = self.now();
        if let Some(visit) = &mut self.visit {
            visit.joining.give_up();
        }
        if let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.take()) {
            let token = call.media_token.clone();
            let signals = call.end(&self.audio, &self.video, &self.tasks, now).await;
            for signal in signals {
                self.signal(signal, &token);
            }
        }
    }

    /// A patient goes to the waiting room, or back into a visit that runs.
    pub(super) async fn enter(&mut self, id: SessionId) {
        let Some(session) = self.sessions.iter().find(|s| s.session_id == id).cloned() else { return };
        self.end_visit().await;
        let runs = matches!(session.status, SessionStatus::InProgress | SessionStatus::Paused);
        self.open_visit(session);
        let is_written =
            self.visit.as_ref().is_some_and(|v| v.session.consultation_mode == ConsultationMode::Chat);
        if runs {
            self.go_back_in();
        } else if is_written {
            self.ready(); // Nothing to check.
        } else {
            self.screen = Screen::Check;
        }
    }

    /// Back into a visit that runs: the person asked for it, so nothing more is asked.
    fn go_back_in(&mut self) {
        self.screen = Screen::Call;
        if let Some(visit) = &mut self.visit {
            visit.wants_call = true;
        }
        self.join();
    }

    /// *I'm ready*, from the waiting room's check.
    pub(super) fn ready(&mut self) {
        self.screen = Screen::Waiting;
        let device_check = Some(self.devices.check());
        if let Some(visit) = &mut self.visit {
            (visit.ready, visit.device_check) = (true, device_check);
        }
        self.join();
    }

    /// A doctor calls somebody in, or goes back into a visit that runs.
    pub(super) async fn admit(&mut self, id: SessionId) {
        let Some(session) = self.sessions.iter().find(|s| s.session_id == id).cloned() else { return };
        self.end_visit().await;
        let runs = matches!(session.status, SessionStatus::InProgress | SessionStatus::Paused);
        self.open_visit(session);
        if runs {
            return self.go_back_in();
        }
        self.screen = Screen::Call;
        if let Some(visit) = &mut self.visit {
            (visit.wants_call, visit.admits) = (true, true);
        }
        self.join();
    }

    /// Asks for a place in the call, or in the waiting room, as this person stands to it now.
    fn join(&mut self) {
        let Some(visit) = &mut self.visit else { return };
        let id = visit.session.session_id;
        self.joins += 1;
        let number = self.joins;
        visit.joining = Joining { number, under_way: true, ..Joining::default() };
        let admits = visit.admits;
        let request = JoinRequest {
            ready: visit.ready,
            device_check: visit.device_check,
            // While it rings the two connect; the person has not entered yet.
            prepare: !visit.wants_call,
        };
        self.ask(|api| async move {
            if admits && let Err(error) = api.act(id, "admit").await {
                return Event::Joined(id, number, Err(error));
            }
            Event::Joined(id, number, api.join(id, &request).await)
        });
    }

    pub(super) async fn on_joined(&mut self, id: SessionId, number: u64, response: JoinResponse) {
        self.busy = false;
        let (now, local) = (self.now(), self.signed_in.as_ref().is_some_and(|s| s.api().is_local()));
        let Some(visit) =
            self.visit.as_mut().filter(|visit| visit.session.session_id == id && !visit.has_left)
        else {
            // Left while this was under way: the service may have heard of the two in either order.
            return self.tell_of_leaving(id);
        };
        if number != visit.joining.number {
            return; // Overtaken by a newer one.
        }
        visit.joining = Joining { number, ..Joining::default() };
        visit.admits = false;
        // What was heard over the realtime link meanwhile may be newer than this answer.
        let is_old = response.session.revision < visit.session.revision;
        let admitted = if is_old { visit.session.admitted } else { response.admitted };
        let mut actions = vec![];
        let is_written = visit.session.consultation_mode == ConsultationMode::Chat;
        if let (true, false, Some(token)) = (admitted, is_written, response.access_token) {
            // By the service's own clock: this machine's may be wrong.
            let lasts = response.token_expires_at.map(|end| end.duration_since(response.session.as_of));
            let lasts = lasts.and_then(|lasts| Duration::try_from(lasts).ok());
            visit.joining.renew_at =
                lasts.map(|lasts| Instant::now() + lasts.saturating_sub(RENEW_BEFORE).max(RENEW_AFTER));
            match &mut visit.call {
                Some(call) => call.renew(token, response.ice_servers),
                None => {
                    let (machine, begin) = Call::begin(id, visit.party, PeerId::generate(), now);
                    let config = PeerConfig {
                        ice_servers: call::ice(response.ice_servers),
                        relay_only: self.config.relay_only,
                        loopback: local,
                    };
                    let (feed, key_frame_wanted) =
                        (self.remote_video.clone(), self.video.key_frame_wanted.clone());
                    visit.call = Some(ActiveCall::new(machine, config, token, feed, key_frame_wanted));
                    actions = begin;
                }
            }
        }
        let is_patient = visit.party == Party::Patient;
        if admitted {
            self.screen = if visit.wants_call { Screen::Call } else { Screen::CalledIn };
        }
        self.perform(actions).await;
        if is_patient && !admitted {
            self.wait_on().await;
        }
        self.on_session(response.session).await;
        self.settle_gate().await;
    }

    pub(super) async fn on_join_failed(&mut self, id: SessionId, number: u64, error: &BackendError) {
        let Some(visit) = self.visit.as_mut().filter(|visit| visit.session.session_id == id) else { return };
        if number != visit.joining.number {
            return;
        }
        visit.joining.under_way = false;
        let in_call = visit.call.is_some();
        if in_call || matches!(error, BackendError::Unreachable) {
            visit.joining.again_at = Some(Instant::now() + ASK_AGAIN);
        }
        if matches!(error, BackendError::Unreachable) {
            return;
        }
        if error.code() == Some(Code::SessionEnded) {
            // It ended while the link was down: how, the session itself tells.
            visit.joining.give_up();
            return self.ask(|api| async move { Event::Session(api.session(id).await) });
        }
        self.fail(error);
        if self.visit.as_ref().is_some_and(|visit| visit.call.is_none()) {
            self.go_home().await;
        }
    }

    /// Not called in any more, or not yet: back to waiting, unheard and unseen.
    async fn wait_on(&mut self) {
        if !matches!(self.screen, Screen::CalledIn | Screen::Call) {
            return;
        }
        if let Some(visit) = &mut self.visit {
            visit.wants_call = false;
        }
        self.end_call().await;
        self.screen = Screen::Waiting;
    }

    async fn go_home(&mut self) {
        self.end_visit().await;
        self.close_devices();
        self.screen = Screen::Home;
        self.refresh_sessions();
    }

    /// Enters the call that one was called into: from here on one is seen and heard.
    pub(super) async fn join_call(&mut self) {
        let Some(visit) = &mut self.visit else { return };
        visit.wants_call = true;
        self.screen = Screen::Call;
        self.settle_gate().await;
        self.join();
    }

    /// Lets this person's sound and picture out, or keeps them in, and tells the other end.
    async fn settle_gate(&mut self) {
        if let Some(visit) = &mut self.visit {
            let open = visit.opens_gate();
            if let Some(call) = &mut visit.call {
                call.open_gate(open, &self.audio, &self.video);
            }
        }
        self.tell_media().await;
    }

    /// Leaves the waiting room or the call; a visit that runs can be returned to.
    pub(super) async fn leave(&mut self) {
        let Some(visit) = &mut self.visit else { return };
        visit.has_left = true;
        visit.wants_call = false;
        let id = visit.session.session_id;
        let runs = matches!(visit.session.status, SessionStatus::InProgress | SessionStatus::Paused);
        self.end_call().await;
        self.close_devices();
        // Not present any more, before the service hears why: the other side is not to wait.
        if let Some(realtime) = &self.realtime {
            realtime.unsubscribe(topic::session(id));
        }
        self.tell_of_leaving(id);
        if runs {
            self.screen = Screen::After;
        } else {
            self.end_visit().await;
            self.screen = Screen::Home;
        }
    }

    fn tell_of_leaving(&mut self, id: SessionId) {
        // Given up when they come back: a leaving that is heard of late must not throw them out.
        self.leaving = self.signed_out.child_token();
        self.insist_until(
            self.leaving.clone(),
            move |api| async move { api.act(id, "leave").await },
            move |left| match left {
                Ok(_) => Event::Left(id),
                Err(error) => Event::Session(Err(error)),
            },
        );
    }

    /// Something that the doctor does to the visit.
    pub(super) fn act(&mut self, action: &'static str) {
        let Some(visit) = &self.visit else { return };
        let id = visit.session.session_id;
        self.busy = true;
        self.insist(move |api| async move { api.act(id, action).await }, Event::Acted);
    }

    /// *End*: a visit that runs ends for both; a calling-in that nobody answered is taken back.
    pub(super) async fn end(&mut self) {
        let Some(visit) = &self.visit else { return };
        match visit.session.status {
            SessionStatus::Scheduled | SessionStatus::Waiting => self.leave().await,
            _ => self.act("end"),
        }
    }

    /// The visit changed.
    pub(super) async fn on_session(&mut self, session: Session) {
        let Some(visit) = self.visit.as_mut().filter(|visit| visit.session.session_id == session.session_id)
        else {
            return;
        };
        if session.revision < visit.session.revision {
            return; // An older one, overtaken on its way.
        }
        let id = session.session_id;
        let before = std::mem::replace(&mut visit.session, session);
        visit.session_at = Instant::now();
        if let Some(other) = visit.session.participants.iter().find(|p| p.party != visit.party) {
            visit.other_presence = other.status;
        }
        let status = visit.session.status;
        if status.is_final() && !before.status.is_final() {
            self.end_call().await;
            self.close_devices();
            self.screen = Screen::After;
            self.insist(
                move |api| async move { api.summary(id).await },
                move |summary| Event::Summary(id, summary),
            );
            return;
        }
        let admitted = visit.session.admitted;
        match visit.party {
            // The patient went, or did not answer: nobody is coming.
            Party::Doctor if before.admitted && !admitted => {
                let code =
                    if status == SessionStatus::Waiting { UiCode::NoAnswer } else { UiCode::PatientGone };
                self.go_home().await;
                self.problem = Some(UiProblem { code, message: String::new() });
            }
            // Called in while waiting: connect at once, so that joining takes no time.
            Party::Patient if admitted && self.screen == Screen::Waiting => {
                if visit.call.is_none() && !visit.joining.under_way {
                    self.join();
                }
            }
            // Taken back.
            Party::Patient if !admitted && status == SessionStatus::Waiting => self.wait_on().await,
            // A leaving of before that was heard of late: this person waits.
            Party::Patient if status == SessionStatus::Scheduled && self.screen == Screen::Waiting => {
                if !visit.joining.under_way {
                    self.join();
                }
            }
            Party::Doctor if admitted && visit.wants_call => {
                let is_written = visit.session.consultation_mode == ConsultationMode::Chat;
                if visit.call.is_none() && !visit.joining.under_way && !is_written {
                    self.join();
                }
            }
            Party::Doctor | Party::Patient => {}
        }
        if (before.status == SessionStatus::Paused) != (status == SessionStatus::Paused) {
            self.settle_gate().await;
        }
    }

    pub(super) async fn on_link_up(&mut self) {
        let Some(visit) = &mut self.visit else { return };
        let id = visit.session.session_id;
        let actions = visit.chat.on_link_up();
        let wants_back = matches!(self.screen, Screen::Call | Screen::CalledIn | Screen::Waiting);
        self.chat_actions(actions);
        if wants_back {
            self.join();
        } else {
            self.ask(|api| async move { Event::Session(api.session(id).await) });
        }
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
        let signals = call.perform(actions, &self.audio, &self.video, &self.tasks, now).await;
        for signal in signals {
            self.signal(signal, &token);
        }
    }

    fn signal(&self, signal: Signal, token: &bedside_protocol::Token) {
        if let Some(realtime) = &self.realtime {
            tracing::debug!(kind = signal.body.name(), "signal");
            realtime.send(app::CALL_SIGNAL, &ClientMessage::Signal(signal), Some(token.clone()));
        }
    }

    pub(super) async fn tend_visit(&mut self) {
        let Some(visit) = &mut self.visit else { return };
        if visit.other_types_since.is_some_and(|at| at.elapsed() > TYPING_LASTS) {
            visit.other_types_since = None;
        }
        if let Some(call) = &mut visit.call {
            call.tend(&self.audio).await;
        }
        if visit.joining.is_due() {
            self.join();
        }
    }

    pub(super) fn write(&mut self, content: Text) {
        let Some(visit) = &self.visit else { return };
        let outgoing = OutgoingMessage {
            session_id: visit.session.session_id,
            client_message_id: ClientMessageId::generate(),
            message_type: MessageType::Text,
            content,
            attachment_id: None,
        };
        self.transmit_new(outgoing.session_id, outgoing);
    }

    pub(super) fn transmit_new(&mut self, id: SessionId, outgoing: OutgoingMessage) {
        let Some(visit) = self.visit.as_mut().filter(|visit| visit.session.session_id == id) else { return };
        match visit.chat.write(outgoing) {
            Some(actions) => self.chat_actions(actions),
            None => tracing::warn!("too many messages wait to be sent"),
        }
    }

    pub(super) fn upload(&mut self, name: Text, bytes: Bytes) {
        let Some(visit) = &self.visit else { return };
        let id = visit.session.session_id;
        let upload = move |api: SignedIn| {
            let (name, bytes) = (name.clone(), bytes.clone());
            async move { api.upload(id, &name, bytes).await }
        };
        self.insist(upload, move |stored| {
            Event::Uploaded(
                id,
                stored.map(|attachment| OutgoingMessage {
                    session_id: id,
                    client_message_id: ClientMessageId::generate(),
                    message_type: if attachment.mime_type.starts_with("image/") {
                        MessageType::Image
                    } else {
                        MessageType::File
                    },
                    content: Text::default(),
                    attachment_id: Some(attachment.attachment_id),
                }),
            )
        });
    }

    pub(super) fn fetch(&self, attachment: AttachmentId, reply: oneshot::Sender<Bytes>) {
        let Some((id, api)) = self.visit_of(attachment).zip(self.signed_in.clone()) else { return };
        self.tasks.spawn(async move {
            match api.download(id, attachment).await {
                // The page may have gone on meanwhile.
                Ok(bytes) => drop(reply.send(bytes)),
                Err(error) => tracing::info!(%error, "a file was not fetched"),
            }
        });
    }

    pub(super) fn older_messages(&mut self) {
        if self.screen == Screen::Past {
            return self.fetch_past_page();
        }
        let Some((id, oldest)) =
            self.visit.as_ref().and_then(|v| Some((v.session.session_id, v.chat.oldest()?)))
        else {
            return;
        };
        self.ask(|api| async move { Event::Page(id, api.chat(id, None, Some(oldest)).await) });
    }

    pub(super) fn chat_open(&mut self, open: bool) {
        let actions = self.visit.as_mut().map(|visit| visit.chat.set_open(open)).unwrap_or_default();
        self.chat_actions(actions);
    }

    pub(super) fn on_chat_message(&mut self, message: ChatMessage) {
        let Some(visit) = &mut self.visit else { return };
        if message.sender_type != visit.party {
            visit.other_types_since = None;
        }
        let actions = visit.chat.on_message(message);
        self.chat_actions(actions);
    }

    pub(super) fn on_page(&mut self, id: SessionId, page: ChatPage) {
        let Some(visit) = self.visit.as_mut().filter(|visit| visit.session.session_id == id) else { return };
        let actions = visit.chat.on_page(page);
        self.chat_actions(actions);
    }

    fn chat_actions(&self, actions: Vec<ChatAction>) {
        let Some(visit) = &self.visit else { return };
        let id = visit.session.session_id;
        for action in actions {
            match action {
                ChatAction::Transmit(outgoing) => {
                    self.say(app::CHAT_SEND, &ClientMessage::ChatMessage(outgoing));
                }
                ChatAction::Report(status) => self.say(app::CHAT_STATUS, &ClientMessage::ChatStatus(status)),
                ChatAction::FetchAfter(seq) => self.ask(|api| async move {
                    let after = (seq > 0).then_some(seq);
                    match api.chat(id, after, None).await {
                        // The link's next coming up asks again.
                        Err(BackendError::Unreachable) => Event::Page(id, Ok(ChatPage::empty())),
                        page => Event::Page(id, page),
                    }
                }),
            }
        }
    }

    fn say(&self, destination: &'static str, message: &ClientMessage) {
        if let Some(realtime) = &self.realtime {
            realtime.send(destination, message, None);
        }
    }

    pub(super) fn typing(&self, typing: bool) {
        if let Some(visit) = &self.visit {
            let typing = Typing { session_id: visit.session.session_id, typing, user_id: None };
            self.say(app::CHAT_TYPING, &ClientMessage::Typing(typing));
        }
    }

    pub(super) fn on_typing(&mut self, typing: Typing) {
        let me = self.user.as_ref().map(|user| user.id);
        if let Some(visit) = &mut self.visit
            && visit.session.session_id == typing.session_id
            && typing.user_id != me
        {
            visit.other_types_since = typing.typing.then(Instant::now);
        }
    }

    pub(super) fn give_feedback(&mut self, feedback: FeedbackRequest) {
        let Some(visit) = &self.visit else { return };
        let id = visit.session.session_id;
        self.busy = true;
        let give = move |api: SignedIn| {
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
