//! What somebody is told although they asked for nothing: in the app, by mail and by text message. It says that there
//! is something, never what about: a telephone lies on a table.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{NotificationId, SessionId, Text};

/// What it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotificationKind {
    /// A visit is tomorrow.
    ReminderDay,
    /// A visit is in a quarter of an hour.
    ReminderSoon,
    /// The doctor is there and the patient is not.
    DoctorWaits,
    /// A visit is over: what came of it can be read.
    VisitCompleted,
    /// How was it?
    FeedbackRequest,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Notification {
    /// Which.
    pub notification_id: NotificationId,
    /// What it is about.
    pub kind: NotificationKind,
    /// In which visit.
    pub session_id: SessionId,
    /// When that is planned to begin.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub scheduled_start_time: Timestamp,
    /// When it was given.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// `GET /api/v1/users/me`: how somebody is reached, beside who they are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Who.
    #[serde(flatten)]
    pub user: crate::User,
    /// The address that they sign in with and are written to; absent of whoever has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Text>,
    /// The telephone that text messages go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Text>,
    /// Whether mails and text messages about visits are wanted.
    pub wants_messages: bool,
}
