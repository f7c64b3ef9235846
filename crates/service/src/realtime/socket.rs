//! One WebSocket from CONNECT to its end.

use std::{net::IpAddr, ops::ControlFlow, time::Duration};

use axum::{
    extract::{
        State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code},
    },
    response::Response,
};
use bedside_protocol::{
    Code, MAX_BODY_BYTES, ScheduleId, SessionId, Token,
    stomp::{self, Frame},
    topic,
};
use jiff::Timestamp;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use tokio_util::sync::CancellationToken;

use super::{
    hub::{Outgoing, SocketId},
    messages,
};
use crate::{
    app::Shared,
    ctx::Ctx,
    descriptors,
    error::ApiError,
    origin::Origin,
    places::Place,
    routes::bearer,
    use_cases::{outside, practice, sign_ins, visits},
};

/// A whole frame: a body and generous headers.
const MAX_FRAME_BYTES: usize = MAX_BODY_BYTES + 8 * 1024;
/// What the WebSocket itself takes, so that a frame that is somewhat too large gets a STOMP
/// error with its code and not only a closed connection.
const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// Of each socket, kept for as long as it is there: most messages fit, and what does not takes another read. Of
/// thousands who wait, the usual 128 KiB would be most of what the service takes.
const BUFFER_BYTES: usize = 4 * 1024;
/// Time to send CONNECT: a round trip of the slowest line, twice.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Time for a last word.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);
/// Heart-beats this service offers and asks for: a lost client is noticed within three, well
/// inside the 300 s that proxies let a WebSocket idle.
const HEART_BEAT: u32 = 5_000;
/// A client without heart-beats of which nothing is heard for this long is gone (requirements §2.2).
const IDLE_FOR: Duration = Duration::from_secs(300);
/// A client that does not take a frame for this long does not read any more.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// How often it is looked whether a sign-in has ended.
const CHECK_GRANT: Duration = Duration::from_secs(30);
/// Bytes of a subscription's id, which goes into each of its messages: a UUID several times over.
const MAX_SUBSCRIPTION_ID: usize = 255;
/// Subscriptions of one socket; a client of ours has five.
const MAX_SUBSCRIPTIONS: usize = 64;

/// `/ws/consultation`.
pub(crate) async fn upgrade(
    State(app): State<Shared>,
    Origin(from): Origin,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade =
        upgrade.map_err(|_| ApiError::new(Code::Invalid, "this address speaks STOMP over WebSocket"))?;
    if app.sockets.len() >= descriptors::share().sockets {
        return Err(Code::Unavailable.into());
    }
    let needed_more = CancellationToken::new();
    let place = app.connecting.take(from, needed_more.clone());
    let sockets = app.sockets.clone();
    Ok(upgrade
        .protocols([stomp::SUBPROTOCOL])
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .on_upgrade(move |socket| sockets.track_future(serve(app, socket, from, place, needed_more))))
}

async fn serve(
    app: Shared,
    mut socket: WebSocket,
    from: IpAddr,
    place: Place,
    needed_more: CancellationToken,
) {
    let connected = tokio::select! {
        () = app.stop.cancelled() => return going_away(socket).await,
        () = needed_more.cancelled() => return fail(&mut socket, &Code::TooManyAttempts.into()).await,
        connected = tokio::time::timeout(CONNECT_WITHIN, connect(&app, &mut socket, from)) => connected,
    };
    match connected {
        Ok(Ok(Some((ctx, (theirs, ours))))) => {
            drop(place);
            let Some((id, outbox)) = app.hub.connect(ctx.user.id, ctx.visit) else {
                return fail(&mut socket, &Code::TooManyAttempts.into()).await;
            };
            tracing::info!("a client connected");
            Session { app: &app, socket: &mut socket, id, ctx, theirs, ours }.run(outbox).await;
            for listener in app.hub.disconnect(id) {
                app.presence.note(listener);
            }
            forget(&app).await;
            tracing::info!("a client disconnected");
            if app.stop.is_cancelled() {
                going_away(socket).await;
            }
        }
        Ok(Err(error)) => fail(&mut socket, &error).await,
        // Closed before it said anything, or silent.
        Ok(Ok(None)) | Err(_) => {}
    }
}

/// Whatever nobody here listens to any more, the other services need not say to this one.
async fn forget(app: &Shared) {
    let unheard = app.hub.take_unheard();
    if let Some(nats) = app.bus.nats() {
        for key in unheard {
            nats.follow(app, &key).await;
        }
    }
}

async fn going_away(mut socket: WebSocket) {
    let reason = CloseFrame { code: close_code::AWAY, reason: "the service is stopping".into() };
    farewell(&mut socket, Message::Close(Some(reason))).await;
}

/// An ERROR frame, after which a STOMP server closes.
async fn fail(socket: &mut WebSocket, error: &ApiError) {
    let problem = error.problem();
    let frame = Frame::new("ERROR")
        .header("message", problem.title.clone())
        .header("code", problem.code.as_str())
        .header("content-type", "application/problem+json")
        .body(serde_json::to_string(&problem).unwrap_or_default());
    farewell(socket, Message::Text(frame.to_text().into())).await;
    let reason = CloseFrame { code: close_code::POLICY, reason: problem.code.as_str().into() };
    farewell(socket, Message::Close(Some(reason))).await;
}

