//! Feedback after a visit.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{SessionId, Text};

/// A word about a visit: one of those that a patient can tap, however it is written, or another system's.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(from = "String", into = "String")]
#[ts(as = "String")]
pub enum FeedbackTag {
    /// Professional.
    Professional,
    /// Friendly.
    Friendly,
    /// Knowledgeable.
    Knowledgeable,
    /// On-time.
    OnTime,
    /// Patient.
    Patient,
    /// Clear explanations.
    ClearExplanations,
    /// Good listener.
    GoodListener,
    /// Thorough.
    Thorough,
    /// Any other.
    Other(Text),
}

/// As they are written, and the other ways in which they come.
const WORDS: [(FeedbackTag, &str, &[&str]); 8] = [
    (FeedbackTag::Professional, "Professional", &[]),
    (FeedbackTag::Friendly, "Friendly", &[]),
    (FeedbackTag::Knowledgeable, "Knowledgeable", &[]),
    (FeedbackTag::OnTime, "On-time", &["on time", "on_time", "punctual"]),
    (FeedbackTag::Patient, "Patient", &[]),
    (FeedbackTag::ClearExplanations, "Clear explanations", &["clear-explanations", "clear_explanations"]),
    (FeedbackTag::GoodListener, "Good listener", &["good-listener", "good_listener"]),
    (FeedbackTag::Thorough, "Thorough", &[]),
];

impl From<String> for FeedbackTag {
    fn from(text: String) -> Self {
        let is = |word: &str| word.eq_ignore_ascii_case(text.trim());
        let known = WORDS.iter().find(|(_, word, others)| is(word) || others.iter().any(|other| is(other)));
        known.map_or_else(|| Self::Other(Text::new(text.trim())), |(tag, ..)| tag.clone())
    }
}

impl From<FeedbackTag> for String {
    fn from(tag: FeedbackTag) -> Self {
        match tag {
            FeedbackTag::Other(text) => text.reveal().to_owned(),
            known => WORDS
                .iter()
                .find(|(tag, ..)| *tag == known)
                .map_or_else(Self::new, |(_, word, _)| (*word).to_owned()),
        }
    }
}

/// `POST /api/v1/consultations/sessions/{id}/feedback`, once per session. Ratings are 1 to 5.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeedbackRequest {
    /// The visit as a whole.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 5))]
    pub overall_rating: u8,
    /// The sound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 5))]
    pub audio_quality: Option<u8>,
    /// The picture; not for a visit by sound only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 5))]
    pub video_quality: Option<u8>,
    /// The doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 5))]
    pub doctor_behaviour: Option<u8>,
    /// In their own words, at most 2000 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub review_text: Option<Text>,
    /// Words tapped, each once.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>, max_items = 20))]
    pub feedback_tags: Vec<FeedbackTag>,
    /// Yes, no, or not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub would_recommend: Option<bool>,
    /// Whether others may read it, without the patient's name; they may unless it says no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub is_public: Option<bool>,
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
    /// Whether its writer was in the visit: always, here.
    #[serde(default)]
    pub is_verified: bool,
    /// What the doctor says to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor_response: Option<Text>,
    /// When the doctor said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub doctor_responded_at: Option<jiff::Timestamp>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_known_however_it_is_written() {
        let tags: Vec<FeedbackTag> =
            serde_json::from_str(r#"["professional", "PUNCTUAL", "on-time", "helpful", "Good listener"]"#)
                .unwrap();
        let on_time = FeedbackTag::OnTime;
        let helpful = FeedbackTag::Other("helpful".into());
        assert_eq!(
            tags,
            [FeedbackTag::Professional, on_time.clone(), on_time, helpful, FeedbackTag::GoodListener]
        );
        let written = serde_json::to_string(&tags).unwrap();
        assert_eq!(written, r#"["Professional","On-time","On-time","helpful","Good listener"]"#);
    }
}
