//! Clinics that share a service, and who reaches what of which.

use bedside_protocol::{ClinicId, Role};

/// Of which clinics somebody reaches doctors and what belongs to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// All.
    All,
    /// This one's.
    Of(ClinicId),
    /// This one's, and those of none.
    OfAndNone(ClinicId),
    /// Those of none.
    None,
}

impl Reach {
    /// What somebody reaches with this role and of this clinic. An administrator of none runs the service, and a
    /// service of none serves all of it; a patient of none has not chosen yet.
    pub const fn of(role: Role, clinic: Option<ClinicId>) -> Self {
        match (role, clinic) {
            (Role::ClinicAdmin | Role::Service | Role::Patient, None) => Self::All,
            (Role::ClinicAdmin | Role::Service | Role::Doctor | Role::Kiosk, Some(clinic)) => {
                Self::Of(clinic)
            }
            (Role::Patient | Role::Guest, Some(clinic)) => Self::OfAndNone(clinic),
            (Role::Doctor | Role::Kiosk | Role::Guest, None) => Self::None,
        }
    }

    /// Whether that has what is of this clinic.
    pub fn has(self, clinic: Option<ClinicId>) -> bool {
        match self {
            Self::All => true,
            Self::Of(own) => clinic == Some(own),
            Self::OfAndNone(own) => clinic.is_none_or(|clinic| clinic == own),
            Self::None => clinic.is_none(),
        }
    }
}

/// Whether a doctor and a patient of these clinics can see one another.
pub fn can_meet(doctor: Option<ClinicId>, patient: Option<ClinicId>) -> bool {
    Reach::of(Role::Patient, patient).has(doctor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clinics_do_not_see_each_other() {
        let (one, other) = (Some(ClinicId::generate()), Some(ClinicId::generate()));
        for role in [Role::Patient, Role::Doctor, Role::ClinicAdmin] {
            assert!(Reach::of(role, one).has(one) && !Reach::of(role, one).has(other), "{role:?}");
        }
        assert!(!Reach::of(Role::Doctor, None).has(one) && !Reach::of(Role::ClinicAdmin, one).has(None));
        assert!(Reach::of(Role::ClinicAdmin, None).has(one), "runs the service");
        assert!(can_meet(one, one) && can_meet(one, None) && can_meet(None, one) && !can_meet(one, other));
    }
}