/// Says a last thing to a client, which may be gone already or not read any more: nobody waits for it.
async fn farewell(socket: &mut WebSocket, message: Message) {
    let _ = tokio::time::timeout(FAREWELL_WITHIN, socket.send(message)).await;
}

/// Heart-beat periods: what the client sends, what we send; none for never.
type HeartBeats = (Option<Duration>, Option<Duration>);

/// Waits for CONNECT and answers it.
async fn connect(
    app: &Shared,
    socket: &mut WebSocket,
    from: IpAddr,
) -> Result<Option<(Ctx, HeartBeats)>, ApiError> {
    let frame = loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) => {
                if let Some(frame) = parse(&text)? {
                    break frame;
                }
            }
            Some(Ok(Message::Binary(_))) => return Err(ApiError::new(Code::BadFrame, "frames are text")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(None),
        }
    };
    if !matches!(frame.command.as_str(), "CONNECT" | "STOMP") {
        return Err(ApiError::new(Code::BadFrame, "the first frame is CONNECT"));
    }
    if !frame.get("accept-version").is_some_and(|versions| versions.split(',').any(|v| v.trim() == "1.2")) {
        return Err(ApiError::new(Code::BadFrame, "this service speaks STOMP 1.2"));
    }
    let token = frame.get("Authorization").and_then(bearer).ok_or(Code::NotSignedIn)?;
    let grant = outside::grant(app, from, &Token::new(token)).await?.ok_or(Code::NotSignedIn)?;
    let (sends, wants) = stomp::heart_beat(frame.get("heart-beat"));
    let period = |one: u32, other: u32| {
        (one > 0 && other > 0).then(|| Duration::from_millis(u64::from(one.max(other))))
    };
    let answer = Frame::new("CONNECTED")
        .header("version", "1.2")
        .header("server", concat!("bedside/", env!("CARGO_PKG_VERSION")))
        .header("heart-beat", format!("{HEART_BEAT},{HEART_BEAT}"));
    if socket.send(Message::Text(answer.to_text().into())).await.is_err() {
        return Ok(None);
    }
    Ok(Some((Ctx::new(grant, from), (period(sends, HEART_BEAT), period(HEART_BEAT, wants)))))
}

fn parse(text: &str) -> Result<Option<Frame>, ApiError> {
    if text.len() > MAX_FRAME_BYTES {
        return Err(Code::TooLarge.into());
    }
    Frame::parse(text).map_err(|error| ApiError::new(Code::BadFrame, error.to_string()))
}

struct Session<'a> {
    app: &'a Shared,
    socket: &'a mut WebSocket,
    id: SocketId,
    ctx: Ctx,
    theirs: Option<Duration>,
    ours: Option<Duration>,
}

