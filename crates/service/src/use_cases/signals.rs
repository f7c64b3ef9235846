//! What the two ends of a call say to one another to connect.

use bedside_authz::Action;
use bedside_protocol::{Code, ServerMessage, SessionEventType as Type, Signal, SignalBody, Token, topic};
use jiff::Timestamp;

use crate::{App, ctx::Ctx, error::ApiError, media_tokens::MediaToken};

/// What is said of each in the record: first as it is when a call begins.
const MICROPHONE: [Type; 2] = [Type::AudioUnmuted, Type::AudioMuted];
const CAMERA: [Type; 2] = [Type::VideoUnmuted, Type::VideoMuted];
const SCREEN: [Type; 2] = [Type::ScreenShareStopped, Type::ScreenShareStarted];

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
    let token = MediaToken::open(&token, app.store.keys())
        .filter(|token| token.lets_in(ctx.user.id, row.id, Timestamp::now()));
    let MediaToken { device, .. } = token.ok_or(Code::MediaTokenInvalid)?;
    // Two devices of one person would displace one another without end.
    if row.consultation.device(party).is_some_and(|has| has != device) {
        return Err(Code::OnAnotherDevice.into());
    }
    tracing::debug!(session = %row.id, kind = signal.body.name(), "signal");
    let media = match signal.body {
        SignalBody::Media { microphone, camera, screen, .. } => Some((microphone, camera, screen)),
        _ => None,
    };
    // Nobody there to hear it: the other end says hello when it comes, and all starts over.
    app.publish_to(row.user(party.other()), topic::SIGNALS, Some(row.id), &ServerMessage::Signal(signal));
    if let Some((microphone, camera, screen)) = media {
        let mut unit = app.store.begin(Timestamp::now()).await?;
        for (both, is_as_first) in [(MICROPHONE, microphone), (CAMERA, camera), (SCREEN, !screen)] {
            unit.switched(row.id, ctx.user.id, both, is_as_first).await?;
        }
        unit.commit().await?;
    }
    Ok(())
}
