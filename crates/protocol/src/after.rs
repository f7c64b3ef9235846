//! What is kept beside a visit: the doctor's notes, what went wrong, prices, and what patients said of a doctor.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{ConsultationMode, IssueId, SessionId, Text, UserId};

/// `PUT /api/v1/consultations/sessions/{id}/notes`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NotesRequest {
    /// All of them, at most 20,000 characters.
    pub notes: Text,
}

/// What a doctor wrote down of a visit.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Notes {
    /// Of which visit.
    pub session_id: SessionId,
    /// Empty until there are some.
    pub notes: Text,
    /// When they were last written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub updated_at: Option<Timestamp>,
}

/// What something that went wrong is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum IssueType {
    /// The sound.
    Audio,
    /// The picture.
    Video,
    /// The network.
    Connection,
    /// Something else.
    Other,
}

/// `POST /api/v1/consultations/sessions/{id}/issues`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IssueRequest {
    /// What it is about.
    pub issue_type: IssueType,
    /// In their own words, at most 2,000 characters.
    #[serde(default)]
    pub description: Option<Text>,
}

/// Something that went wrong in a visit, as one of the two told it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    /// Which.
    pub id: IssueId,
    /// In which visit.
    pub session_id: SessionId,
    /// Who told it.
    pub user_id: UserId,
    /// What it is about.
    pub issue_type: IssueType,
    /// In their own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// When.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
}

/// `POST /api/v1/consultations/sessions/{id}/feedback/response`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeedbackResponseRequest {
    /// What the doctor says to it, at most 2,000 characters.
    pub text: Text,
}

/// `GET /api/v1/doctors/{id}/feedback`: what patients said of a doctor, all together.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct DoctorFeedback {
    /// Of whom.
    pub doctor_id: UserId,
    /// How many said something.
    pub count: u64,
    /// How many gave one, two, three, four and five.
    pub ratings: [u64; 5],
    /// The mean of these; absent where nobody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_rating: Option<f64>,
    /// The mean of the sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_audio_quality: Option<f64>,
    /// The mean of the picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_video_quality: Option<f64>,
    /// The mean of the doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub average_doctor_behaviour: Option<f64>,
    /// Of those who said so, how many per cent would recommend them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_recommend_percent: Option<f64>,
    /// The words of the last thousand, the most frequent first.
    pub tags: Vec<TagCount>,
}

/// A word, and how many said it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TagCount {
    /// The word.
    pub tag: Text,
    /// How many.
    pub count: u64,
}

/// How a price is reckoned.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PricingType {
    /// The same whatever it took.
    Flat,
    /// By the minute begun.
    PerMinute,
    /// By how long it took.
    Tiered,
}

/// One step of a tiered price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceTier {
    /// Longest visit at this price.
    pub up_to_minutes: u32,
    /// The price.
    #[serde(with = "rust_decimal::serde::float")]
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub price: Decimal,
}

/// `PUT /api/v1/doctors/{id}/pricing/{mode}`, and what it gives: what a visit costs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DoctorPricing {
    /// How it is reckoned; what belongs to another way is left out.
    pub pricing_type: PricingType,
    /// Of `FLAT`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::consultation::number")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub flat_fee: Option<Decimal>,
    /// Of `PER_MINUTE`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::consultation::number")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>))]
    pub per_minute_rate: Option<Decimal>,
    /// Fewest minutes that are charged, of `PER_MINUTE`: five where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_minutes: Option<u32>,
    /// Of `TIERED`, each for a longer visit than the one before; at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(max_items = 50))]
    pub tier_config: Vec<PriceTier>,
    /// ISO 4217, such as EUR; the service's own where it is not said.
    #[serde(default)]
    pub currency: Option<String>,
    /// Whether visits are charged by it.
    #[serde(default = "yes")]
    pub is_active: bool,
}

const fn yes() -> bool {
    true
}

/// Which past visits are asked for.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    /// Those that ended from then on.
    pub from: Option<Timestamp>,
    /// Before then.
    pub to: Option<Timestamp>,
    /// With this doctor.
    pub doctor_id: Option<UserId>,
    /// With this patient.
    pub patient_id: Option<UserId>,
    /// Held this way.
    pub mode: Option<ConsultationMode>,
    /// That ended so.
    pub status: Option<crate::SessionStatus>,
    /// Whose other side is called something with these words.
    pub query: Option<Text>,
}
