//! Health, and whose service this is.

use axum::{extract::State, http::StatusCode};

use bedside_protocol::Clinic;

use super::extract::Json;
use crate::app::Shared;

/// The process answers.
#[utoipa::path(get, path = "/health", responses((status = 200)))]
pub(super) async fn health() -> StatusCode {
    StatusCode::OK
}

/// The database answers and the service is not stopping.
#[utoipa::path(get, path = "/ready", responses((status = 200), (status = 503)))]
pub(super) async fn ready(State(app): State<Shared>) -> StatusCode {
    if !app.stop.is_cancelled() && app.store.is_ready().await {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Whose service this is, for people who have not signed in yet.
#[utoipa::path(get, path = "/api/v1/clinic", responses((status = 200, body = Clinic)))]
pub(super) async fn clinic(State(app): State<Shared>) -> Json<Clinic> {
    Json(Clinic { name: app.config.clinic_name.clone() })
}
