//! Device checks, kept for the practice.

use bedside_protocol::{DeviceCheckReport, KeptDeviceCheck, UserId};
use jiff::{SignedDuration, Timestamp};
use rand::seq::IndexedRandom;

use super::{Store, StoreError, Unit, sql::sql};

/// What a code is made of: nothing that is taken for something else when it is read out.
const LETTERS: &[u8] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// Some 900 million: few enough to say, too many to find somebody's by trying.
const CODE_LENGTH: usize = 6;
/// Checks kept of one person: an older one than this is nobody's question.
const MOST_OF_ONE: i64 = 10;
/// A code is asked for while it is on the screen, or on the telephone the next day.
pub(crate) const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24 * 30);

fn new_code() -> String {
    let mut rng = rand::rng();
    (0..CODE_LENGTH).filter_map(|_| LETTERS.choose(&mut rng)).map(|&letter| char::from(letter)).collect()
}

/// A code as it is kept, however it was typed.
fn as_kept(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

impl Store {
    /// The check of a code, however it was typed, and whose it is.
    pub async fn device_check(&self, typed: &str) -> Result<Option<(KeptDeviceCheck, UserId)>, StoreError> {
        let row = sql!(
            "SELECT code, user_id, name, checked_at, report FROM device_checks JOIN users ON users.id = user_id
             WHERE code = $1",
        )
        .bind(as_kept(typed))
        .fetch_optional(&mut self.reader().await?)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let report = serde_json::from_str(&row.get::<String>("report")?)
            .map_err(|_| StoreError::Unreadable("device check"))?;
        let kept = KeptDeviceCheck {
            code: row.get("code")?,
            name: row.get("name")?,
            checked_at: row.get("checked_at")?,
            report,
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
            let code = new_code();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_read_out_and_typed() {
        let code = new_code();
        assert_eq!(code.len(), CODE_LENGTH);
        assert!(!code.contains(['0', 'O', '1', 'I', 'L']), "{code}");
        assert_eq!(as_kept(" k7m-2qx "), "K7M2QX");
        assert_ne!(new_code(), code);
    }
}
