//! A doctor's practice hours: a schedule, the queue of those who walk in, and invitations into the call.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{ClinicId, InvitationId, Role, ScheduleId, SessionId, User, UserId};

/// Where a schedule stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScheduleStatus {
    /// Not opened yet.
    Upcoming,
    /// Open: patients join its queue, and are invited.
    Online,
    /// Closed for good.
    Completed,
}

/// How those who are invited meet the doctor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AppointmentType {
    /// In a call.
    Virtual,
    /// In the doctor's room, by their number: there is no call.
    InPerson,
}

/// Where somebody stands in a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntryStatus {
    /// Waits.
    Waiting,
    /// Waits, and says that they can be invited.
    Ready,
    /// Has confirmed an invitation.
    InCall,
    /// Was seen, has left, or the practice was closed.
    Done,
}

/// Where an invitation stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum InvitationStatus {
    /// Rings.
    Invited,
    /// The patient comes.
    Confirmed,
    /// Both are in the call.
    Active,
    /// The visit is over, or the doctor took the invitation back.
    Ended,
    /// The patient said no.
    Declined,
    /// Nobody answered in time.
    Expired,
}

/// `POST /api/v1/schedules`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateScheduleRequest {
    /// Whose; a doctor may leave it out and means themselves.
    #[serde(default)]
    pub doctor_id: Option<UserId>,
    /// The day, at the practice.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub date: Date,
    /// From when, as the practice's clock shows it: `09:00`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start_time: String,
    /// Until when, on the same day.
    #[cfg_attr(feature = "openapi", schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub end_time: String,
}

/// A doctor's practice hours.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// Which.
    pub id: ScheduleId,
    /// Who sees patients.
    pub doctor: User,
    /// The day, at the practice.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub date: Date,
    /// From when.
    pub start_time: String,
    /// Until when.
    pub end_time: String,
    /// Where it stands.
    pub status: ScheduleStatus,
    /// A doctor's own is virtual; one that the clinic makes is in its rooms.
    pub appointment_type: AppointmentType,
    /// What whoever made it is.
    pub creator_type: Role,
    /// Who that was.
    pub creator_id: UserId,
    /// Of which clinic's rooms it is; none of a doctor's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinic_id: Option<ClinicId>,
    /// How many wait.
    pub waiting: u32,
    /// Counts up with every change of it, its queue or its invitation: an older one undoes nothing.
    pub revision: u64,
}

/// Somebody in a queue.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct QueueEntry {
    /// Who; only for the practice, and for themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patient: Option<User>,
    /// In the order of joining, never given twice in a schedule.
    pub queue_number: u32,
    /// Where they stand.
    pub status: EntryStatus,
    /// Whether they can be invited now.
    pub is_ready: bool,
    /// When they joined.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub joined_at: Timestamp,
    /// How many are to be seen up to and with them; absent for who does not wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
}

/// A queue as somebody sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    /// Of which schedule.
    pub schedule_id: ScheduleId,
    /// Of the schedule.
    pub revision: u64,
    /// How many wait.
    pub total: u32,
    /// All who are not done, by their numbers; and one's own when it is. Those of others have no names for patients.
    pub entries: Vec<QueueEntry>,
}

/// A doctor asks somebody in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Which.
    pub id: InvitationId,
    /// To which practice hours.
    pub schedule_id: ScheduleId,
    /// Who asks.
    pub doctor: User,
    /// Who is asked.
    pub patient: User,
    /// Where it stands.
    pub status: InvitationStatus,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// When it expires, while it rings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires_at: Option<Timestamp>,
    /// When it was confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub confirmed_at: Option<Timestamp>,
    /// When it was over, however it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
    /// The visit that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// Of the schedule.
    pub revision: u64,
}

/// `POST /api/v1/schedules/{id}/queue/me/ready`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadyRequest {
    /// Whether they can be invited now.
    pub ready: bool,
}

/// `POST /api/v1/schedules/{id}/invitations`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InviteRequest {
    /// Who of those who are ready.
    pub patient_id: UserId,
}
