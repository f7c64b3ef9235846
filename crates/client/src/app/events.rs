//! What happens, and what is done about it.

use std::time::Instant;

use bedside_backends::{SessionAction, WireEvent};
use bedside_media::VideoCodec;
use bedside_protocol::{Code, Party, Role, ServerMessage, SessionStatus};
use bedside_session::{
    CallInput, SentMedia, StayInput,
    link::ASK_AGAIN,
    snapshot::{Link, Screen, UiCode, UiProblem},
};

use super::{App, Asking, Event, visit::VisitState};
use crate::{Command, DeviceKind, account};

impl App {
    pub(super) async fn on_command(&mut self, command: Command) {
        if !matches!(
            command,
            Command::Typing { .. }
                | Command::ChatOpen { .. }
                | Command::LookUp { .. }
                | Command::LookForDevices
                | Command::Decodes { .. }
        ) {
            self.problem = None;
        }
        match command {
            Command::SignIn { service, email, password } => {
                self.sign_in(account::Credentials { service, email, password, register_as: None });
            }
            Command::Register { service, name, email, password } => {
                self.sign_in(account::Credentials { service, email, password, register_as: Some(name) });
            }
            Command::Decodes { codecs } => {
                let mut codecs: Vec<VideoCodec> = codecs.into_iter().map(VideoCodec::from).collect();
                // Without VP8 the page is given decoded pictures, and what this end decodes counts.
                if !codecs.contains(&VideoCodec::Vp8) {
                    codecs.retain(|codec| codec.is_available());
                }
                codecs.retain(|codec| !self.config.vp8_only || *codec == VideoCodec::Vp8);
                self.decodes = codecs;
            }
            Command::Fetch { attachment, reply } => self.fetch(attachment, reply),
            Command::SignOut => {
                if let Some(signed_in) = self.signed_in.clone() {
                    self.tasks.spawn(async move {
                        if let Err(error) = signed_in.sign_out().await {
                            tracing::warn!(%error, "the service was not told of the sign-out");
                        }
                    });
                }
                self.leave_account().await;
            }
            Command::Home => {
                self.end_visit().await;
                self.close_devices();
                if self.user.is_some() {
                    self.screen = Screen::Home;
                    self.refresh_sessions();
                }
            }
            Command::History => self.show_history(),
            Command::Enter { session } | Command::Admit { session } => self.open_visit(session).await,
            Command::Ready => self.stay(StayInput::Ready(self.devices.check())).await,
            // Taken back from another device.
            Command::Join if self.screen == Screen::Elsewhere => {
                if let Some(id) = self.visit.as_ref().map(VisitState::id) {
                    self.open_visit(id).await;
                }
            }
            Command::Join => self.stay(StayInput::Join).await,
            Command::Decline => self.stay(StayInput::Decline).await,
            Command::Leave => self.stay(StayInput::Leave).await,
            Command::End => self.stay(StayInput::End).await,
            Command::Hold { on } => self.act(if on { SessionAction::Pause } else { SessionAction::Resume }),
            Command::Rejoin => self.on_call(CallInput::Rejoin).await,
            Command::SendText { text } => self.write(text),
            Command::SendFile { name, bytes } => self.upload(name, bytes),
            Command::Discard { id } => {
                if let Some(visit) = &mut self.visit {
                    visit.chat.discard(id);
                }
            }
            Command::OlderMessages => self.older_messages(),
            Command::ChatOpen { open } => self.chat_open(open),
            Command::Typing { typing } => self.typing(typing),
            Command::Feedback { feedback } => self.give_feedback(feedback),
            Command::Switch { device, on } => self.switch(device, on).await,
            Command::Choose { device, id } => self.choose(device, id),
            Command::LookForDevices => self.list_devices(),
            Command::TestSound => {
                self.open_speaker();
                self.threads.audio.play_test_sound();
                self.devices.test_sound_heard = None;
            }
            Command::TestSoundHeard { heard } => self.devices.test_sound_heard = Some(heard),
            Command::EchoTest => self.test_echo(),
            Command::TestNetwork => self.test_network(),
            Command::ChooseScreen => self.choose_screen(),
            Command::LeaveScreenChoice => self.leave_choice(),
            Command::ShareScreen { id } => self.share_screen(&id),
            Command::StopSharing => self.stop_sharing().await,
            Command::Recall { session } => self.recall(session),
            Command::LookUp { service } => self.look_up(service),
            Command::OpenPast { session } => self.open_past(session),
            Command::Dismiss => self.asking = None,
        }
    }

