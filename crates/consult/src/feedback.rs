//! What feedback is accepted.

use bedside_protocol::{ConsultationMode, FeedbackRequest, FeedbackTag};

/// Longest review, in characters.
pub const MAX_REVIEW_CHARS: usize = 2_000;

/// Most words with one visit, and the longest.
pub const MAX_TAGS: usize = 20;
/// Longest word, in characters.
pub const MAX_TAG_CHARS: usize = 40;

/// Why feedback is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadFeedback {
    /// A rating outside 1 to 5.
    #[error("a rating is a whole number from 1 to 5")]
    Rating,
    /// A picture rating for a visit without a picture.
    #[error("a visit without a picture has no rating for it")]
    NoPicture,
    /// More than [`MAX_REVIEW_CHARS`].
    #[error("the text is longer than {MAX_REVIEW_CHARS} characters")]
    TextTooLong,
    /// More than [`MAX_TAGS`], or one that is empty or longer than [`MAX_TAG_CHARS`].
    #[error("there are at most {MAX_TAGS} words, each of 1 to {MAX_TAG_CHARS} characters")]
    Tags,
}

/// Checks `given` for a visit held by `mode`.
pub fn check(given: &FeedbackRequest, mode: ConsultationMode) -> Result<(), BadFeedback> {
    let optional = [given.audio_quality, given.video_quality, given.doctor_behaviour];
    let ratings = optional.into_iter().flatten().chain([given.overall_rating]);
    if ratings.into_iter().any(|rating| !(1..=5).contains(&rating)) {
        return Err(BadFeedback::Rating);
    }
    if given.video_quality.is_some() && mode != ConsultationMode::Video {
        return Err(BadFeedback::NoPicture);
    }
    if given.review_text.as_ref().is_some_and(|t| t.reveal().chars().count() > MAX_REVIEW_CHARS) {
        return Err(BadFeedback::TextTooLong);
    }
    let is_sane = |tag: &FeedbackTag| match tag {
        FeedbackTag::Other(text) => (1..=MAX_TAG_CHARS).contains(&text.reveal().chars().count()),
        _ => true,
    };
    if given.feedback_tags.len() > MAX_TAGS || !given.feedback_tags.iter().all(is_sane) {
        return Err(BadFeedback::Tags);
    }
    Ok(())
}

/// The words of `given`, each once: other systems say the same in two.
pub fn distinct_tags(given: &FeedbackRequest) -> Vec<FeedbackTag> {
    let mut tags: Vec<FeedbackTag> = vec![];
    for tag in &given.feedback_tags {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feedback() -> FeedbackRequest {
        FeedbackRequest {
            is_public: None,
            overall_rating: 5,
            audio_quality: Some(4),
            video_quality: Some(3),
            doctor_behaviour: None,
            review_text: Some("Kind and clear".into()),
            feedback_tags: vec![FeedbackTag::OnTime],
            would_recommend: Some(true),
        }
    }

    #[test]
    fn accepts_what_the_form_can_send() {
        assert_eq!(check(&feedback(), ConsultationMode::Video), Ok(()));
    }

    #[test]
    fn refuses_the_rest() {
        let video = ConsultationMode::Video;
        for rating in [0, 6, 9, 255] {
            assert_eq!(
                check(&FeedbackRequest { overall_rating: rating, ..feedback() }, video),
                Err(BadFeedback::Rating)
            );
            assert_eq!(
                check(&FeedbackRequest { doctor_behaviour: Some(rating), ..feedback() }, video),
                Err(BadFeedback::Rating)
            );
        }
        assert_eq!(check(&feedback(), ConsultationMode::Audio), Err(BadFeedback::NoPicture));
        let long = FeedbackRequest { review_text: Some("ü".repeat(2_001).into()), ..feedback() };
        assert_eq!(check(&long, video), Err(BadFeedback::TextTooLong));
        let with = |tags: Vec<FeedbackTag>| FeedbackRequest { feedback_tags: tags, ..feedback() };
        let other = |text: &str| FeedbackTag::Other(text.into());
        for tags in [vec![other("helpful"); 21], vec![other("")], vec![other(&"x".repeat(41))]] {
            assert_eq!(check(&with(tags), video), Err(BadFeedback::Tags));
        }
        let twice = with(vec![FeedbackTag::Patient, other("kind"), FeedbackTag::Patient]);
        assert_eq!(check(&twice, video), Ok(()));
        assert_eq!(distinct_tags(&twice), [FeedbackTag::Patient, other("kind")]);
    }
}
