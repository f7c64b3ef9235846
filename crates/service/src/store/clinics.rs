//! Clinics that share a service.

use bedside_authz::Reach;
use bedside_protocol::{ClinicId, UserId};

use super::{Store, StoreError, Unit, sql::sql};

/// [`Reach`], as a condition on a column takes it: which clinic, and whether all and those of none are reached.
pub(super) struct ReachParameters {
    pub(super) clinic: Option<ClinicId>,
    pub(super) all: bool,
    pub(super) none: bool,
}

impl From<Reach> for ReachParameters {
    fn from(reach: Reach) -> Self {
        let (clinic, all, none) = match reach {
            Reach::All => (None, true, true),
            Reach::Of(clinic) => (Some(clinic), false, false),
            Reach::OfAndNone(clinic) => (Some(clinic), false, true),
            Reach::None => (None, false, true),
        };
        Self { clinic, all, none }
    }
}

impl Store {
    /// Clinics by their names.
    pub async fn clinics(&self) -> Result<Vec<(ClinicId, String)>, StoreError> {
        let rows =
            sql!("SELECT id, name FROM clinics ORDER BY name").fetch_all(&mut self.reader().await?).await?;
        rows.iter().map(|row| Ok((row.get("id")?, row.get("name")?))).collect()
    }
}

impl Unit {
    /// Makes a clinic; none where there is one of this name.
    pub async fn add_clinic(&mut self, name: &str) -> Result<Option<ClinicId>, StoreError> {
        let clinic = ClinicId::generate();
        let added = sql!(
            "INSERT INTO clinics (id, name, created_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING"
        )
        .bind(clinic)
        .bind(name)
        .bind(self.now)
        .execute(&mut self.tx)
        .await?;
        Ok((added == 1).then_some(clinic))
    }

    /// Whether there is this clinic.
    pub async fn has_clinic(&mut self, clinic: ClinicId) -> Result<bool, StoreError> {
        let found =
            sql!("SELECT id FROM clinics WHERE id = $1").bind(clinic).fetch_optional(&mut self.tx).await?;
        Ok(found.is_some())
    }

    /// Somebody belongs to this clinic from now on, or to none.
    pub async fn set_clinic(&mut self, user: UserId, clinic: Option<ClinicId>) -> Result<(), StoreError> {
        sql!("UPDATE users SET clinic_id = $1 WHERE id = $2")
            .bind(clinic)
            .bind(user)
            .execute(&mut self.tx)
            .await?;
        Ok(())
    }
}
