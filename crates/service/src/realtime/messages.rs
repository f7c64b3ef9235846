//! What clients may say, and what it does.

use bedside_authz::Action;
use bedside_protocol::{
    ChatStatus, ClientMessage, ClientMessageId, Code, MAX_MESSAGE_CHARS, MEDIA_TOKEN_HEADER, MessageStatus,
    MessageType, OutgoingMessage, Refusal, ServerMessage, Signal, Token, Typing, User, app, stomp::Frame,
    topic,
};
use jiff::Timestamp;

use crate::{
    App,
    error::{ApiError, read_json},
    store::MediaToken,
};

/// Handles a SEND to a known destination; a refusal goes to the sender's error queue.
/// `Err` is for what a correct client never sends: it ends the connection.
pub(super) async fn handle(app: &App, user: &User, frame: &Frame) -> Result<(), ApiError> {
    let destination = frame.get("destination").unwrap_or_default();
    if ![app::CHAT_SEND, app::CHAT_STATUS, app::CHAT_TYPING, app::CALL_SIGNAL].contains(&destination) {
        return Err(Code::UnknownDestination.into());
    }
    let message: ClientMessage = match read_json(frame.body.as_bytes()) {
        Ok(message) => message,
        Err(error) => {
            refuse(app, user, error, None);
            return Ok(());
        }
    };
    let about = match &message {
        ClientMessage::ChatMessage(outgoing) => Some(outgoing.client_message_id),
        _ => None,
    };
    let outcome = match (destination, message) {
        (app::CHAT_SEND, ClientMessage::ChatMessage(outgoing)) => chat(app, user, &outgoing).await,
        (app::CHAT_STATUS, ClientMessage::ChatStatus(status)) => chat_status(app, user, status).await,
        (app::CHAT_TYPING, ClientMessage::Typing(typing)) => self::typing(app, user, typing).await,
        (app::CALL_SIGNAL, ClientMessage::Signal(signal)) => {
            call_signal(app, user, signal, frame.get(MEDIA_TOKEN_HEADER)).await
        }
        _ => Err(ApiError::new(Code::Invalid, "this type of message belongs to another destination")),
    };
    if let Err(error) = outcome {
        refuse(app, user, error, about);
    }
    Ok(())
}

fn refuse(app: &App, user: &User, error: ApiError, client_message_id: Option<ClientMessageId>) {
    tracing::info!(code = error.code.as_str(), "a message was refused");
    let refusal = Refusal { problem: error.problem(), client_message_id };
    app.hub.publish_to(user.id, topic::ERRORS, &ServerMessage::Error(refusal));
}

/// Messages are taken from when the waiting room opens until the visit has ended.
async fn chat(app: &App, user: &User, outgoing: &OutgoingMessage) -> Result<(), ApiError> {
    let (row, party) = app.session_of(outgoing.session_id, user, Action::Chat).await?;
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
            let stored = app.store.attachment(id).await?.filter(|stored| stored.session == row.id);
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
    let new = unit.add_message(&row, user, outgoing).await?.ok_or(Code::SessionEnded)?;
    unit.commit().await?;
    let message = ServerMessage::ChatMessage(new.message);
    app.hub.publish(&topic::session(row.id), &message);
    if new.is_new {
        // The other side may not be in the visit's topic yet: a doctor in the room hears of it too.
        app.hub.publish_to(row.user(party.other()), topic::NOTIFICATIONS, &message);
    }
    Ok(())
}

async fn chat_status(app: &App, user: &User, status: ChatStatus) -> Result<(), ApiError> {
    let (row, _) = app.session_of(status.session_id, user, Action::Chat).await?;
    if status.status == MessageStatus::Sent {
        return Err(ApiError::new(Code::Invalid, "only delivered and read can be said of a message"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let reached = unit.advance_chat(row.id, user.id, status.seq, status.status).await?;
    unit.commit().await?;
    if let Some(seq) = reached {
        let status = ChatStatus { user_id: Some(user.id), seq, ..status };
        app.hub.publish(&topic::session(row.id), &ServerMessage::ChatStatus(status));
    }
    Ok(())
}

async fn typing(app: &App, user: &User, typing: Typing) -> Result<(), ApiError> {
    let (row, _) = app.session_of(typing.session_id, user, Action::Chat).await?;
    let typing = Typing { user_id: Some(user.id), ..typing };
    app.hub.publish(&topic::session(row.id), &ServerMessage::Typing(typing));
    Ok(())
}

/// Passes a signal to the other side: only for the admitted, only with a media token, whose
/// relation to the visit is looked at again each time.
async fn call_signal(app: &App, user: &User, signal: Signal, token: Option<&str>) -> Result<(), ApiError> {
    let (row, party) = app.session_of(signal.session_id, user, Action::Signal).await?;
    if row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    if !row.consultation.may_join(party) {
        return Err(Code::NotAdmitted.into());
    }
    let token = Token::new(token.ok_or(Code::MediaTokenInvalid)?);
    let token = app.store.media_token(&token, row.id, user.id, Timestamp::now()).await?;
    let MediaToken { device } = token.ok_or(Code::MediaTokenInvalid)?;
    // Two devices of one person would displace one another without end.
    if row.consultation.device(party).is_some_and(|has| Some(has) != device) {
        return Err(Code::OnAnotherDevice.into());
    }
    tracing::debug!(session = %row.id, kind = signal.body.name(), "signal");
    // Nobody there to hear it: the other end says hello when it comes, and all starts over.
    app.hub.publish_to(row.user(party.other()), topic::SIGNALS, &ServerMessage::Signal(signal));
    Ok(())
}
