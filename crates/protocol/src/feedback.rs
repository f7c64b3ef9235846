//! Feedback after a visit.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{SessionId, Text};

/// The words a patient can tap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FeedbackTag {
    /// Professional.
    Professional,
    /// Friendly.
    Friendly,
    /// Knowledgeable.
    Knowledgeable,
    /// On-time.
    #[serde(rename = "On-time")]
    OnTime,
    /// Patient.
    Patient,
    /// Clear explanations.
    #[serde(rename = "Clear explanations")]
    ClearExplanations,
    /// Good listener.
    #[serde(rename = "Good listener")]
    GoodListener,
    /// Thorough.
    Thorough,
}

/// `POST /api/v1/consultations/sessions/{id}/feedback`, once per session. Ratings are 1 to 5.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The visit as a whole.
    pub overall_rating: u8,
    /// The sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub audio_quality: Option<u8>,
    /// The picture; not for a visit by sound only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub video_quality: Option<u8>,
    /// The doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub doctor_behaviour: Option<u8>,
    /// In their own words, at most 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub review_text: Option<Text>,
    /// Words tapped, each once.
    #[serde(default)]
    pub feedback_tags: Vec<FeedbackTag>,
    /// Yes, no, or not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub would_recommend: Option<bool>,
}

/// Feedback as stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct Feedback {
    /// For which visit.
    pub session_id: SessionId,
    /// What was said.
    #[serde(flatten)]
    pub given: FeedbackRequest,
}
