//! The consultation service: REST under `/api/v1`, STOMP over WebSocket at `/ws/consultation`,
//! an embedded TURN relay, SQLite.
//!
//! Media goes from peer to peer; this carries only words, and relays packets it can't read for
//! those whose network lets nothing else through. The rules of a visit are in `bedside-consult`.

pub mod accounts;
mod app;
mod attachments;
pub mod config;
mod error;
mod realtime;
pub mod relay;
mod routes;
pub mod store;
mod timers;

use std::{future::Future, sync::Arc};

use tokio::net::TcpListener;

pub use app::App;
pub use config::Config;
pub use error::ServiceError;
pub use routes::openapi;

/// A log filter for crates that log addresses, headers or messages. Whoever writes a log puts it
/// last, where it wins over whatever level is asked for.
pub const SILENCED: &str = "sqlx=warn,hyper=off,h2=off,tungstenite=off,tokio_tungstenite=off,\
    turn_server_proto=off,turn_types=off,stun_proto=off,stun_types=off";

/// Runs the service on `listener` until `shutdown` resolves, then closes every socket with a
/// reason, waits for what is under way and closes the database.
pub async fn launch(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServiceError> {
    let address = listener.local_addr()?;
    let relay = match config.relay.as_ref() {
        Some(relay) => Some(relay::Relay::start(relay, config.relay_secret()?).await?),
        None => None,
    };
    let credentials = match &relay {
        Some(relay) => Some(relay.ice_servers()),
        None => config.own_relay_credentials()?,
    };
    let has_relay = credentials.is_some();
    let app = Arc::new(App::open(config, credentials).await?);
    if !has_relay {
        tracing::warn!("no relay: calls that find no direct way fail; see --relay-public-ip");
    }
    tracing::info!(%address, relay = has_relay, "the service is up");

    let ticking = tokio::spawn(timers::run(app.clone()));
    let router = routes::router(app.clone());
    let stopping = {
        let app = app.clone();
        async move {
            shutdown.await;
            tracing::info!("the service stops");
            app.stop.cancel();
        }
    };
    axum::serve(listener, router).with_graceful_shutdown(stopping).await?;
    app.stop.cancel();
    app.sockets.close();
    app.sockets.wait().await;
    if let Err(error) = ticking.await {
        tracing::error!(%error, "the timers had stopped");
    }
    if let Some(relay) = relay {
        relay.stop().await;
    }
    app.store.close().await;
    Ok(())
}
