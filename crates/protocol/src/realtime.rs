//! Realtime messages: the bodies of STOMP frames, `{"type": …, "payload": {…}}`.

use serde::{Deserialize, Serialize};

use crate::{
    ChatMessage, ClientMessageId, Invitation, MessageStatus, Notification, OutgoingMessage, PeerId, Presence,
    Problem, Queue, Schedule, Session, SessionId, SharedImage, UserId,
};

/// Path of the WebSocket.
pub const WEBSOCKET_PATH: &str = "/ws/consultation";

/// Header of `/app/call.signal` that carries the media token.
pub const MEDIA_TOKEN_HEADER: &str = "media-token";

/// Largest realtime message body, in bytes: an SDP with all its candidates is about 6 KiB.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// Where a client sends to.
pub mod app {
    /// A [`super::ClientMessage::ChatMessage`].
    pub const CHAT_SEND: &str = "/app/chat.send";
    /// A [`super::ClientMessage::ChatStatus`].
    pub const CHAT_STATUS: &str = "/app/chat.status";
    /// A [`super::ClientMessage::Typing`].
    pub const CHAT_TYPING: &str = "/app/chat.typing";
    /// A [`super::ClientMessage::Signal`], with the media token as a header.
    pub const CALL_SIGNAL: &str = "/app/call.signal";
}

/// Where a client subscribes.
pub mod topic {
    use crate::{ScheduleId, SessionId};

    /// Everything about one visit that both sides may see.
    pub fn session(id: SessionId) -> String {
        format!("/topic/session.{id}")
    }

    /// A doctor's practice hours and their queue, without names: what hangs on the wall of a waiting room.
    pub fn schedule(id: ScheduleId) -> String {
        format!("/topic/schedule.{id}")
    }

    /// The visit whose topic that is.
    pub fn session_of(destination: &str) -> Option<SessionId> {
        destination.strip_prefix("/topic/session.")?.parse().ok()
    }

    /// Changes to one's own visits; a doctor hears of arrivals here.
    pub const NOTIFICATIONS: &str = "/user/queue/notifications";
    /// Call signalling from the other side.
    pub const SIGNALS: &str = "/user/queue/signals";
    /// What could not be done with a message one sent; the connection stays open.
    pub const ERRORS: &str = "/user/queue/errors";
}

/// What the service sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", content = "payload", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerMessage {
    /// The session changed; always the whole of it.
    SessionStatus(Box<Session>),
    /// A participant came or went.
    ParticipantStatus(ParticipantStatus),
    /// A message was stored.
    ChatMessage(ChatMessage),
    /// Messages up to one have been delivered or read.
    ChatStatus(ChatStatus),
    /// A picture was shared to be looked at in full; it is in the visit's list as well.
    ImageShared(Box<SharedImage>),
    /// Somebody is writing.
    Typing(Typing),
    /// From the other end of the call.
    Signal(Signal),
    /// Practice hours changed; always the whole of them.
    ScheduleStatus(Box<Schedule>),
    /// A queue changed; always the whole of it, as the one it is sent to sees it.
    Queue(Queue),
    /// A patient is invited.
    Invitation(Box<Invitation>),
    /// An invitation changed; always the whole of it.
    InvitationStatus(Box<Invitation>),
    /// Somebody is told something; it is in their list as well.
    Notification(Box<Notification>),
    /// What was sent can't be done.
    Error(Refusal),
}

/// What a client sends.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", content = "payload", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientMessage {
    /// To `/app/chat.send`.
    ChatMessage(OutgoingMessage),
    /// To `/app/chat.status`.
    ChatStatus(ChatStatus),
    /// To `/app/chat.typing`.
    Typing(Typing),
    /// To `/app/call.signal`.
    Signal(Signal),
}

/// One participant's link changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ParticipantStatus {
    /// In which visit.
    pub session_id: SessionId,
    /// Who, and how.
    #[serde(flatten)]
    pub presence: Presence,
}

/// Everything the other side wrote up to `seq` has come this far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChatStatus {
    /// In which visit.
    pub session_id: SessionId,
    /// Up to and with this message.
    pub seq: u64,
    /// Delivered or read.
    pub status: MessageStatus,
    /// Whose device says so; the service fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
}

/// Somebody writes, or stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Typing {
    /// In which visit.
    pub session_id: SessionId,
    /// Whether they are writing now.
    pub typing: bool,
    /// Who; the service fills it in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
}

/// Why a message was refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// What is wrong.
    #[serde(flatten)]
    pub problem: Problem,
    /// The chat message it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
}

/// Call signalling between the two ends. The service passes it on unread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Signal {
    /// In which visit.
    pub session_id: SessionId,
    /// The sender's end.
    pub from: PeerId,
    /// The end it is for; absent in a hello to whoever is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<PeerId>,
    /// What it says.
    pub body: SignalBody,
}

/// The words in which two clients of a service find one another for a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Dialect {
    /// [`Signal`]s, passed on by the service.
    #[default]
    Bedside,
}

/// What a signal says. The doctor's end makes every offer, so that two never cross.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum SignalBody {
    /// "I am here." Answered by a hello with `reply`, unless it is one.
    Hello {
        /// Whether it answers another hello.
        reply: bool,
    },
    /// An SDP offer. `negotiation` counts up; an answer or candidate for another one is stale.
    Offer {
        /// Number of the negotiation between these two ends, from 1.
        negotiation: u32,
        /// RFC 8866.
        sdp: String,
    },
    /// The answer to the offer of that number.
    Answer {
        /// Which offer.
        negotiation: u32,
        /// RFC 8866.
        sdp: String,
    },
    /// A trickled candidate (RFC 8838).
    Candidate {
        /// For which offer or answer.
        negotiation: u32,
        /// `candidate:` line; empty at the end of candidates.
        candidate: String,
        /// Media section.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_mid: Option<String>,
        /// Media section by number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sdp_m_line_index: Option<u16>,
    },
    /// The patient's end asks for new candidates: an offer with an ICE restart.
    Restart,
    /// What the sender has switched on, so that the other screen can say it in words.
    Media {
        /// Sends sound.
        microphone: bool,
        /// Sends a picture.
        camera: bool,
        /// Shares a screen.
        #[serde(default)]
        screen: bool,
        /// The most pictures of the other's camera that the sender's window can draw in a second; absent where it
        /// draws what comes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        draws: Option<u32>,
    },
    /// The sender leaves the call on purpose.
    Bye,
}

impl SignalBody {
    /// Its name, for a log.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Offer { .. } => "offer",
            Self::Answer { .. } => "answer",
            Self::Candidate { .. } => "candidate",
            Self::Restart => "restart",
            Self::Media { .. } => "media",
            Self::Bye => "bye",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docs/protocol.md has them, and a browser gives and takes them.
    #[test]
    fn signals_have_the_names_that_others_know() {
        let candidate = SignalBody::Candidate {
            negotiation: 1,
            candidate: "candidate:1".into(),
            sdp_mid: Some("0".into()),
            sdp_m_line_index: Some(0),
        };
        let said = serde_json::json!({
            "kind": "candidate", "negotiation": 1, "candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0,
        });
        assert_eq!(serde_json::to_value(&candidate).unwrap(), said);
        assert_eq!(serde_json::from_value::<SignalBody>(said).unwrap(), candidate);
        let media = SignalBody::Media { microphone: true, camera: false, screen: false, draws: None };
        let said =
            serde_json::json!({ "kind": "media", "microphone": true, "camera": false, "screen": false });
        assert_eq!(serde_json::to_value(&media).unwrap(), said);
    }
}
