//! The realtime link: one STOMP connection that comes back by itself.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use bedside_protocol::{ClientMessage, Code, Problem, SessionId, Token, app, stomp::Frame, topic};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{rest::SignedIn, websocket::WebSocket};
use crate::{Link, Wire, WireEvent};

/// Heart-beats asked for and offered, both ways: as often as the service's own.
const HEART_BEAT: Duration = Duration::from_millis(5_000);
/// How many beats may be missed.
const MISSED: u32 = 2;
/// How long saying good-bye may take.
const GOODBYE_WITHIN: Duration = Duration::from_secs(2);
/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Messages waiting to be sent while the link is down are dropped: whoever sends them hears of
/// the link coming up and knows what is still worth saying.
const OUTBOX: usize = 256;
/// Messages received and not taken yet. When it is full, reading stops and TCP holds back.
const INBOX: usize = 256;

enum Command {
    Subscribe(String),
    Unsubscribe(String),
    Send { destination: &'static str, body: String, media_token: Option<Token> },
}

/// The link. Ends with [`Wire::close`].
struct Stomp {
    commands: mpsc::Sender<Command>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// Starts the link. `wait` gives how long to wait before each attempt to bring it back.
pub(super) fn start(signed_in: Arc<SignedIn>, wait: Box<dyn FnMut(bool) -> Duration + Send + Sync>) -> Link {
    let (commands, command_queue) = mpsc::channel(OUTBOX);
    let (events, receiver) = mpsc::channel(INBOX);
    let stop = CancellationToken::new();
    let driver = Driver {
        signed_in,
        commands: command_queue,
        events,
        stop: stop.clone(),
        subscriptions: [topic::NOTIFICATIONS, topic::SIGNALS, topic::ERRORS].map(str::to_owned).into(),
        wait,
    };
    let wire = Box::new(Stomp { commands, stop, task: tokio::spawn(driver.run()) });
    Link { wire, events: receiver }
}

impl Stomp {
    fn command(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!("the realtime link does not keep up");
        }
    }
}

#[async_trait]
impl Wire for Stomp {
    fn watch(&self, id: SessionId) {
        self.command(Command::Subscribe(topic::session(id)));
    }

    fn unwatch(&self, id: SessionId) {
        self.command(Command::Unsubscribe(topic::session(id)));
    }

    fn send(&self, message: &ClientMessage, media_token: Option<Token>) {
        let destination = match message {
            ClientMessage::Signal(_) => app::CALL_SIGNAL,
            ClientMessage::ChatMessage(_) => app::CHAT_SEND,
            ClientMessage::ChatStatus(_) => app::CHAT_STATUS,
            ClientMessage::Typing(_) => app::CHAT_TYPING,
        };
        match serde_json::to_string(message) {
            Ok(body) => self.command(Command::Send { destination, body, media_token }),
            Err(error) => tracing::error!(%error, "a message has no JSON form"),
        }
    }

    async fn close(self: Box<Self>) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the realtime link had stopped");
        }
    }
}

struct Driver {
    signed_in: Arc<SignedIn>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<WireEvent>,
    stop: CancellationToken,
    subscriptions: BTreeSet<String>,
    wait: Box<dyn FnMut(bool) -> Duration + Send + Sync>,
}

enum End {
    Stopped,
    Broken,
    Refused(Code),
}

