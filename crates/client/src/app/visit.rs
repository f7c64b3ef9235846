//! The visit one is in: entering, waiting, the call, the chat, the end.

use std::time::{Duration, Instant};

use bedside_backends::BackendError;
use bedside_protocol::{
    AttachmentId, ChatMessage, ChatPage, ClientMessage, ClientMessageId, Code, FeedbackRequest, JoinRequest,
    JoinResponse, MessageType, OutgoingMessage, Party, PeerId, PresenceStatus, Session, SessionId,
    SessionStatus, Signal, Summary, Text, Typing, app, topic,
};
use bedside_rtc::PeerConfig;
use bedside_session::{Call, CallAction, CallInput, ChatAction, ChatLog, snapshot::Screen};
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::{App, Event};
use crate::call::{self, ActiveCall};

/// A media token is asked for anew this long before it ends.
const RENEW_BEFORE: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);
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
    joining: bool,
    token_ends: Option<Timestamp>,
    /// When `session.elapsed_seconds` was true, on this machine's clock.
    pub(super) session_at: Instant,
    pub(super) other_types_since: Option<Instant>,
    pub(super) summary: Option<Summary>,
    pub(super) feedback_given: bool,
}

impl App {
    fn open_visit(&mut self, session: Session) {
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
            joining: false,
            token_ends: None,
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
        if runs {
            self.go_back_in();
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
        self.join(JoinRequest::default());
    }

    /// *I'm ready*, from the waiting room's check.
    pub(super) fn ready(&mut self) {
        self.screen = Screen::Waiting;
        let device_check = Some(self.devices.check());
        self.join(JoinRequest { ready: true, device_check });
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
            visit.wants_call = true;
            visit.joining = true;
        }
        self.ask(|api| async move {
            match api.act(id, "admit").await {
                Ok(_) => Event::Joined(id, api.join(id, &JoinRequest::default()).await),
                Err(error) => Event::Joined(id, Err(error)),
            }
        });
    }

    fn join(&mut self, request: JoinRequest) {
        let Some(visit) = &mut self.visit else { return };
        let id = visit.session.session_id;
        visit.joining = true;
        self.ask(|api| async move { Event::Joined(id, api.join(id, &request).await) });
    }

    pub(super) async fn on_joined(&mut self, id: SessionId, response: JoinResponse) {
        self.busy = false;
        let (now, local) = (self.now(), self.signed_in.as_ref().is_some_and(|s| s.api().is_local()));
        let Some(visit) = self.visit.as_mut().filter(|visit| visit.session.session_id == id) else { return };
        visit.joining = false;
        visit.token_ends = response.token_expires_at;
        let mut actions = vec![];
        if let (true, Some(token)) = (response.admitted, response.access_token) {
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
                    let call = ActiveCall::new(machine, config, token, feed, key_frame_wanted);
                    visit.call = Some(call);
                    actions = begin;
                }
            }
            let agreed = visit.wants_call;
            if let Some(call) = &mut visit.call {
                call.open_gate(
                    agreed && response.session.status != SessionStatus::Paused,
                    &self.audio,
                    &self.video,
                );
            }
            self.screen = if agreed { Screen::Call } else { Screen::CalledIn };
        }
        self.perform(actions).await;
        self.tell_media().await;
        self.on_session(response.session).await;
    }

    pub(super) async fn on_join_failed(&mut self, id: SessionId, error: &BackendError) {
        if let Some(visit) = self.visit.as_mut().filter(|visit| visit.session.session_id == id) {
            visit.joining = false;
        }
        // A service that is away is asked again when the link is back.
        if !matches!(error, BackendError::Unreachable) {
            self.fail(error);
            if self.visit.as_ref().is_some_and(|visit| visit.call.is_none()) {
                self.end_visit().await;
                self.close_devices();
                self.screen = Screen::Home;
                self.refresh_sessions();
            }
        }
    }

    /// Enters the call that one was called into: from here on one is seen and heard.
    pub(super) async fn join_call(&mut self) {
        if let Some(visit) = &mut self.visit {
            visit.wants_call = true;
            if let Some(call) = &mut visit.call {
                call.open_gate(true, &self.audio, &self.video);
                self.screen = Screen::Call;
            }
        }
        self.tell_media().await;
    }

    /// Leaves the waiting room or the call; a visit that runs can be returned to.
    pub(super) async fn leave(&mut self) {
        let Some(visit) = &self.visit else { return };
        let id = visit.session.session_id;
        let runs = matches!(visit.session.status, SessionStatus::InProgress | SessionStatus::Paused);
        self.end_call().await;
        self.close_devices();
        self.ask(|api| async move {
            match api.act(id, "leave").await {
                Ok(_) => Event::Left(id),
                Err(error) => Event::Session(Err(error)),
            }
        });
        if runs {
            self.screen = Screen::After;
            if let Some(visit) = &mut self.visit {
                visit.wants_call = false;
            }
        } else {
            self.end_visit().await;
            self.screen = Screen::Home;
        }
    }

    /// Something that the doctor does to the visit.
    pub(super) fn act(&mut self, action: &'static str) {
        let Some(visit) = &self.visit else { return };
        let id = visit.session.session_id;
        self.busy = true;
        self.ask(|api| async move { Event::Acted(api.act(id, action).await) });
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
            self.ask(|api| async move { Event::Summary(id, api.summary(id).await) });
            return;
        }
        let held = status == SessionStatus::Paused;
        if held != (before.status == SessionStatus::Paused)
            && let Some(call) = &mut visit.call
        {
            call.open_gate(visit.wants_call && !held, &self.audio, &self.video);
            self.tell_media().await;
        }
        // Called in while waiting: connect at once, so that joining takes no time.
        let Some(visit) = &mut self.visit else { return };
        let waits = visit.party == Party::Patient && self.screen == Screen::Waiting;
        if waits && visit.session.admitted && visit.call.is_none() && !visit.joining {
            self.join(JoinRequest::default());
        }
    }

    pub(super) async fn on_link_up(&mut self) {
        let Some(visit) = &mut self.visit else { return };
        let id = visit.session.session_id;
        let actions = visit.chat.on_link_up();
        let wants_back = matches!(self.screen, Screen::Call | Screen::CalledIn | Screen::Waiting);
        self.chat_actions(actions);
        if wants_back {
            let ready = self.screen == Screen::Waiting;
            self.join(JoinRequest { ready, device_check: None });
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
        if !visit.joining && visit.token_ends.is_some_and(|end| Timestamp::now() > end - RENEW_BEFORE) {
            visit.token_ends = None;
            self.join(JoinRequest::default());
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
        self.busy = true;
        self.ask(|api| async move {
            let stored = api.upload(id, &name, bytes).await;
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
        let Some((visit, api)) = self.visit.as_ref().zip(self.signed_in.clone()) else { return };
        let id = visit.session.session_id;
        self.tasks.spawn(async move {
            match api.download(id, attachment).await {
                // The page may have gone on meanwhile.
                Ok(bytes) => drop(reply.send(bytes)),
                Err(error) => tracing::info!(%error, "a file was not fetched"),
            }
        });
    }

    pub(super) fn older_messages(&mut self) {
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
        self.ask(|api| async move {
            match api.give_feedback(id, &feedback).await {
                // Given before, from here or elsewhere: that is what was wanted.
                Err(error) if error.code() == Some(Code::FeedbackGiven) => Event::FeedbackGiven(id, Ok(())),
                outcome => Event::FeedbackGiven(id, outcome),
            }
        });
    }
}
