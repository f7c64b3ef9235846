//! Who did or looked at what, as it can be read again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Code, Role, SessionId, SignInId, Text, UserId};

/// One line of the audit log.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Counts up; with gaps, and not always in the order of `at`.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who; null where time itself did it, or somebody at the service's machine.
    pub user_id: Option<UserId>,
    /// What they are called.
    pub user_name: Option<Text>,
    /// What they are.
    pub user_role: Option<Role>,
    /// By which sign-in, where somebody did it in the patient's place who came by a link or a code.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub guest_sign_in: Option<SignInId>,
    /// The address that they did it from. Only administrators read it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub origin: Option<String>,
    /// What, such as `SESSION_ADMITTED` or `ATTACHMENT_READ`.
    pub action: String,
    /// To which visit.
    pub session_id: Option<SessionId>,
    /// To whose data.
    pub patient_id: Option<UserId>,
    /// To which thing, such as `attachment:01890a5d-…`.
    pub object: Option<String>,
    /// Why it was refused; null for what was done.
    pub refused: Option<Code>,
}

/// `GET /api/v1/audit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct AuditPage {
    /// The newest first.
    pub items: Vec<AuditEntry>,
    /// `before` of the next page; null on the last.
    pub next: Option<i64>,
}
