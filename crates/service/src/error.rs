//! What can go wrong, and how it is told: the one place that maps errors to HTTP.

use std::time::Duration;

use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_authz::Denied;
use bedside_protocol::{Code, Problem};

use crate::store::StoreError;

/// Time for a JSON body: the largest over the slowest line that a visit is held on.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// When to ask again where there are too many of something: most of what there is too much of is gone by then.
const FULL_FOR: Duration = Duration::from_secs(60);
/// When to ask again where something is busy.
const BUSY_FOR: Duration = Duration::from_secs(5);

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
        tracing::error!(%error, "a request failed");
        Code::Internal.into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self.problem())).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        let retry_after = match status {
            StatusCode::TOO_MANY_REQUESTS => Some(self.retry_after.unwrap_or(FULL_FOR)),
            StatusCode::SERVICE_UNAVAILABLE => Some(self.retry_after.unwrap_or(BUSY_FOR)),
            _ => None,
        };
        if let Some(after) = retry_after {
            // A second begun counts: who comes too early has to come once more.
            let seconds = after.as_millis().div_ceil(1_000) as u64;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind.len() > "application/+json".len()
            && kind.to_ascii_lowercase().starts_with("application/")
            && kind.to_ascii_lowercase().ends_with("+json")
}

/// Reads a body. What is wrong with it is said without a word of it: it may hold anything.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    if holds_nul(body) {
        return Err(ApiError::new(Code::Invalid, "no text here has the character U+0000"));
    }
    serde_json::from_slice(body)
        .map_err(|_| ApiError::new(Code::Invalid, "the body is not the JSON that is expected here"))
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

impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Code::NotFound.into()
    }
}

impl From<QueryRejection> for ApiError {
    fn from(_: QueryRejection) -> Self {
        Self::new(Code::Invalid, "a query parameter can't be understood")
    }
}

/// JSON whose rejection is a problem, as is that it does not come.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::new(Code::Invalid, "the body must be application/json"));
        }
        let read = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await;
        let body = read.map_err(|_| Code::TooSlow)?.map_err(|_| Code::TooLarge)?;
        Ok(Self(read_json(&body)?))
    }
}

impl<T: serde::Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// JSON that may be left out: without a body and its type, the default.
pub(crate) struct OptionalJson<T>(pub(crate) T);

impl<S: Send + Sync, T: Default + serde::de::DeserializeOwned> FromRequest<S> for OptionalJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        if request.headers().contains_key(header::CONTENT_TYPE) {
            return Json::from_request(request, state).await.map(|Json(value)| Self(value));
        }
        let read = tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, state)).await;
        let body = read.map_err(|_| Code::TooSlow)?.map_err(|_| Code::TooLarge)?;
        if body.is_empty() { Ok(Self(T::default())) } else { Err(ApiError::from(Code::Invalid)) }
    }
}

/// A path whose rejection is a problem.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(ApiError))]
pub(crate) struct Path<T>(pub(crate) T);

/// A query whose rejection is a problem.
#[derive(FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(ApiError))]
pub(crate) struct Query<T>(pub(crate) T);

#[cfg(test)]
mod tests {
    use super::*;

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
