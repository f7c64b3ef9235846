//! Writing with one another: what [`ChatLog`] decides is done here.

use std::{sync::Arc, time::Instant};

use bedside_backends::Clinic;
use bedside_protocol::{
    AttachmentId, ChatMessage, ChatPage, ChatStatus, ClientMessage, ClientMessageId, MessageType,
    OutgoingMessage, Problem, SessionId, Text, Typing,
};
use bedside_session::{
    ChatAction, ChatLog,
    snapshot::{Link, Screen},
};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{App, Event};

impl App {
    pub(super) fn write(&mut self, content: Text) {
        let Some(visit) = &self.visit else { return };
        let outgoing = OutgoingMessage {
            session_id: visit.id(),
            client_message_id: ClientMessageId::generate(),
            message_type: MessageType::Text,
            content,
            attachment_id: None,
        };
        self.transmit_new(outgoing.session_id, outgoing);
    }

    /// The log of the visit with this id: of the one that one is in, or of one that was left with
    /// something unsent.
    fn log_of(&mut self, id: SessionId) -> Option<&mut ChatLog> {
        match &mut self.visit {
            Some(visit) if visit.id() == id => Some(&mut visit.chat),
            _ => self.unsent.get_mut(&id),
        }
    }

    pub(super) fn transmit_new(&mut self, id: SessionId, outgoing: OutgoingMessage) {
        if self.log_of(id).is_none()
            && let Some(me) = self.user.as_ref().map(|user| user.id)
        {
            // A file that was stored after the visit was left.
            let mut log = ChatLog::new(id, me);
            if self.link == Link::Up {
                let actions = log.on_link_up();
                self.chat_actions(id, actions);
            }
            self.unsent.insert(id, log);
        }
        match self.log_of(id).map(|log| log.write(outgoing)) {
            Some(Some(actions)) => self.chat_actions(id, actions),
            Some(None) => tracing::warn!("too many messages wait to be sent"),
            None => {}
        }
    }

    pub(super) fn upload(&mut self, name: Text, bytes: Bytes) {
        let Some(visit) = &self.visit else { return };
        let id = visit.id();
        let upload = move |api: Arc<dyn Clinic>| {
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
        let signed_out = self.signed_out.clone();
        self.tasks.spawn(async move {
            match signed_out.run_until_cancelled(api.download(id, attachment)).await {
                // The page may have gone on meanwhile.
                Some(Ok(bytes)) => drop(reply.send(bytes)),
                Some(Err(error)) => tracing::info!(%error, "a file was not fetched"),
                None => {}
            }
        });
    }

    pub(super) fn older_messages(&mut self) {
        if self.screen == Screen::Past {
            return self.fetch_past_page();
        }
        let Some((id, oldest)) = self.visit.as_ref().and_then(|v| Some((v.id(), v.chat.oldest()?))) else {
            return;
        };
        self.ask(|api| async move { Event::Page(id, api.chat(id, None, Some(oldest)).await) });
    }

    pub(super) fn chat_open(&mut self, open: bool) {
        let Some(visit) = &mut self.visit else { return };
        let (id, actions) = (visit.id(), visit.chat.set_open(open));
        self.chat_actions(id, actions);
    }

    pub(super) fn on_chat_message(&mut self, message: ChatMessage) {
        let id = message.session_id;
        if let Some(visit) = self.visit_mut(id)
            && message.sender_type != visit.stay.party()
        {
            visit.other_types_since = None;
        }
        let Some(log) = self.log_of(id) else { return };
        let actions = log.on_message(message);
        self.chat_actions(id, actions);
        self.forget_what_was_sent();
    }

    pub(super) fn on_page(&mut self, id: SessionId, page: ChatPage) {
        let Some(log) = self.log_of(id) else { return };
        let actions = log.on_page(page);
        self.chat_actions(id, actions);
        self.forget_what_was_sent();
    }

    pub(super) fn on_chat_status(&mut self, status: ChatStatus) {
        if let Some(log) = self.log_of(status.session_id) {
            log.on_status(status);
        }
    }

    /// The service will not take a message.
    pub(super) fn on_chat_refused(&mut self, id: ClientMessageId, problem: &Problem) {
        let visits = self.visit.as_mut().map(|visit| &mut visit.chat).into_iter();
        for log in visits.chain(self.unsent.values_mut()) {
            log.on_refused(id, problem.clone());
        }
        self.forget_what_was_sent();
    }

    /// Logs of visits that were left are kept for what is unsent in them.
    fn forget_what_was_sent(&mut self) {
        self.unsent.retain(|_, log| log.is_waiting());
    }

    pub(super) fn chat_actions(&self, id: SessionId, actions: Vec<ChatAction>) {
        for action in actions {
            match action {
                ChatAction::Transmit(outgoing) => {
                    self.say(&ClientMessage::ChatMessage(outgoing));
                }
                ChatAction::Report(status) => self.say(&ClientMessage::ChatStatus(status)),
                ChatAction::FetchAfter(seq) => self.ask(|api| async move {
                    let after = (seq > 0).then_some(seq);
                    match api.chat(id, after, None).await {
                        // The link's next coming up asks again.
                        Err(error) if error.is_unreachable() => Event::Page(id, Ok(ChatPage::empty())),
                        page => Event::Page(id, page),
                    }
                }),
            }
        }
    }

    fn say(&self, message: &ClientMessage) {
        if let Some(wire) = &self.wire {
            wire.send(message, None);
        }
    }

    pub(super) fn typing(&self, typing: bool) {
        if let Some(visit) = &self.visit {
            let typing = Typing { session_id: visit.id(), typing, user_id: None };
            self.say(&ClientMessage::Typing(typing));
        }
    }

    pub(super) fn on_typing(&mut self, typing: Typing) {
        let me = self.user.as_ref().map(|user| user.id);
        if let Some(visit) = self.visit_mut(typing.session_id)
            && typing.user_id != me
        {
            visit.other_types_since = typing.typing.then(Instant::now);
        }
    }
}
