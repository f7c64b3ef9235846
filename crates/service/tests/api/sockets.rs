//! What the realtime link does with what no client of ours sends, and how it ends.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use crate::common::{Clinic, Person, clinic, email};
use bedside_protocol::{MAX_BODY_BYTES, stomp::Frame, topic};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        protocol::frame::{
            Frame as WireFrame,
            coding::{Data, OpCode},
        },
    },
};

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Frames that came while something else was waited for.
    waiting: VecDeque<Frame>,
}

/// How a connection ended: the ERROR frame's code, the close frame's code and reason.
#[derive(PartialEq, Eq, Debug)]
struct End(Option<String>, u16, String);

fn ended(code: &str) -> End {
    End(Some(code.to_owned()), 1008, code.to_owned())
}

impl Socket {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let mut request = format!("ws://{address}/ws/consultation").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "v12.stomp".parse().unwrap());
        Self { stream: connect_async(request).await.unwrap().0, waiting: VecDeque::new() }
    }

    pub(crate) async fn signed_in(clinic: &Clinic, token: &str) -> Self {
        Self::signed_in_at(clinic.service.address, token).await
    }

    pub(crate) async fn signed_in_at(address: SocketAddr, token: &str) -> Self {
        let mut socket = Self::open(address).await;
        socket.send(&hello(token)).await;
        assert_eq!(socket.frame().await.command, "CONNECTED");
        socket
    }

    /// The same where there may be nobody.
    pub(crate) async fn try_signed_in_at(address: SocketAddr, token: &str) -> Option<Self> {
        let mut request = format!("ws://{address}/ws/consultation").into_client_request().unwrap();
        request.headers_mut().insert("Sec-WebSocket-Protocol", "v12.stomp".parse().unwrap());
        let (stream, _) = connect_async(request).await.ok()?;
        let mut socket = Self { stream, waiting: VecDeque::new() };
        (socket.try_send(&hello(token)).await && socket.try_frame().await?.command == "CONNECTED")
            .then_some(socket)
    }

    /// Whether it could be sent.
    pub(crate) async fn try_send(&mut self, frame: &Frame) -> bool {
        self.stream.send(Message::text(frame.to_text())).await.is_ok()
    }

    /// The next frame; none where the connection has ended.
    pub(crate) async fn try_frame(&mut self) -> Option<Frame> {
        loop {
            match self.stream.next().await? {
                Ok(Message::Text(text)) => {
                    if let Some(frame) = Frame::parse(&text).unwrap() {
                        return Some(frame);
                    }
                }
                Ok(Message::Ping(_)) => {}
                _ => return None,
            }
        }
    }

    /// Whether it could subscribe.
    pub(crate) async fn try_subscribe(&mut self, destination: &str) -> bool {
        let frame = Frame::new("SUBSCRIBE")
            .header("id", destination)
            .header("destination", destination)
            .header("receipt", "1");
        if !self.try_send(&frame).await {
            return false;
        }
        while let Some(frame) = self.try_frame().await {
            if frame.command == "RECEIPT" {
                return true;
            }
        }
        false
    }

    pub(crate) async fn send(&mut self, frame: &Frame) {
        self.raw(Message::text(frame.to_text())).await;
    }

    async fn raw(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    async fn next(&mut self) -> Option<Message> {
        let next = tokio::time::timeout(Duration::from_secs(15), self.stream.next());
        next.await.expect("the service says something").and_then(Result::ok)
    }

    /// The next frame; heart-beats and pings are passed over.
    pub(crate) async fn frame(&mut self) -> Frame {
        match self.waiting.pop_front() {
            Some(frame) => frame,
            None => self.coming().await,
        }
    }

    /// Reads until something is said that has all of these words; gives it.
    pub(crate) async fn until(&mut self, words: &[&str]) -> Frame {
        let mut heard = vec![];
        let saying = async {
            loop {
                let frame = self.frame().await;
                if words.iter().all(|word| frame.body.contains(word)) {
                    return frame;
                }
                heard.push(frame.body);
            }
        };
        let said = tokio::time::timeout(Duration::from_secs(14), saying).await;
        said.unwrap_or_else(|_| panic!("{words:?} was not said, but {heard:#?}"))
    }

    async fn coming(&mut self) -> Frame {
        let coming = async {
            loop {
                let text = match self.next().await {
                    Some(Message::Text(text)) => text,
                    Some(Message::Ping(_)) => continue,
                    other => panic!("the connection has ended: {other:?}"),
                };
                if let Some(frame) = Frame::parse(&text).unwrap() {
                    return frame;
                }
            }
        };
        let frame = tokio::time::timeout(Duration::from_secs(15), coming).await;
        frame.expect("the service says something, beside that it is there")
    }

    pub(crate) async fn subscribe(&mut self, destination: &str) {
        let frame = Frame::new("SUBSCRIBE")
            .header("id", destination)
            .header("destination", destination)
            .header("receipt", "1");
        self.send(&frame).await;
        loop {
            let frame = self.coming().await;
            match frame.command.as_str() {
                "RECEIPT" => return,
                // Of another subscription.
                "MESSAGE" => self.waiting.push_back(frame),
                other => panic!("{other}: {}", frame.body),
            }
        }
    }

    /// The code that the connection ends with, whenever that is.
    pub(crate) async fn ends(mut self) -> Option<String> {
        while let Some(Ok(message)) = self.stream.next().await {
            if let Message::Close(Some(reason)) = message {
                return Some(reason.reason.to_string());
            }
        }
        None
    }

    /// Everything until the connection ends.
    async fn end(mut self) -> End {
        let mut code = None;
        loop {
            match self.next().await {
                Some(Message::Text(text)) => {
                    if let Some(frame) = Frame::parse(&text).unwrap().filter(|f| f.command == "ERROR") {
                        code = frame.get("code").map(str::to_owned);
                    }
                }
                Some(Message::Close(Some(reason))) => {
                    return End(code, reason.code.into(), reason.reason.to_string());
                }
                Some(_) => {}
                None => return End(code, 0, String::new()),
            }
        }
    }
}

