//! Who did or looked at what.

use axum::extract::State;
use bedside_protocol::{AuditPage, SessionId, UserId};
use serde::Deserialize;

use super::{
    extract::{Json, Query},
    page_limit,
};
use crate::{app::Shared, ctx::Ctx, error::ApiError, store::AuditFilter, use_cases::audit};

/// Lines on a page when it is not said how many, and the most that may be asked for.
const PAGE: (u32, u32) = (100, 500);

/// Which lines.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(rename_all = "camelCase")]
pub(super) struct AuditQuery {
    /// About this patient's data; a patient's own is about theirs, whatever is asked.
    patient_id: Option<UserId>,
    /// By this person.
    user_id: Option<UserId>,
    /// About this visit.
    session_id: Option<SessionId>,
    /// `next` of the page before.
    before: Option<i64>,
    /// At most this many.
    #[param(minimum = 1, maximum = 500)]
    limit: Option<u32>,
}

/// Who did or looked at what, the newest first: for administrators all of it, for a patient what was done with their
/// own data.
#[utoipa::path(get, path = "/api/v1/audit", security(("bearer" = [])), params(AuditQuery),
    responses((status = 200, body = AuditPage)))]
pub(super) async fn audit_log(
    State(app): State<Shared>,
    ctx: Ctx,
    Query(query): Query<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    let limit = page_limit(query.limit, PAGE)?;
    let filter = AuditFilter {
        patient: query.patient_id,
        user: query.user_id,
        session: query.session_id,
        before: query.before,
        clinic: None,
    };
    audit::page(&app, &ctx, filter, limit).await.map(Json)
}
