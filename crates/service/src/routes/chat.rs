//! The chat's history and its files.

use std::time::Duration;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bedside_authz::Action;
use bedside_protocol::{
    Attachment, AttachmentId, ChatPage, Code, MAX_ATTACHMENT_BYTES, Problem, SessionId, Text, User,
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tokio_util::io::ReaderStream;

use super::{Caller, page_limit};
use crate::{
    App,
    app::Shared,
    attachments::Incoming,
    error::{ApiError, Json, Path, Query},
    visits::Change,
};

/// What all files of one visit may come to: twenty of the largest. Whoever has an account could
/// fill the clinic's disk otherwise.
const MAX_VISIT_BYTES: u64 = 20 * MAX_ATTACHMENT_BYTES as u64;

/// Time between two parts of a file; a line that carries nothing for that long has broken.
const PART_WITHIN: Duration = Duration::from_secs(15);
/// Time for a whole file: the largest at 150 kbit/s, beside a call.
const FILE_WITHIN: Duration = Duration::from_secs(600);

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
    Caller(user): Caller,
    Path(id): Path<SessionId>,
    Query(query): Query<ChatQuery>,
) -> Result<Json<ChatPage>, ApiError> {
    let (row, _) = app.session_of(id, &user, Action::Chat).await?;
    let limit = page_limit(query.limit, PAGE)?;
    let top = i64::MAX as u64 - 1;
    if query.before.is_some_and(|at| at > top) || query.after.is_some_and(|at| at > top) {
        return Err(ApiError::new(Code::Invalid, "there is no such place in a chat"));
    }
    app.note_look(user.id, "chat.read", Some(id)).await?;
    app.store.chat_page(&row, query.before, query.after, limit).await.map(Json).map_err(Into::into)
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
    Caller(user): Caller,
    Path(id): Path<SessionId>,
    Query(query): Query<UploadQuery>,
    request: axum::extract::Request,
) -> Result<(StatusCode, Json<Attachment>), ApiError> {
    let (row, _) = app.session_of(id, &user, Action::Files).await?;
    if row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    if !row.consultation.may_write(Timestamp::now(), &app.config.limits()) {
        return Err(Code::TooEarly.into());
    }
    if app.store.attachment_bytes(id).await? >= MAX_VISIT_BYTES {
        return Err(visit_is_full());
    }
    let _upload = app.uploads.begin(user.id)?;
    let attachment_id = AttachmentId::generate();
    let mut incoming = app.attachments.begin(attachment_id).await?;
    read_file(request.into_body(), &mut incoming).await?;
    let accepted = app.attachments.finish(attachment_id, incoming, query.name.reveal().to_owned()).await?;
    let attachment = Attachment {
        attachment_id,
        file_name: Text::new(accepted.name),
        file_size: accepted.bytes.len() as u64,
        mime_type: accepted.kind.mime_type().to_owned(),
    };
    if let Err(refused) = keep(&app, id, &user, &attachment).await {
        app.attachments.remove(attachment_id).await?;
        return Err(refused);
    }
    Ok((StatusCode::CREATED, Json(attachment)))
}

fn visit_is_full() -> ApiError {
    ApiError::new(Code::TooLarge, "The files of this visit are as much as one visit may have")
}

/// Notes a file that is kept. Its visit may have ended, or become full, while it came.
async fn keep(app: &App, id: SessionId, user: &User, attachment: &Attachment) -> Result<(), ApiError> {
    let (mut change, _) = Change::by_participant(app, id, user, Action::Files).await?;
    if change.row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    if !change.unit.add_attachment(id, user.id, attachment, MAX_VISIT_BYTES).await? {
        return Err(visit_is_full());
    }
    change.audit("attachment.stored").await?;
    change.commit().await?;
    Ok(())
}

/// Takes in a whole file, part by part as it comes.
async fn read_file(body: Body, incoming: &mut Incoming) -> Result<(), ApiError> {
    let mut parts = Limited::new(body, MAX_ATTACHMENT_BYTES);
    let ends = Instant::now() + FILE_WITHIN;
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
    Caller(user): Caller,
    Path((id, which)): Path<(SessionId, AttachmentId)>,
) -> Result<Response, ApiError> {
    app.session_of(id, &user, Action::Files).await?;
    let stored =
        app.store.attachment(which).await?.filter(|stored| stored.session == id).ok_or(Code::NotFound)?;
    let file = app.attachments.read(which).await?;
    app.note_look(user.id, "attachment.read", Some(id)).await?;
    let mut headers = HeaderMap::new();
    let kind = stored.attachment.mime_type.parse().map_err(|_| ApiError::from(Code::Internal))?;
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_DISPOSITION, header::HeaderValue::from_static("attachment"));
    headers.insert(header::CONTENT_LENGTH, stored.attachment.file_size.into());
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}