fn hello(token: &str) -> Frame {
    Frame::new("CONNECT")
        .header("accept-version", "1.2")
        .header("heart-beat", "0,1000")
        .header("Authorization", format!("Bearer {token}"))
}

pub(crate) fn send(destination: &str, body: &Value) -> Frame {
    Frame::new("SEND").header("destination", destination).body(body.to_string())
}

#[tokio::test]
async fn who_does_not_belong_is_not_let_in() {
    let clinic = clinic().await;
    let address = clinic.service.address;
    let first = async |frame: Frame| {
        let mut socket = Socket::open(address).await;
        socket.send(&frame).await;
        socket.end().await
    };
    assert_eq!(first(hello("no token")).await, ended("not-signed-in"));
    assert_eq!(first(Frame::new("CONNECT").header("accept-version", "1.2")).await, ended("not-signed-in"));
    assert_eq!(first(Frame::new("CONNECT").header("accept-version", "1.0,1.1")).await, ended("bad-frame"));
    assert_eq!(first(send("/app/chat.send", &json!({}))).await, ended("bad-frame"), "CONNECT comes first");
    let topic = topic::session(clinic.session);
    for stranger in [&clinic.other_doctor, &clinic.other_patient, &clinic.admin] {
        let mut socket = Socket::signed_in(&clinic, &stranger.token).await;
        socket.send(&Frame::new("SUBSCRIBE").header("id", "1").header("destination", &topic)).await;
        assert_eq!(socket.end().await, ended("not-a-participant"));
    }
}

