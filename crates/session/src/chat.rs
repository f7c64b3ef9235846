//! The chat as this device knows it: what the service has, what it has not confirmed yet.
//!
//! Nothing that the person saw as sent is ever lost: a message stays here, in order, until the
//! service says that it has it, and is sent again whenever the link comes back.

use std::collections::BTreeMap;

use bedside_protocol::{
    ChatMessage, ChatPage, ChatStatus, ClientMessageId, MessageStatus, MessageType, OutgoingMessage, Problem,
    SessionId, Text, UserId,
};

/// Messages that may wait to be confirmed. Nobody writes more in a minute without a link.
pub const MAX_PENDING: usize = 200;

/// A message that the service has not confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Pending {
    /// What is to be sent.
    pub outgoing: OutgoingMessage,
    /// Why the service will not take it; the person decides.
    pub refused: Option<Problem>,
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum ChatAction {
    /// Send this.
    Transmit(OutgoingMessage),
    /// Fetch the messages after this `seq`; the newest page when 0.
    FetchAfter(u64),
    /// Say that everything up to here has come this far.
    Report(ChatStatus),
}

/// The chat of one visit.
#[derive(Debug)]
pub struct ChatLog {
    session: SessionId,
    me: UserId,
    messages: BTreeMap<u64, ChatMessage>,
    pending: Vec<Pending>,
    has_older: bool,
    reported: (u64, u64),
    open: bool,
    link: bool,
}

impl ChatLog {
    /// An empty log.
    pub const fn new(session: SessionId, me: UserId) -> Self {
        Self {
            session,
            me,
            messages: BTreeMap::new(),
            pending: vec![],
            has_older: false,
            reported: (0, 0),
            open: false,
            link: false,
        }
    }

