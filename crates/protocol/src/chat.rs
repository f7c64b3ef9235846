//! Chat messages, their pages and attachments.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{AttachmentId, ClientMessageId, MessageId, Party, SessionId, Text, UserId};

/// Longest text of one message, in characters.
pub const MAX_MESSAGE_CHARS: usize = 4_000;

/// Largest attachment, in bytes: a phone's photograph of a rash or a page fits, a film does not.
pub const MAX_ATTACHMENT_BYTES: usize = 10 * 1024 * 1024;

/// What a message carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MessageType {
    /// Words.
    Text,
    /// A picture.
    Image,
    /// Another file.
    File,
    /// Nobody wrote it: something happened that both are to know. Its `content` is the event's name
    /// ([`SessionEventType`](crate::SessionEventType)), its sender is whom it is about, of an end the doctor.
    System,
}

/// How far a message has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// Stored by the service.
    Sent,
    /// On the other's device.
    Delivered,
    /// On the other's screen.
    Read,
}

/// An image or file beside a message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Which; fetched from `/api/v1/consultations/sessions/{id}/attachments/{attachmentId}`.
    pub attachment_id: AttachmentId,
    /// As its sender's device named it, without a path.
    pub file_name: Text,
    /// Bytes.
    #[ts(type = "number")]
    pub file_size: u64,
    /// As the service recognised it from the bytes.
    pub mime_type: String,
    /// Where a small picture of it is, if there is one: a path of the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub thumbnail_url: Option<String>,
}

/// A stored message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChatMessage {
    /// Given by the service.
    pub message_id: MessageId,
    /// Given by the writer's device.
    pub client_message_id: ClientMessageId,
    /// In which visit.
    pub session_id: SessionId,
    /// Counts up by one in each session: the order for everybody.
    #[ts(type = "number")]
    pub seq: u64,
    /// Who wrote it.
    pub sender_id: UserId,
    /// Their name.
    pub sender_name: Text,
    /// Their side: `patient` or `doctor` here.
    #[serde(with = "side")]
    #[ts(type = "\"patient\" | \"doctor\"")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub sender_type: Party,
    /// What it carries.
    pub message_type: MessageType,
    /// The words; empty where only a file was sent.
    pub content: Text,
    /// The file, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub attachment: Option<Attachment>,
    /// How far it has come.
    pub status: MessageStatus,
    /// When it came to the other's device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub delivered_at: Option<Timestamp>,
    /// When it came onto the other's screen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub read_at: Option<Timestamp>,
    /// Whether its writer has taken it back: its words and its file are gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    pub is_deleted: bool,
    /// When the service stored it.
    #[ts(type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp: Timestamp,
}

/// `GET /api/v1/consultations/sessions/{id}/chat`: a page in order of `seq`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChatPage {
    /// Oldest first.
    pub items: Vec<ChatMessage>,
    /// Whether there are older ones than the first of these.
    pub has_older: bool,
    /// Whether there are newer ones than the last of these.
    pub has_newer: bool,
    /// The `seq` of every message of this visit that was taken back, on whichever page it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<u32>>")]
    pub deleted: Vec<u64>,
}

impl ChatPage {
    /// A page that says nothing.
    pub const fn empty() -> Self {
        Self { items: vec![], has_older: false, has_newer: false, deleted: vec![] }
    }
}

/// A side as chat messages have it.
mod side {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Party;

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "lowercase", remote = "Party")]
    enum Lowercase {
        Patient,
        Doctor,
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(super) fn serialize<S: Serializer>(party: &Party, serializer: S) -> Result<S::Ok, S::Error> {
        Lowercase::serialize(party, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Party, D::Error> {
        Lowercase::deserialize(deserializer)
    }
}

/// `/app/chat.send`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OutgoingMessage {
    /// In which visit.
    pub session_id: SessionId,
    /// So that sending again after a broken link stores it once. A client that never does may leave
    /// it out.
    #[serde(default = "ClientMessageId::generate")]
    pub client_message_id: ClientMessageId,
    /// What it carries.
    pub message_type: MessageType,
    /// The words, at most [`MAX_MESSAGE_CHARS`].
    #[serde(default)]
    pub content: Text,
    /// A file uploaded before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment_id: Option<AttachmentId>,
}
