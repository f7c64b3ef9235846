//! Ways in beside a password: links into one visit, codes at a kiosk, and a password that was forgotten.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Appointment, LinkId, Text, Token, TokenPair};

/// `POST /api/v1/appointments/{id}/links`: lets somebody into its visit in the patient's place.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateLinkRequest {
    /// How long it can be opened, 1 to 30 minutes. Who has opened it stays in for the visit.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 30))]
    pub minutes: u8,
}

/// A link into one visit. It opens once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct VisitLink {
    /// By which it is taken back.
    pub link_id: LinkId,
    /// What opens it, told this once.
    pub token: Token,
    /// The same as an address to send, where the service knows by which name people reach it. What opens it is behind
    /// the `#`, which no server and no log sees.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Token>,
    /// Until when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
}

/// A link as those see it who may take it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct LinkListing {
    /// Which.
    pub link_id: LinkId,
    /// Until when it can be opened.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub expires_at: Timestamp,
    /// When it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub opened_at: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub ended_at: Option<Timestamp>,
}

/// `POST /api/v1/auth/link`: opens a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenLinkRequest {
    /// What opens it.
    pub token: Token,
    /// A secret of the client's own, at least 16 characters: whose answer was lost asks again with the same one, within
    /// a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Token>,
}

/// `POST /api/v1/kiosk/check-in`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CheckInRequest {
    /// The appointment's, however it was typed.
    pub code: Text,
}

/// Whoever has checked in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct CheckIn {
    /// Their appointment.
    pub appointment: Appointment,
    /// The way into its visit and into nothing else, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign_in: Option<TokenPair>,
}

/// `POST /api/v1/users`: the practice makes an account for a patient.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CreateUserRequest {
    /// The name shown to the doctor, 1 to 100 characters that can be seen.
    pub name: Text,
    /// The address that they sign in with. Without it they come by a link, or a code at a kiosk.
    #[serde(default)]
    pub email: Option<Text>,
    /// The telephone that text messages go to, in international form.
    #[serde(default)]
    pub phone: Option<Text>,
}

/// `POST /api/v1/auth/confirm`: the address is one's own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfirmAddress {
    /// What the mail says.
    pub token: Token,
}

/// `POST /api/v1/auth/password/reset-request`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResetRequest {
    /// The address of the account.
    pub email: Text,
}

/// `POST /api/v1/auth/password/reset`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordReset {
    /// What the mail says.
    pub token: Token,
    /// The password from now on, at least 10 characters, at most 256 bytes.
    pub new_password: Token,
}