impl Driver {
    async fn run(mut self) {
        let stop = self.stop.clone();
        loop {
            let token = self.signed_in.access_token().await;
            let mut was_up = false;
            let connecting = timeout(CONNECT_WITHIN, self.connect(&token));
            let Some(connected) = stop.run_until_cancelled(connecting).await else { return };
            let end = match connected {
                Ok(Ok(socket)) => {
                    was_up = true;
                    if self.events.send(WireEvent::Up).await.is_err() {
                        return;
                    }
                    let end = self.talk(socket).await;
                    if self.events.send(WireEvent::Down).await.is_err() {
                        return;
                    }
                    end
                }
                Ok(Err(end)) => end,
                Err(_) => End::Broken,
            };
            match end {
                End::Stopped => return,
                End::Refused(Code::NotSignedIn) => {
                    let Some(renewed) = stop.run_until_cancelled(self.signed_in.renew(&token)).await else {
                        return;
                    };
                    // Anything else may be different in a moment.
                    if let Err(error) = renewed
                        && matches!(error.code(), Some(Code::NotSignedIn | Code::TokenReused))
                    {
                        // The loop's owner closes it; nobody listening is as good.
                        let _ = self.events.send(WireEvent::SignedOut).await;
                        return;
                    }
                }
                End::Refused(code) => tracing::warn!(code = code.as_str(), "the realtime link was refused"),
                End::Broken => {}
            }
            let until = Instant::now() + (self.wait)(was_up);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = sleep_until(until) => break,
                    command = self.commands.recv() => match command {
                        Some(command) => self.while_down(command),
                        None => return,
                    }
                }
            }
        }
    }

    fn while_down(&mut self, command: Command) {
        match command {
            Command::Subscribe(destination) => {
                self.subscriptions.insert(destination);
            }
            Command::Unsubscribe(destination) => {
                self.subscriptions.remove(&destination);
            }
            Command::Send { destination, .. } => tracing::debug!(destination, "not sent: the link is down"),
        }
    }

    async fn connect(&self, token: &Token) -> Result<WebSocket, End> {
        let mut socket = self.signed_in.api().open_websocket().await.map_err(|error| {
            tracing::info!(%error, "no realtime link");
            End::Broken
        })?;
        let beat = HEART_BEAT.as_millis();
        let hello = Frame::new("CONNECT")
            .header("accept-version", "1.2")
            .header("host", "bedside")
            .header("heart-beat", format!("{beat},{beat}"))
            .header("Authorization", format!("Bearer {}", token.expose()));
        socket.send(Message::text(hello.to_text())).await.map_err(|_| End::Broken)?;
        loop {
            let Some(Ok(message)) = socket.next().await else { return Err(End::Broken) };
            let Message::Text(text) = message else { continue };
            match Frame::parse(&text) {
                Ok(Some(frame)) if frame.command == "CONNECTED" => break,
                Ok(Some(frame)) if frame.command == "ERROR" => return Err(refusal(&frame)),
                Ok(None) => {}
                _ => return Err(End::Broken),
            }
        }
        let mut unconfirmed = self.subscriptions.clone();
        for destination in &unconfirmed {
            socket.send(Message::text(subscribe(destination).to_text())).await.map_err(|_| End::Broken)?;
        }
        while !unconfirmed.is_empty() {
            let Some(Ok(message)) = socket.next().await else { return Err(End::Broken) };
            match receipt(&message) {
                Some(destination) => drop(unconfirmed.remove(&destination)),
                None => {
                    if let Some(end) = self.on_message(&message).await {
                        return Err(end);
                    }
                }
            }
        }
        Ok(socket)
    }

    async fn talk(&mut self, mut socket: WebSocket) -> End {
        let stop = self.stop.clone();
        let mut heard = Instant::now();
        let mut beat = Instant::now() + HEART_BEAT;
        loop {
            let outgoing = tokio::select! {
                () = stop.cancelled() => {
                    self.say_goodbye(socket).await;
                    return End::Stopped;
                }
                () = sleep_until(heard + HEART_BEAT * MISSED) => return End::Broken,
                () = sleep_until(beat) => "\n".to_owned(),
                command = self.commands.recv() => match command {
                    None => return End::Stopped,
                    Some(Command::Subscribe(destination)) => {
                        let frame = subscribe(&destination);
                        if !self.subscriptions.insert(destination.clone()) {
                            // It was confirmed before.
                            if !self.tell_of(&destination).await {
                                return End::Stopped;
                            }
                            continue;
                        }
                        frame.to_text()
                    }
                    Some(Command::Unsubscribe(destination)) => {
                        self.subscriptions.remove(&destination);
                        Frame::new("UNSUBSCRIBE").header("id", destination).to_text()
                    }
                    Some(Command::Send { destination, body, media_token }) => {
                        send(destination, body, media_token).to_text()
                    }
                },
                received = socket.next() => {
                    let Some(Ok(message)) = received else { return End::Broken };
                    heard = Instant::now();
                    if let Some(destination) = receipt(&message)
                        && !self.tell_of(&destination).await
                    {
                        return End::Stopped;
                    }
                    if let Some(end) = self.on_message(&message).await {
                        return end;
                    }
                    continue;
                }
            };
            beat = Instant::now() + HEART_BEAT;
            if socket.send(Message::text(outgoing)).await.is_err() {
                return End::Broken;
            }
        }
    }

    /// Tells that a visit's topic is listened to; false when nobody listens to that.
    async fn tell_of(&self, destination: &str) -> bool {
        match topic::session_of(destination) {
            Some(id) => self.events.send(WireEvent::Watching(id)).await.is_ok(),
            None => true,
        }
    }

    /// What was said last is not lost: it may be the good-bye that the other end waits for.
    async fn say_goodbye(&mut self, mut socket: WebSocket) {
        let mut frames = vec![];
        while let Ok(command) = self.commands.try_recv() {
            match command {
                Command::Send { destination, body, media_token } => {
                    frames.push(send(destination, body, media_token));
                }
                Command::Unsubscribe(destination) => {
                    frames.push(Frame::new("UNSUBSCRIBE").header("id", destination));
                }
                Command::Subscribe(_) => {}
            }
        }
        frames.push(Frame::new("DISCONNECT"));
        let saying = async {
            for frame in frames {
                socket.send(Message::text(frame.to_text())).await?;
            }
            socket.close(None).await
        };
        // It may be gone already, or not listen.
        let _ = timeout(GOODBYE_WITHIN, saying).await;
    }

    async fn on_message(&self, message: &Message) -> Option<End> {
        let Message::Text(text) = message else {
            return matches!(message, Message::Close(_)).then_some(End::Broken);
        };
        match Frame::parse(text) {
            Ok(Some(frame)) if frame.command == "MESSAGE" => match serde_json::from_str(&frame.body) {
                Ok(message) => {
                    let event = WireEvent::Message(Box::new(message));
                    self.events.send(event).await.is_err().then_some(End::Stopped)
                }
                Err(_) => {
                    tracing::warn!("a message of a kind this version does not know");
                    None
                }
            },
            Ok(Some(frame)) if frame.command == "ERROR" => Some(refusal(&frame)),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "the service sent a broken frame");
                Some(End::Broken)
            }
        }
    }
}

fn send(destination: &'static str, body: String, media_token: Option<Token>) -> Frame {
    let frame = Frame::new("SEND")
        .header("destination", destination)
        .header("content-type", "application/json")
        .body(body);
    match media_token {
        Some(token) => frame.header(bedside_protocol::MEDIA_TOKEN_HEADER, token.expose()),
        None => frame,
    }
}

fn subscribe(destination: &str) -> Frame {
    // One subscription to a destination: it can be its own id, and its own receipt.
    Frame::new("SUBSCRIBE")
        .header("id", destination)
        .header("destination", destination)
        .header("receipt", destination)
}

/// The destination whose subscription a message confirms.
fn receipt(message: &Message) -> Option<String> {
    let Message::Text(text) = message else { return None };
    let frame = Frame::parse(text).ok()??;
    (frame.command == "RECEIPT").then(|| frame.get("receipt-id").map(str::to_owned))?
}

fn refusal(frame: &Frame) -> End {
    let problem: Option<Problem> = serde_json::from_str(&frame.body).ok();
    problem.map_or(End::Broken, |problem| End::Refused(problem.code))
}
