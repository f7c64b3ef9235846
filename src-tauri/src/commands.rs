//! What the page may call.

use bedside_client::{Client, Command, DeviceKind, Feed};
use bedside_protocol::{AttachmentId, ClientMessageId, FeedbackRequest, SessionId, Text, Token};
use bedside_session::Snapshot;
use serde::{Deserialize, Serialize};
use tauri::{
    State,
    ipc::{Channel, InvokeBody, InvokeResponseBody, Request, Response},
};
use tokio::sync::oneshot;
use ts_rs::TS;

use crate::shell::Running;

/// How often loudness is sent while it changes: as smooth as a meter needs.
const LEVELS_EVERY: std::time::Duration = std::time::Duration::from_millis(66);

/// What a person asks for on a screen.
#[derive(Deserialize, TS)]
#[serde(tag = "ask", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Ask {
    /// Sign in.
    SignIn {
        /// The service's address.
        service: String,
        /// E-mail address.
        email: Text,
        /// Password.
        password: Token,
    },
    /// Make a patient's account and sign in.
    Register {
        /// The service's address.
        service: String,
        /// Name.
        name: Text,
        /// E-mail address.
        email: Text,
        /// Password.
        password: Token,
    },
    /// Sign out.
    SignOut,
    /// Go to the first screen.
    Home,
    /// Show past visits, or more of them.
    History,
    /// Go to the waiting room, or back into a visit.
    Enter {
        /// Which.
        session: SessionId,
    },
    /// *I'm ready*.
    Ready,
    /// Join the call one is called into.
    Join,
    /// Call a patient in, or go back into a visit.
    Admit {
        /// Which.
        session: SessionId,
    },
    /// Leave the waiting room or the call.
    Leave,
    /// End the visit for both.
    End,
    /// Put it on hold, or take it off.
    Hold {
        /// Whether.
        on: bool,
    },
    /// Try again after the connection was lost.
    Rejoin,
    /// Write.
    SendText {
        /// The words.
        text: Text,
    },
    /// Give up a refused message.
    Discard {
        /// Which.
        id: ClientMessageId,
    },
    /// Fetch older messages.
    OlderMessages,
    /// The chat is on the screen, or is not.
    ChatOpen {
        /// Whether.
        open: bool,
    },
    /// The person writes, or stopped.
    Typing {
        /// Whether.
        typing: bool,
    },
    /// Give feedback.
    Feedback {
        /// What was said.
        feedback: FeedbackRequest,
    },
    /// Switch the microphone or camera.
    Switch {
        /// Which.
        device: DeviceKind,
        /// On or off.
        on: bool,
    },
    /// Use another device.
    Choose {
        /// Which kind.
        device: DeviceKind,
        /// Which one; none for the system's choice.
        id: Option<String>,
    },
    /// Play the test sound.
    TestSound,
    /// Whether it was heard.
    TestSoundHeard {
        /// Whether.
        heard: bool,
    },
    /// The problem was seen.
    Dismiss,
}

impl From<Ask> for Command {
    fn from(ask: Ask) -> Self {
        match ask {
            Ask::SignIn { service, email, password } => Self::SignIn { service, email, password },
            Ask::Register { service, name, email, password } => {
                Self::Register { service, name, email, password }
            }
            Ask::SignOut => Self::SignOut,
            Ask::Home => Self::Home,
            Ask::History => Self::History,
            Ask::Enter { session } => Self::Enter(session),
            Ask::Ready => Self::Ready,
            Ask::Join => Self::Join,
            Ask::Admit { session } => Self::Admit(session),
            Ask::Leave => Self::Leave,
            Ask::End => Self::End,
            Ask::Hold { on } => Self::Hold(on),
            Ask::Rejoin => Self::Rejoin,
            Ask::SendText { text } => Self::SendText(text),
            Ask::Discard { id } => Self::Discard(id),
            Ask::OlderMessages => Self::OlderMessages,
            Ask::ChatOpen { open } => Self::ChatOpen(open),
            Ask::Typing { typing } => Self::Typing(typing),
            Ask::Feedback { feedback } => Self::Feedback(feedback),
            Ask::Switch { device, on } => Self::Switch(device, on),
            Ask::Choose { device, id } => Self::Choose(device, id),
            Ask::TestSound => Self::TestSound,
            Ask::TestSoundHeard { heard } => Self::TestSoundHeard(heard),
            Ask::Dismiss => Self::Dismiss,
        }
    }
}

/// What the page is told.
#[derive(Serialize, Clone, TS)]
#[serde(tag = "kind", content = "value", rename_all = "camelCase")]
pub enum Told {
    /// The whole state.
    Snapshot(Box<Snapshot>),
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
    /// One's own.
    Own,
}

fn feed(client: &Client, which: Pictures) -> &Feed {
    match which {
        Pictures::Remote => &client.remote_video,
        Pictures::Own => &client.self_video,
    }
}

/// Does what a person asked for.
#[tauri::command]
pub fn act(ask: Ask, running: State<'_, Running>) {
    running.with(|client| client.command(ask.into()));
}

/// Tells the page of every state, and of loudness, until it is gone.
#[tauri::command]
pub fn watch(channel: Channel<Told>, running: State<'_, Running>, app: tauri::AppHandle) {
    let Some(mut snapshots) = running.with(Client::snapshots) else { return };
    snapshots.mark_changed();
    tauri::async_runtime::spawn(async move {
        let mut tick = tokio::time::interval(LEVELS_EVERY);
        let mut last = (0.0, 0.0);
        loop {
            let told = tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => Told::Snapshot(Box::new(snapshots.borrow_and_update().clone())),
                    Err(_) => return,
                },
                _ = tick.tick() => {
                    let levels = tauri::Manager::state::<Running>(&app).with(Client::levels).unwrap_or_default();
                    if last == (levels.microphone, levels.speaker) {
                        continue;
                    }
                    last = (levels.microphone, levels.speaker);
                    Told::Levels { microphone: last.0, speaker: last.1 }
                }
            };
            if channel.send(told).is_err() {
                return;
            }
        }
    });
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

/// The page has taken every picture up to `sequence`.
#[tauri::command]
pub fn acknowledge(which: Pictures, sequence: u32, running: State<'_, Running>) {
    running.with(|client| feed(client, which).acknowledge(sequence));
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
    running.with(|client| client.command(Command::Fetch(attachment, reply)));
    let bytes = answer.await.map_err(|_| "the file can't be had".to_owned())?;
    Ok(Response::new(bytes.to_vec()))
}
