//! What services say to one another, over NATS: each message only to the services whose clients listen to it, where
//! PostgreSQL passes everything to all. For hundreds of services. What NATS has not confirmed goes over PostgreSQL.

use std::{
    collections::HashMap,
    path::Path,
    sync::{
        Arc, Mutex as StdMutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, Message, ServerAddr, connection::State};
use futures_util::StreamExt;
use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Notice;
use crate::{App, ServiceError, config::NatsConfig, store::InstanceId};

/// What everybody hears.
const ALL: &str = "all";
/// Messages of one subject that wait for this service; of seconds. Beyond, its clients are cut off and fetch.
const WAITING: usize = 1_024;
/// How long something takes to be at the server and back: beyond, it is away.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// How long it takes until the other servers of a cluster know that somebody listens.
const SPREADS_WITHIN: Duration = Duration::from_millis(100);
/// How often the server is asked whether it is there.
const PINGS_EVERY: Duration = Duration::from_secs(5);
/// The longest until it is tried again to reach one.
const TRIED_AGAIN_WITHIN: Duration = Duration::from_secs(1);
/// Events that wait to be looked at: a connection has few.
const EVENTS: usize = 64;

pub(crate) struct Nats {
    client: Client,
    /// What every subject of this database begins with.
    root: String,
    own: InstanceId,
    events: Mutex<mpsc::Receiver<Event>>,
    /// From the beginning.
    was_there: bool,
    /// It did not answer, whatever the connection seems to be.
    is_silent: AtomicBool,
    /// What this service's clients listen to.
    followed: StdMutex<HashMap<String, Followed>>,
    /// Who waits to hear themselves.
    probes: StdMutex<HashMap<u64, oneshot::Sender<()>>>,
    next_probe: AtomicU64,
    tasks: TaskTracker,
}

/// A subject that is listened to.
struct Followed {
    end: CancellationToken,
    /// Whether the server has been told of it.
    is_asked: watch::Receiver<bool>,
}

fn wrong(why: impl std::fmt::Display) -> ServiceError {
    ServiceError::Config(format!("NATS can't be used so: {why}"))
}

fn read(path: &Path) -> Result<String, ServiceError> {
    let text = std::fs::read_to_string(path);
    text.map_err(|error| wrong(format_args!("{} can't be read: {error}", path.display())))
}

/// A key of the hub's as a subject: `/topic/session.1` is `topic.session.1`.
fn subject(root: &str, key: &str) -> String {
    let mut subject = format!("{root}.");
    subject.extend(key.trim_start_matches('/').chars().map(|c| if c == '/' { '.' } else { c }));
    subject
}

impl Nats {
    /// By its configuration. A server that is away is waited for.
    pub(crate) async fn connect(config: &NatsConfig, own: InstanceId) -> Result<Self, ServiceError> {
        let (sender, mut events) = mpsc::channel(EVENTS);
        let mut options = ConnectOptions::new()
            .name("bedside")
            .retry_on_initial_connect()
            .ping_interval(PINGS_EVERY)
            .connection_timeout(ANSWERS_WITHIN)
            .subscription_capacity(WAITING)
            .reconnect_delay_callback(|attempt| {
                // Services that lost the same server do not all come at once.
                let spread = Duration::from_millis(rand::random_range(0..100));
                let doubled = Duration::from_millis(50).saturating_mul(1 << attempt.min(5));
                doubled.min(TRIED_AGAIN_WITHIN) + spread
            })
            .event_callback(move |event| {
                // One that finds no place says what those before it have said.
                let _ = sender.try_send(event);
                std::future::ready(())
            });
        if let Some(file) = &config.credentials_file {
            options = options.credentials(&read(file)?).map_err(wrong)?;
        }
        let mut servers = vec![];
        for server in &config.servers {
            if server.password().is_some() {
                return Err(wrong("its address must hold no password: put it into a file of its own"));
            }
            let mut server = server.clone();
            if !server.username().is_empty() {
                let file =
                    config.password_file.as_ref().ok_or_else(|| wrong("nats-password-file is missing"))?;
                let password = read(file)?;
                options =
                    options.user_and_password(server.username().to_owned(), password.trim_end().to_owned());
                server.set_username("").map_err(|()| wrong("its address is none"))?;
            }
            servers.push(server.as_str().parse::<ServerAddr>().map_err(wrong)?);
        }
        // Those that the first one names as well.
        let is_secured = config.servers.iter().any(|server| server.scheme() == "tls");
        options = options.require_tls(is_secured);
        let client = options.connect(servers).await.map_err(wrong)?;
        // Before anybody is served, if it is there.
        let first = timeout(ANSWERS_WITHIN, events.recv()).await;
        let is_connected = matches!(first, Ok(Some(Event::Connected)));
        if !is_connected {
            tracing::warn!("NATS is not there: PostgreSQL carries what it would");
        }
        Ok(Self {
            client,
            root: config.subject.clone(),
            own,
            events: Mutex::new(events),
            was_there: is_connected,
            is_silent: AtomicBool::new(false),
            followed: StdMutex::default(),
            probes: StdMutex::default(),
            next_probe: AtomicU64::new(0),
            tasks: TaskTracker::new(),
        })
    }

    /// Whether there is a server that answers.
    pub(crate) fn is_there(&self) -> bool {
        self.client.connection_state() == State::Connected && !self.is_silent.load(Ordering::Relaxed)
    }

    fn own_subject(&self) -> String {
        format!("{}.instance.{}", self.root, self.own)
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<String, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something to whom it concerns; false where the server does not confirm it.
    pub(super) async fn say(&self, notices: &[&Notice]) -> bool {
        if notices.is_empty() {
            return true;
        }
        if !self.is_there() {
            return false;
        }
        let said = async {
            for notice in notices {
                let key = match notice {
                    Notice::Message { destination, user, .. } => crate::realtime::key(destination, *user),
                    _ => ALL.to_owned(),
                };
                // A notice of ours always has a JSON form.
                let text = serde_json::to_string(notice).unwrap_or_default();
                let payload = format!("{} {text}", self.own);
                self.client.publish(subject(&self.root, &key), payload.into()).await.ok()?;
            }
            Some(())
        };
        let is_said = timeout(ANSWERS_WITHIN, said).await.is_ok_and(|said| said.is_some());
        // It has taken what came before when it gives this back.
        is_said && self.answers().await
    }

    /// Whether the server gives back what it is given, and so has taken everything before.
    async fn answers(&self) -> bool {
        let number = self.next_probe.fetch_add(1, Ordering::Relaxed);
        let (sender, heard) = oneshot::channel();
        self.probes().insert(number, sender);
        let probe = async {
            self.client.publish(self.own_subject(), number.to_string().into()).await.ok()?;
            heard.await.ok()
        };
        let answers = timeout(ANSWERS_WITHIN, probe).await.is_ok_and(|heard| heard.is_some());
        self.probes().remove(&number);
        if self.is_silent.swap(!answers, Ordering::Relaxed) == answers {
            tracing::warn!(answers, "NATS answers, or not any more: PostgreSQL carries what it does not");
        }
        answers
    }

    fn probes(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<()>>> {
        self.probes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks again whether it answers that did not.
    pub(super) async fn look_again(&self) {
        if self.is_silent.load(Ordering::Relaxed) && self.client.connection_state() == State::Connected {
            self.answers().await;
        }
    }

    /// Listens to what this service's clients listen to, and no more to what none of them does. What is said once this
    /// has returned is heard, over NATS or, while that is away, over PostgreSQL.
    pub(crate) async fn follow(self: &Arc<Self>, app: &Arc<App>, key: &str) {
        let mut is_asked = {
            let mut followed = self.followed();
            match (app.hub.has_listeners(key), followed.get(key)) {
                (true, None) => {
                    let (asked, is_asked) = watch::channel(false);
                    let end = app.stop.child_token();
                    let subject = subject(&self.root, key);
                    let task = self.clone().listen(app.clone(), subject, asked, end.clone());
                    self.tasks.spawn(task);
                    followed.insert(key.to_owned(), Followed { end, is_asked: is_asked.clone() });
                    is_asked
                }
                (true, Some(known)) => known.is_asked.clone(),
                (false, Some(_)) => {
                    if let Some(known) = followed.remove(key) {
                        known.end.cancel();
                    }
                    return;
                }
                (false, None) => return,
            }
        };
        // Without a server there is nothing to wait for: when it is back, everybody fetches.
        if !self.is_there() {
            return;
        }
        let asked = timeout(ANSWERS_WITHIN, is_asked.wait_for(|asked| *asked)).await;
        if asked.is_ok_and(|asked| asked.is_ok()) && self.answers().await {
            let server = self.client.server_info();
            if server.cluster.is_some() || !server.connect_urls.is_empty() {
                tokio::time::sleep(SPREADS_WITHIN).await;
            }
        }
    }

    /// Passes on what is said of one subject, until `end`.
    async fn listen(
        self: Arc<Self>,
        app: Arc<App>,
        subject: String,
        asked: watch::Sender<bool>,
        end: CancellationToken,
    ) {
        // May wait for the server to be there.
        let subscribed = tokio::select! {
            () = end.cancelled() => return,
            subscribed = self.client.subscribe(subject) => subscribed,
        };
        let mut subscriber = match subscribed {
            Ok(subscriber) => subscriber,
            Err(error) => {
                tracing::error!(%error, "NATS takes no subscription");
                return app.deliver(Notice::Missed);
            }
        };
        asked.send_replace(true);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                message = subscriber.next() => match message {
                    Some(message) => pass_on(&app, self.own, &message),
                    None => return,
                },
            }
        }
    }

    /// Passes on what concerns every service, and looks after the connection, until `stop`.
    pub(crate) async fn hear(&self, app: Arc<App>, stop: CancellationToken) -> Result<(), ServiceError> {
        let subscribed = async {
            let all = self.client.subscribe(subject(&self.root, ALL)).await?;
            let own = self.client.subscribe(self.own_subject()).await?;
            Ok::<_, async_nats::SubscribeError>((all, own))
        };
        let (mut all, mut own) = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            subscribed = subscribed => subscribed.map_err(wrong)?,
        };
        let mut events = self.events.lock().await;
        // Who is connected before the first time was promised what could not be kept.
        let mut was_away = !self.was_there;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(message) = all.next() => pass_on(&app, self.own, &message),
                Some(message) = own.next() => {
                    let text = std::str::from_utf8(&message.payload).ok();
                    let number = text.and_then(|text| text.parse::<u64>().ok());
                    if let Some(probe) = number.and_then(|number| self.probes().remove(&number)) {
                        // Whoever waited may have given up.
                        let _ = probe.send(());
                    }
                }
                event = events.recv() => match event {
                    Some(Event::Connected) if was_away => {
                        was_away = false;
                        tracing::info!("NATS is there");
                        self.is_silent.store(false, Ordering::Relaxed);
                        app.deliver(Notice::Missed);
                    }
                    Some(Event::Disconnected) => {
                        was_away = true;
                        tracing::warn!("NATS is away: PostgreSQL carries what it would");
                        app.say(Notice::Beat);
                    }
                    Some(Event::SlowConsumer(_)) => {
                        tracing::warn!("more is said than this service takes");
                        app.deliver(Notice::Missed);
                    }
                    Some(event) => tracing::debug!(%event, "NATS"),
                    None => break,
                },
            }
        }
        drop(events);
        self.tasks.close();
        self.tasks.wait().await;
        Ok(())
    }
}

fn pass_on(app: &App, own: InstanceId, message: &Message) {
    let text = std::str::from_utf8(&message.payload).ok().and_then(|text| text.split_once(' '));
    let from = text.and_then(|(from, _)| from.parse::<InstanceId>().ok());
    if from == Some(own) {
        return;
    }
    match text.and_then(|(_, text)| serde_json::from_str(text).ok()) {
        Some(notice) if from.is_some() => app.deliver(notice),
        _ => {
            tracing::error!("another service says what this one does not understand");
            app.deliver(Notice::Missed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_a_subject() {
        assert_eq!(subject("bedside", "/topic/session.1"), "bedside.topic.session.1");
        assert_eq!(subject("a.b", "7/user/queue/signals"), "a.b.7.user.queue.signals");
    }
}
