//! What services on one database say to one another. They are hints: who misses one finds what it was about in the
//! database, and is made to look there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bedside_protocol::{SessionId, UserId};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::Nats;
use crate::{
    App,
    sign_ins::Attempt,
    store::{InstanceId, NOTICE_BYTES, Notices, StoreError},
    telemetry,
};

/// Notices that wait to be sent: of seconds at a country's pace. What comes when there are as many is told here alone,
/// and the others are told to look themselves.
const WAITING: usize = 8_192;
/// Notices that are sent together.
const TOGETHER: usize = 256;
/// The least time between two sendings. PostgreSQL lets transactions that say something commit one after another, so
/// that a few hundred in a second are all that it does well; this leaves ten services room.
const SENT_EVERY: Duration = Duration::from_millis(5);
/// Silence after which nothing is heard any more: each service hears itself every few seconds.
const SILENT_FOR: Duration = super::LEASE;
/// The same where NATS carries the rest.
const ECHOES_WITHIN: Duration = Duration::from_secs(150);
/// How long after its last word a service counts that hears only over PostgreSQL.
const SPLIT_FOR: Duration = super::LEASE;
/// How long after a failure it is tried again to listen.
const AGAIN: Duration = Duration::from_millis(500);
/// Of a notice in parts: the largest that a client may send, and room.
const LARGEST: usize = 1024 * 1024;

/// What is said.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Notice {
    /// For the sockets that listen to a destination: everybody's, or only this user's.
    Message {
        /// As clients subscribe to it.
        destination: String,
        /// Whose.
        user: Option<UserId>,
        /// What it is about: guests hear only of their visit.
        #[serde(default)]
        visit: Option<SessionId>,
        /// The message, as JSON.
        body: String,
    },
    /// Nothing is relayed for a sign-in or a visit any more.
    EndRelaying(String),
    /// Somebody tries to sign in.
    Attempt(Attempt),
    /// Something was not said: whoever listens must look.
    Missed,
    /// That this service hears only here, over PostgreSQL; heard by itself, that it does.
    Beat,
    /// Nothing: that it is heard shows that one hears.
    Echo,
    /// What was said over NATS as well, for those who hear only here.
    Aside(Box<Notice>),
}

/// [`Notice::Aside`], as it is said.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum ForOthers<'a> {
    Aside(&'a Notice),
}

/// The way out of this service.
pub(crate) struct Bus {
    /// None where nobody else can be there.
    queue: Option<mpsc::Sender<Queued>>,
    waiting: Mutex<mpsc::Receiver<Queued>>,
    /// Something was told here and not to the others.
    has_missed: AtomicBool,
    /// Others were there when it was last looked.
    had_others: AtomicBool,
    /// Notices that were taken and not delivered here yet.
    pending: AtomicU64,
    /// The last notice's number.
    number: AtomicU64,
    /// What carries it, in place of PostgreSQL.
    nats: Option<Arc<Nats>>,
    /// Until when there are services that do not hear over NATS.
    is_split_until: StdMutex<Option<Instant>>,
}

enum Queued {
    Notice(Notice),
    /// Told whether what came before it was said.
    Flush(oneshot::Sender<bool>),
}

