//! Past visits: the list, and the one that is open.

use bedside_protocol::{AttachmentId, ChatPage, Code, FeedbackRequest, SessionId, Summary};
use bedside_session::{
    ChatLog,
    snapshot::{PastChat, PastVisit, Screen},
};

use super::{App, Event};

/// A past visit that is open.
pub(super) struct Past {
    summary: Summary,
    chat: ChatLog,
    has_chat: bool,
    feedback: Option<FeedbackRequest>,
}

impl Past {
    pub(super) fn view(&self) -> PastVisit {
        PastVisit {
            summary: self.summary.clone(),
            chat: self.has_chat.then(|| PastChat {
                messages: self.chat.messages().cloned().collect(),
                has_older: self.chat.has_older(),
            }),
            feedback: self.feedback.clone(),
        }
    }
}

impl App {
    /// The list from its beginning, or its next page when it is in front; from a visit in it, the
    /// list as it was.
    pub(super) fn show_history(&mut self) {
        let from = std::mem::replace(&mut self.screen, Screen::History);
        self.past = None;
        if from == Screen::Past && self.history.is_some() {
            return;
        }
        let before = self.history.as_ref().filter(|_| from == Screen::History).and_then(|h| h.next);
        if before.is_none() {
            self.history = None;
        }
        self.insist(
            move |api| async move { api.history(before).await },
            move |page| Event::History(before, page),
        );
    }

    /// Opens one of the list.
    pub(super) fn open_past(&mut self, id: SessionId) {
        let found = self.history.iter().flat_map(|h| &h.items).find(|summary| summary.session_id == id);
        let Some((summary, user)) = found.cloned().zip(self.user.as_ref()) else { return };
        if summary.feedback_submitted {
            self.insist(
                move |api| async move { api.feedback(id).await },
                move |given| Event::PastFeedback(id, given),
            );
        }
        self.past = Some(Past { summary, chat: ChatLog::new(id, user.id), has_chat: false, feedback: None });
        self.screen = Screen::Past;
        self.fetch_past_page();
    }

    /// The next older page of what was written.
    pub(super) fn fetch_past_page(&self) {
        let Some(past) = &self.past else { return };
        let (id, before) = (past.summary.session_id, past.chat.oldest());
        self.insist(
            move |api| async move { api.chat(id, None, before).await },
            move |page| Event::PastPage(id, page),
        );
    }

    pub(super) fn on_past_page(&mut self, id: SessionId, page: ChatPage) {
        if let Some(past) = self.past.as_mut().filter(|past| past.summary.session_id == id) {
            // Nothing of a visit that has ended is reported or asked for again.
            drop(past.chat.on_page(page));
            past.has_chat = true;
        }
    }

    pub(super) fn on_past_feedback(&mut self, id: SessionId, given: FeedbackRequest) {
        if let Some(past) = self.past.as_mut().filter(|past| past.summary.session_id == id) {
            past.feedback = Some(given);
        }
    }

    /// The visit whose chat is on the screen, for a file of it.
    pub(super) fn visit_of(&self, attachment: AttachmentId) -> Option<SessionId> {
        let past = self.past.as_ref().filter(|past| {
            let attachments = past.chat.messages().filter_map(|message| message.attachment.as_ref());
            attachments.into_iter().any(|known| known.attachment_id == attachment)
        });
        past.map(|past| past.summary.session_id)
            .or_else(|| self.visit.as_ref().map(super::visit::VisitState::id))
    }

    /// A doctor asks the patient of a visit that has ended back.
    pub(super) fn recall(&mut self, id: SessionId) {
        self.busy = true;
        self.insist(move |api| async move { api.recall(id).await }, Event::Recalled);
    }

    /// Whether a refusal only says that a past visit has none.
    pub(super) fn is_no_feedback(error: &bedside_backends::BackendError) -> bool {
        error.code() == Some(Code::NotFound)
    }
}
