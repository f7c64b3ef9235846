//! Sockets: what each takes, and how soon what one says is heard by the others.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use bedside_protocol::stomp::Frame;
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{net::TcpStream, sync::Barrier};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::{
    measure::Figures,
    system::{Kind, System},
};

/// How long it is waited for what somebody should hear.
const HEARD_WITHIN: Duration = Duration::from_secs(15);

/// A client's socket, in the words of either system.
pub(crate) struct Socket {
    kind: Kind,
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Socket {
    pub(crate) async fn open(kind: Kind, address: SocketAddr, token: &str) -> Result<Self> {
        let path = match kind {
            Kind::Ours => "/ws/consultation",
            Kind::Peer => "/socket.io/?EIO=4&transport=websocket",
        };
        let mut request = format!("ws://{address}{path}").into_client_request()?;
        if kind == Kind::Ours {
            request.headers_mut().insert("Sec-WebSocket-Protocol", "v12.stomp".parse()?);
        }
        let mut socket = Self { kind, stream: connect_async(request).await?.0 };
        match kind {
            Kind::Ours => {
                let hello = Frame::new("CONNECT")
                    .header("accept-version", "1.2")
                    .header("heart-beat", "0,0")
                    .header("Authorization", format!("Bearer {token}"));
                socket.send(hello.to_text()).await?;
                socket.until("CONNECTED").await?;
            }
            Kind::Peer => {
                socket.until("0{").await?;
                socket.send(format!("40{}", json!({ "token": token }))).await?;
                socket.until("40{").await?;
            }
        }
        Ok(socket)
    }

    async fn send(&mut self, text: String) -> Result<()> {
        Ok(self.stream.send(Message::text(text)).await?)
    }

    /// The next text that is said; what only shows that the other is there is answered and passed over.
    async fn text(&mut self) -> Result<String> {
        loop {
            match self.stream.next().await.context("the connection has ended")?? {
                Message::Text(text) if text.as_str() == "2" => self.send("3".to_owned()).await?,
                Message::Text(text) if text.trim().is_empty() => {}
                Message::Text(text) => return Ok(text.to_string()),
                Message::Close(_) => bail!("the connection was closed"),
                _ => {}
            }
        }
    }

    async fn until(&mut self, start: &str) -> Result<String> {
        let heard = async {
            loop {
                let text = self.text().await?;
                if text.starts_with(start) {
                    return Ok(text);
                }
            }
        };
        tokio::time::timeout(HEARD_WITHIN, heard).await?
    }

    pub(crate) async fn listen(&mut self, visit: &str) -> Result<()> {
        match self.kind {
            Kind::Ours => {
                let destination = format!("/topic/session.{visit}");
                let subscribe = Frame::new("SUBSCRIBE")
                    .header("id", "visit")
                    .header("destination", destination)
                    .header("receipt", "visit");
                self.send(subscribe.to_text()).await?;
                self.until("RECEIPT").await?;
            }
            Kind::Peer => {
                self.send(format!("421{}", json!(["enter", visit]))).await?;
                self.until("431").await?;
            }
        }
        Ok(())
    }

    async fn say(&mut self, visit: &str, number: usize) -> Result<()> {
        let client = format!("01890a5d-ac96-774b-bcce-{number:012x}");
        let message = json!({ "sessionId": visit, "content": number.to_string(), "clientMessageId": client });
        let text = match self.kind {
            Kind::Ours => {
                let mut payload = message;
                payload["messageType"] = "text".into();
                let body = json!({ "type": "CHAT_MESSAGE", "payload": payload });
                Frame::new("SEND").header("destination", "/app/chat.send").body(body.to_string()).to_text()
            }
            Kind::Peer => format!("42{}", json!(["say", message])),
        };
        self.send(text).await
    }

    /// The next message's number and place.
    async fn hear(&mut self) -> Result<(usize, u64)> {
        loop {
            let text = self.text().await?;
            let message: Value = match self.kind {
                Kind::Ours => {
                    let Ok(Some(frame)) = Frame::parse(&text) else { continue };
                    let body: Value = serde_json::from_str(&frame.body).unwrap_or_default();
                    if body["type"] == "ERROR" {
                        bail!("refused: {}", body["payload"]["code"]);
                    }
                    if body["type"] != "CHAT_MESSAGE" {
                        continue;
                    }
                    body["payload"].clone()
                }
                Kind::Peer => {
                    let Some(event) = text.strip_prefix("42") else { continue };
                    let event: Value = serde_json::from_str(event)?;
                    serde_json::from_str(event[1].as_str().unwrap_or_default()).unwrap_or_default()
                }
            };
            let number = message["content"].as_str().and_then(|text| text.parse().ok());
            if let (Some(number), Some(seq)) = (number, message["seq"].as_u64()) {
                return Ok((number, seq));
            }
        }
    }
}

/// Opens sockets that listen to nothing but are there; gives what each takes of the service's memory.
pub(crate) async fn memory_each(system: &System, count: usize) -> Result<(u64, Vec<Socket>)> {
    let before = crate::measure::memory(system.process())?;
    let mut sockets = vec![];
    for number in 0..count {
        let token = &system.patients[number % system.patients.len()].1;
        sockets.push(Socket::open(system.kind, system.address, token).await?);
    }
    let after = crate::measure::memory(system.process())?;
    Ok((after.saturating_sub(before) / count as u64, sockets))
}

/// How messages of one visit came to those who listen.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Delivery {
    #[serde(flatten)]
    pub(crate) figures: Figures,
    pub(crate) listeners: usize,
    pub(crate) sent: usize,
    pub(crate) lost: usize,
    pub(crate) out_of_order: usize,
}