#[tokio::test]
async fn what_is_no_frame_ends_the_connection() {
    let clinic = clinic().await;
    let token = &clinic.patient.token;
    let after = async |message: Message| {
        let mut socket = Socket::signed_in(&clinic, token).await;
        socket.raw(message).await;
        socket.end().await
    };
    let text = |text: &str| Message::text(text.to_owned());
    assert_eq!(after(text("HOW ARE YOU")).await, ended("bad-frame"));
    assert_eq!(after(text("SEND\nno colon\n\n\0")).await, ended("bad-frame"));
    assert_eq!(after(text("BEGIN\ntransaction:1\n\n\0")).await, ended("bad-frame"));
    assert_eq!(after(Message::binary(vec![0xff; 8])).await, ended("bad-frame"));
    let latin1 = b"SEND\ndestination:/app/chat.send\n\nm\xfcde\0".to_vec();
    let latin1 = WireFrame::message(latin1, OpCode::Data(Data::Text), true);
    assert_eq!(after(Message::Frame(latin1)).await, ended("bad-frame"));
    let huge = json!({ "type": "TYPING", "payload": "x".repeat(MAX_BODY_BYTES + 16 * 1024) });
    assert_eq!(after(text(&send("/app/chat.typing", &huge).to_text())).await, ended("too-large"));
    let unknown = send("/app/nowhere", &json!({}));
    assert_eq!(after(text(&unknown.to_text())).await, ended("unknown-destination"));
    let nowhere = Frame::new("SUBSCRIBE").header("id", "1").header("destination", "/topic/everything");
    assert_eq!(after(text(&nowhere.to_text())).await, ended("unknown-destination"));
}

#[tokio::test]
async fn a_refused_message_says_why_and_the_connection_goes_on() {
    let clinic = clinic().await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(topic::ERRORS).await;
    let session = clinic.session;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let chat = |session: &str, kind: &str, content: &str| {
        let payload =
            json!({ "sessionId": session, "clientMessageId": id, "messageType": kind, "content": content });
        json!({ "type": "CHAT_MESSAGE", "payload": payload })
    };
    let signal = json!({ "type": "SIGNAL", "payload": {
        "sessionId": session, "from": id, "body": { "kind": "bye" } } });
    let here = session.to_string();
    let cases = [
        ("/app/chat.send", json!({ "type": "NONSENSE" }), "invalid"),
        (
            "/app/chat.send",
            json!({ "type": "TYPING", "payload": { "sessionId": session, "typing": true } }),
            "invalid",
        ),
        ("/app/chat.send", chat(&here, "text", "  "), "invalid"),
        ("/app/chat.send", chat(&here, "image", ""), "invalid"),
        ("/app/chat.send", chat(&here, "text", &"x".repeat(20_000)), "too-large"),
        ("/app/chat.send", chat(id, "text", "hello"), "not-found"),
        ("/app/call.signal", signal, "not-admitted"),
    ];
    for (destination, body, code) in cases {
        socket.send(&send(destination, &body)).await;
        let told: Value = serde_json::from_str(&socket.frame().await.body).unwrap();
        assert_eq!(told["payload"]["code"], code, "{body}");
    }
    let (_, page) = clinic
        .service
        .send(reqwest::Method::GET, &clinic.path("/chat"), Some(&clinic.patient.token), None)
        .await;
    assert_eq!(page["items"], json!([]), "nothing was stored");
}

#[tokio::test]
async fn a_message_stored_before_the_end_is_confirmed_after_it() {
    let clinic = clinic().await;
    clinic.in_the_call().await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    socket.subscribe(&topic::session(clinic.session)).await;
    let message = |id: &str| {
        let payload = json!({ "sessionId": clinic.session, "clientMessageId": id, "messageType": "text", "content": "a" });
        send("/app/chat.send", &json!({ "type": "CHAT_MESSAGE", "payload": payload }))
    };
    let known = message("01890a5d-ac96-774b-bcce-b302099a8057");
    let stored = async |socket: &mut Socket| loop {
        let told: Value = serde_json::from_str(&socket.frame().await.body).unwrap();
        if told["type"] == "CHAT_MESSAGE" && told["payload"]["messageType"] == "text" {
            return told["payload"]["messageId"].clone();
        }
    };
    socket.send(&known).await;
    let first = stored(&mut socket).await;
    clinic.post(&clinic.doctor, "/end", json!({})).await;
    // As a client does that missed the confirmation.
    socket.send(&known).await;
    assert_eq!(stored(&mut socket).await, first);
    socket.subscribe(topic::ERRORS).await;
    socket.send(&message("01890a5d-ac96-774b-bcce-b302099a8058")).await;
    // A new one comes too late.
    socket.until(&["\"ERROR\"", "session-ended"]).await;
}

