//! Files of a visit.

use std::time::Duration;

use bedside_authz::Action;
use bedside_protocol::{
    Attachment, AttachmentId, Code, MAX_ATTACHMENT_BYTES, MAX_IMAGE_BYTES, ServerMessage, SessionEventType,
    SessionId, SharedImage, Text, topic,
};
use jiff::Timestamp;

use super::change::Change;
use crate::{
    App,
    attachments::Incoming,
    blobs::Parts,
    ctx::Ctx,
    error::ApiError,
    store::{NewAttachment, SessionRow, StoredAttachment, thumbnail_url},
    uploads::Upload,
};

/// What all files of one visit may come to: twenty of the largest. Whoever has an account could
/// fill the clinic's disk otherwise.
const MAX_VISIT_BYTES: u64 = 20 * MAX_ATTACHMENT_BYTES as u64;
/// Files removed, and chats forgotten, in one go: others are a moment later.
const REMOVED_TOGETHER: u32 = 200;
const FORGOTTEN_TOGETHER: u32 = 50;
/// How long files may take to remove at a time, of what else time has to do.
const REMOVED_WITHIN: Duration = Duration::from_secs(5);

/// What a file is sent for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum For {
    /// A message of the chat.
    Chat,
    /// To be looked at in full: a picture.
    Looking,
}

impl For {
    /// Bytes that it may have.
    pub(crate) const fn most(self) -> usize {
        match self {
            Self::Chat => MAX_ATTACHMENT_BYTES,
            Self::Looking => MAX_IMAGE_BYTES,
        }
    }
}

/// A file that comes in.
pub(crate) struct Coming<'a> {
    app: &'a App,
    ctx: &'a Ctx,
    visit: SessionId,
    id: AttachmentId,
    what_for: For,
    /// Where its parts go.
    pub(crate) incoming: Incoming,
    _place: Upload<'a>,
}

fn visit_is_full() -> ApiError {
    ApiError::new(Code::TooLarge, "The files of this visit are as much as one visit may have")
}

impl<'a> Coming<'a> {
    /// Somebody begins to send one.
    pub(crate) async fn begin(
        app: &'a App,
        ctx: &'a Ctx,
        visit: SessionId,
        what_for: For,
    ) -> Result<Self, ApiError> {
        let (row, _) = app.session_of(ctx, visit, Action::Files).await?;
        if row.consultation.status.is_final() {
            return Err(Code::SessionEnded.into());
        }
        if !row.consultation.may_write(Timestamp::now(), &app.config.limits()) {
            return Err(Code::TooEarly.into());
        }
        if app.store.attachment_bytes(visit).await? >= MAX_VISIT_BYTES {
            return Err(visit_is_full());
        }
        let place = app.uploads.begin(ctx.user.id)?;
        let id = AttachmentId::generate();
        let incoming = app.attachments.begin(id).await?;
        Ok(Self { app, ctx, visit, id, what_for, incoming, _place: place })
    }

    /// All of it has come: it is looked at, and kept as what it is.
    pub(crate) async fn finish(self, name: &Text) -> Result<Attachment, ApiError> {
        let Self { app, ctx, visit, id, what_for, incoming, .. } = self;
        let accepted = match app.attachments.finish(id, incoming, name.reveal().to_owned()).await {
            Ok(accepted) => accepted,
            Err(refused) => {
                if refused.code == Code::UnsupportedType {
                    tell_of_refusal(app, ctx, visit).await?;
                }
                return Err(refused);
            }
        };
        let attachment = Attachment {
            attachment_id: id,
            file_name: Text::new(accepted.name.clone()),
            file_size: accepted.bytes.len() as u64,
            mime_type: accepted.kind.mime_type().to_owned(),
            thumbnail_url: accepted.thumbnail.as_ref().map(|_| thumbnail_url(visit, id)),
        };
        let kept = match (what_for, accepted.size) {
            (For::Looking, None) => {
                Err(ApiError::new(Code::UnsupportedType, "Only a picture is looked at in full"))
            }
            (_, size) => keep(app, ctx, visit, &attachment, size, what_for).await,
        };
        if let Err(refused) = kept {
            app.attachments.remove(id).await?;
            return Err(refused);
        }
        Ok(attachment)
    }

    /// The same, of a picture that is to be looked at in full; whoever is in the visit is told.
    pub(crate) async fn finish_image(self, name: &Text) -> Result<SharedImage, ApiError> {
        let (app, visit) = (self.app, self.visit);
        let attachment = self.finish(name).await?;
        let images = app.store.images(visit).await?;
        let image = images.into_iter().find(|image| image.image_id == attachment.attachment_id);
        let image = image.ok_or(Code::NotFound)?;
        let message = ServerMessage::ImageShared(Box::new(image.clone()));
        app.publish(&topic::session(visit), &message);
        Ok(image)
    }
}

