//! What the two write to one another.

use bedside_authz::Action;
use bedside_protocol::{
    ChatMessage, ChatPage, ChatStatus, Code, MAX_MESSAGE_CHARS, MessageId, MessageStatus, MessageType,
    OutgoingMessage, ServerMessage, SessionId, Typing, topic,
};
use jiff::Timestamp;

use crate::{App, ctx::Ctx, error::ApiError, store::StoredAttachment};

/// A page of a visit's messages, oldest first; without a place, the newest.
pub(crate) async fn page(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    before: Option<u64>,
    after: Option<u64>,
    limit: u32,
) -> Result<ChatPage, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::Chat).await?;
    let top = i64::MAX as u64 - 1;
    if before.is_some_and(|at| at > top) || after.is_some_and(|at| at > top) {
        return Err(ApiError::new(Code::Invalid, "there is no such place in a chat"));
    }
    let page = async { Ok(app.store.chat_page(&row, before, after, limit).await?) };
    app.look(ctx, "CHAT_READ", Some(&row), page).await
}

/// Messages are taken from when the waiting room opens until the visit has ended.
pub(crate) async fn send(app: &App, ctx: &Ctx, outgoing: &OutgoingMessage) -> Result<(), ApiError> {
    let (row, party) = app.session_of(ctx, outgoing.session_id, Action::Chat).await?;
    let length = outgoing.content.reveal().chars().count();
    if length > MAX_MESSAGE_CHARS {
        return Err(ApiError::new(
            Code::TooLarge,
            format!("a message has at most {MAX_MESSAGE_CHARS} characters"),
        ));
    }
    match (outgoing.message_type, outgoing.attachment_id) {
        (MessageType::Text, None) if !outgoing.content.reveal().trim().is_empty() => {}
        (kind @ (MessageType::Image | MessageType::File), Some(id)) => {
            // One's own, and not one that is looked at in full, which has its own list.
            let is_theirs = |stored: &StoredAttachment| {
                stored.session == row.id && stored.owner == ctx.user.id && !stored.is_shared
            };
            let stored = app.store.attachment(id).await?.filter(is_theirs);
            let stored =
                stored.ok_or_else(|| ApiError::new(Code::NotFound, "the attachment is not of this visit"))?;
            if kind == MessageType::Image && !stored.attachment.mime_type.starts_with("image/") {
                return Err(ApiError::new(Code::Invalid, "the attachment is no image"));
            }
        }
        _ => return Err(ApiError::new(Code::Invalid, "a text needs words, an image or file an attachment")),
    }
    if !row.consultation.status.is_final()
        && !row.consultation.may_write(Timestamp::now(), &app.config.limits())
    {
        return Err(Code::TooEarly.into());
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    // One that was stored before the visit ended is confirmed even after it.
    let new = unit.add_message(&row, ctx.user.id, outgoing).await?.ok_or(Code::SessionEnded)?;
    if new.is_new {
        let line = ctx.line("CHAT_SENT").about(&row);
        unit.audit(line.on(format!("message:{}", new.message.message_id)));
    }
    unit.commit().await?;
    let message = ServerMessage::ChatMessage(new.message);
    app.publish(&topic::session(row.id), &message);
    if new.is_new {
        // The other side may not be in the visit's topic yet: a doctor in the room hears of it too.
        app.publish_to(row.user(party.other()), topic::NOTIFICATIONS, Some(row.id), &message);
    }
    Ok(())
}

/// Takes back what somebody wrote, while the visit goes on: afterwards it is part of its record.
pub(crate) async fn delete(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    message: MessageId,
) -> Result<ChatMessage, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::Chat).await?;
    if row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let deleted = unit.delete_message(&row, ctx.user.id, message).await?.ok_or(Code::NotFound)?;
    unit.audit(ctx.line("CHAT_DELETED").about(&row).on(format!("message:{message}")));
    unit.commit().await?;
    app.publish(&topic::session(row.id), &ServerMessage::ChatMessage(deleted.clone()));
    Ok(deleted)
}

/// Notes how far somebody has read, or has been given.
pub(crate) async fn status(app: &App, ctx: &Ctx, status: ChatStatus) -> Result<(), ApiError> {
    let (row, _) = app.session_of(ctx, status.session_id, Action::Chat).await?;
    if status.status == MessageStatus::Sent {
        return Err(ApiError::new(Code::Invalid, "only delivered and read can be said of a message"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let reached = unit.advance_chat(row.id, ctx.user.id, status.seq, status.status).await?;
    unit.commit().await?;
    if let Some(seq) = reached {
        let status = ChatStatus { user_id: Some(ctx.user.id), seq, ..status };
        app.publish(&topic::session(row.id), &ServerMessage::ChatStatus(status));
    }
    Ok(())
}

/// Tells the other side that somebody writes.
pub(crate) async fn typing(app: &App, ctx: &Ctx, typing: Typing) -> Result<(), ApiError> {
    let (row, _) = app.session_of(ctx, typing.session_id, Action::Chat).await?;
    let typing = Typing { user_id: Some(ctx.user.id), ..typing };
    app.publish(&topic::session(row.id), &ServerMessage::Typing(typing));
    Ok(())
}
