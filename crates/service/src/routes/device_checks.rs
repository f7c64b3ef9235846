//! What a person's devices and network can do: relays to try it with, and its keeping for the practice.

use axum::{extract::State, http::StatusCode};
use bedside_authz::Action;
use bedside_protocol::{
    Code, DeviceCheckKept, DeviceCheckReport, IceServer, KeptDeviceCheck, NetworkCheck, Problem,
};
use jiff::{SignedDuration, Timestamp};

use super::{Caller, CallerOn};
use crate::{
    app::Shared,
    error::{ApiError, Json, Path},
    store::AuditLine,
};

/// How long relays may be tried: a test takes seconds, and is done again on a button.
const TRIED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// More than any network of a person's carries, loses or takes: whoever says so measured something else.
const MOST_BITS_PER_SECOND: u64 = 100_000_000_000;
const LONGEST_ROUND_TRIP_MS: u32 = 600_000;

/// Relays, to find out how they are reached before there is a call.
#[utoipa::path(get, path = "/api/v1/ice-servers", security(("bearer" = [])),
    responses((status = 200, body = Vec<IceServer>)))]
pub(super) async fn ice_servers(
    State(app): State<Shared>,
    CallerOn { user, sign_in }: CallerOn,
) -> Result<Json<Vec<IceServer>>, ApiError> {
    bedside_authz::decide(Action::TryRelay, user.role, None)?;
    Ok(Json(app.ice_servers(&user, sign_in, None, Timestamp::now() + TRIED_FOR)))
}

/// Keeps a check, and gives the code by which the practice finds it.
#[utoipa::path(post, path = "/api/v1/device-checks", security(("bearer" = [])), request_body = DeviceCheckReport,
    responses((status = 201, body = DeviceCheckKept), (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn keep_device_check(
    State(app): State<Shared>,
    caller: Caller,
    Json(report): Json<DeviceCheckReport>,
) -> Result<(StatusCode, Json<DeviceCheckKept>), ApiError> {
    let user = caller.who_may(Action::KeepDeviceCheck)?;
    let NetworkCheck { bits_per_second, loss_percent, round_trip_ms, .. } = report.network;
    let is_sane = bits_per_second.is_none_or(|bits| bits <= MOST_BITS_PER_SECOND)
        && loss_percent.is_none_or(|percent| percent <= 100)
        && round_trip_ms.is_none_or(|ms| ms <= LONGEST_ROUND_TRIP_MS);
    if !is_sane {
        return Err(ApiError::new(Code::Invalid, "no network is like that"));
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let code = unit.add_device_check(user.id, &report).await?;
    unit.audit(AuditLine { user: Some(user.id), action: "device-check.kept", session: None }).await?;
    unit.commit().await?;
    Ok((StatusCode::CREATED, Json(DeviceCheckKept { code })))
}

/// The check that somebody reads out the code of.
#[utoipa::path(get, path = "/api/v1/device-checks/{code}", security(("bearer" = [])), params(("code" = String, Path)),
    responses((status = 200, body = KeptDeviceCheck), (status = 403, body = Problem, description = "forbidden"),
    (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn device_check(
    State(app): State<Shared>,
    caller: Caller,
    Path(code): Path<String>,
) -> Result<Json<KeptDeviceCheck>, ApiError> {
    let user = caller.who_may(Action::ReadDeviceCheck)?;
    let kept = app.store.device_check(&code).await?.ok_or(Code::NotFound)?;
    app.note_look(user.id, "device-check.read", None).await?;
    Ok(Json(kept))
}
