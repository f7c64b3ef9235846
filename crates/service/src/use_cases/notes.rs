//! Doctors' notes of visits, and what went wrong in them.

use bedside_authz::Action;
use bedside_protocol::{Code, Issue, IssueRequest, Notes, PrescriptionRequest, SessionId, Summary, Text};
use jiff::Timestamp;

use super::{change::Change, visits};
use crate::{App, ctx::Ctx, error::ApiError, store::SessionRow};

/// Characters of a visit's notes: some ten pages.
const MOST_NOTES: usize = 20_000;
/// Characters of a prescription's name elsewhere.
const MOST_PRESCRIPTION: usize = 100;
/// Characters of what went wrong.
const MOST_DESCRIPTION: usize = 2_000;

/// The doctor writes down something of a visit, before, in and after it.
pub(crate) async fn write(app: &App, ctx: &Ctx, id: SessionId, notes: &Text) -> Result<Notes, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::KeepNotes).await?;
    if notes.reveal().chars().count() > MOST_NOTES {
        return Err(ApiError::new(Code::TooLarge, "Notes have at most 20,000 characters"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.set_notes(id, notes).await?;
    unit.audit(ctx.line("NOTES_WRITTEN").about(&row));
    unit.commit().await?;
    app.store.notes(id).await?.ok_or(Code::NotFound.into())
}

/// What the doctor wrote down.
pub(crate) async fn read(app: &App, ctx: &Ctx, id: SessionId) -> Result<Notes, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::KeepNotes).await?;
    app.note_look(ctx, "NOTES_READ", Some(&row)).await?;
    app.store.notes(id).await?.ok_or(Code::NotFound.into())
}

/// The doctor says what was prescribed in a visit; gives what the visit came to.
pub(crate) async fn prescribe(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    request: PrescriptionRequest,
) -> Result<Summary, ApiError> {
    let name = request.prescription_id;
    let (mut change, _) = Change::by_participant(app, ctx, id, Action::Prescribe).await?;
    if name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > MOST_PRESCRIPTION) {
        return Err(ApiError::new(Code::Invalid, "a prescription's name has 1 to 100 characters"));
    }
    change.unit.set_prescription(id, name.as_deref()).await?;
    change.audit("PRESCRIPTION_SET");
    let row = SessionRow { prescription: name, ..change.commit_all().await? };
    visits::summarise(app, &row).await
}

/// One of the two tells that something went wrong.
pub(crate) async fn report(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    request: IssueRequest,
) -> Result<Issue, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReportIssues).await?;
    let length = request.description.as_ref().map_or(0, |text| text.reveal().chars().count());
    if length > MOST_DESCRIPTION {
        return Err(ApiError::new(Code::Invalid, "a description has at most 2,000 characters"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let issue = unit.add_issue(id, ctx.user.id, request).await?;
    let issue = issue
        .ok_or_else(|| ApiError::new(Code::TooManyAttempts, "so much was told of this visit already"))?;
    unit.audit(ctx.line("ISSUE_REPORTED").about(&row).on(format!("issue:{}", issue.id)));
    unit.commit().await?;
    Ok(issue)
}

/// What went wrong, as the two told it.
pub(crate) async fn issues(app: &App, ctx: &Ctx, id: SessionId) -> Result<Vec<Issue>, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::ReportIssues).await?;
    app.note_look(ctx, "ISSUES_READ", Some(&row)).await?;
    Ok(app.store.issues(id).await?)
}