/// Says `rate` messages a second into one visit, for `lasts`; `listeners` hear it.
pub(crate) async fn deliver(
    system: &Arc<System>,
    visit: &str,
    listeners: usize,
    rate: usize,
    lasts: Duration,
) -> Result<Delivery> {
    let count = rate * lasts.as_secs() as usize;
    let is_ready = Arc::new(Barrier::new(listeners + 1));
    let began = Instant::now();
    let mut tasks = vec![];
    for listener in 0..listeners {
        // One half the doctor's devices, the other the patient's.
        let token = if listener % 2 == 0 { system.doctor.clone() } else { system.patients[0].1.clone() };
        let (system, visit, is_ready) = (system.clone(), visit.to_owned(), is_ready.clone());
        tasks.push(tokio::spawn(async move {
            let mut socket = Socket::open(system.kind, system.address, &token).await?;
            socket.listen(&visit).await?;
            is_ready.wait().await;
            let mut heard = Vec::with_capacity(count);
            while heard.len() < count {
                match tokio::time::timeout(HEARD_WITHIN, socket.hear()).await {
                    Ok(Ok((number, seq))) => heard.push((number, seq, began.elapsed())),
                    Ok(Err(error)) => return Err(error),
                    Err(_) => break,
                }
            }
            Ok(heard)
        }));
    }
    let mut writer = Socket::open(system.kind, system.address, &system.doctor).await?;
    writer.listen(visit).await?;
    is_ready.wait().await;
    let mut said = Vec::with_capacity(count);
    let mut interval = tokio::time::interval(Duration::from_secs_f64(1.0 / rate as f64));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    // Numbers that no run before has used: a message is known by its id.
    let first = began.elapsed().as_nanos() as usize % 1_000 + rate * 1_000_000;
    for number in 0..count {
        interval.tick().await;
        said.push(began.elapsed());
        writer.say(visit, first + number).await?;
    }
    let (mut took, mut lost, mut out_of_order) = (vec![], 0, 0);
    for task in tasks {
        let heard = task.await??;
        lost += count - heard.len();
        out_of_order += heard.windows(2).filter(|pair| pair[1].1 <= pair[0].1).count();
        took.extend(heard.iter().filter_map(|(number, _, at)| {
            number.checked_sub(first).and_then(|at| said.get(at)).map(|said| at.saturating_sub(*said))
        }));
    }
    Ok(Delivery { figures: Figures::of(took, lasts, 0), listeners, sent: count, lost, out_of_order })
}
