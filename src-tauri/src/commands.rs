//! What the page may call.

use std::sync::atomic::{AtomicBool, Ordering};

use bedside_client::{Client, Command, FrameChannel};
use bedside_protocol::{AttachmentId, Text};
use bedside_session::Snapshot;
use serde::{Deserialize, Serialize};
use tauri::{
    State,
    ipc::{Channel, InvokeBody, InvokeResponseBody, Request, Response},
};
use tokio::sync::oneshot;
use ts_rs::TS;

use crate::{
    running::Running,
    told::{Change, Known, News},
};

/// How often loudness is sent while it changes: as smooth as a meter needs.
const LEVELS_EVERY: std::time::Duration = std::time::Duration::from_millis(66);

/// Whether the page shows a meter.
#[derive(Default)]
pub struct Meters(AtomicBool);

/// What the page is told.
#[derive(Serialize, Clone, TS)]
#[serde(tag = "kind", content = "value", rename_all = "camelCase")]
pub enum UiEvent {
    /// The whole state.
    Snapshot(Box<Snapshot>),
    /// What of it has changed since.
    Change(Change),
    /// Loudness of microphone and speaker, 0 to 1.
    Levels {
        /// The microphone's.
        microphone: f32,
        /// The speaker's.
        speaker: f32,
    },
}

/// Which pictures.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Pictures {
    /// The other side's.
    Remote,
    /// What the other side shares of its screen.
    Screen,
    /// One's own.
    Own,
}

fn feed(client: &Client, which: Pictures) -> &FrameChannel {
    match which {
        Pictures::Remote => &client.remote_video,
        Pictures::Screen => &client.remote_screen,
        Pictures::Own => &client.self_video,
    }
}

/// Does what a person asked for.
#[tauri::command]
pub fn act(ask: Command, running: State<'_, Running>) {
    running.with(|client| client.command(ask));
}

/// Tells the page of the state and of what changes in it, and of loudness, until it is gone.
#[tauri::command]
pub fn watch(channel: Channel<UiEvent>, running: State<'_, Running>, app: tauri::AppHandle) {
    let Some(mut snapshots) = running.with(Client::snapshots) else { return };
    snapshots.mark_changed();
    tauri::async_runtime::spawn(async move {
        let mut tick = tokio::time::interval(LEVELS_EVERY);
        let shows_meters = || tauri::Manager::state::<Meters>(&app).0.load(Ordering::Relaxed);
        let mut last = (0.0, 0.0);
        let mut known = Known::default();
        loop {
            let told = tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => {
                        let now = snapshots.borrow_and_update().clone();
                        match known.learn(&now) {
                            Ok(News::Some(change)) => UiEvent::Change(change),
                            Ok(News::None) => continue,
                            // What can't be taken apart is told whole.
                            Ok(News::All) | Err(_) => UiEvent::Snapshot(Box::new(now)),
                        }
                    }
                    Err(_) => return,
                },
                _ = tick.tick() => {
                    // Each word to the page costs as much as a picture.
                    if !shows_meters() {
                        continue;
                    }
                    let levels = tauri::Manager::state::<Running>(&app).with(Client::levels).unwrap_or_default();
                    if last == (levels.microphone, levels.speaker) {
                        continue;
                    }
                    last = (levels.microphone, levels.speaker);
                    UiEvent::Levels { microphone: last.0, speaker: last.1 }
                }
            };
            if channel.send(told).is_err() {
                return;
            }
        }
    });
}

/// Says whether the page shows a meter: loudness is told only then.
#[tauri::command]
pub fn meters(on: bool, meters: State<'_, Meters>) {
    meters.0.store(on, Ordering::Relaxed);
}

/// Gives the page pictures, encoded, or raw where it can't decode.
#[tauri::command]
pub fn pictures(
    which: Pictures,
    raw: bool,
    channel: Channel<InvokeResponseBody>,
    running: State<'_, Running>,
) {
    let sink = move |message: Vec<u8>| channel.send(InvokeResponseBody::Raw(message)).is_ok();
    running.with(|client| feed(client, which).connect(Box::new(sink), raw));
}

/// The page has taken every picture up to `sequence`; so many of them came too late to be drawn.
#[tauri::command]
pub fn acknowledge(which: Pictures, sequence: u32, late: u32, running: State<'_, Running>) {
    running.with(|client| feed(client, which).acknowledge(sequence, late));
}

/// The page's decoder lost its way and needs a key frame.
#[tauri::command]
pub fn decoder_lost(which: Pictures, running: State<'_, Running>) {
    running.with(|client| feed(client, which).restart());
}

/// Sends a file to the chat: the body is the file, the header `x-name` its name, percent-encoded.
#[tauri::command]
pub fn send_file(request: Request<'_>, running: State<'_, Running>) -> Result<(), String> {
    let InvokeBody::Raw(bytes) = request.body() else { return Err("the body is the file".into()) };
    let name = request.headers().get("x-name").and_then(|value| value.to_str().ok()).unwrap_or("file");
    let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy().into_owned();
    running.with(|client| {
        client.command(Command::SendFile { name: Text::new(name), bytes: bytes.clone().into() });
    });
    Ok(())
}

/// Fetches a file of the chat.
#[tauri::command]
pub async fn fetch_file(attachment: AttachmentId, running: State<'_, Running>) -> Result<Response, String> {
    let (reply, answer) = oneshot::channel();
    running.with(|client| client.command(Command::Fetch { attachment, reply }));
    let bytes = answer.await.map_err(|_| "the file can't be had".to_owned())?;
    Ok(Response::new(bytes.to_vec()))
}
