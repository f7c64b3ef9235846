//! What the two ends of a call say to one another to connect.

use bedside_authz::Action;
use bedside_protocol::{Code, ServerMessage, Signal, Token, topic};
use jiff::Timestamp;

use crate::{App, ctx::Ctx, error::ApiError, store::MediaToken};

/// Passes a signal to the other side: only for the admitted, only with a media token, whose
/// relation to the visit is looked at again each time.
pub(crate) async fn pass(app: &App, ctx: &Ctx, signal: Signal, token: Option<&str>) -> Result<(), ApiError> {
    let (row, party) = app.session_of(ctx, signal.session_id, Action::Signal).await?;
    if row.consultation.status.is_final() {
        return Err(Code::SessionEnded.into());
    }
    if !row.consultation.may_join(party) {
        return Err(Code::NotAdmitted.into());
    }
    let token = Token::new(token.ok_or(Code::MediaTokenInvalid)?);
    let token = app.store.media_token(&token, row.id, ctx.user.id, Timestamp::now()).await?;
    let MediaToken { device } = token.ok_or(Code::MediaTokenInvalid)?;
    // Two devices of one person would displace one another without end.
    if row.consultation.device(party).is_some_and(|has| Some(has) != device) {
        return Err(Code::OnAnotherDevice.into());
    }
    tracing::debug!(session = %row.id, kind = signal.body.name(), "signal");
    // Nobody there to hear it: the other end says hello when it comes, and all starts over.
    app.publish_to(row.user(party.other()), topic::SIGNALS, Some(row.id), &ServerMessage::Signal(signal));
    Ok(())
}
