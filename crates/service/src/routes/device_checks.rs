//! Checks of devices and network, and the relays to make them with.

use axum::{extract::State, http::StatusCode};
use bedside_protocol::{DeviceCheckKept, DeviceCheckReport, IceServer, KeptDeviceCheck, Problem};

use super::extract::{Json, Path};
use crate::{app::Shared, ctx::Ctx, error::ApiError, use_cases::device_checks};

/// Relays, to find out how they are reached before there is a call.
#[utoipa::path(get, path = "/api/v1/ice-servers", security(("bearer" = [])),
    responses((status = 200, body = Vec<IceServer>)))]
pub(super) async fn ice_servers(
    State(app): State<Shared>,
    ctx: Ctx,
) -> Result<Json<Vec<IceServer>>, ApiError> {
    device_checks::ice_servers(&app, &ctx).await.map(Json)
}

/// Keeps a check, and gives the code by which the practice finds it.
#[utoipa::path(post, path = "/api/v1/device-checks", security(("bearer" = [])), request_body = DeviceCheckReport,
    responses((status = 201, body = DeviceCheckKept), (status = 422, body = Problem, description = "invalid")))]
pub(super) async fn keep_device_check(
    State(app): State<Shared>,
    ctx: Ctx,
    Json(report): Json<DeviceCheckReport>,
) -> Result<(StatusCode, Json<DeviceCheckKept>), ApiError> {
    let code = device_checks::keep(&app, &ctx, &report).await?;
    Ok((StatusCode::CREATED, Json(DeviceCheckKept { code })))
}

/// The check that somebody reads out the code of.
#[utoipa::path(get, path = "/api/v1/device-checks/{code}", security(("bearer" = [])), params(("code" = String, Path)),
    responses((status = 200, body = KeptDeviceCheck), (status = 403, body = Problem, description = "forbidden"),
    (status = 404, body = Problem, description = "not-found")))]
pub(super) async fn device_check(
    State(app): State<Shared>,
    ctx: Ctx,
    Path(code): Path<String>,
) -> Result<Json<KeptDeviceCheck>, ApiError> {
    device_checks::read(&app, &ctx, &code).await.map(Json)
}
