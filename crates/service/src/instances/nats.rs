//! What services say to one another, over NATS: each message only to the services whose clients listen to it, where
//! PostgreSQL passes everything to all. For hundreds of services. While NATS is away, PostgreSQL stands in.

use std::{
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::Duration,
};

use async_nats::{Client, ConnectOptions, Event, Message, Subscriber, connection::State};
use futures_util::StreamExt;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::{Instant, timeout},
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
/// What was said in this time before a connection broke may not have been heard, and is said again.
const SAID_AGAIN: Duration = Duration::from_secs(5);
/// And as much of it: two seconds of a busy service.
const REMEMBERED: usize = 4_096;
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
    /// What this service's clients listen to, and what ends each of them.
    subjects: Mutex<HashMap<String, CancellationToken>>,
    /// What was said lately.
    said: StdMutex<VecDeque<(Instant, String, String)>>,
    /// Who waits to hear themselves.
    probes: StdMutex<HashMap<u64, oneshot::Sender<()>>>,
    next_probe: std::sync::atomic::AtomicU64,
    tasks: TaskTracker,
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
        let (sender, events) = mpsc::channel(EVENTS);
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
            servers.push(server.as_str().parse::<async_nats::ServerAddr>().map_err(wrong)?);
        }
        let client = options.connect(servers).await.map_err(wrong)?;
        Ok(Self {
            client,
            root: config.subject.clone(),
            own,
            events: Mutex::new(events),
            subjects: Mutex::default(),
            said: StdMutex::default(),
            probes: StdMutex::default(),
            next_probe: std::sync::atomic::AtomicU64::new(0),
            tasks: TaskTracker::new(),
        })
    }

    /// Whether there is a server.
    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    fn own_subject(&self) -> String {
        format!("{}.instance.{}", self.root, self.own)
    }

    /// Says something to whom it concerns; false where it can't be said now.
    pub(super) async fn say<'n>(&self, notices: impl Iterator<Item = &'n Notice>) -> bool {
        if !self.is_connected() {
            return false;
        }
        let said = async {
            for notice in notices {
                let key = match notice {
                    Notice::Message { destination, user, .. } => crate::realtime::key(destination, *user),
                    Notice::Beat => continue,
                    Notice::EndRelaying(_) | Notice::Missed => ALL.to_owned(),
                };
                // A notice of ours always has a JSON form.
                let text = serde_json::to_string(notice).unwrap_or_default();
                let subject = subject(&self.root, &key);
                self.remember(&subject, &text);
                self.publish(subject, &text).await?;
            }
            self.client.flush().await.map_err(|error| error.to_string())
        };
        match timeout(ANSWERS_WITHIN, said).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, "NATS does not take what is said");
                false
            }
            Err(_) => false,
        }
    }

    async fn publish(&self, subject: String, text: &str) -> Result<(), String> {
        let payload = format!("{} {text}", self.own);
        self.client.publish(subject, payload.into()).await.map_err(|error| error.to_string())
    }

    fn remember(&self, subject: &str, text: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        while said.len() >= REMEMBERED || said.front().is_some_and(|(at, ..)| at.elapsed() > SAID_AGAIN) {
            said.pop_front();
        }
        said.push_back((Instant::now(), subject.to_owned(), text.to_owned()));
    }

    /// Says again what may not have been heard. Who has heard it knows it by its number or revision.
    async fn say_again(&self) {
        let again: Vec<_> = self.said.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect();
        for (at, subject, text) in again {
            if at.elapsed() <= SAID_AGAIN + TRIED_AGAIN_WITHIN
                && let Err(error) = self.publish(subject, &text).await
            {
                tracing::warn!(%error, "NATS does not take what was said before");
                return;
            }
        }
    }

    /// Listens to what this service's clients listen to, and no more to what none of them does. What is said once this
    /// has returned is heard.
    pub(crate) async fn follow(&self, app: &Arc<App>, key: &str) {
        let mut subjects = self.subjects.lock().await;
        let is_wanted = app.hub.has_listeners(key);
        match (is_wanted, subjects.get(key)) {
            (true, None) => {
                let end = app.stop.child_token();
                match self.client.subscribe(subject(&self.root, key)).await {
                    Ok(subscriber) => {
                        self.tasks.spawn(listen(app.clone(), self.own, subscriber, end.clone()));
                        subjects.insert(key.to_owned(), end);
                    }
                    Err(error) => tracing::error!(%error, "NATS takes no subscription"),
                }
                drop(subjects);
                self.is_heard().await;
            }
            (false, Some(end)) => {
                end.cancel();
                subjects.remove(key);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Waits until the server has taken what was asked of it before. One that is away has everybody fetch when it is
    /// back.
    async fn is_heard(&self) {
        let number = self.next_probe.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let (sender, heard) = oneshot::channel();
        self.probes.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sender);
        let probe = async {
            self.client.publish(self.own_subject(), number.to_string().into()).await.ok()?;
            heard.await.ok()
        };
        if timeout(ANSWERS_WITHIN, probe).await.is_err() {
            self.probes.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        } else if !self.client.server_info().connect_urls.is_empty() {
            tokio::time::sleep(SPREADS_WITHIN).await;
        }
    }

    /// Passes on what concerns every service, and looks after the connection, until `stop`.
    pub(crate) async fn hear(&self, app: Arc<App>, stop: CancellationToken) -> Result<(), ServiceError> {
        let mut all = self.client.subscribe(subject(&self.root, ALL)).await.map_err(wrong)?;
        let mut own = self.client.subscribe(self.own_subject()).await.map_err(wrong)?;
        let mut events = self.events.lock().await;
        let mut was_away = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(message) = all.next() => pass_on(&app, self.own, &message),
                Some(message) = own.next() => {
                    let number = std::str::from_utf8(&message.payload).ok().and_then(|text| text.parse::<u64>().ok());
                    let probe = number.and_then(|number| {
                        self.probes.lock().unwrap_or_else(PoisonError::into_inner).remove(&number)
                    });
                    if let Some(probe) = probe {
                        // Whoever waited may have given up.
                        let _ = probe.send(());
                    }
                }
                event = events.recv() => match event {
                    Some(Event::Connected) if was_away => {
                        was_away = false;
                        tracing::info!("NATS is there again");
                        self.say_again().await;
                        app.deliver(Notice::Missed);
                    }
                    Some(Event::Disconnected) => {
                        was_away = true;
                        tracing::warn!("NATS is away: PostgreSQL carries what it would");
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

/// Passes on what is said of one subject.
async fn listen(app: Arc<App>, own: InstanceId, mut subscriber: Subscriber, end: CancellationToken) {
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            message = subscriber.next() => match message {
                Some(message) => pass_on(&app, own, &message),
                None => return,
            },
        }
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
