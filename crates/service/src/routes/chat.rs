//! The chat's history and its files.

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_protocol::{
    Attachment, AttachmentId, ChatMessage, ChatPage, Code, MessageId, Problem, SessionId, SharedImage, Text,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{
    extract::{Json, Path, Query},
    page_limit,
};
use crate::{
    app::Shared,
    attachments::Incoming,
    blobs::Parts,
    ctx::Ctx,
    error::ApiError,
    use_cases::{
        chat,
        files::{self, Coming, For},
    },
};

/// Time between two parts of a file; a line that carries nothing for that long has broken.
const PART_WITHIN: Duration = Duration::from_secs(15);
/// Time for a whole file: the largest at 150 kbit/s, beside a call.
const FILE_WITHIN: Duration = Duration::from_secs(600);
/// The same, of a picture that is to be looked at in full, which is four times as large.
const IMAGE_WITHIN: Duration = Duration::from_secs(2_400);

/// Messages on a page when it is not said how many, and the most that may be asked for.
const PAGE: (u32, u32) = (50, 200);

/// Which page.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct ChatQuery {
    /// Messages before this `seq`.
    before: Option<u64>,
    /// Messages after this `seq`; what a client that was away asks for.
    after: Option<u64>,
    /// At most this many.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// A page of the visit's messages, oldest first; without a place, the newest.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/chat", security(("bearer" = [])),
    params(("id" = SessionId, Path), ChatQuery), responses((status = 200, body = ChatPage),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn chat_page(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Query(query): Query<ChatQuery>,
) -> Result<Json<ChatPage>, ApiError> {
    let limit = page_limit(query.limit, PAGE)?;
    chat::page(&app, &ctx, id, query.before, query.after, limit).await.map(Json)
}

/// Takes a message back that one wrote, while the visit goes on: its words and its file are gone for both.
#[utoipa::path(delete, path = "/api/v1/consultations/sessions/{id}/chat/{message}", security(("bearer" = [])),
    params(("id" = SessionId, Path), ("message" = MessageId, Path)), responses((status = 200, body = ChatMessage),
    (status = 403, body = Problem, description = "not-a-participant"),
    (status = 404, body = Problem, description = "not-found: there is none, or another wrote it"),
    (status = 409, body = Problem, description = "session-ended")))]
pub(super) async fn delete_message(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, message)): Path<(SessionId, MessageId)>,
) -> Result<Json<ChatMessage>, ApiError> {
    chat::delete(&app, &ctx, id, message).await.map(Json)
}

/// What the file is called.
#[derive(Deserialize, utoipa::IntoParams)]
pub(super) struct UploadQuery {
    /// As the sender's device names it.
    name: Text,
}

/// Stores a file for a message: the body is the file. JPEG, PNG, WebP, GIF, PDF and plain text, told apart by
/// their bytes, up to 10 MiB. It is named by what it is, text is kept as UTF-8, and a picture without where and when it
/// was taken: the answer says what was kept.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/attachments", security(("bearer" = [])),
    params(("id" = SessionId, Path), UploadQuery), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = Attachment), (status = 408, body = Problem, description = "too-slow"),
    (status = 409, body = Problem, description = "session-ended, too-early"), (status = 413, body = Problem, description = "too-large"),
    (status = 415, body = Problem, description = "unsupported-type")))]
pub(super) async fn upload(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Query(query): Query<UploadQuery>,
    request: axum::extract::Request,
) -> Result<(StatusCode, Json<Attachment>), ApiError> {
    let mut coming = Coming::begin(&app, &ctx, id, For::Chat).await?;
    read_file(request.into_body(), For::Chat.most(), FILE_WITHIN, &mut coming.incoming).await?;
    Ok((StatusCode::CREATED, Json(coming.finish(&query.name).await?)))
}

/// Shares a picture to be looked at in full: as it was taken, up to 40 MiB and 64 million pixels, without where and when
/// it was taken. Both sides are told with `IMAGE_SHARED`; who looks at it is kept.
#[utoipa::path(post, path = "/api/v1/consultations/sessions/{id}/images", security(("bearer" = [])),
    params(("id" = SessionId, Path), UploadQuery), request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 201, body = SharedImage), (status = 408, body = Problem, description = "too-slow"),
    (status = 409, body = Problem, description = "session-ended, too-early"), (status = 413, body = Problem, description = "too-large"),
    (status = 415, body = Problem, description = "unsupported-type")))]