/// Says in the visit that a file was not taken: whoever waits for it should know.
async fn tell_of_refusal(app: &App, ctx: &Ctx, visit: SessionId) -> Result<(), ApiError> {
    let mut change = Change::begin(app, visit, Some(ctx)).await?;
    let user = ctx.user.id;
    change.unit.happened(visit, SessionEventType::FileRefused, Some(user));
    change.say(user, SessionEventType::FileRefused).await?;
    change.commit_all().await?;
    Ok(())
}

/// Notes a file that is kept. Its visit may have ended, or become full, while it came.
async fn keep(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    attachment: &Attachment,
    size: Option<(u32, u32)>,
    what_for: For,
) -> Result<(), ApiError> {
    let (mut change, _) = Change::by_participant(app, ctx, id, Action::Files).await?;
    if change.row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    let is_shared = what_for == For::Looking;
    let owner = ctx.user.id;
    let new = NewAttachment { session: id, owner, attachment, size, is_shared, most: MAX_VISIT_BYTES };
    if !change.unit.add_attachment(new).await? {
        return Err(visit_is_full());
    }
    let stored = if is_shared { "IMAGE_SHARED" } else { "ATTACHMENT_STORED" };
    change.audit_on(stored, Some(object(attachment.attachment_id)));
    if is_shared {
        change.unit.happened(id, SessionEventType::ImageShared, Some(owner));
    }
    change.commit().await?;
    Ok(())
}

/// A file, as the audit log has it.
fn object(id: AttachmentId) -> String {
    format!("attachment:{id}")
}

/// A file of a visit, for the two who are in it.
async fn find(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    which: AttachmentId,
) -> Result<(SessionRow, StoredAttachment), ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::Files).await?;
    let stored = app.store.attachment(which).await?.filter(|stored| stored.session == id);
    Ok((row, stored.ok_or(Code::NotFound)?))
}

/// Gives a file back to the two who are in the visit.
pub(crate) async fn read(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    which: AttachmentId,
) -> Result<(Attachment, Parts), ApiError> {
    let (row, stored) = find(app, ctx, id, which).await?;
    // Who looks at one of these is kept, and so it is given in one place only.
    if stored.is_shared {
        return Err(Code::NotFound.into());
    }
    let file = app.attachments.read(which).await?;
    app.access_log.note(ctx.line("ATTACHMENT_READ").about(&row).on(object(which))).await?;
    Ok((stored.attachment, file))
}

/// Gives the small picture of a file.
pub(crate) async fn thumbnail(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    which: AttachmentId,
) -> Result<Vec<u8>, ApiError> {
    let (row, stored) = find(app, ctx, id, which).await?;
    stored.attachment.thumbnail_url.ok_or(Code::NotFound)?;
    let small = app.attachments.thumbnail(which).await?;
    app.access_log.note(ctx.line("ATTACHMENT_READ").about(&row).on(object(which))).await?;
    Ok(small)
}

/// The pictures that were shared to be looked at in full, and who has.
pub(crate) async fn images(app: &App, ctx: &Ctx, id: SessionId) -> Result<Vec<SharedImage>, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::Files).await?;
    let images = async { Ok(app.store.images(id).await?) };
    app.look(ctx, "IMAGES_LISTED", Some(&row), images).await
}

/// Gives one of them, and keeps who has looked at it.
pub(crate) async fn read_image(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    which: AttachmentId,
) -> Result<(Attachment, Parts), ApiError> {
    let (row, stored) = find(app, ctx, id, which).await?;
    if !stored.is_shared {
        return Err(Code::NotFound.into());
    }
    let file = app.attachments.read(which).await?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.note_view(which, ctx.user.id).await?;
    unit.audit(ctx.line("IMAGE_VIEWED").about(&row).on(object(which)));
    unit.commit().await?;
    Ok((stored.attachment, file))
}

/// Removes the bytes of files that nothing points to any more. What fails is tried again the next time.
pub(crate) async fn remove_some(app: &App) {
    let removing = async {
        for id in app.store.files_to_remove(REMOVED_TOGETHER).await? {
            app.attachments.remove(id).await?;
            let mut unit = app.store.begin(Timestamp::now()).await?;
            unit.file_was_removed(id).await?;
            unit.commit().await?;
        }
        Ok::<_, ApiError>(())
    };
    match tokio::time::timeout(REMOVED_WITHIN, removing).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(code = error.code.as_str(), "files that are to go are still there"),
        Err(_) => tracing::warn!("files that are to go take long to remove"),
    }
}

/// Forgets what was written and sent in visits that ended before `before`.
pub(crate) async fn forget_chats(app: &App, before: Timestamp) -> Result<(), ApiError> {
    for visit in app.store.chats_kept_since(before, FORGOTTEN_TOGETHER).await? {
        let forgetting = async {
            let mut change = Change::begin(app, visit, None).await?;
            change.unit.forget_chat(visit).await?;
            change.audit("CHAT_FORGOTTEN");
            change.commit_all().await
        };
        // One keeps no other from being forgotten.
        if let Err(error) = forgetting.await {
            tracing::error!(session = %visit, code = error.code.as_str(), "a chat was not forgotten");
        }
    }
    Ok(())
}
