//! Feedback and prices.

use std::collections::BTreeMap;

use bedside_consult::{
    billing::{Pricing, Tier},
    feedback::distinct_tags,
};
use bedside_protocol::{
    ConsultationMode, DoctorFeedback, Feedback, FeedbackRequest, SessionId, TagCount, Text, UserId,
};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    SessionRow, Store, StoreError, Unit,
    sql::{Connection, sql},
    word,
};

/// A price as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
enum StoredPricing {
    Flat {
        fee: Decimal,
    },
    #[serde(rename_all = "camelCase")]
    PerMinute {
        rate: Decimal,
        minimum_minutes: u32,
    },
    Tiered {
        tiers: Vec<StoredTier>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredTier {
    up_to_minutes: u32,
    price: Decimal,
}

/// What a doctor charges for a mode.
#[derive(Clone, Debug)]
pub struct Price {
    /// How it is reckoned.
    pub pricing: Pricing,
    /// ISO 4217.
    pub currency: String,
    /// Whether visits are charged by it.
    pub is_active: bool,
}

async fn price(
    database: &mut Connection,
    doctor: UserId,
    mode: ConsultationMode,
) -> Result<Option<Price>, StoreError> {
    let row = sql!(
        "SELECT pricing, currency, is_active FROM consultation_pricing
         WHERE doctor_id = $1 AND consultation_mode = $2",
    )
    .bind(doctor)
    .bind(word(&mode)?)
    .fetch_optional(database)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let stored = serde_json::from_str(&row.get::<String>("pricing")?);
    let pricing = match stored.map_err(|_| StoreError::Unreadable("price"))? {
        StoredPricing::Flat { fee } => Pricing::Flat(fee),
        StoredPricing::PerMinute { rate, minimum_minutes } => Pricing::PerMinute { rate, minimum_minutes },
        StoredPricing::Tiered { tiers } => Pricing::Tiered(
            tiers.iter().map(|t| Tier { up_to_minutes: t.up_to_minutes, price: t.price }).collect(),
        ),
    };
    Ok(Some(Price { pricing, currency: row.get("currency")?, is_active: row.get("is_active")? }))
}

/// Of how many of the last feedbacks the words are counted.
const TAGS_OF: i64 = 1_000;

impl Store {
    /// The feedback of a visit.
    pub async fn feedback(&self, session: SessionId) -> Result<Option<Feedback>, StoreError> {
        let row = sql!(
            "SELECT overall_rating, audio_quality, video_quality, doctor_behaviour, review_text, feedback_tags,
             would_recommend, is_public, doctor_response, doctor_responded_at FROM consultation_feedback WHERE session_id = $1",
        )
        .bind(session)
        .fetch_optional(&mut self.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let rating = |name: &str| -> Result<Option<u8>, StoreError> {
            let stored = row.get::<Option<i64>>(name)?.map(u8::try_from).transpose();
            stored.map_err(|_| StoreError::Unreadable("rating"))
        };
        let tags = serde_json::from_str(&row.get::<String>("feedback_tags")?);
        Ok(Some(Feedback {
            session_id: session,
            given: FeedbackRequest {
                overall_rating: rating("overall_rating")?.ok_or(StoreError::Unreadable("rating"))?,
                audio_quality: rating("audio_quality")?,
                video_quality: rating("video_quality")?,
                doctor_behaviour: rating("doctor_behaviour")?,
                review_text: row.get("review_text")?,
                feedback_tags: tags.map_err(|_| StoreError::Unreadable("tags"))?,
                would_recommend: row.get("would_recommend")?,
                is_public: row.get("is_public")?,
            },
            is_verified: true,
            doctor_response: row.get("doctor_response")?,
            doctor_responded_at: row.get("doctor_responded_at")?,
        }))
    }

    /// What patients said of a doctor, all together.
    pub async fn doctors_feedback(&self, doctor: UserId) -> Result<DoctorFeedback, StoreError> {
        let mut reader = self.reader().await?;
        let sums = sql!(
            "SELECT COUNT(*) AS count, CAST(SUM(overall_rating) AS BIGINT) AS overall,
             CAST(SUM(audio_quality) AS BIGINT) AS audio, COUNT(audio_quality) AS audio_count,
             CAST(SUM(video_quality) AS BIGINT) AS video, COUNT(video_quality) AS video_count,
             CAST(SUM(doctor_behaviour) AS BIGINT) AS behaviour, COUNT(doctor_behaviour) AS behaviour_count,
             CAST(SUM(CASE WHEN would_recommend THEN 100 ELSE 0 END) AS BIGINT) AS recommend,
             COUNT(would_recommend) AS recommend_count
             FROM consultation_feedback WHERE doctor_id = $1",
        )
        .bind(doctor)
        .fetch_one(&mut reader)
        .await?;
        let mean = |sum: &str, count: &str| -> Result<Option<f64>, StoreError> {
            let (sum, count) = (sums.get::<Option<i64>>(sum)?, sums.get::<i64>(count)?);
            Ok(sum.filter(|_| count > 0).map(|sum| sum as f64 / count as f64))
        };
        let rows = sql!(
            "SELECT overall_rating, COUNT(*) AS count FROM consultation_feedback WHERE doctor_id = $1
             GROUP BY overall_rating",
        )
        .bind(doctor)
        .fetch_all(&mut reader)
        .await?;
        let mut ratings = [0; 5];
        for row in &rows {
            let at = usize::try_from(row.get::<i64>("overall_rating")? - 1);
            let count = at.ok().and_then(|at| ratings.get_mut(at)).ok_or(StoreError::Unreadable("rating"))?;
            *count = row.get("count")?;
        }
        let rows = sql!(
            "SELECT feedback_tags FROM consultation_feedback WHERE doctor_id = $1
             ORDER BY created_at DESC LIMIT $2"
        )
        .bind(doctor)
        .bind(TAGS_OF)
        .fetch_all(&mut reader)
        .await?;
        let mut tags: BTreeMap<String, u64> = BTreeMap::new();
        for row in &rows {
            let words: Vec<String> = serde_json::from_str(&row.get::<String>("feedback_tags")?)
                .map_err(|_| StoreError::Unreadable("tags"))?;
            for word in words {
                *tags.entry(word).or_default() += 1;
            }
        }
        let mut tags: Vec<TagCount> =
            tags.into_iter().map(|(tag, count)| TagCount { tag: Text::new(tag), count }).collect();
        tags.sort_by_key(|tag| std::cmp::Reverse(tag.count));
        Ok(DoctorFeedback {
            doctor_id: doctor,
            count: sums.get("count")?,
            ratings,
            average_rating: mean("overall", "count")?,
            average_audio_quality: mean("audio", "audio_count")?,
            average_video_quality: mean("video", "video_count")?,
            average_doctor_behaviour: mean("behaviour", "behaviour_count")?,
            would_recommend_percent: mean("recommend", "recommend_count")?,
            tags,
        })
    }

    /// What a doctor charges for a mode, in which currency, and whether they do now.
    pub async fn pricing(&self, doctor: UserId, mode: ConsultationMode) -> Result<Option<Price>, StoreError> {
        price(&mut self.reader().await?, doctor, mode).await
    }
}

impl Unit {
    /// What a doctor charges for a mode now, and in which currency (ISO 4217).
    pub async fn pricing(
        &mut self,
        doctor: UserId,
        mode: ConsultationMode,
    ) -> Result<Option<(Pricing, String)>, StoreError> {
        let price = price(&mut self.tx, doctor, mode).await?;
        Ok(price.filter(|price| price.is_active).map(|price| (price.pricing, price.currency)))
    }

    /// Keeps what a doctor says to feedback; false where there is none.
    pub async fn answer_feedback(&mut self, session: SessionId, text: &Text) -> Result<bool, StoreError> {
        let answered = sql!(
            "UPDATE consultation_feedback SET doctor_response = $1, doctor_responded_at = $2 WHERE session_id = $3",
        )
        .bind(text.reveal())
        .bind(self.now)
        .bind(session)
        .execute(&mut self.tx)
        .await?;
        Ok(answered == 1)
    }

    /// Stores feedback; false when the visit has some already.
    pub async fn add_feedback(
        &mut self,
        of: &SessionRow,
        given: &FeedbackRequest,
    ) -> Result<bool, StoreError> {
        let tags =
            serde_json::to_string(&distinct_tags(given)).map_err(|_| StoreError::Unreadable("tags"))?;
        let added = sql!(
            "INSERT INTO consultation_feedback (session_id, patient_id, doctor_id, overall_rating, audio_quality,
             video_quality, doctor_behaviour, review_text, feedback_tags, would_recommend, created_at,
             is_public) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (session_id) DO NOTHING",
        )
        .bind(of.id)
        .bind(of.patient.id)
        .bind(of.doctor.id)
        .bind(i64::from(given.overall_rating))
        .bind(given.audio_quality.map(i64::from))
        .bind(given.video_quality.map(i64::from))
        .bind(given.doctor_behaviour.map(i64::from))
        .bind(given.review_text.as_ref().map(|text| text.reveal().to_owned()))
        .bind(tags)
        .bind(given.would_recommend)
        .bind(self.now)
        .bind(given.is_public.unwrap_or(true))
        .execute(&mut self.tx)
        .await?;
        Ok(added == 1)
    }

    /// Sets what a doctor charges for a mode.
    pub async fn set_pricing(
        &mut self,
        doctor: UserId,
        mode: ConsultationMode,
        pricing: &Pricing,
        currency: &str,
        is_active: bool,
    ) -> Result<(), StoreError> {
        let stored = match pricing {
            Pricing::Flat(fee) => StoredPricing::Flat { fee: *fee },
            Pricing::PerMinute { rate, minimum_minutes } => {
                StoredPricing::PerMinute { rate: *rate, minimum_minutes: *minimum_minutes }
            }
            Pricing::Tiered(tiers) => StoredPricing::Tiered {
                tiers: tiers
                    .iter()
                    .map(|t| StoredTier { up_to_minutes: t.up_to_minutes, price: t.price })
                    .collect(),
            },
        };
        let json = serde_json::to_string(&stored).map_err(|_| StoreError::Unreadable("price"))?;
        sql!(
            "INSERT INTO consultation_pricing (doctor_id, consultation_mode, pricing, currency, is_active)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (doctor_id, consultation_mode) DO UPDATE
             SET pricing = excluded.pricing, currency = excluded.currency, is_active = excluded.is_active",
        )
        .bind(doctor)
        .bind(word(&mode)?)
        .bind(json)
        .bind(currency)
        .bind(is_active)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}
