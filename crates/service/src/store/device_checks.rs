//! Device checks, kept for the practice.

use bedside_protocol::{DeviceCheckReport, KeptDeviceCheck, UserId};
use jiff::{SignedDuration, Timestamp};

use super::{Store, StoreError, Unit, codes, sql::sql};

/// Checks kept of one person: an older one than this is nobody's question.
const MOST_OF_ONE: i64 = 10;
/// A code is asked for while it is on the screen, or on the telephone the next day.
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);

impl Store {
    /// The check of a code, however it was typed, and whose it is.
    pub async fn device_check(&self, typed: &str) -> Result<Option<(KeptDeviceCheck, UserId)>, StoreError> {
        let row = sql!(
            "SELECT code, user_id, name, checked_at, report FROM device_checks JOIN users ON users.id = user_id
             WHERE code = $1",
        )
        .bind(codes::as_kept(typed))
        .fetch_optional(&mut self.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let DeviceCheckReport { devices, network } = serde_json::from_str(&row.get::<String>("report")?)
            .map_err(|_| StoreError::Unreadable("device check"))?;
        let kept = KeptDeviceCheck {
            code: row.get("code")?,
            name: row.get("name")?,
            checked_at: row.get("checked_at")?,
            devices,
            network,
        };
        Ok(Some((kept, row.get("user_id")?)))
    }
}

impl Unit {
    /// Keeps what a person's devices and network can do; gives its code.
    pub async fn add_device_check(
        &mut self,
        user: UserId,
        report: &DeviceCheckReport,
    ) -> Result<String, StoreError> {
        let json = serde_json::to_string(report).map_err(|_| StoreError::Unreadable("device check"))?;
        let code = loop {
            let code = codes::new();
            let added = sql!(
                "INSERT INTO device_checks (code, user_id, checked_at, report) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (code) DO NOTHING",
            )
            .bind(code.as_str())
            .bind(user)
            .bind(self.now)
            .bind(json.as_str())
            .execute(&mut self.tx)
            .await?;
            if added == 1 {
                break code;
            }
        };
        // This one is kept, and of the others the newest.
        sql!(
            "DELETE FROM device_checks WHERE user_id = $1 AND code <> $2 AND code NOT IN
             (SELECT code FROM device_checks WHERE user_id = $1 AND code <> $2
             ORDER BY checked_at DESC, code LIMIT $3)",
        )
        .bind(user)
        .bind(code.as_str())
        .bind(MOST_OF_ONE - 1)
        .execute(&mut self.tx)
        .await?;
        Ok(code)
    }

    /// Forgets those that were made before this.
    pub async fn forget_device_checks(&mut self, before: Timestamp) -> Result<(), StoreError> {
        sql!("DELETE FROM device_checks WHERE checked_at < $1").bind(before).execute(&mut self.tx).await?;
        Ok(())
    }
}