impl Bus {
    pub(crate) fn new(is_shared: bool, nats: Option<Nats>) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        Self {
            queue: is_shared.then_some(queue),
            waiting: Mutex::new(waiting),
            has_missed: AtomicBool::new(false),
            had_others: AtomicBool::new(false),
            pending: AtomicU64::new(0),
            number: AtomicU64::new(0),
            nats: nats.map(Arc::new),
            is_split_until: StdMutex::default(),
        }
    }

    /// What carries it in place of PostgreSQL, if anything does.
    pub(crate) const fn nats(&self) -> Option<&Arc<Nats>> {
        self.nats.as_ref()
    }

    /// Whether this service hears over NATS.
    pub(crate) fn hears_over_nats(&self) -> bool {
        self.nats.as_ref().is_some_and(|nats| nats.is_there())
    }

    /// Another service hears only over PostgreSQL.
    fn note_beat(&self) {
        let until = Instant::now() + SPLIT_FOR;
        *self.is_split_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    fn is_split(&self) -> bool {
        let until = *self.is_split_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Takes a notice to every service, this one among them; gives it back where it is for this one alone.
    pub(crate) fn take(&self, notice: Notice) -> Result<(), Notice> {
        let Some(queue) = &self.queue else { return Err(notice) };
        if self.is_alone() && !matches!(notice, Notice::Beat | Notice::Echo) {
            return Err(notice);
        }
        self.pending.fetch_add(1, Ordering::AcqRel);
        queue.try_send(Queued::Notice(notice)).map_err(|error| {
            self.pending.fetch_sub(1, Ordering::AcqRel);
            self.has_missed.store(true, Ordering::Relaxed);
            match error.into_inner() {
                Queued::Notice(notice) => notice,
                Queued::Flush(_) => Notice::Missed,
            }
        })
    }

    /// Whether nobody else is there, and nothing that was said to others is on its way still: then what is said need
    /// not leave this service. One that comes says so before it serves anybody.
    fn is_alone(&self) -> bool {
        !self.had_others.load(Ordering::Relaxed) && self.pending.load(Ordering::Acquire) == 0
    }

    /// Whether there are others now.
    pub(crate) fn remember_others(&self, others: bool) {
        self.had_others.store(others, Ordering::Relaxed);
    }

    /// The same, as the database has it. Those that were not heard of until now were not told what was said.
    pub(crate) fn discover_others(&self, others: bool) {
        if !self.had_others.swap(others, Ordering::Relaxed) && others {
            self.has_missed.store(true, Ordering::Relaxed);
        }
    }

    /// Waits until everything before has been said; false where it could not be.
    pub(crate) async fn flush(&self) -> bool {
        let Some(queue) = &self.queue else { return true };
        if self.is_alone() {
            return true;
        }
        let (said, is_said) = oneshot::channel();
        queue.send(Queued::Flush(said)).await.is_ok() && is_said.await.unwrap_or(false)
    }
}

/// Sends what there is to say until `stop`, and then what is left.
pub(crate) async fn send(app: Arc<App>, stop: CancellationToken) {
    let mut waiting = app.bus.waiting.lock().await;
    let mut batch = Vec::new();
    let mut not_before = Instant::now();
    loop {
        tokio::select! {
            biased;
            taken = waiting.recv_many(&mut batch, TOGETHER) => if taken == 0 { return },
            () = stop.cancelled(), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
        }
        if Instant::now() < not_before {
            tokio::time::sleep_until(not_before).await;
            while batch.len() < TOGETHER
                && let Ok(more) = waiting.try_recv()
            {
                batch.push(more);
            }
        }
        not_before = Instant::now() + SENT_EVERY;
        send_some(&app, batch.drain(..)).await;
    }
}

async fn send_some(app: &App, batch: impl Iterator<Item = Queued>) {
    let queued: Vec<Queued> = batch.collect();
    let own = app.store.instance();
    let had_missed = app.bus.has_missed.swap(false, Ordering::Relaxed);
    let missed = Notice::Missed;
    let asked = queued.iter().filter_map(|one| match one {
        Queued::Notice(notice) => Some(notice),
        Queued::Flush(_) => None,
    });
    let notices = had_missed.then_some(&missed).into_iter().chain(asked);
    let (here, notices): (Vec<&Notice>, Vec<&Notice>) =
        notices.partition(|notice| matches!(notice, Notice::Beat | Notice::Echo));
    let is_said = match &app.bus.nats {
        Some(nats) => nats.say(&notices).await,
        None => false,
    };
    let mut texts = vec![];
    let number = || app.bus.number.fetch_add(1, Ordering::Relaxed);
    for notice in here {
        texts.extend(parts(own, number(), notice));
    }
    let is_split = is_said && app.bus.is_split();
    for notice in &notices {
        if !is_said {
            texts.extend(parts(own, number(), notice));
        } else if is_split {
            texts.extend(parts(own, number(), &ForOthers::Aside(notice)));
        }
    }
    let said = if texts.is_empty() { Ok(()) } else { app.store.notify(&texts).await };
    telemetry::count_notices(notices.len() as u64, said.is_ok());
    if let Err(error) = &said {
        app.bus.has_missed.store(true, Ordering::Relaxed);
        tracing::error!(%error, "other services can't be told; they will be told to look themselves");
    }
    // Here last: a client that sees its own message knows that the others can.
    for one in queued {
        match one {
            Queued::Notice(notice) => {
                app.deliver(notice);
                app.bus.pending.fetch_sub(1, Ordering::AcqRel);
            }
            // Whoever asked may not wait any more.
            Queued::Flush(asked) => drop(asked.send(said.is_ok())),
        }
    }
}

/// A notice as it is sent: in parts where it is long, each with who says it and how many are to come.
fn parts(own: InstanceId, number: u64, notice: &impl Serialize) -> Vec<String> {
    // A notice of ours always has a JSON form.
    let text = serde_json::to_string(notice).unwrap_or_default();
    // Of a head: a UUID, a number, a count and what is between them.
    let room = NOTICE_BYTES - 32 - 20 - 20 - 3;
    let mut rest = text.as_str();
    let mut pieces = VecDeque::new();
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(room));
        pieces.push_back(piece);
        rest = after;
    }
    let count = pieces.len();
    pieces
        .iter()
        .enumerate()
        .map(|(at, piece)| format!("{own} {number} {} {piece}", count - 1 - at))
        .collect()
}