    fn sign_in(&mut self, credentials: account::Credentials) {
        let service = credentials.service.trim().to_owned();
        self.busy = true;
        // Kept until the service has answered.
        self.asking = Some(Asking { credentials: Some(credentials.clone()), again_at: None });
        self.attempts += 1;
        let attempt = self.attempts;
        self.spawn(async move {
            Event::SignedIn { attempt, service, outcome: account::sign_in(credentials).await }
        });
    }

    pub(super) async fn on_event(&mut self, event: Event) {
        match event {
            Event::SignedIn { attempt, service, outcome } => {
                if attempt == self.attempts {
                    self.on_signed_in(service, outcome);
                }
            }
            Event::Resumed { service, outcome } => self.on_resumed(service, outcome).await,
            Event::Sessions(asked, Ok(sessions)) => self.on_sessions(asked, sessions),
            Event::Session(Ok(session)) => self.stay(StayInput::Session(Box::new(session))).await,
            Event::Acted(Ok(session)) => {
                self.busy = false;
                self.stay(StayInput::Session(Box::new(session))).await;
            }
            Event::Left(session) => self.on_left(&session),
            Event::Declined(id, outcome) if self.visit_mut(id).is_some() => {
                match outcome {
                    Ok(session) => self.stay(StayInput::Session(Box::new(session))).await,
                    // Ended meanwhile, as a rule: how it stands is asked next.
                    Err(error) => tracing::info!(%error, "not declined"),
                }
                self.stay(StayInput::Declined).await;
            }
            Event::Declined(..) => {}
            Event::Joined(id, join, outcome) => self.on_join_answered(id, join, outcome).await,
            Event::Answered => {
                self.problem = self.problem.take().filter(|p| !p.code.is_unreachable());
            }
            Event::Unanswered(error) => self.fail(&error),
            Event::Page(id, Ok(page)) => self.on_page(id, page),
            Event::Uploaded(id, Ok(outgoing)) => {
                self.busy = false;
                self.transmit_new(id, outgoing);
            }
            Event::Summary(id, Ok(summary)) => {
                if let Some(visit) = self.visit_mut(id) {
                    visit.summary = Some(summary);
                }
            }
            Event::FeedbackGiven(id, Ok(())) => {
                self.busy = false;
                if let Some(visit) = self.visit_mut(id) {
                    visit.feedback_given = true;
                }
            }
            Event::Clinic(service, name) => {
                // Another address may have been typed meanwhile.
                if service == self.looking_up {
                    self.clinic = name;
                }
            }
            Event::Reached(round_trip) => self.on_reached(round_trip),
            Event::NetworkTested(number, found) => self.on_network_tested(number, found),
            Event::DeviceCheckKept(number, code) => self.on_device_check_kept(number, code),
            Event::Recalled(Ok(session)) => {
                self.busy = false;
                self.end_visit().await;
                self.screen = Screen::Home;
                self.refresh_sessions();
                tracing::debug!(session = %session.session_id, "re-called");
            }
            Event::PastPage(id, Ok(page)) => self.on_past_page(id, page),
            Event::PastFeedback(id, Ok(given)) => self.on_past_feedback(id, given),
            Event::PastFeedback(_, Err(error)) if Self::is_no_feedback(&error) => {}
            Event::History(None, Ok(page)) => self.history = Some(page),
            Event::History(before, Ok(page)) => {
                // One that was asked for twice is taken once.
                if let Some(history) = self.history.as_mut().filter(|history| history.next == before) {
                    history.items.extend(page.items);
                    history.next = page.next;
                }
            }
            Event::Camera(event) => self.on_camera(event).await,
            Event::Screens(asked, found) => self.on_screens(asked, found),
            Event::Screen(event) => self.on_screen(event).await,
            Event::Device(event) => self.on_device(event).await,
            Event::Sessions(_, Err(error))
            | Event::Session(Err(error))
            | Event::Acted(Err(error))
            | Event::Page(_, Err(error))
            | Event::Uploaded(_, Err(error))
            | Event::Summary(_, Err(error))
            | Event::FeedbackGiven(_, Err(error))
            | Event::Recalled(Err(error))
            | Event::PastPage(_, Err(error))
            | Event::PastFeedback(_, Err(error))
            | Event::History(_, Err(error)) => {
                self.busy = false;
                self.fail(&error);
                if self.problem.as_ref().is_some_and(|p| p.code == UiCode::SignedOut) {
                    let problem = self.problem.take();
                    self.leave_account().await;
                    self.problem = problem;
                }
            }
        }
    }

