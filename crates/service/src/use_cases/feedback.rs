//! How a visit was, as its patient says.

use bedside_authz::Action;
use bedside_consult::feedback;
use bedside_protocol::{Code, Feedback, FeedbackRequest, SessionId};
use jiff::Timestamp;

use crate::{App, ctx::Ctx, error::ApiError};

/// The patient says how it was, once, after the visit has ended.
pub(crate) async fn give(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    given: FeedbackRequest,
) -> Result<Feedback, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::GiveFeedback).await?;
    if !row.consultation.status.is_final() || row.consultation.started_at.is_none() {
        return Err(Code::WrongState.into());
    }
    feedback::check(&given, row.mode).map_err(|bad| ApiError::new(Code::Invalid, bad.to_string()))?;
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if !unit.add_feedback(&row, &given).await? {
        return Err(Code::FeedbackGiven.into());
    }
    unit.audit(&ctx.line("feedback.submitted").about(&row)).await?;
    unit.commit().await?;
    Ok(Feedback { session_id: id, given })
}

/// What was said of a visit, for both who were in it.
pub(crate) async fn read(app: &App, ctx: &Ctx, id: SessionId) -> Result<Feedback, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReadFeedback).await?;
    app.note_look(ctx, "feedback.read", Some(&row)).await?;
    app.store.feedback(id).await?.ok_or(Code::NotFound.into())
}
