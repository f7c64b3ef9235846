//! The consultation service: REST under `/api/v1`, STOMP over WebSocket at `/ws/consultation`,
//! an embedded TURN relay, SQLite or PostgreSQL; on PostgreSQL as many of it as are wanted.
//!
//! Media goes from peer to peer; this carries only words, and relays packets it can't read for
//! those whose network lets nothing else through. The rules of a visit are in `bedside-consult`.

mod access_log;
mod access_tokens;
mod app;
mod attachments;
pub mod backup;
mod blobs;
pub mod config;
mod ctx;
mod descriptors;
pub mod doctor;
mod error;
mod fhir;
mod files;
mod folder;
#[cfg(fuzzing)]
pub mod fuzzing;
mod instances;
pub mod keys;
pub mod media_tokens;
mod origin;
mod outgoing;
mod pace;
mod passwords;
mod places;
mod realtime;
pub mod relay;
mod routes;
mod server;
mod sign_ins;
pub mod store;
mod telemetry;
mod telling;
mod timers;
mod tls;
mod uploads;
mod use_cases;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use app::App;
pub use config::Config;
pub use error::ServiceError;
pub use routes::{ROUTES, Route, asyncapi, openapi};
pub use use_cases::{
    accounts, machines,
    sign_ins::{ACCESS_LASTS, IDLE_FOR},
};

/// A log filter for crates that log addresses, headers or messages. Whoever writes a log puts it
/// last, where it wins over whatever level is asked for.
pub const SILENCED: &str = "sqlx=warn,hyper=off,h2=off,tungstenite=off,tokio_tungstenite=off,\
    turn_server_proto=off,turn_types=off,stun_proto=off,stun_types=off";

/// The stop ends after this, whoever does not read or goes on sending: a system kills what takes longer.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

/// The longest that a file is on its way: of several services on one folder, each leaves the others' alone.
const UPLOADS_TAKE: Duration = Duration::from_secs(60 * 60);

async fn ended(name: &'static str, task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(%error, name, "a task had stopped");
    }
}

/// Runs the service on `listener` until `shutdown` resolves, then closes every socket with a
/// reason, waits for what is under way and closes the database.
pub async fn launch(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServiceError> {
    let address = listener.local_addr()?;
    let tls = match &config.tls {
        Some(tls) => Some(tls::Tls::open(&tls.certificate, &tls.key).map_err(|error| {
            let file = tls.certificate.display();
            ServiceError::Config(format!("{file} and its key can't be taken for TLS: {error}"))
        })?),
        None => None,
    };
    let metrics = match config.metrics_listen {
        Some(address) => Some(TcpListener::bind(address).await?),
        None => None,
    };
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
    app.attachments.sweep(if app.store.is_shared() { UPLOADS_TAKE } else { Duration::ZERO })?;
    instances::begin(&app).await?;
    // Heard before anybody is served: nothing is missed.
    let notices = app.store.listen().await?;
    if !has_relay {
        tracing::warn!("no relay: calls that find no direct way fail; see --relay-public-ip");
    }
    tracing::info!(%address, relay = has_relay, "the service is up");

    let ticking = tokio::spawn(timers::run(app.clone()));
    let telling = tokio::spawn(telling::run(app.clone()));
    let outgoing = tokio::spawn(outgoing::run(app.clone()));
    let sealing = tokio::spawn(use_cases::audit::seal(app.clone()));
    // These go on until nobody is left who could be shown or told anything, each until those before it have ended.
    let (stops_writing, stops_saying) = (CancellationToken::new(), CancellationToken::new());
    let presence = tokio::spawn(instances::write(app.clone(), stops_writing.clone()));
    let keeping = tokio::spawn(instances::keep(app.clone(), stops_saying.clone()));
    let saying = tokio::spawn(instances::send(app.clone(), stops_saying.clone()));
    let hearing =
        notices.map(|notices| tokio::spawn(instances::hear(app.clone(), notices, app.stop.clone())));
    // From here on the others say what they say to this one as well.
    instances::say_hello(&app).await;
    let nats = app.bus.nats().is_some().then(|| {
        let app = app.clone();
        tokio::spawn(async move {
            let Some(nats) = app.bus.nats() else { return };
            if let Err(error) = nats.hear(app.clone(), app.stop.clone()).await {
                tracing::error!(%error, "nothing is heard over NATS");
            }
        })
    });
    let writing = tokio::spawn({
        let (app, stop) = (app.clone(), stops_writing.clone());
        async move { app.access_log.run(&app.store, stop).await }
    });
    let certificate = tls.clone().map(|tls| tokio::spawn(tls.keep_fresh(app.stop.clone())));
    let metrics = metrics.map(|metrics| {
        let serving = telemetry::serve(app.clone(), metrics, app.stop.clone());
        tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "nothing more is told of how the service runs");
            }
        })
    });
    let router = routes::router(app.clone());
    let signalled = async {
        shutdown.await;
        tracing::info!("the service stops");
        app.stop.cancel();
        tokio::time::Instant::now() + STOPS_WITHIN
    };
    let ((), deadline) = tokio::join!(server::run(listener, tls, router, app.stop.clone()), signalled);
    app.sockets.close();
    app.changes.close();
    let ending = async {
        app.sockets.wait().await;
        app.changes.wait().await;
        stops_writing.cancel();
        let writers = [
            ("timers", ticking),
            ("telling", telling),
            ("outgoing", outgoing),
            ("access log", writing),
            ("seals", sealing),
            ("presence", presence),
        ];
        for (name, task) in writers {
            ended(name, task).await;
        }
        stops_saying.cancel();
        for (name, task) in [("bus", saying), ("lease", keeping)] {
            ended(name, task).await;
        }
        if let Some(task) = hearing {
            ended("listener", task).await;
        }
        for (name, task) in [("certificate", certificate), ("metrics", metrics), ("nats", nats)] {
            if let Some(task) = task {
                ended(name, task).await;
            }
        }
        if let Some(relay) = relay {
            relay.stop().await;
        }
        app.store.close().await;
    };
    if tokio::time::timeout_at(deadline, ending).await.is_err() {
        tracing::error!(
            sockets = app.sockets.len(),
            changes = app.changes.len(),
            "the service stops without these"
        );
    }
    Ok(())
}