/// Notices of which not all parts have come, by who says them and as which.
#[derive(Default)]
struct Incoming(HashMap<InstanceId, (u64, String)>);

enum Heard {
    /// A whole one.
    Whole(Notice),
    /// One's own, or not all of it.
    Nothing,
    /// What no service of this version says.
    Unreadable,
}

impl Incoming {
    fn add(&mut self, own: InstanceId, text: &str) -> Heard {
        let mut head = text.splitn(4, ' ');
        let mut next = || head.next();
        let (Some(Ok(from)), Some(Ok(number)), Some(Ok(to_come)), Some(piece)) = (
            next().map(str::parse::<InstanceId>),
            next().map(str::parse::<u64>),
            next().map(str::parse::<u32>),
            next(),
        ) else {
            return Heard::Unreadable;
        };
        if from == own {
            return Heard::Nothing;
        }
        let (begun, whole) = self.0.entry(from).or_default();
        if *begun != number {
            (*begun, *whole) = (number, String::new());
        }
        if whole.len() + piece.len() > LARGEST {
            self.0.remove(&from);
            return Heard::Unreadable;
        }
        whole.push_str(piece);
        if to_come > 0 {
            return Heard::Nothing;
        }
        let whole = self.0.remove(&from).map(|(_, whole)| whole).unwrap_or_default();
        serde_json::from_str(&whole).map_or(Heard::Unreadable, Heard::Whole)
    }
}

