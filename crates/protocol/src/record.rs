//! The record of a visit: who was in it, what happened, and the pictures that were looked at in full.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AttachmentId, Party, SessionId, Text, UserId};

/// What somebody sits at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum DeviceType {
    /// A browser.
    Web,
    /// A telephone.
    Mobile,
    /// A tablet.
    Tablet,
    /// A computer.
    Desktop,
    /// A clinic's kiosk.
    Kiosk,
}

/// Somebody who was in the call of a visit.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Who.
    pub user_id: UserId,
    /// On which side.
    pub party: Party,
    /// When they first entered.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub joined_at: Timestamp,
    /// When they last left; absent while they are in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub left_at: Option<Timestamp>,
    /// How often they came back.
    pub rejoin_count: u32,
    /// What they sat at, where their client said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<DeviceType>,
    /// Their browser or app and its version, where their client said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<Text>,
    /// Their operating system, where their client said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Text>,
    /// Mean loudness of what they heard, 0 to 1, where they measured it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_audio_level: Option<f32>,
    /// Mean of the bits a second that they received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avg_video_bitrate: Option<u64>,
    /// Mean of the audio packets that did not arrive, 0 to 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_loss_percent: Option<f32>,
}

macro_rules! event_types {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal;)+) => {
        /// What happened in a visit. More may be added: a client that does not know one leaves it out.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum SessionEventType {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $name,)+
        }

        impl SessionEventType {
            /// Every one.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

event_types! {
    /// The patient came into the waiting room.
    PatientWaiting = "patient_waiting";
    /// The doctor called the patient in.
    PatientAdmitted = "patient_admitted";
    /// The patient entered the call.
    PatientJoined = "patient_joined";
    /// The doctor entered the call.
    DoctorJoined = "doctor_joined";
    /// The patient left it, or the waiting room.
    PatientLeft = "patient_left";
    /// The doctor left it.
    DoctorLeft = "doctor_left";
    /// Put on hold.
    Hold = "hold";
    /// Taken off hold.
    Resume = "resume";
    /// It ended.
    Ended = "ended";
    /// Somebody switched their microphone off.
    AudioMuted = "audio_muted";
    /// And on again.
    AudioUnmuted = "audio_unmuted";
    /// Somebody switched their camera off.
    VideoMuted = "video_muted";
    /// And on again.
    VideoUnmuted = "video_unmuted";
    /// Somebody shows their screen.
    ScreenShareStarted = "screen_share_started";
    /// No longer.
    ScreenShareStopped = "screen_share_stopped";
    /// Somebody's link came up.
    ParticipantConnected = "participant.connected";
    /// It broke; they are waited for.
    ParticipantReconnecting = "participant.reconnecting";
    /// They are back.
    ParticipantReconnected = "participant.reconnected";
    /// They are not waited for any more.
    ParticipantDisconnected = "participant.disconnected";
    /// A picture was shared to be looked at in full.
    ImageShared = "image_shared";
    /// A file was not taken.
    FileRefused = "file_refused";
}

impl fmt::Display for SessionEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SessionEventType {
    type Err = UnknownEventType;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word).ok_or(UnknownEventType)
    }
}

/// A word that names no event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no such event")]
pub struct UnknownEventType;

/// Something that happened in a visit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionEvent {
    /// Counts up; of one visit, in the order in which things happened.
    pub id: i64,
    /// What.
    pub event_type: SessionEventType,
    /// Whom it is about; absent where time itself did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// `GET …/sessions/{id}/events`: a page, in order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionEventPage {
    /// The oldest first.
    pub items: Vec<SessionEvent>,
    /// The `after` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// Largest picture that is shared to be looked at in full, in bytes: an X-ray's, or a camera's best.
pub const MAX_IMAGE_BYTES: usize = 40 * 1024 * 1024;

/// A picture of a visit that was shared to be looked at as it was taken.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SharedImage {
    /// Which; fetched from `/api/v1/consultations/sessions/{id}/images/{imageId}`.
    pub image_id: AttachmentId,
    /// In which visit.
    pub session_id: SessionId,
    /// As its sender's device named it, without a path.
    pub file_name: Text,
    /// Bytes.
    pub file_size: u64,
    /// As the service recognised it from the bytes.
    pub mime_type: String,
    /// Pixels from left to right.
    pub width: u32,
    /// Pixels from top to bottom.
    pub height: u32,
    /// Where a small one is, if it could be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thumbnail_url: Option<String>,
    /// Who shared it.
    pub shared_by: UserId,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub shared_at: Timestamp,
    /// Who has looked at it.
    pub views: Vec<ImageView>,
}

/// Somebody has looked at a picture.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct ImageView {
    /// Who.
    pub user_id: UserId,
    /// The first time.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub viewed_at: Timestamp,
    /// How often.
    pub count: u32,
}
