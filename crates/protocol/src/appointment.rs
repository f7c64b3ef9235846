//! Appointments, and when doctors can be booked.

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use crate::{AppointmentId, AppointmentType, ConsultationMode, ScheduleId, SessionId, Text, User, UserId};

/// Where an appointment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AppointmentStatus {
    /// Made.
    Booked,
    /// Its visit runs.
    InProgress,
    /// Its visit is over.
    Completed,
    /// Called off.
    Cancelled,
    /// Somebody did not come.
    NoShow,
}

/// Whether an appointment is paid for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Nothing is paid before it.
    #[default]
    NotRequired,
    /// It is to be paid before anybody can join.
    Pending,
    /// It was.
    Completed,
}

/// `POST /api/v1/appointments`: a patient for themselves in a free slot, a doctor for themselves, an administrator for
/// anybody.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateAppointmentRequest {
    /// Who is seen.
    pub patient_id: UserId,
    /// Who sees; a doctor may leave it out and means themselves.
    #[serde(default)]
    pub doctor_id: Option<UserId>,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub scheduled_start_time: Timestamp,
    /// Minutes, 1 to 120.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 120))]
    pub scheduled_duration_minutes: u16,
    /// How the two meet in a call.
    pub consultation_mode: ConsultationMode,
    /// Whether they meet in a call at all; they do unless it is said.
    #[serde(default = "in_a_call")]
    pub appointment_type: AppointmentType,
    /// Why the patient comes, at most 1,000 characters.
    #[serde(default)]
    pub chief_complaint: Option<Text>,
    /// Whether it is to be paid for before anybody can join.
    #[serde(default)]
    pub payment_required: bool,
}

const fn in_a_call() -> AppointmentType {
    AppointmentType::Virtual
}

impl CreateAppointmentRequest {
    /// One in a call, that nothing is paid for before.
    pub const fn in_a_call(
        patient_id: UserId,
        scheduled_start_time: Timestamp,
        scheduled_duration_minutes: u16,
        consultation_mode: ConsultationMode,
    ) -> Self {
        Self {
            patient_id,
            doctor_id: None,
            scheduled_start_time,
            scheduled_duration_minutes,
            consultation_mode,
            appointment_type: AppointmentType::Virtual,
            chief_complaint: None,
            payment_required: false,
        }
    }
}

/// `POST /api/v1/consultations/sessions/instant`, by a doctor: a visit now.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InstantSessionRequest {
    /// Who is seen.
    pub patient_id: UserId,
    /// How the two meet.
    pub consultation_mode: ConsultationMode,
    /// Minutes, 1 to 120.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 120))]
    pub scheduled_duration_minutes: u16,
}

/// `PATCH /api/v1/appointments/{id}`. What is left out stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeAppointmentRequest {
    /// Another time; a patient's is a free slot.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub scheduled_start_time: Option<Timestamp>,
    /// Another length.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 120))]
    pub scheduled_duration_minutes: Option<u16>,
    /// Why the patient comes.
    #[serde(default)]
    pub chief_complaint: Option<Text>,
}

/// `POST /api/v1/appointments/{id}/verify-payment`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerifyPaymentRequest {
    /// What the payment is called by whoever took it, at most 100 characters.
    pub payment_id: String,
}

/// An appointment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Appointment {
    /// Which.
    pub appointment_id: AppointmentId,
    /// Who is seen.
    pub patient: User,
    /// Who sees.
    pub doctor: User,
    /// Whether they meet in a call.
    pub appointment_type: AppointmentType,
    /// How they meet there.
    pub consultation_mode: ConsultationMode,
    /// Where it stands.
    pub status: AppointmentStatus,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub scheduled_start_time: Timestamp,
    /// Minutes.
    pub scheduled_duration_minutes: u16,
    /// Why the patient comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chief_complaint: Option<Text>,
    /// Whether it is paid for.
    pub payment_status: PaymentStatus,
    /// What the payment is called by whoever took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<String>,
    /// Its visit; absent until there is one: the video link is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// What opens its visit in the app; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meeting_link: Option<String>,
    /// The room of its visit; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meeting_id: Option<String>,
    /// What its patient says or shows at a kiosk, to check in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in_code: Option<String>,
    /// When they checked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub checked_in_at: Option<Timestamp>,
    /// When its visit began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub actual_start_time: Option<Timestamp>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub actual_end_time: Option<Timestamp>,
}

/// A day of the week.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "days of the week")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// Hours of a day of the week in which a doctor can be booked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BookableHours {
    /// On which day.
    pub day: Weekday,
    /// From when, as the practice's clock shows it: `09:00`.
    #[cfg_attr(feature = "openapi", schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// Until when, on the same day.
    #[cfg_attr(feature = "openapi", schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub to: String,
}

/// `PUT /api/v1/doctors/{id}/availability`: when and how a doctor can be booked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Availability {
    /// Whose clock the hours go by: `Europe/Berlin` (IANA).
    pub time_zone: String,
    /// Minutes of a slot, 5 to 120.
    #[cfg_attr(feature = "openapi", schema(minimum = 5, maximum = 120))]
    pub slot_minutes: u16,
    /// How patients may meet them.
    pub consultation_modes: Vec<ConsultationMode>,
    /// Hours of each week, at most 50.
    #[cfg_attr(feature = "openapi", schema(max_items = 50))]
    pub weekly: Vec<BookableHours>,
}

/// `GET /api/v1/doctors/{id}/availability`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DoctorAvailability {
    /// Who.
    pub doctor: User,
    /// When and how they can be booked; absent for who can't be by patients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// The days that were asked for.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub from: Date,
    /// The last of them.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Date))]
    pub to: Date,
    /// What is free in them.
    pub slots: Vec<Slot>,
}

/// A time that can be booked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// From.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub start_time: Timestamp,
    /// Until.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub end_time: Timestamp,
}

/// A doctor as patients find them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DoctorListing {
    /// Who.
    #[serde(flatten)]
    pub doctor: User,
    /// Their practice hours that are open: whoever wants can walk in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_schedule_id: Option<ScheduleId>,
    /// Whether patients can book them.
    pub is_bookable: bool,
}