    /// What the service has, in order.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &ChatMessage> {
        self.messages.values()
    }

    /// What it has not confirmed, in order.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Whether something waits to be confirmed.
    pub fn is_waiting(&self) -> bool {
        self.pending.iter().any(|pending| pending.refused.is_none())
    }

    /// Whether there are older messages to fetch.
    pub const fn has_older(&self) -> bool {
        self.has_older
    }

    /// The first `seq` that is here.
    pub fn oldest(&self) -> Option<u64> {
        self.messages.keys().next().copied()
    }

    /// How many of the other side's messages have not been on the screen.
    pub fn unread(&self) -> usize {
        let is_news = |m: &&ChatMessage| {
            m.sender_id != self.me && m.seq > self.reported.1 && m.message_type != MessageType::System
        };
        self.messages.values().filter(is_news).count()
    }

    /// The person sends a message; false when too many wait already.
    pub fn write(&mut self, outgoing: OutgoingMessage) -> Option<Vec<ChatAction>> {
        if self.pending.len() >= MAX_PENDING {
            return None;
        }
        self.pending.push(Pending { outgoing: outgoing.clone(), refused: None });
        Some(if self.link { vec![ChatAction::Transmit(outgoing)] } else { vec![] })
    }

    /// The person gives up a refused message.
    pub fn discard(&mut self, id: ClientMessageId) {
        self.pending.retain(|p| p.outgoing.client_message_id != id || p.refused.is_none());
    }

    /// The link came up: ask for what was missed, then send what was written meanwhile.
    pub fn on_link_up(&mut self) -> Vec<ChatAction> {
        self.link = true;
        let known = self.known_to();
        let waiting = self.pending.iter().filter(|p| p.refused.is_none());
        [ChatAction::FetchAfter(known)]
            .into_iter()
            .chain(waiting.map(|p| ChatAction::Transmit(p.outgoing.clone())))
            .collect()
    }

    /// The link went down.
    pub fn on_link_down(&mut self) {
        self.link = false;
    }

    /// The service has a message.
    pub fn on_message(&mut self, message: ChatMessage) -> Vec<ChatAction> {
        if message.session_id != self.session {
            return vec![];
        }
        let is_first = self.messages.is_empty();
        self.insert(message);
        let (known, newest) = (self.known_to(), self.messages.keys().next_back().copied().unwrap_or(0));
        let mut actions = self.report();
        if known < newest && !is_first {
            // One in between went missing on its way here, or asking for it failed.
            actions.push(ChatAction::FetchAfter(known));
        }
        actions
    }

    /// A page was fetched.
    pub fn on_page(&mut self, page: ChatPage) -> Vec<ChatAction> {
        // Only a page that reaches to the oldest known says whether there are older ones still: one
        // of what was missed says nothing of them.
        let from_start = page
            .items
            .first()
            .map_or(self.messages.is_empty(), |first| self.oldest().is_none_or(|oldest| first.seq <= oldest));
        if from_start {
            self.has_older = page.has_older;
        }
        let last = page.items.last().map(|m| m.seq);
        for message in page.items {
            self.insert(message);
        }
        for seq in page.deleted {
            if let Some(message) = self.messages.get_mut(&seq) {
                (message.content, message.attachment) = (Text::default(), None);
                message.is_deleted = true;
            }
        }
        let mut actions = self.report();
        if let (true, Some(last)) = (page.has_newer && !from_start, last) {
            actions.push(ChatAction::FetchAfter(last));
        }
        actions
    }

    /// A side has got further in the other's messages.
    pub fn on_status(&mut self, status: ChatStatus) {
        if status.session_id != self.session || status.user_id == Some(self.me) {
            return;
        }
        for (_, message) in self.messages.range_mut(..=status.seq) {
            if message.sender_id == self.me {
                message.status = message.status.max(status.status);
            }
        }
    }

    /// The service will not take a message.
    pub fn on_refused(&mut self, id: ClientMessageId, problem: Problem) {
        if let Some(pending) = self.pending.iter_mut().find(|p| p.outgoing.client_message_id == id) {
            pending.refused = Some(problem);
        }
    }

    /// The chat came onto the screen, or left it.
    pub fn set_open(&mut self, open: bool) -> Vec<ChatAction> {
        self.open = open;
        self.report()
    }

    /// The last `seq` before the first that is missing here; 0 when nothing is known.
    fn known_to(&self) -> u64 {
        let mut keys = self.messages.keys().copied();
        let first = keys.next().unwrap_or(0);
        keys.zip(first + 1..)
            .take_while(|(key, expected)| key == expected)
            .last()
            .map_or(first, |(key, _)| key)
    }

    fn insert(&mut self, message: ChatMessage) {
        if message.sender_id == self.me {
            self.pending.retain(|p| p.outgoing.client_message_id != message.client_message_id);
        }
        // What was taken back stays so, whatever a page that was read before says.
        if self.messages.get(&message.seq).is_some_and(|known| known.is_deleted) {
            return;
        }
        // What is here may be further along than what a page says.
        let status = self.messages.get(&message.seq).map_or(message.status, |m| m.status.max(message.status));
        self.messages.insert(message.seq, ChatMessage { status, ..message });
    }

    /// Says how far this device has got, where that is news.
    fn report(&mut self) -> Vec<ChatAction> {
        if !self.link {
            return vec![];
        }
        let newest = self.messages.values().rev().find(|m| m.sender_id != self.me).map_or(0, |m| m.seq);
        let (delivered, read) = self.reported;
        let (seq, status) = if self.open && newest > read {
            self.reported = (newest, newest);
            (newest, MessageStatus::Read)
        } else if newest > delivered {
            self.reported.0 = newest;
            (newest, MessageStatus::Delivered)
        } else {
            return vec![];
        };
        vec![ChatAction::Report(ChatStatus { session_id: self.session, seq, status, user_id: None })]
    }
}

#[cfg(test)]
mod tests {
    use bedside_protocol::{Code, MessageId, Party};
    use proptest::prelude::*;

    use super::*;

    struct Server {
        session: SessionId,
        stored: Vec<ChatMessage>,
    }

