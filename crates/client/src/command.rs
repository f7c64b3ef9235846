//! What a person can ask for.

use bedside_protocol::{AttachmentId, ClientMessageId, FeedbackRequest, SessionId, Text, Token};
use bytes::Bytes;
use tokio::sync::oneshot;

/// Kinds of devices.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize, ts_rs::TS)]
#[serde(rename_all = "camelCase")]
pub enum DeviceKind {
    /// Records sound.
    Microphone,
    /// Plays it.
    Speaker,
    /// Takes pictures.
    Camera,
}

/// What a person asks for.
#[derive(Debug)]
pub enum Command {
    /// Sign in, and stay signed in.
    SignIn {
        /// The service's address.
        service: String,
        /// With this address.
        email: Text,
        /// And this password.
        password: Token,
    },
    /// Make a patient's account, then sign in.
    Register {
        /// The service's address.
        service: String,
        /// The name the doctor sees.
        name: Text,
        /// With this address.
        email: Text,
        /// And this password.
        password: Token,
    },
    /// Sign out and forget the token.
    SignOut,
    /// Back to the first screen.
    Home,
    /// Show past visits, or the next page of them.
    History,
    /// A patient goes to the waiting room, or back into a visit that runs.
    Enter(SessionId),
    /// *I'm ready*.
    Ready,
    /// Enter the call that one was called into.
    Join,
    /// A doctor calls somebody in, or goes back into a visit that runs.
    Admit(SessionId),
    /// Leave the waiting room or the call.
    Leave,
    /// A doctor ends the visit for both.
    End,
    /// A doctor puts the visit on hold, or takes it off.
    Hold(bool),
    /// Try again after the connection was lost.
    Rejoin,
    /// Write.
    SendText(Text),
    /// Send an image or a file.
    SendFile {
        /// Its name.
        name: Text,
        /// Its content.
        bytes: Bytes,
    },
    /// Fetch a file of the visit's chat; nothing comes when it can't be had.
    Fetch(AttachmentId, oneshot::Sender<Bytes>),
    /// Give up a message that the service refused.
    Discard(ClientMessageId),
    /// Fetch older messages.
    OlderMessages,
    /// The chat is on the screen, or is not.
    ChatOpen(bool),
    /// The person writes, or stopped.
    Typing(bool),
    /// Give feedback.
    Feedback(FeedbackRequest),
    /// Switch the microphone or camera on or off.
    Switch(DeviceKind, bool),
    /// Use another device; none for the system's choice.
    Choose(DeviceKind, Option<String>),
    /// Play the test sound.
    TestSound,
    /// The person heard it, or did not.
    TestSoundHeard(bool),
    /// The problem was seen.
    Dismiss,
}
