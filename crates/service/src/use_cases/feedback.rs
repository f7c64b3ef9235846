//! How a visit was, as its patient says.

use bedside_authz::Action;
use bedside_consult::feedback;
use bedside_protocol::{Code, DoctorFeedback, Feedback, FeedbackRequest, SessionId, Text, UserId};
use jiff::Timestamp;

use super::doctors::doctor;
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
    unit.audit(ctx.line("FEEDBACK_SUBMITTED").about(&row));
    unit.commit().await?;
    let given = FeedbackRequest { is_public: given.is_public.or(Some(true)), ..given };
    Ok(Feedback {
        session_id: id,
        given,
        is_verified: true,
        doctor_response: None,
        doctor_responded_at: None,
    })
}

/// What was said of a visit, for both who were in it.
pub(crate) async fn read(app: &App, ctx: &Ctx, id: SessionId) -> Result<Feedback, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReadFeedback).await?;
    app.note_look(ctx, "FEEDBACK_READ", Some(&row)).await?;
    app.store.feedback(id).await?.ok_or(Code::NotFound.into())
}

/// The doctor says something to what was said; said again, it takes the place of what was said before.
pub(crate) async fn answer(app: &App, ctx: &Ctx, id: SessionId, text: &Text) -> Result<Feedback, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::AnswerFeedback).await?;
    let length = text.reveal().trim().chars().count();
    if !(1..=feedback::MAX_REVIEW_CHARS).contains(&length) {
        return Err(ApiError::new(Code::Invalid, "an answer has 1 to 2,000 characters"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    if !unit.answer_feedback(id, text).await? {
        return Err(Code::NotFound.into());
    }
    unit.audit(ctx.line("FEEDBACK_ANSWERED").about(&row));
    unit.commit().await?;
    app.store.feedback(id).await?.ok_or(Code::NotFound.into())
}

/// What patients said of a doctor, all together.
pub(crate) async fn of_doctor(app: &App, ctx: &Ctx, id: UserId) -> Result<DoctorFeedback, ApiError> {
    app.allow(ctx, Action::ReadDoctorsFeedback).await?;
    Ok(app.store.doctors_feedback(doctor(app, ctx, id).await?.id).await?)
}