pub(super) async fn share_image(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
    Query(query): Query<UploadQuery>,
    request: axum::extract::Request,
) -> Result<(StatusCode, Json<SharedImage>), ApiError> {
    let mut coming = Coming::begin(&app, &ctx, id, For::Looking).await?;
    read_file(request.into_body(), For::Looking.most(), IMAGE_WITHIN, &mut coming.incoming).await?;
    Ok((StatusCode::CREATED, Json(coming.finish_image(&query.name).await?)))
}

/// The pictures of a visit that were shared to be looked at in full, and who has.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/images", security(("bearer" = [])),
    params(("id" = SessionId, Path)), responses((status = 200, body = Vec<SharedImage>),
    (status = 403, body = Problem, description = "not-a-participant")))]
pub(super) async fn list_images(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(id): Path<SessionId>,
) -> Result<Json<Vec<SharedImage>>, ApiError> {
    files::images(&app, &ctx, id).await.map(Json)
}

/// Gives one of them, and keeps who has looked at it.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/images/{image}", security(("bearer" = [])),
    params(("id" = SessionId, Path), ("image" = AttachmentId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 403, body = Problem, description = "not-a-participant"), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn view_image(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, which)): Path<(SessionId, AttachmentId)>,
) -> Result<Response, ApiError> {
    let (attachment, file) = files::read_image(&app, &ctx, id, which).await?;
    give(&attachment, file)
}

/// Gives a small picture of a file, as JPEG with at most 320 pixels a side.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/attachments/{attachment}/thumbnail", security(("bearer" = [])),
    params(("id" = SessionId, Path), ("attachment" = AttachmentId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "image/jpeg"),
    (status = 403, body = Problem, description = "not-a-participant"), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn thumbnail(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, which)): Path<(SessionId, AttachmentId)>,
) -> Result<Response, ApiError> {
    let small = files::thumbnail(&app, &ctx, id, which).await?;
    Ok(([(header::CONTENT_TYPE, "image/jpeg")], small).into_response())
}

/// Takes in a whole file, part by part as it comes.
async fn read_file(
    body: Body,
    most: usize,
    within: Duration,
    incoming: &mut Incoming,
) -> Result<(), ApiError> {
    let mut parts = Limited::new(body, most);
    let ends = Instant::now() + within;
    loop {
        let next = timeout_at(ends.min(Instant::now() + PART_WITHIN), parts.frame()).await;
        match next.map_err(|_| Code::TooSlow)? {
            None => return Ok(incoming.end().await?),
            Some(Ok(part)) => incoming.write(part.data_ref().map_or(&[], |data| data)).await?,
            Some(Err(error)) if error.is::<LengthLimitError>() => return Err(Code::TooLarge.into()),
            // The sender is gone.
            Some(Err(_)) => return Err(Code::Invalid.into()),
        }
    }
}

/// Gives a file back to the two who are in the visit.
#[utoipa::path(get, path = "/api/v1/consultations/sessions/{id}/attachments/{attachment}", security(("bearer" = [])),
    params(("id" = SessionId, Path), ("attachment" = AttachmentId, Path)),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 403, body = Problem, description = "not-a-participant"), (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn download(
    State(app): State<Shared>,
    ctx: Ctx,
    Path((id, which)): Path<(SessionId, AttachmentId)>,
) -> Result<Response, ApiError> {
    let (attachment, file) = files::read(&app, &ctx, id, which).await?;
    give(&attachment, file)
}

/// A file as it is given: never shown by a browser as what it is not.
fn give(attachment: &Attachment, file: Parts) -> Result<Response, ApiError> {
    let mut headers = HeaderMap::new();
    let kind = attachment.mime_type.parse().map_err(|_| ApiError::from(Code::Internal))?;
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, header::HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_LENGTH, attachment.file_size.into());
    Ok((headers, Body::from_stream(file)).into_response())
}
