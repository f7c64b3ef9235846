//! Access tokens: JWTs (RFC 7519), so that other systems of the clinic's that know the key can read whose they are.
//! This service itself looks them up, so that what has ended has ended at once.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bedside_protocol::{ClinicId, Role, SessionId, Token, User, UserId};
use bedside_redact::Secret;
use jiff::Timestamp;
use jsonwebtoken::{EncodingKey, Header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{ServiceError, error::ApiError};

/// The least bytes of a key: as many as what HS256 hashes to (RFC 7518 §3.2).
const LEAST_KEY_BYTES: usize = 32;
/// Bytes of a key's SHA-256 that its `kid` shows: enough to tell two keys apart, and nothing to find one by.
const KEY_ID_BYTES: usize = 6;

/// Signs access tokens.
pub(crate) struct AccessTokens {
    key: EncodingKey,
    header: Header,
}

/// What a token says, by the names that the other systems read.
#[derive(Serialize)]
struct Claims {
    sub: UserId,
    user_id: UserId,
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    clinic_id: Option<ClinicId>,
    /// The one visit that it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    iat: i64,
    exp: i64,
    /// 128 random bits: no two are alike, and none is guessed.
    jti: String,
}

impl AccessTokens {
    /// With this key. Another key is another `kid`; tokens of the one before go on until they end.
    pub(crate) fn new(key: &Secret<Vec<u8>>) -> Result<Self, ServiceError> {
        let key = key.expose();
        if key.len() < LEAST_KEY_BYTES {
            return Err(ServiceError::Config(format!(
                "the key that access tokens are signed with has at least {LEAST_KEY_BYTES} bytes"
            )));
        }
        let kid = URL_SAFE_NO_PAD.encode(&Sha256::digest(key)[..KEY_ID_BYTES]);
        Ok(Self {
            key: EncodingKey::from_secret(key).map_err(|error| ServiceError::Config(error.to_string()))?,
            header: Header { kid: Some(kid), ..Header::default() },
        })
    }

    /// One for somebody, or for somebody in one visit only.
    pub(crate) fn issue(
        &self,
        user: &User,
        clinic: Option<ClinicId>,
        visit: Option<SessionId>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Token, ApiError> {
        let claims = Claims {
            sub: user.id,
            user_id: user.id,
            role: if visit.is_some() { Role::Guest } else { user.role },
            clinic_id: clinic,
            session_id: visit,
            iat: now.as_second(),
            exp: until.as_second(),
            jti: URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.key).map(Token::new).map_err(|error| {
            tracing::error!(%error, "an access token was not signed");
            bedside_protocol::Code::Internal.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use bedside_protocol::Text;
    use jiff::SignedDuration;
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
    use serde_json::Value;

    use super::*;

    #[test]
    fn another_system_reads_whose_it_is() {
        let secret = vec![7; 32];
        let tokens = AccessTokens::new(&Secret::new(secret.clone())).unwrap();
        let user = User {
            id: UserId::generate(),
            role: Role::Doctor,
            name: Text::new("Anyone"),
            specialization: None,
        };
        let now = Timestamp::now();
        let clinic = ClinicId::generate();
        let until = now + SignedDuration::from_mins(15);
        let token = tokens.issue(&user, Some(clinic), None, now, until).unwrap();
        let other = tokens.issue(&user, Some(clinic), None, now, until).unwrap();
        assert_ne!(token, other);
        assert!(!token.expose().contains("Anyone"));
        let read = decode::<Value>(
            token.expose(),
            &DecodingKey::from_secret(&secret).unwrap(),
            &Validation::new(Algorithm::HS256),
        );
        let claims = read.unwrap().claims;
        assert_eq!(claims["user_id"], user.id.to_string());
        assert_eq!((&claims["role"], claims["exp"].as_i64()), (&"DOCTOR".into(), Some(until.as_second())));
        assert_eq!(claims["clinic_id"], clinic.to_string());
        assert!(decode_header(token.expose().as_bytes()).unwrap().kid.is_some());
        let of_guest = tokens.issue(&user, None, Some(SessionId::generate()), now, until).unwrap();
        let read = jsonwebtoken::dangerous::insecure_decode::<Value>(of_guest.expose().as_bytes());
        assert_eq!(read.unwrap().claims["role"], "GUEST");
    }

    #[test]
    fn a_short_key_is_none() {
        assert!(AccessTokens::new(&Secret::new(vec![7; 16])).is_err());
    }
}