/// Passes on what the other services say, until `stop`.
pub(crate) async fn hear(app: Arc<App>, mut notices: Notices, stop: CancellationToken) {
    let own = app.store.instance();
    // Where NATS carries the rest, it hears itself more rarely.
    let silent_for = if app.bus.nats.is_some() { ECHOES_WITHIN } else { SILENT_FOR };
    let mut incoming = Incoming::default();
    loop {
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            heard = tokio::time::timeout(silent_for, notices.next()) => heard,
        };
        match heard {
            Ok(Ok(Some(text))) => match incoming.add(own, &text) {
                Heard::Whole(notice) => {
                    app.bus.remember_others(true);
                    if matches!(notice, Notice::Beat) {
                        app.bus.note_beat();
                    }
                    app.deliver(notice);
                }
                Heard::Nothing => {}
                Heard::Unreadable => {
                    tracing::error!("another service says what this one does not understand");
                    app.deliver(Notice::Missed);
                }
            },
            Ok(Ok(None) | Err(_)) | Err(_) => {
                tracing::warn!("nothing is heard of the other services");
                drop(notices);
                incoming = Incoming::default();
                notices = tokio::select! {
                    () = stop.cancelled() => return,
                    notices = listen_again(&app) => notices,
                };
                // Only now, when nothing more is missed.
                let has_others = app.store.has_other_instances(jiff::Timestamp::now()).await;
                if app.bus.had_others.load(Ordering::Relaxed) || has_others.unwrap_or(true) {
                    app.deliver(Notice::Missed);
                }
            }
        }
    }
}

async fn listen_again(app: &App) -> Notices {
    loop {
        match app.store.listen().await {
            Ok(Some(notices)) => return notices,
            Ok(None) => {}
            Err(error) => log_deaf(&error),
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn log_deaf(error: &StoreError) {
    tracing::error!(%error, "the other services can't be heard; it is tried again");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(body: &str) -> Notice {
        Notice::Message {
            destination: "/topic/session.1".to_owned(),
            user: None,
            visit: None,
            body: body.to_owned(),
        }
    }

    fn instance(number: u128) -> InstanceId {
        format!("{number:032x}").parse().unwrap()
    }

    #[test]
    fn a_long_notice_comes_in_parts_and_is_whole_again() {
        let body = "ä€🙂 \"quoted\" ".repeat(3_000);
        let (one, other) = (instance(1), instance(2));
        let from_one = parts(one, u64::MAX, &message(&body));
        let from_other = parts(other, 7, &message("short"));
        assert!(from_one.len() > 3 && from_other.len() == 1);
        assert!(from_one.iter().all(|part| part.len() <= NOTICE_BYTES));
        let mut incoming = Incoming::default();
        // Between the parts of one come others' notices.
        let mut order: Vec<&String> = from_one.iter().collect();
        order.insert(1, &from_other[0]);
        let mut bodies = vec![];
        for text in order {
            if let Heard::Whole(Notice::Message { body, .. }) = incoming.add(instance(3), text) {
                bodies.push(body);
            }
        }
        assert_eq!(bodies, ["short".to_owned(), body]);
        assert!(incoming.0.is_empty(), "nothing is kept of it");
    }

    #[test]
    fn what_one_says_oneself_one_does_not_hear() {
        let own = instance(1);
        let said = parts(own, 1, &message("mine"));
        assert!(matches!(Incoming::default().add(own, &said[0]), Heard::Nothing));
    }

    #[test]
    fn a_notice_that_broke_off_is_forgotten() {
        let (one, own) = (instance(1), instance(9));
        let long = parts(one, 1, &message(&"x".repeat(20_000)));
        let mut incoming = Incoming::default();
        incoming.add(own, &long[0]);
        let next = parts(one, 2, &message("next"));
        assert!(
            matches!(incoming.add(own, &next[0]), Heard::Whole(Notice::Message { body, .. }) if body == "next")
        );
    }

    #[test]
    fn what_is_no_notice_is_not_taken_for_one() {
        let mut incoming = Incoming::default();
        for text in ["", "hello", "1 2 3 4", "00000000000000000000000000000001 1 0 {}"] {
            assert!(matches!(incoming.add(instance(9), text), Heard::Unreadable), "{text}");
        }
        let endless = format!("{} 1 1 {}", instance(1), "x".repeat(7_000));
        let heard =
            (0..200).filter(|_| matches!(incoming.add(instance(9), &endless), Heard::Unreadable)).count();
        assert!(heard > 0, "it is bounded");
    }
}
