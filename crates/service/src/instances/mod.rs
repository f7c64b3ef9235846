//! Several services on one database: any of them serves any client, and one may go at any moment.
//!
//! Truth is in the database. What is said between them ([`bus`]) only makes it known sooner, and who is present in a
//! visit ([`presence`]) is a row for each service that somebody listens through.

mod bus;
mod nats;
mod presence;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

pub(crate) use bus::{Bus, Notice, hear, send};
pub(crate) use nats::Nats;
pub(crate) use presence::{Presence, write};

use crate::{App, store::StoreError};

/// How long a service counts as running without saying so again. Its people come back through others within seconds;
/// this is only how soon those who do not are seen to be away.
pub(crate) const LEASE: Duration = Duration::from_secs(15);
/// How often it says so: two may fail.
const RENEWED_EVERY: Duration = Duration::from_secs(5);

/// Within which time a service that runs has said again which key it seals with.
pub(crate) const SAYS_KEY_WITHIN: Duration = Duration::from_secs(2 * RENEWED_EVERY.as_secs() + 2);

/// Every how many renewals it is looked whether PostgreSQL is heard that carries nothing: once a minute.
const ECHO_EVERY: u32 = 12;

/// Takes this service's place among those that there are, before it serves anybody.
pub(crate) async fn begin(app: &App) -> Result<(), StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.renew_instance(LEASE).await?;
    if !app.store.is_shared() {
        unit.expire_instances(false).await?;
    }
    unit.commit().await?;
    app.bus.remember_others(app.store.has_other_instances(Timestamp::now()).await?);
    Ok(())
}

/// Says that this service is there, before it serves anybody: who was alone says nothing to others until then.
pub(crate) async fn say_hello(app: &App) {
    // Only of who does not hear over NATS need the others know it.
    app.say(if app.bus.hears_over_nats() { Notice::Echo } else { Notice::Beat });
    if !app.bus.flush().await {
        tracing::warn!("the other services will only see in some seconds that this one is there");
    }
}

/// Keeps it until `stop`, and then gives it up.
pub(crate) async fn keep(app: Arc<App>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(RENEWED_EVERY);
    let mut ticks = 0_u32;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = interval.tick() => {}
        }
        if let Err(error) = say_key(&app).await {
            tracing::error!(%error, "it can't be said what this service seals with; it is tried again");
        }
        // Alone, there is nobody to tell.
        if !app.store.is_shared() {
            continue;
        }
        match app.bus.nats() {
            // That it hears over PostgreSQL only need be looked at now and then.
            Some(nats) if nats.is_there() => {
                if ticks.is_multiple_of(ECHO_EVERY) {
                    app.say(Notice::Echo);
                }
            }
            Some(nats) => {
                nats.look_again().await;
                app.say(Notice::Beat);
            }
            None => app.say(Notice::Beat),
        }
        ticks += 1;
        match renew(&app).await {
            Ok(true) => remember_others(&app).await,
            Ok(false) => {
                tracing::warn!("the other services had given this one up: it tells them again who is here");
                for listener in app.hub.present() {
                    app.presence.note(listener);
                }
            }
            Err(error) => {
                tracing::error!(%error, "it can't be said that this service runs; it is tried again");
            }
        }
    }
    if let Err(error) = end(&app).await {
        tracing::warn!(%error, "the other services will only see in some seconds that this one has ended");
    }
}

/// Whether there are others is remembered: after a while without the database nobody has a lease.
async fn remember_others(app: &App) {
    match app.store.has_other_instances(Timestamp::now()).await {
        Ok(others) => app.bus.discover_others(others),
        Err(error) => tracing::error!(%error, "it can't be seen which other services run"),
    }
}

async fn renew(app: &App) -> Result<bool, StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    let is_known = unit.renew_instance(LEASE).await?;
    unit.commit().await?;
    Ok(is_known)
}

/// Says again which key this service seals with, where that was forgotten: everything was sealed anew with another.
async fn say_key(app: &App) -> Result<(), StoreError> {
    let own = app.store.keys().sealing().to_string();
    if app.store.keys_used().await?.contains(&own) {
        return Ok(());
    }
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.use_key().await?;
    unit.commit().await
}

async fn end(app: &App) -> Result<(), StoreError> {
    let mut unit = app.store.begin(Timestamp::now()).await?;
    unit.remove_instance().await?;
    unit.commit().await
}