impl Session<'_> {
    async fn run(mut self, mut outbox: mpsc::Receiver<Outgoing>) {
        // Three of theirs may be late before they count as gone: a busy machine is not a dead one.
        let patience = self.theirs.map_or(IDLE_FOR, |period| (period * 3).min(IDLE_FOR));
        let period = self.ours.unwrap_or(IDLE_FOR / 3);
        let mut heard = Instant::now();
        let mut beat = Instant::now() + period;
        let mut check = Instant::now() + CHECK_GRANT;
        loop {
            let flow = tokio::select! {
                () = self.app.stop.cancelled() => ControlFlow::Break(()),
                () = sleep_until(heard + patience) => ControlFlow::Break(()),
                () = sleep_until(beat) => {
                    beat = Instant::now() + period;
                    self.beat().await
                }
                () = sleep_until(check) => {
                    check = Instant::now() + CHECK_GRANT;
                    self.check_grant().await
                }
                outgoing = outbox.recv() => match outgoing {
                    Some(Outgoing::Frame(frame)) => self.send(frame.to_text()).await,
                    None => ControlFlow::Break(()),
                },
                received = self.socket.recv() => {
                    heard = Instant::now();
                    self.on_message(received).await
                }
            };
            if flow.is_break() {
                return;
            }
        }
    }

    /// Shows that the service is there, and that the client is.
    async fn beat(&mut self) -> ControlFlow<()> {
        if self.ours.is_some() && self.send("\n".to_owned()).await.is_break() {
            return ControlFlow::Break(());
        }
        // Who sends none is asked below STOMP, where every WebSocket answers by itself.
        if self.theirs.is_none() {
            return self.say(Message::Ping("".into())).await;
        }
        ControlFlow::Continue(())
    }

    async fn send(&mut self, text: String) -> ControlFlow<()> {
        self.say(Message::Text(text.into())).await
    }

    async fn say(&mut self, message: Message) -> ControlFlow<()> {
        match tokio::time::timeout(SEND_WITHIN, self.socket.send(message)).await {
            Ok(Ok(())) => ControlFlow::Continue(()),
            // Gone, or it does not read what it asked for.
            Ok(Err(_)) | Err(_) => ControlFlow::Break(()),
        }
    }

    async fn check_grant(&mut self) -> ControlFlow<()> {
        match self.app.store.family_is_live(self.ctx.sign_in, sign_ins::IDLE_FOR, Timestamp::now()).await {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => self.refuse(&Code::NotSignedIn.into()).await,
            Err(error) => {
                tracing::error!(%error, "a sign-in could not be looked at");
                ControlFlow::Continue(())
            }
        }
    }

    async fn refuse(&mut self, error: &ApiError) -> ControlFlow<()> {
        tracing::info!(code = error.code.as_str(), "a connection is ended");
        fail(self.socket, error).await;
        ControlFlow::Break(())
    }

    async fn on_message(&mut self, received: Option<Result<Message, axum::Error>>) -> ControlFlow<()> {
        let outcome = match received {
            Some(Ok(Message::Text(text))) => match parse(&text) {
                Ok(Some(frame)) => self.on_frame(&frame).await,
                Ok(None) => Ok(ControlFlow::Continue(())),
                Err(error) => Err(error),
            },
            Some(Ok(Message::Binary(_))) => Err(ApiError::new(Code::BadFrame, "frames are text")),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(ControlFlow::Continue(())),
            Some(Ok(Message::Close(_))) | None => Ok(ControlFlow::Break(())),
            // Too large for the WebSocket, not UTF-8, or the connection broke.
            Some(Err(_)) => Err(ApiError::new(Code::BadFrame, "the frame is too large or not UTF-8")),
        };
        match outcome {
            Ok(flow) => flow,
            Err(error) => self.refuse(&error).await,
        }
    }

    async fn on_frame(&mut self, frame: &Frame) -> Result<ControlFlow<()>, ApiError> {
        if frame.get("transaction").is_some() {
            return Err(ApiError::new(Code::BadFrame, "there are no transactions here"));
        }
        match frame.command.as_str() {
            "SEND" => messages::handle(self.app, &self.ctx, frame).await?,
            "SUBSCRIBE" => self.subscribe(frame).await?,
            "UNSUBSCRIBE" => {
                let id = frame.get("id").ok_or(ApiError::new(Code::BadFrame, "id is missing"))?;
                if let Some(listener) = self.app.hub.unsubscribe(self.id, id) {
                    self.app.presence.note(listener);
                }
                forget(self.app).await;
            }
            "DISCONNECT" => {
                let _ = self.receipt(frame).await;
                return Ok(ControlFlow::Break(()));
            }
            // Messages are stored and fetched again; acknowledging one means nothing more.
            "ACK" | "NACK" => {}
            _ => return Err(ApiError::new(Code::BadFrame, "this command is not supported")),
        }
        Ok(self.receipt(frame).await)
    }

    async fn receipt(&mut self, frame: &Frame) -> ControlFlow<()> {
        match frame.get("receipt") {
            Some(id) => self.send(Frame::new("RECEIPT").header("receipt-id", id).to_text()).await,
            None => ControlFlow::Continue(()),
        }
    }

    async fn subscribe(&mut self, frame: &Frame) -> Result<(), ApiError> {
        let id = frame.get("id").ok_or(ApiError::new(Code::BadFrame, "id is missing"))?;
        if id.len() > MAX_SUBSCRIPTION_ID {
            return Err(ApiError::new(Code::BadFrame, "the subscription id is too long"));
        }
        let destination = frame.get("destination").unwrap_or_default();
        let (count, is_taken) = self.app.hub.subscriptions(self.id, id);
        if is_taken {
            return Err(ApiError::new(Code::BadFrame, "this subscription id is in use"));
        }
        if count >= MAX_SUBSCRIPTIONS {
            return Err(ApiError::new(Code::BadFrame, "too many subscriptions"));
        }
        let (topic, visit) = match destination.strip_prefix("/topic/session.") {
            Some(text) => {
                let visit: SessionId = text.parse().map_err(|_| Code::UnknownDestination)?;
                visits::listen(self.app, &self.ctx, visit).await?;
                // By its one spelling: a UUID has several, and what is told goes to that.
                (topic::session(visit), Some(visit))
            }
            None if let Some(text) = destination.strip_prefix("/topic/schedule.") => {
                let schedule: ScheduleId = text.parse().map_err(|_| Code::UnknownDestination)?;
                practice::listen(self.app, &self.ctx, schedule).await?;
                (topic::schedule(schedule), None)
            }
            None if [topic::NOTIFICATIONS, topic::SIGNALS, topic::ERRORS].contains(&destination) => {
                (destination.to_owned(), None)
            }
            None => return Err(Code::UnknownDestination.into()),
        };
        let here = self.app.hub.subscribe(self.id, id, &topic, visit);
        if let Some(nats) = self.app.bus.nats() {
            let own = topic.starts_with("/user/").then_some(self.ctx.user.id);
            nats.follow(self.app, &super::key(&topic, own)).await;
        }
        if let Some(listener) = here {
            let asked = self.app.presence.note(listener);
            self.app.presence.is_written(asked).await;
        }
        Ok(())
    }
}
