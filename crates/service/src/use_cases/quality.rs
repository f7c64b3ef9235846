//! How a visit is seen and heard.

use bedside_authz::Action;
use bedside_consult::quality;
use bedside_protocol::{Code, Party, QualityReport, SessionId, SessionStatus, VisitQuality};
use jiff::Timestamp;

use crate::{App, ctx::Ctx, error::ApiError, telemetry};

/// Takes what one side measured in the last ten seconds of a visit that runs.
pub(crate) async fn report(
    app: &App,
    ctx: &Ctx,
    id: SessionId,
    report: &QualityReport,
) -> Result<(), ApiError> {
    let (row, party) = app.session_of(ctx, id, Action::Quality).await?;
    if !matches!(row.consultation.status, SessionStatus::InProgress | SessionStatus::Paused) {
        return Err(Code::WrongState.into());
    }
    if !quality::is_sane(report) {
        return Err(ApiError::new(Code::Invalid, "no visit is like that"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.add_quality(id, party, report).await?;
    unit.commit().await?;
    telemetry::count_quality(party, report);
    Ok(())
}

/// What each side received, on average.
pub(crate) async fn read(app: &App, ctx: &Ctx, id: SessionId) -> Result<VisitQuality, ApiError> {
    let (row, _) = app.session_of(ctx, id, Action::Quality).await?;
    let patient = app.store.quality(id, Party::Patient).await?;
    let doctor = app.store.quality(id, Party::Doctor).await?;
    app.note_look(ctx, "QUALITY_READ", Some(&row)).await?;
    Ok(VisitQuality { patient: quality::mean(&patient), doctor: quality::mean(&doctor) })
}
