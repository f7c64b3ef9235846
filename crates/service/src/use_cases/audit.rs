//! Who did or looked at what: read again, and sealed.

use std::{sync::Arc, time::Duration};

use bedside_authz::Action;
use bedside_protocol::{AuditPage, Role};
use jiff::Timestamp;

use crate::{App, ctx::Ctx, error::ApiError, instances, store::AuditFilter};

/// How long a line may stand without its seal: whoever could change it in that time could as well have not written it.
const SEALS_EVERY: Duration = Duration::from_secs(1);

/// A page of the log: an administrator's of everybody, a patient's of their own data, without addresses.
pub(crate) async fn page(
    app: &App,
    ctx: &Ctx,
    asked: AuditFilter,
    limit: u32,
) -> Result<AuditPage, ApiError> {
    app.allow(ctx, Action::ReadAudit).await?;
    let is_administrator = ctx.user.role == Role::ClinicAdmin;
    let asked = AuditFilter { clinic: ctx.clinic.filter(|_| is_administrator), ..asked };
    let filter = if is_administrator { asked } else { AuditFilter { patient: Some(ctx.user.id), ..asked } };
    // To read it is a look itself, at the data of whoever it is about.
    let line = ctx.line("AUDIT_READ");
    app.access_log.note(filter.patient.map_or(line.clone(), |patient| line.of(patient))).await?;
    let mut page = app.store.audit_page(filter, limit).await?;
    if !is_administrator {
        for entry in &mut page.items {
            entry.origin = None;
        }
    }
    Ok(page)
}

/// Seals lines until the service stops, and then those that are left.
pub(crate) async fn seal(app: Arc<App>) {
    let mut interval = tokio::time::interval(SEALS_EVERY);
    loop {
        let stops = tokio::select! {
            () = app.stop.cancelled() => true,
            _ = interval.tick() => false,
        };
        loop {
            match seal_some(&app).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "the audit log can't be sealed; it is tried again");
                    break;
                }
            }
        }
        if stops {
            return;
        }
    }
}

async fn seal_some(app: &App) -> Result<usize, crate::store::StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    // One of several services is enough.
    if app.store.is_shared() && !unit.lead("seals", instances::LEASE).await? {
        return Ok(0);
    }
    let sealed = unit.seal_audit().await?;
    if sealed > 0 {
        unit.commit().await?;
    }
    Ok(sealed)
}