    fn on_signed_in(&mut self, service: String, outcome: account::Outcome) {
        if self.asking.is_none() || self.signed_in.is_some() {
            return;
        }
        match outcome {
            Ok(entered) => self.enter_account(service, entered),
            Err(error) => {
                self.fail(&error);
                if self.problem.as_ref().is_some_and(|p| p.code.is_unreachable()) {
                    if let Some(asking) = &mut self.asking {
                        asking.again_at = Some(Instant::now() + ASK_AGAIN);
                    }
                } else {
                    self.asking = None;
                    self.busy = false;
                }
            }
        }
    }

    async fn on_resumed(&mut self, service: String, outcome: Option<account::Outcome>) {
        // Or the person has gone to sign in somewhere else meanwhile.
        if self.signed_in.is_some() || self.screen != Screen::Starting {
            return;
        }
        match outcome {
            Some(Ok(entered)) => self.enter_account(service, entered),
            // Only the service's own word ends what was kept: it may have trouble of its own.
            Some(Err(error)) if !matches!(error.code(), Some(Code::NotSignedIn | Code::TokenReused)) => {
                self.fail(&error);
                self.asking = Some(Asking { credentials: None, again_at: Some(Instant::now() + ASK_AGAIN) });
            }
            Some(Err(error)) => {
                tracing::info!(%error, "the kept sign-in has ended");
                self.leave_account().await;
            }
            None => self.screen = Screen::SignIn,
        }
    }

    pub(super) async fn on_wire(&mut self, event: WireEvent) {
        match event {
            WireEvent::Up => {
                self.link = Link::Up;
                if self.problem.as_ref().is_some_and(|p| p.code.is_unreachable()) {
                    self.problem = None;
                }
                self.refresh_sessions();
                self.on_link_up().await;
            }
            WireEvent::Watching(id) => self.on_watching(id),
            WireEvent::Down => {
                self.link = Link::Connecting;
                let visits = self.visit.as_mut().map(|visit| &mut visit.chat).into_iter();
                for chat in visits.chain(self.unsent.values_mut()) {
                    chat.on_link_down();
                }
            }
            WireEvent::SignedOut => {
                self.leave_account().await;
                self.problem = Some(UiProblem { code: UiCode::SignedOut, message: String::new() });
            }
            WireEvent::Message(message) => self.on_message(*message).await,
        }
    }