#[tokio::test]
async fn the_service_beats_and_says_that_it_stops() {
    let mut clinic = clinic().await;
    let mut socket = Socket::signed_in(&clinic, &clinic.patient.token).await;
    assert_eq!(socket.next().await, Some(Message::text("\n")), "a heart-beat");
    let ((), end) = tokio::join!(clinic.service.stop(), socket.end());
    assert_eq!(end, End(None, 1001, "the service is stopping".to_owned()));
}

#[tokio::test]
async fn a_visit_that_both_have_dropped_out_of_fails() {
    let clinic = crate::common::clinic_with(|settings| settings.absent_minutes = Some(0)).await;
    let mut both = vec![];
    for person in [&clinic.doctor, &clinic.patient] {
        let mut socket = Socket::signed_in(&clinic, &person.token).await;
        socket.subscribe(&topic::session(clinic.session)).await;
        both.push(socket);
    }
    clinic.in_the_call().await;
    let (mut doctor, patient) = (both.remove(0), both.remove(0));
    drop(patient);
    // As long as one is there it goes on: the timers look every five seconds.
    let is_over = |frame: &Frame| frame.body.contains("COMPLETED") || frame.body.contains("FAILED");
    let waited =
        tokio::time::timeout(Duration::from_secs(6), async { while !is_over(&doctor.frame().await) {} });
    assert!(waited.await.is_err(), "the doctor is there");
    drop(doctor);
    let mut again = Socket::signed_in(&clinic, &clinic.doctor.token).await;
    again.subscribe(topic::NOTIFICATIONS).await;
    let ended = loop {
        let frame = again.frame().await;
        if is_over(&frame) {
            break serde_json::from_str::<Value>(&frame.body).unwrap();
        }
    };
    assert_eq!(ended["payload"]["status"], "FAILED");
    assert_eq!(ended["payload"]["endReason"], "connection_lost");
}

/// What joining answers.
async fn join(clinic: &Clinic, who: &Person, body: Value) -> Value {
    let (status, joined) = clinic.post(who, "/join", body).await;
    assert_eq!(status.as_u16(), 200, "{joined}");
    joined
}

#[tokio::test]
async fn only_the_device_that_has_the_call_is_given_media() {
    let clinic = clinic().await;
    let other = clinic.service.sign_in(&email("patient")).await;
    join(&clinic, &clinic.patient, json!({ "ready": true })).await;
    clinic.post(&clinic.doctor, "/admit", json!({})).await;
    join(&clinic, &clinic.doctor, json!({})).await;

    let prepared = join(&clinic, &other, json!({ "prepare": true, "byItself": true })).await;
    assert_eq!((&prepared["admitted"], &prepared["accessToken"]), (&json!(true), &Value::Null));
    let entered = join(&clinic, &other, json!({})).await;
    assert!(entered["accessToken"].is_string(), "{entered}");
    let seat = &entered["session"]["patientDevice"];
    assert!(seat.is_string());

    // The first comes back by itself, as after a break: it is told where the call is.
    let back = join(&clinic, &clinic.patient, json!({ "byItself": true })).await;
    assert_eq!((&back["accessToken"], &back["session"]["patientDevice"]), (&Value::Null, seat));
    // It leaves: nothing.
    let (_, left) = clinic.post(&clinic.patient, "/leave", json!({})).await;
    assert_eq!((&left["status"], &left["patientDevice"]), (&json!("IN_PROGRESS"), seat));
    assert_eq!(left["revision"], entered["session"]["revision"]);

    // Taken back, at a press.
    let taken = join(&clinic, &clinic.patient, json!({})).await;
    assert!(taken["accessToken"].is_string() && taken["session"]["patientDevice"] != *seat);

    // What the other still sends reaches nobody.
    let mut socket = Socket::signed_in(&clinic, &other.token).await;
    socket.subscribe(topic::ERRORS).await;
    let signal = json!({ "type": "SIGNAL", "payload": { "sessionId": clinic.session,
        "from": "01890a5d-ac96-774b-bcce-b302099a8057", "body": { "kind": "hello", "reply": false } } });
    let token = entered["accessToken"].as_str().unwrap();
    socket.send(&send("/app/call.signal", &signal).header("media-token", token)).await;
    let told: Value = serde_json::from_str(&socket.frame().await.body).unwrap();
    assert_eq!(told["payload"]["code"], "on-another-device", "{told}");
}
