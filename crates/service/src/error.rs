//! What can go wrong, in words for whoever asked. How it is told stands with the ways of asking.

use std::time::Duration;

use bedside_authz::Denied;
use bedside_protocol::{Code, Problem};

use crate::store::StoreError;

/// Why the service can't start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The address, a file or a folder.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration.
    #[error("{0}")]
    Config(String),
}

/// A refusal, as problem details.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    pub(crate) detail: Option<String>,
    /// When it is worth asking again.
    pub(crate) retry_after: Option<Duration>,
}

impl ApiError {
    /// A refusal that says more than its code. The detail must not identify anybody.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: Some(detail.into()), retry_after: None }
    }

    /// The same, with when it is worth asking again.
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    pub(crate) fn problem(&self) -> Problem {
        Problem::new(self.code, self.detail.clone())
    }
}

impl From<Code> for ApiError {
    fn from(code: Code) -> Self {
        Self { code, detail: None, retry_after: None }
    }
}

impl From<Denied> for ApiError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotAParticipant => Code::NotAParticipant.into(),
            Denied::Forbidden => Code::Forbidden.into(),
        }
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "a request failed");
        if error.is_temporary() { Code::Unavailable.into() } else { Code::Internal.into() }
    }
}

impl From<std::io::Error> for ApiError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind as Kind;
        tracing::error!(%error, "a request failed");
        // A disk that is full or a bucket that is away passes; the same request is right later.
        let passes = [Kind::StorageFull, Kind::QuotaExceeded, Kind::NotConnected, Kind::TimedOut];
        if passes.contains(&error.kind()) { Code::Unavailable.into() } else { Code::Internal.into() }
    }
}

/// Reads a body. What is wrong with it is said without a word of it: it may hold anything.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if holds_nul(body) {
        return Err(ApiError::new(Code::Invalid, "no text here has the character U+0000"));
    }
    let wrong = || ApiError::new(Code::Invalid, "the body is not the JSON that is expected here");
    // An array would be taken for an object's fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(wrong());
    }
    serde_json::from_slice(body).map_err(|_| wrong())
}

/// Whether a text in this JSON has the character U+0000, which PostgreSQL does not keep and nobody types. In JSON it
/// can only be written with its escape.
fn holds_nul(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"u0000") {
            return true;
        }
        // The escaped character, which may be a backslash itself.
        rest = rest.get(1..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_is_no_object() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Two {
            a: Option<u8>,
            b: Option<u8>,
        }
        assert_eq!(read_json::<Two>(b" {\"a\": 1}").unwrap(), Two { a: Some(1), b: None });
        for body in [&b"[1, 2]"[..], b" [null,null]", b"", b"null", b"7"] {
            assert_eq!(read_json::<Two>(body).unwrap_err().code, Code::Invalid);
        }
    }

    #[test]
    fn a_nul_is_found_however_it_is_hidden() {
        for (json, holds) in [
            (r#"{"a":"b\u0000c"}"#, true),
            (r#"{"a":"\\\u0000"}"#, true),
            (r#"{"a":"\\u0000"}"#, false),
            (r#"{"a":"\u00001"}"#, true),
            (r#"{"a":"\"#, false),
            ("{}", false),
        ] {
            assert_eq!(holds_nul(json.as_bytes()), holds, "{json}");
        }
    }
}
