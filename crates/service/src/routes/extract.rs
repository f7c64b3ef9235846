//! What comes in over HTTP, and how a refusal goes out: as problem details (RFC 9457).

use std::time::Duration;

use crate::{
    app::Shared,
    ctx::Ctx,
    error::{ApiError, read_json},
    origin::Origin,
    use_cases::outside,
};
use axum::{
    body::Bytes,
    extract::{
        FromRequest, FromRequestParts, Request,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use bedside_protocol::{Code, Token};

/// Time for a JSON body: the largest over the slowest line that a visit is held on.
const BODY_WITHIN: Duration = Duration::from_secs(20);
/// When to ask again where there are too many of something: most of what there is too much of is gone by then.
const FULL_FOR: Duration = Duration::from_secs(60);
/// When to ask again where something is busy.
const BUSY_FOR: Duration = Duration::from_secs(5);

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

/// Whoever is signed in.
impl FromRequestParts<Shared> for Ctx {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, ApiError> {
        let Origin(origin) = Origin::from_request_parts(parts, app).await?;
        let header = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = header.and_then(bearer).ok_or(Code::NotSignedIn)?;
        let grant = outside::grant(app, origin, &Token::new(token)).await?.ok_or(Code::NotSignedIn)?;
        Ok(Self::new(grant, origin))
    }
}

/// The token of an `Authorization` header. The scheme's case means nothing (RFC 9110 §11.1).
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start())
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = value.and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
        || kind.len() > "application/+json".len()
            && kind.to_ascii_lowercase().starts_with("application/")
            && kind.to_ascii_lowercase().ends_with("+json")
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
