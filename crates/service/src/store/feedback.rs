//! Feedback and prices.

use bedside_consult::{
    billing::{Pricing, Tier},
    feedback::distinct_tags,
};
use bedside_protocol::{ConsultationMode, Feedback, FeedbackRequest, SessionId, UserId};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{SessionRow, Store, StoreError, Unit, sql::sql, word};

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

impl Store {
    /// The feedback of a visit.
    pub async fn feedback(&self, session: SessionId) -> Result<Option<Feedback>, StoreError> {
        let row = sql!(
            "SELECT overall_rating, audio_quality, video_quality, doctor_behaviour, review_text, feedback_tags,
             would_recommend FROM consultation_feedback WHERE session_id = $1",
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
            },
        }))
    }
}

impl Unit {
    /// What a doctor charges for a mode, and in which currency (ISO 4217).
    pub async fn pricing(
        &mut self,
        doctor: UserId,
        mode: ConsultationMode,
    ) -> Result<Option<(Pricing, String)>, StoreError> {
        let row = sql!(
            "SELECT pricing, currency FROM consultation_pricing WHERE doctor_id = $1 AND consultation_mode = $2",
        )
        .bind(doctor)
        .bind(word(&mode)?)
        .fetch_optional(&mut self.tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let stored = serde_json::from_str(&row.get::<String>("pricing")?);
        let pricing = match stored.map_err(|_| StoreError::Unreadable("price"))? {
            StoredPricing::Flat { fee } => Pricing::Flat(fee),
            StoredPricing::PerMinute { rate, minimum_minutes } => {
                Pricing::PerMinute { rate, minimum_minutes }
            }
            StoredPricing::Tiered { tiers } => Pricing::Tiered(
                tiers.iter().map(|t| Tier { up_to_minutes: t.up_to_minutes, price: t.price }).collect(),
            ),
        };
        Ok(Some((pricing, row.get("currency")?)))
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
             video_quality, doctor_behaviour, review_text, feedback_tags, would_recommend, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (session_id) DO NOTHING",
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
            "INSERT INTO consultation_pricing (doctor_id, consultation_mode, pricing, currency) VALUES ($1, $2, $3, $4)
             ON CONFLICT (doctor_id, consultation_mode) DO UPDATE SET pricing = excluded.pricing, currency = excluded.currency",
        )
        .bind(doctor)
        .bind(word(&mode)?)
        .bind(json)
        .bind(currency)
        .execute(&mut self.tx)
        .await?;
        Ok(())
    }
}
