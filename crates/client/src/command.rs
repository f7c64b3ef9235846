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

/// A codec of video that a page can decode.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize, ts_rs::TS)]
#[serde(rename_all = "camelCase")]
pub enum DecodableCodec {
    /// RFC 6386.
    Vp8,
    /// ITU-T H.264, constrained baseline.
    H264,
}

impl From<DecodableCodec> for bedside_media::VideoCodec {
    fn from(codec: DecodableCodec) -> Self {
        match codec {
            DecodableCodec::Vp8 => Self::Vp8,
            DecodableCodec::H264 => Self::H264,
        }
    }
}

/// What a person asks for, as the page says it: all but the last two come as JSON.
#[derive(Debug, serde::Deserialize, ts_rs::TS)]
#[serde(tag = "ask", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[ts(rename_all = "camelCase", rename_all_fields = "camelCase")]
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
    /// Not a person's wish: the page says what it can decode, the best first.
    Decodes {
        /// Codecs of video.
        codecs: Vec<DecodableCodec>,
    },
    /// Sign out and forget the token.
    SignOut,
    /// Back to the first screen.
    Home,
    /// Show past visits, or the next page of them.
    History,
    /// Open a past visit.
    OpenPast {
        /// Which.
        session: SessionId,
    },
    /// A doctor asks the patient of a visit that has ended back.
    Recall {
        /// Which.
        session: SessionId,
    },
    /// Look whose service this is, before signing in to it.
    LookUp {
        /// The service's address.
        service: String,
    },
    /// A patient goes to the waiting room, or back into a visit that runs.
    Enter {
        /// Which.
        session: SessionId,
    },
    /// *I'm ready*.
    Ready,
    /// Enter the call that one was called into.
    Join,
    /// Not now: wait on.
    Decline,
    /// A doctor calls somebody in, or goes back into a visit that runs.
    Admit {
        /// Which.
        session: SessionId,
    },
    /// Leave the waiting room or the call.
    Leave,
    /// A doctor ends the visit for both.
    End,
    /// A doctor puts the visit on hold, or takes it off.
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
    /// Give up a message that the service refused.
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
    /// Switch the microphone or camera on or off.
    Switch {
        /// Which.
        device: DeviceKind,
        /// On or off.
        on: bool,
    },
    /// Use another device; none for the system's choice.
    Choose {
        /// Which kind.
        device: DeviceKind,
        /// Which one; none for the system's choice.
        id: Option<String>,
    },
    /// Look which devices there are: one may have been plugged in.
    LookForDevices,
    /// Play the test sound.
    TestSound,
    /// The person heard it, or did not.
    TestSoundHeard {
        /// Whether.
        heard: bool,
    },
    /// Record a few seconds and play them back.
    EchoTest,
    /// Try the network again.
    TestNetwork,
    /// Look what there is to share: screens and windows.
    ChooseScreen,
    /// Share none of them.
    LeaveScreenChoice,
    /// Share one, in place of what is shared.
    ShareScreen {
        /// Which.
        id: String,
    },
    /// Share nothing any more.
    StopSharing,
    /// The problem was seen.
    Dismiss,
    /// Send an image or a file.
    #[serde(skip)]
    #[ts(skip)]
    SendFile {
        /// Its name.
        name: Text,
        /// Its content.
        bytes: Bytes,
    },
    /// Fetch a file of the visit's chat; nothing comes when it can't be had.
    #[serde(skip)]
    #[ts(skip)]
    Fetch {
        /// Which.
        attachment: AttachmentId,
        /// Where it is wanted.
        reply: oneshot::Sender<Bytes>,
    },
}
