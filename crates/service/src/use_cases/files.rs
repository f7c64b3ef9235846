//! Files of a visit.

use bedside_authz::Action;
use bedside_protocol::{Attachment, AttachmentId, Code, MAX_ATTACHMENT_BYTES, SessionId, Text};
use jiff::Timestamp;
use tokio::fs::File;

use super::change::Change;
use crate::{App, attachments::Incoming, ctx::Ctx, error::ApiError, uploads::Upload};

/// What all files of one visit may come to: twenty of the largest. Whoever has an account could
/// fill the clinic's disk otherwise.
const MAX_VISIT_BYTES: u64 = 20 * MAX_ATTACHMENT_BYTES as u64;

/// A file that comes in.
pub(crate) struct Coming<'a> {
    app: &'a App,
    ctx: &'a Ctx,
    visit: SessionId,
    id: AttachmentId,
    /// Where its parts go.
    pub(crate) incoming: Incoming,
    _place: Upload<'a>,
}

fn visit_is_full() -> ApiError {
    ApiError::new(Code::TooLarge, "The files of this visit are as much as one visit may have")
}

impl<'a> Coming<'a> {
    /// Somebody begins to send one.
    pub(crate) async fn begin(app: &'a App, ctx: &'a Ctx, visit: SessionId) -> Result<Self, ApiError> {
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
        Ok(Self { app, ctx, visit, id, incoming, _place: place })
    }

    /// All of it has come: it is looked at, and kept as what it is.
    pub(crate) async fn finish(self, name: &Text) -> Result<Attachment, ApiError> {
        let accepted = self.app.attachments.finish(self.id, self.incoming, name.reveal().to_owned()).await?;
        let attachment = Attachment {
            attachment_id: self.id,
            file_name: Text::new(accepted.name),
            file_size: accepted.bytes.len() as u64,
            mime_type: accepted.kind.mime_type().to_owned(),
        };
        if let Err(refused) = keep(self.app, self.ctx, self.visit, &attachment).await {
            self.app.attachments.remove(self.id).await?;
            return Err(refused);
        }
        Ok(attachment)
    }
}

/// Notes a file that is kept. Its visit may have ended, or become full, while it came.
async fn keep(app: &App, ctx: &Ctx, id: SessionId, attachment: &Attachment) -> Result<(), ApiError> {
    let (mut change, _) = Change::by_participant(app, ctx, id, Action::Files).await?;
    if change.row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    if !change.unit.add_attachment(id, ctx.user.id, attachment, MAX_VISIT_BYTES).await? {
        return Err(visit_is_full());
    }
    change.audit_on("attachment.stored", Some(object(attachment.attachment_id))).await?;
    change.commit().await?;
    Ok(())
}

/// A file, as the audit log has it.
fn object(id: AttachmentId) -> String {
    format!("attachment:{id}")
}

/// Gives a file back to the two who are in the visit.
pub(crate) async fn read(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    which: AttachmentId,
) -> Result<(Attachment, File), ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::Files).await?;
    let stored =
        app.store.attachment(which).await?.filter(|stored| stored.session == id).ok_or(Code::NotFound)?;
    let file = app.attachments.read(which).await?;
    app.access_log.note(ctx.line("attachment.read").about(&row).on(object(which))).await?;
    Ok((stored.attachment, file))
}
