//! Feedback and prices.

use bedside_consult::{
    billing::{Pricing, Tier},
    feedback::distinct_tags,
};
use bedside_protocol::{ConsultationMode, Feedback, FeedbackRequest, SessionId, UserId};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{SessionRow, Store, StoreError, Unit, millis, word};

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
        type Row = (i64, Option<i64>, Option<i64>, Option<i64>, Option<String>, String, Option<bool>);
        let row: Option<Row> = sqlx::query_as(
            "SELECT overall_rating, audio_quality, video_quality, doctor_behaviour, review_text, feedback_tags,
             would_recommend FROM consultation_feedback WHERE session_id = ?",
        )
        .bind(session.to_string())
        .fetch_optional(&self.reader)
        .await?;
        let rating = |value: i64| u8::try_from(value).map_err(|_| StoreError::Unreadable("rating"));
        row.map(|(overall, audio, video, doctor, text, tags, recommend)| {
            Ok(Feedback {
                session_id: session,
                given: FeedbackRequest {
                    overall_rating: rating(overall)?,
                    audio_quality: audio.map(rating).transpose()?,
                    video_quality: video.map(rating).transpose()?,
                    doctor_behaviour: doctor.map(rating).transpose()?,
                    review_text: text.map(Into::into),
                    feedback_tags: serde_json::from_str(&tags).map_err(|_| StoreError::Unreadable("tags"))?,
                    would_recommend: recommend,
                },
            })
        })
        .transpose()
    }
}

impl Unit {
    /// What a doctor charges for a mode, and in which currency (ISO 4217).
    pub async fn pricing(
        &mut self,
        doctor: UserId,
        mode: ConsultationMode,
    ) -> Result<Option<(Pricing, String)>, StoreError> {
        let row: Option<(String, String)> = sqlx::query_as(
            "SELECT pricing, currency FROM consultation_pricing WHERE doctor_id = ? AND consultation_mode = ?",
        )
        .bind(doctor.to_string())
        .bind(word(&mode)?)
        .fetch_optional(&mut *self.tx)
        .await?;
        row.map(|(json, currency)| {
            let stored = serde_json::from_str(&json).map_err(|_| StoreError::Unreadable("price"))?;
            let pricing = match stored {
                StoredPricing::Flat { fee } => Pricing::Flat(fee),
                StoredPricing::PerMinute { rate, minimum_minutes } => {
                    Pricing::PerMinute { rate, minimum_minutes }
                }
                StoredPricing::Tiered { tiers } => Pricing::Tiered(
                    tiers.iter().map(|t| Tier { up_to_minutes: t.up_to_minutes, price: t.price }).collect(),
                ),
            };
            Ok((pricing, currency))
        })
        .transpose()
    }

    /// Stores feedback; false when the visit has some already.
    pub async fn add_feedback(
        &mut self,
        of: &SessionRow,
        given: &FeedbackRequest,
    ) -> Result<bool, StoreError> {
        let tags =
            serde_json::to_string(&distinct_tags(given)).map_err(|_| StoreError::Unreadable("tags"))?;
        let done = sqlx::query(
            "INSERT INTO consultation_feedback (session_id, patient_id, doctor_id, overall_rating, audio_quality,
             video_quality, doctor_behaviour, review_text, feedback_tags, would_recommend, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session_id) DO NOTHING",
        )
        .bind(of.id.to_string())
        .bind(of.patient.id.to_string())
        .bind(of.doctor.id.to_string())
        .bind(i64::from(given.overall_rating))
        .bind(given.audio_quality.map(i64::from))
        .bind(given.video_quality.map(i64::from))
        .bind(given.doctor_behaviour.map(i64::from))
        .bind(given.review_text.as_ref().map(|text| text.reveal().to_owned()))
        .bind(tags)
        .bind(given.would_recommend)
        .bind(millis(self.now))
        .execute(&mut *self.tx)
        .await?;
        Ok(done.rows_affected() == 1)
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
        sqlx::query(
            "INSERT INTO consultation_pricing (doctor_id, consultation_mode, pricing, currency) VALUES (?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET pricing = excluded.pricing, currency = excluded.currency",
        )
        .bind(doctor.to_string())
        .bind(word(&mode)?)
        .bind(json)
        .bind(currency)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}
