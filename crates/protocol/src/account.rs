//! Sign-in, accounts and roles.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{SignInId, Text, Token, UserId};

/// What an account may do, before its relation to a thing is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Sees a doctor. Anybody may register as one.
    Patient,
    /// Sees patients. Made by an administrator.
    Doctor,
    /// Runs the clinic's service.
    ClinicAdmin,
    /// A machine in a waiting room, at which patients check in.
    Kiosk,
    /// Somebody whom a link lets into one visit, and into nothing else.
    Guest,
    /// Another system of the clinic's, such as its calendar.
    Service,
}

impl Role {
    /// The name on the wire and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patient => "PATIENT",
            Self::Doctor => "DOCTOR",
            Self::ClinicAdmin => "CLINIC_ADMIN",
            Self::Kiosk => "KIOSK",
            Self::Guest => "GUEST",
            Self::Service => "SERVICE",
        }
    }
}

/// A person as the others in the visit see them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Who.
    pub id: UserId,
    /// What they may do.
    pub role: Role,
    /// The name shown to others.
    pub name: Text,
    /// A doctor's speciality, as the clinic writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub specialization: Option<String>,
}

/// `POST /api/v1/auth/register`: a patient makes their own account.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegisterRequest {
    /// The address to sign in with; one account each.
    pub email: Text,
    /// At least 10 characters, at most 256 bytes.
    pub password: Token,
    /// The name shown to the doctor, 1 to 100 characters.
    pub name: Text,
}

/// `POST /api/v1/auth/login`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoginRequest {
    /// The address the account was made with.
    pub email: Text,
    /// Its password.
    pub password: Token,
}

/// `POST /api/v1/auth/refresh` and `/logout`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefreshRequest {
    /// The newest refresh token of its family; each is good for one use.
    pub refresh_token: Token,
    /// A secret of the client's own for this use of the token. Where the answer was lost, the same token with the same
    /// attempt is given another; a token without it is good once. For `/logout` it means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Token>,
}

/// What signing in and refreshing give.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct TokenPair {
    /// Bearer token for REST and the STOMP CONNECT frame.
    pub access_token: Token,
    /// Seconds until the access token ends.
    pub expires_in: u32,
    /// Good for one refresh; using it twice ends every token of the family.
    pub refresh_token: Token,
    /// Who signed in.
    pub user: User,
}

/// Somebody with an account, as the practice finds them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct UserListing {
    /// Who.
    #[serde(flatten)]
    pub user: User,
    /// The practice has made sure whose account it is; nobody makes appointments for others.
    pub is_confirmed: bool,
    /// Whoever has it reads the mail of its address.
    pub is_address_confirmed: bool,
    /// They have left.
    pub is_disabled: bool,
}

/// `PATCH /api/v1/users/me`. What is left out stays.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeUserRequest {
    /// The name shown to others, 1 to 100 characters that can be seen.
    #[serde(default)]
    pub name: Option<Text>,
    /// The telephone that text messages go to, in international form; empty for none.
    #[serde(default)]
    pub phone: Option<Text>,
    /// Whether mails and text messages about visits are wanted.
    #[serde(default)]
    pub wants_messages: Option<bool>,
}

/// `POST /api/v1/auth/password`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PasswordChange {
    /// The one so far.
    pub current_password: Token,
    /// The one from now on.
    pub new_password: Token,
}

/// One of a person's sign-ins that go on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "camelCase")]
pub struct SignIn {
    /// Which.
    pub id: SignInId,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was last renewed.
    pub last_used_at: Timestamp,
    /// Whether this was asked by it.
    pub is_this: bool,
}