    impl Server {
        /// Stores once, as the service does.
        fn take(&mut self, me: UserId, out: &OutgoingMessage) -> ChatMessage {
            if let Some(known) = self.stored.iter().find(|m| m.client_message_id == out.client_message_id) {
                return known.clone();
            }
            let message = message(self.session, self.stored.len() as u64 + 1, me, out.client_message_id);
            self.stored.push(message.clone());
            message
        }

        fn after(&self, seq: u64) -> ChatPage {
            let items: Vec<_> = self.stored.iter().filter(|m| m.seq > seq).cloned().collect();
            ChatPage { items, ..ChatPage::empty() }
        }
    }

    fn message(session: SessionId, seq: u64, sender: UserId, id: ClientMessageId) -> ChatMessage {
        ChatMessage {
            message_id: MessageId::generate(),
            client_message_id: id,
            session_id: session,
            seq,
            sender_id: sender,
            sender_name: "A".into(),
            sender_type: Party::Patient,
            message_type: MessageType::Text,
            content: "hello".into(),
            attachment: None,
            status: MessageStatus::Sent,
            delivered_at: None,
            read_at: None,
            is_deleted: false,
            timestamp: "2026-01-30T14:30:00Z".parse().unwrap(),
        }
    }

    fn text(session: SessionId) -> OutgoingMessage {
        OutgoingMessage {
            session_id: session,
            client_message_id: ClientMessageId::generate(),
            message_type: MessageType::Text,
            content: "hello".into(),
            attachment_id: None,
        }
    }

    #[test]
    fn what_was_taken_back_is_gone_wherever_it_was() {
        let (session, me, other) = (SessionId::generate(), UserId::generate(), UserId::generate());
        let mut log = ChatLog::new(session, me);
        let hello = |seq| message(session, seq, other, ClientMessageId::generate());
        log.on_page(ChatPage { items: vec![hello(1), hello(2)], ..ChatPage::empty() });
        // Away while it was: the page of what was missed says so of an older one.
        log.on_page(ChatPage { items: vec![hello(3)], deleted: vec![1], ..ChatPage::empty() });
        let gone: Vec<bool> = log.messages().map(|m| m.is_deleted && m.content.reveal().is_empty()).collect();
        assert_eq!(gone, [true, false, false]);
    }

    #[test]
    fn what_nobody_wrote_is_no_unread_message() {
        let (session, me, other) = (SessionId::generate(), UserId::generate(), UserId::generate());
        let mut log = ChatLog::new(session, me);
        let said = message(session, 1, other, ClientMessageId::generate());
        log.on_message(ChatMessage { message_type: MessageType::System, ..said });
        assert_eq!(log.unread(), 0);
        log.on_message(message(session, 2, other, ClientMessageId::generate()));
        assert_eq!(log.unread(), 1);
    }

    #[test]
    fn what_is_read_is_said_once() {
        let (session, me, other) = (SessionId::generate(), UserId::generate(), UserId::generate());
        let mut log = ChatLog::new(session, me);
        log.on_link_up();
        let actions = log.on_message(message(session, 1, other, ClientMessageId::generate()));
        let report =
            |status| ChatAction::Report(ChatStatus { session_id: session, seq: 1, status, user_id: None });
        assert_eq!(actions, [report(MessageStatus::Delivered)]);
        assert_eq!(log.unread(), 1);
        assert_eq!(log.set_open(true), [report(MessageStatus::Read)]);
        assert_eq!((log.set_open(true), log.unread()), (vec![], 0));
    }

    #[test]
    fn a_refused_message_is_kept_for_the_person_and_not_sent_again() {
        let (session, me) = (SessionId::generate(), UserId::generate());
        let mut log = ChatLog::new(session, me);
        log.on_link_up();
        let out = text(session);
        log.write(out.clone()).unwrap();
        log.on_refused(out.client_message_id, Problem::new(Code::SessionEnded, None));
        log.on_link_down();
        assert_eq!(log.on_link_up(), [ChatAction::FetchAfter(0)]);
        assert!(log.pending()[0].refused.is_some());
        log.discard(out.client_message_id);
        assert!(log.pending().is_empty());
    }

