//! The chat's history and its files.

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_protocol::{
    Attachment, AttachmentId, ChatPage, Code, MAX_ATTACHMENT_BYTES, Problem, SessionId, Text,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::Caller;
use crate::{
    app::Shared,
    attachments::{clean_name, recognise},
    error::{ApiError, Json, Path, Query},
};

/// What all files of one visit may come to: twenty of the largest. Whoever has an account could
/// fill the clinic's disk otherwise.
const MAX_VISIT_BYTES: u64 = 20 * MAX_ATTACHMENT_BYTES as u64;

/// Messages on a page when it is not said how many, and the most that may be asked for.
const PAGE: (u32, u32) = (50, 200);

/// Which page.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct ChatQuery {
    /// Messages before this `seq`.
    before: Option<u64>,
    /// Messages after this `seq`; what a client that was away asks for.
    after: Option<u64>,
    /// At most this many, up to 200.
    limit: Option<u32>,
}

/// A page of the visit's messages, oldest first; without a place, the newest.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/chat", security(("bearer" = [])),
    params(("id" = SessionId, Path), ChatQuery), responses((status = 200, body = ChatPage),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn chat_page(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
    Query(query): Query<ChatQuery>,
) -> Result<Json<ChatPage>, ApiError> {
    let (row, _) = app.session_of(id, &user).await?;
    let limit = query.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1);
    let top = i64::MAX as u64 - 1;
    if query.before.is_some_and(|at| at > top) || query.after.is_some_and(|at| at > top) {
        return Err(ApiError::new(Code::Invalid, "there is no such place in a chat"));
    }
    app.store.audit(Some(user.id), "chat.read", Some(id)).await?;
    app.store.chat_page(&row, query.before, query.after, limit).await.map(Json).map_err(Into::into)
}

/// What the file is called.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct UploadQuery {
    /// As the sender's device names it.
    name: Text,
}

/// Stores a file for a message: the body is the file. JPEG, PNG, WebP, GIF, PDF and plain text,
/// told apart by their bytes, up to 10 MiB.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/attachments", security(("bearer" = [])),
    params(("id" = SessionId, Path), UploadQuery), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Attachment), (status = 413, body = Problem, description = "too-large"),
    (status = 415, body = Problem, description = "unsupported-type")))]
pub(super) async fn upload(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path(id): Path<SessionId>,
    Query(query): Query<UploadQuery>,
    request: axum::extract::Request,
) -> Result<(StatusCode, Json<Attachment>), ApiError> {
    let (row, _) = app.session_of(id, &user).await?;
    if row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    if app.store.attachment_bytes(id).await? >= MAX_VISIT_BYTES {
        return Err(ApiError::new(
            Code::TooLarge,
            "the files of this visit are as much as one visit may have",
        ));
    }
    let body = axum::body::to_bytes(request.into_body(), MAX_ATTACHMENT_BYTES).await;
    let bytes: Bytes = body.map_err(|_| Code::TooLarge)?;
    let attachment = Attachment {
        attachment_id: AttachmentId::generate(),
        file_name: Text::new(clean_name(query.name.reveal())),
        file_size: bytes.len() as u64,
        mime_type: recognise(&bytes)?.to_owned(),
    };
    app.attachments.write(attachment.attachment_id, &bytes).await?;
    app.store.add_attachment(id, user.id, &attachment, Timestamp::now()).await?;
    app.store.audit(Some(user.id), "attachment.stored", Some(id)).await?;
    Ok((StatusCode::CREATED, Json(attachment)))
}

/// Gives a file back to the two who are in the visit.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/attachments/{attachment}", security(("bearer" = [])),
    params(("id" = SessionId, Path), ("attachment" = AttachmentId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn download(
    State(app): State<Shared>,
    Caller(user): Caller,
    Path((id, which)): Path<(SessionId, AttachmentId)>,
) -> Result<Response, ApiError> {
    app.session_of(id, &user).await?;
    let stored =
        app.store.attachment(which).await?.filter(|stored| stored.session == id).ok_or(Code::NotFound)?;
    let bytes = app.attachments.read(which).await?;
    app.store.audit(Some(user.id), "attachment.read", Some(id)).await?;
    let mut headers = HeaderMap::new();
    let kind = stored.attachment.mime_type.parse().map_err(|_| ApiError::from(Code::Internal))?;
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, header::HeaderValue::from_static("attachment"));
    Ok((headers, bytes).into_response())
}
