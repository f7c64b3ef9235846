//! What clients may say, and what it does.

use bedside_protocol::{
    ClientMessage, ClientMessageId, Code, MEDIA_TOKEN_HEADER, Refusal, ServerMessage, app, stomp::Frame,
    topic,
};

use crate::{
    App,
    ctx::Ctx,
    error::{ApiError, read_json},
    use_cases::{chat, signals},
};

/// Handles a SEND to a known destination; a refusal goes to the sender's error queue.
/// `Err` is for what a correct client never sends: it ends the connection.
pub(super) async fn handle(app: &App, ctx: &Ctx, frame: &Frame) -> Result<(), ApiError> {
    let destination = frame.get("destination").unwrap_or_default();
    if ![app::CHAT_SEND, app::CHAT_STATUS, app::CHAT_TYPING, app::CALL_SIGNAL].contains(&destination) {
        return Err(Code::UnknownDestination.into());
    }
    let message: ClientMessage = match read_json(frame.body.as_bytes()) {
        Ok(message) => message,
        Err(error) => {
            refuse(app, ctx, error, None);
            return Ok(());
        }
    };
    let about = match &message {
        ClientMessage::ChatMessage(outgoing) => Some(outgoing.client_message_id),
        _ => None,
    };
    let outcome = match (destination, message) {
        (app::CHAT_SEND, ClientMessage::ChatMessage(outgoing)) => chat::send(app, ctx, &outgoing).await,
        (app::CHAT_STATUS, ClientMessage::ChatStatus(status)) => chat::status(app, ctx, status).await,
        (app::CHAT_TYPING, ClientMessage::Typing(typing)) => chat::typing(app, ctx, typing).await,
        (app::CALL_SIGNAL, ClientMessage::Signal(signal)) => {
            signals::pass(app, ctx, signal, frame.get(MEDIA_TOKEN_HEADER)).await
        }
        _ => Err(ApiError::new(Code::Invalid, "this type of message belongs to another destination")),
    };
    if let Err(error) = outcome {
        refuse(app, ctx, error, about);
    }
    Ok(())
}

fn refuse(app: &App, ctx: &Ctx, error: ApiError, client_message_id: Option<ClientMessageId>) {
    tracing::info!(code = error.code.as_str(), "a message was refused");
    let refusal = Refusal { problem: error.problem(), client_message_id };
    app.publish_here(ctx.user.id, topic::ERRORS, ctx.visit, &ServerMessage::Error(refusal));
}
