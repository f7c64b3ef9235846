//! Sessions, appointments, joining, summary and history.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    AppointmentId, ClinicId, ConnectionQuality, DeviceId, DeviceType, SessionId, Text, Token, User, UserId,
};

/// How the two meet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsultationMode {
    /// Picture and sound.
    Video,
    /// Sound only.
    Audio,
    /// Text only.
    Chat,
}

/// Where a session stands. The rules that move it are in `bedside-consult`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SessionStatus {
    /// Created, nobody present.
    Scheduled,
    /// The patient is in the waiting room, not admitted.
    Waiting,
    /// Both admitted; the clock runs.
    InProgress,
    /// On hold by the doctor; the clock and the media stop.
    Paused,
    /// Ended as meant.
    Completed,
    /// Called off before it began.
    Cancelled,
    /// Somebody did not come.
    NoShow,
    /// Ended by a technical failure.
    Failed,
}

impl SessionStatus {
    /// Whether nothing can happen to it any more.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Scheduled | Self::Waiting | Self::InProgress | Self::Paused => false,
            Self::Completed | Self::Cancelled | Self::NoShow | Self::Failed => true,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// The doctor ended it.
    Completed,
    /// The patient went and did not come back.
    PatientLeft,
    /// The doctor went and did not come back.
    DoctorLeft,
    /// It ran over its time and grace.
    Timeout,
    /// The connection was lost for good.
    ConnectionLost,
    /// Called off before it began.
    Cancelled,
    /// The patient did not want to be called in.
    Declined,
    /// Somebody did not come.
    NoShow,
    /// Something broke.
    Error,
}

/// The two sides of a visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Party {
    /// The one who is seen.
    Patient,
    /// The one who sees.
    Doctor,
}

impl Party {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Patient => Self::Doctor,
            Self::Doctor => Self::Patient,
        }
    }
}

/// What a person's own device check said before they pressed *I'm ready*.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DeviceCheck {
    /// A camera gives pictures.
    pub camera: bool,
    /// A microphone gives sound.
    pub microphone: bool,
    /// A speaker is there.
    pub speaker: bool,
}

/// A session as its participants see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Which.
    pub session_id: SessionId,
    /// The appointment it was made for.
    pub appointment_id: AppointmentId,
    /// Where it stands.
    pub status: SessionStatus,
    /// Why it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub end_reason: Option<EndReason>,
    /// How the two meet.
    pub consultation_mode: ConsultationMode,
    /// When it is meant to start.
    #[ts(type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub scheduled_start_time: Timestamp,
    /// Minutes it is meant to last, 1 to 120.
    pub scheduled_duration_minutes: u16,
    /// Name of the media room.
    pub room_name: String,
    /// Who is seen.
    pub patient: User,
    /// Who sees.
    pub doctor: User,
    /// Since when the patient waits, while they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub waiting_since: Option<Timestamp>,
    /// Whether the patient pressed *I'm ready*.
    pub patient_ready: bool,
    /// What the patient's devices could do then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub device_check: Option<DeviceCheck>,
    /// Whether the doctor has called the patient in.
    pub admitted: bool,
    /// When the clock started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub actual_start_time: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub actual_end_time: Option<Timestamp>,
    /// When the patient first entered the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub patient_joined_at: Option<Timestamp>,
    /// When the doctor did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub doctor_joined_at: Option<Timestamp>,
    /// When it was made; not of other servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub updated_at: Option<Timestamp>,
    /// The clinic it is of, where it is of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub clinic_id: Option<ClinicId>,
    /// Seconds on the clock up to `as_of`, holds left out.
    #[ts(type = "number")]
    pub elapsed_seconds: u64,
    /// Counts up with each change: of two, the one with the higher is the newer.
    #[ts(type = "number")]
    pub revision: u64,
    /// The service's time at which this was true.
    #[ts(type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub as_of: Timestamp,
    /// The patient's place among those who wait for this doctor, from 1; only while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub place_in_line: Option<u32>,
    /// Minutes that they can expect to wait: until the planned start at the earliest, and for what
    /// is left of the visits before theirs. Only while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expected_wait_minutes: Option<u32>,
    /// When the visit ends by itself, if nobody ends it before; only while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ends_by_itself: Option<Timestamp>,
    /// The ended visit that this one is a re-call of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub recalled_from: Option<SessionId>,
    /// Which of the patient's devices is the one in this visit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub patient_device: Option<DeviceId>,
    /// Which of the doctor's is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub doctor_device: Option<DeviceId>,
    /// Who is connected to the session's topic now.
    #[serde(default)]
    pub participants: Vec<Presence>,
}

impl Session {
    /// Which of a side's devices is in this visit.
    pub const fn device(&self, party: Party) -> Option<DeviceId> {
        match party {
            Party::Patient => self.patient_device,
            Party::Doctor => self.doctor_device,
        }
    }
}

/// Whether one participant is reachable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Who.
    pub user_id: UserId,
    /// On which side.
    pub party: Party,
    /// How.
    pub status: PresenceStatus,
}

/// A participant's link, as the service sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum PresenceStatus {
    /// Subscribed to the session's topic.
    Connected,
    /// Gone without leaving, less than the reconnection window ago.
    Reconnecting,
    /// Not there.
    Disconnected,
}