    #[derive(Clone, Debug)]
    enum Event {
        Write,
        LinkDown,
        LinkUp { confirmations_lost: bool },
    }

    #[test]
    fn what_a_reconnection_fetches_says_nothing_of_older_messages() {
        let (session, me) = (SessionId::generate(), UserId::generate());
        let mut log = ChatLog::new(session, me);
        let one = |seq| message(session, seq, me, ClientMessageId::generate());
        log.on_page(ChatPage {
            items: vec![one(51), one(52)],
            has_older: true,
            has_newer: false,
            deleted: vec![],
        });
        assert!(log.has_older());
        log.on_page(ChatPage::empty());
        log.on_page(ChatPage { items: vec![one(53)], has_older: false, has_newer: false, deleted: vec![] });
        assert!(log.has_older());
        log.on_page(ChatPage { items: vec![one(50)], has_older: false, has_newer: true, deleted: vec![] });
        assert!(!log.has_older());
    }

    #[test]
    fn a_gap_is_asked_for_until_it_is_filled() {
        let (session, me) = (SessionId::generate(), UserId::generate());
        let mut log = ChatLog::new(session, me);
        let one = |seq| message(session, seq, me, ClientMessageId::generate());
        log.on_message(one(1));
        assert!(log.on_message(one(4)).contains(&ChatAction::FetchAfter(1)));
        // That failed; the next message and the next coming up of the link ask again.
        assert!(log.on_message(one(5)).contains(&ChatAction::FetchAfter(1)));
        assert!(log.on_link_up().contains(&ChatAction::FetchAfter(1)));
        log.on_page(ChatPage {
            items: vec![one(2), one(3)],
            has_older: true,
            has_newer: false,
            deleted: vec![],
        });
        assert!(log.on_link_up().contains(&ChatAction::FetchAfter(5)));
    }

    proptest! {
        /// However often the link breaks, before or after the service got a message: in the end
        /// it has each one once, in the order they were written, and nothing is left waiting.
        #[test]
        fn nothing_is_lost_doubled_or_reordered(events in prop::collection::vec(prop_oneof![
            3 => Just(Event::Write),
            1 => Just(Event::LinkDown),
            1 => any::<bool>().prop_map(|confirmations_lost| Event::LinkUp { confirmations_lost }),
        ], 0..80)) {
            let (session, me) = (SessionId::generate(), UserId::generate());
            let mut server = Server { session, stored: vec![] };
            let mut log = ChatLog::new(session, me);
            let mut written = vec![];
            let mut perform = |log: &mut ChatLog, actions: Vec<ChatAction>, lose: bool| {
                for action in actions {
                    match action {
                        ChatAction::Transmit(out) => {
                            let stored = server.take(me, &out);
                            if !lose {
                                log.on_message(stored);
                            }
                        }
                        ChatAction::FetchAfter(seq) => {
                            let page = server.after(seq);
                            log.on_page(page);
                        }
                        ChatAction::Report(_) => {}
                    }
                }
            };
            let mut lose = false;
            for event in events.into_iter().chain([Event::LinkDown, Event::LinkUp { confirmations_lost: false }]) {
                let actions = match event {
                    Event::Write => {
                        let out = text(session);
                        written.push(out.client_message_id);
                        log.write(out).unwrap()
                    }
                    Event::LinkDown => {
                        log.on_link_down();
                        vec![]
                    }
                    Event::LinkUp { confirmations_lost } => {
                        lose = confirmations_lost;
                        log.on_link_up()
                    }
                };
                perform(&mut log, actions, lose);
            }
            let stored: Vec<_> = server.stored.iter().map(|m| m.client_message_id).collect();
            prop_assert_eq!(&stored, &written);
            prop_assert!(log.pending().is_empty());
            prop_assert_eq!(log.messages().count(), written.len());
        }
    }
}
