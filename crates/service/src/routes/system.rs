//! Health.

use axum::{extract::State, http::StatusCode};

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