/// `GET /api/v1/clinic`: whose service this is, for people who have not signed in yet.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Clinic {
    /// Its name, where it has given one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `POST /api/v1/consultations/sessions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateSessionRequest {
    /// The appointment; one session each.
    pub appointment_id: AppointmentId,
    /// How the two meet.
    pub consultation_mode: ConsultationMode,
}

/// `POST /api/v1/consultations/sessions/{id}/join`. Everything may be left out.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JoinRequest {
    /// The patient pressed *I'm ready*, or took it back; left out, that stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// What their devices could do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_check: Option<DeviceCheck>,
    /// Only prepare the call: give the token, so that connecting can begin while it still rings.
    /// The person has not entered, and the clock does not start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub prepare: bool,
    /// On which device; without it, all of one sign-in count as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
    /// The app asks by itself, not at a press of the person's: it takes the visit from no other device.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_itself: bool,
    /// What they sit at, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<DeviceType>,
    /// The browser or app and its version, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<Text>,
    /// The operating system, at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<Text>,
}

/// `POST /api/v1/consultations/sessions/{id}/leave`. Everything may be left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LeaveRequest {
    /// From which device; one that is not in the visit leaves nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceId>,
}

/// What joining gives. Tokens and relays come only once the participant is admitted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct JoinResponse {
    /// The session after joining.
    pub session: Session,
    /// Whether the participant may enter the call now.
    pub admitted: bool,
    /// Media token, for the `media-token` header of `/app/call.signal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_token: Option<Token>,
    /// Name of the media room.
    pub room_name: String,
    /// Who the token is for.
    pub identity: UserId,
    /// On which side.
    pub participant_type: Party,
    /// Relays and their time-limited credentials.
    #[serde(default)]
    pub ice_servers: Vec<IceServer>,
    /// When the media token ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub token_expires_at: Option<Timestamp>,
}

/// One STUN or TURN server, as in the W3C's `RTCIceServer`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct IceServer {
    /// `stun:host:port` or `turn:host:port?transport=udp`.
    pub urls: String,
    /// Name for a relay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<Token>,
}

/// `GET /api/v1/consultations/sessions/{id}/summary`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Which.
    pub session_id: SessionId,
    /// Its appointment.
    pub appointment_id: AppointmentId,
    /// The doctor's name.
    pub doctor_name: Text,
    /// The patient's name.
    pub patient_name: Text,
    /// The doctor's speciality.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub specialization: Option<String>,
    /// How they met.
    pub consultation_mode: ConsultationMode,
    /// Minutes planned.
    pub scheduled_duration: u16,
    /// Minutes on the clock, rounded up.
    #[ts(type = "number")]
    pub actual_duration: u64,
    /// Seconds on the clock.
    #[ts(type = "number")]
    pub duration_seconds: u64,
    /// When the clock started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub start_time: Option<Timestamp>,
    /// When it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "string")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub end_time: Option<Timestamp>,
    /// Where it stands.
    pub status: SessionStatus,
    /// Why it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub end_reason: Option<EndReason>,
    /// Messages written.
    #[ts(type = "number")]
    pub chat_message_count: u64,
    /// Whether the patient gave feedback.
    pub feedback_submitted: bool,
    /// What it came to; absent where the doctor has no price, and before the end.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "number")]
    #[ts(optional, type = "number")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub amount_charged: Option<Decimal>,
    /// ISO 4217 code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub currency: Option<String>,
    /// How the patient saw and heard it, where their app said; once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub patient_connection_quality: Option<ConnectionQuality>,
    /// How the doctor did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub doctor_connection_quality: Option<ConnectionQuality>,
    /// What was prescribed in it, by its name in the system that keeps prescriptions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub prescription_id: Option<String>,
}

/// `PUT /api/v1/consultations/sessions/{id}/prescription`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PrescriptionRequest {
    /// Its name in the system that keeps prescriptions, at most 100 characters; null takes it off again.
    pub prescription_id: Option<String>,
}

/// `GET /api/v1/consultations/history`: final sessions, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// The page's visits.
    pub items: Vec<Summary>,
    /// Give this as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub next: Option<SessionId>,
}

/// Money as a JSON number, as the source documents have it.
pub(crate) mod number {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Number(#[serde(with = "rust_decimal::serde::float")] Decimal);

    #[expect(clippy::ref_option, reason = "as serde calls it")]
    pub(crate) fn serialize<S: Serializer>(amount: &Option<Decimal>, to: S) -> Result<S::Ok, S::Error> {
        amount.map(Number).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
        Ok(Option::<Number>::deserialize(from)?.map(|number| number.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_a_number_and_comes_back_exactly() {
        #[derive(Serialize, Deserialize)]
        struct Bill {
            #[serde(default, with = "number")]
            amount: Option<Decimal>,
        }
        for (amount, text) in
            [(Some(Decimal::new(4_850, 2)), r#"{"amount":48.5}"#), (None, r#"{"amount":null}"#)]
        {
            let written = serde_json::to_string(&Bill { amount }).unwrap();
            assert_eq!(written, text);
            assert_eq!(serde_json::from_str::<Bill>(&written).unwrap().amount, amount);
        }
    }
}