    async fn on_message(&mut self, message: ServerMessage) {
        match message {
            ServerMessage::SessionStatus(session) => {
                if self.is_arrival(&session) {
                    self.chime();
                }
                match self.sessions.iter_mut().find(|known| known.session_id == session.session_id) {
                    Some(known) if session.revision >= known.revision => known.clone_from(&*session),
                    Some(_) => {}
                    None => {
                        // Asked back after a visit: nobody looks for that by themselves.
                        if session.recalled_from.is_some() && self.party() == Party::Patient {
                            self.chime();
                        }
                        self.refresh_sessions();
                    }
                }
                // Somebody else's place in the line changes with it.
                if self.user.as_ref().is_some_and(|user| user.role == Role::Patient)
                    && self.visit_mut(session.session_id).is_none()
                {
                    self.refresh_sessions();
                }
                self.stay(StayInput::Session(session)).await;
            }
            ServerMessage::ParticipantStatus(status) => {
                let (id, presence) = (status.session_id, status.presence);
                if self.visit_mut(id).is_some() {
                    self.stay(StayInput::Presence(presence.clone())).await;
                }
                if let Some(known) = self.sessions.iter_mut().find(|known| known.session_id == id) {
                    known.participants.retain(|p| p.party != presence.party);
                    known.participants.push(presence);
                }
            }
            ServerMessage::ChatMessage(message) => self.on_chat_message(message),
            ServerMessage::ChatStatus(status) => self.on_chat_status(status),
            ServerMessage::Typing(typing) => self.on_typing(typing),
            ServerMessage::Signal(signal) => self.on_call(CallInput::Signal(signal)).await,
            // No screen has these yet.
            ServerMessage::ImageShared(_)
            | ServerMessage::ScheduleStatus(_)
            | ServerMessage::Queue(_)
            | ServerMessage::Invitation(_)
            | ServerMessage::InvitationStatus(_)
            | ServerMessage::Notification(_) => {}
            ServerMessage::Error(refusal) => {
                tracing::info!(code = refusal.problem.code.as_str(), "the service refused a message");
                if let Some(id) = refusal.client_message_id {
                    self.on_chat_refused(id, &refusal.problem);
                } else if matches!(refusal.problem.code, Code::MediaTokenInvalid | Code::OnAnotherDevice) {
                    self.stay(StayInput::PassRefused).await;
                }
            }
        }
    }

    pub(super) async fn on_peer(&mut self, event: Option<bedside_rtc::PeerEvent>) {
        let Some(call) = self.visit.as_mut().and_then(|visit| visit.call.as_mut()) else { return };
        if let Some(input) = call.on_event(event) {
            self.on_call(input).await;
        }
    }

    pub(super) async fn on_tick(&mut self) {
        if let Some(asking) = &self.asking
            && asking.again_at.is_some_and(|at| Instant::now() >= at)
            && self.signed_in.is_none()
        {
            match asking.credentials.clone() {
                Some(credentials) => self.sign_in(credentials),
                None => {
                    self.asking = None;
                    self.resume();
                }
            }
        }
        self.on_call(CallInput::Tick).await;
        self.tick_visit().await;
        self.tick_devices();
        self.tick_reach();
        self.tick_network_test();
        self.tick_choice(Instant::now());
    }

    /// Whether a session that changed is a patient who has just come into this doctor's waiting room.
    fn is_arrival(&self, session: &bedside_protocol::Session) -> bool {
        let known = self.sessions.iter().find(|known| known.session_id == session.session_id);
        self.party() == Party::Doctor
            && session.status == SessionStatus::Waiting
            && known.is_none_or(|known| known.status == SessionStatus::Scheduled)
    }

    pub(super) fn chime(&mut self) {
        self.open_speaker();
        self.threads.audio.play_test_sound();
    }

    /// Switches a microphone or camera; the other end is told.
    async fn switch(&mut self, kind: DeviceKind, on: bool) {
        match kind {
            DeviceKind::Microphone => self.set_microphone(on),
            DeviceKind::Camera => self.set_camera(on),
            DeviceKind::Speaker => return,
        }
        self.announce_media_state().await;
    }

    /// Tells the other end what this one sends.
    pub(super) async fn announce_media_state(&mut self) {
        let agreed = self
            .visit
            .as_ref()
            .and_then(|v| v.call.as_ref())
            .is_some_and(crate::call::ActiveCall::is_gate_open);
        let microphone = agreed && self.devices.microphone.on && self.devices.microphone.works;
        let camera = agreed && self.devices.camera.on && self.devices.camera.works;
        let screen = agreed && self.sharing.is_shared();
        let draws = self.visit.as_ref().and_then(|visit| visit.draws);
        self.on_call(CallInput::Media(SentMedia { microphone, camera, screen, draws })).await;
    }

    /// Listens to what happens in the visit one is in.
    pub(super) fn listen_to_visit(&self) {
        if let (Some(wire), Some(visit)) = (&self.wire, &self.visit) {
            wire.watch(visit.id());
        }
    }

    /// Which side the signed-in person is on.
    pub(super) fn party(&self) -> Party {
        if self.user.as_ref().is_some_and(|user| user.role == Role::Doctor) {
            Party::Doctor
        } else {
            Party::Patient
        }
    }
}
