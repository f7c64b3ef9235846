//! What the screens are made of. A snapshot is the whole state, never a change: a page that was
//! just loaded is right after one.

use bedside_protocol::{
    ChatMessage, ClientMessageId, DeviceId, FeedbackRequest, HistoryPage, MediaPath, MediaTransport,
    NetworkCheck, Party, PresenceStatus, Session, Summary, Text, User,
};
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Everything there is to show.
#[derive(Clone, PartialEq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// The service's address, as the person knows it.
    pub service: String,
    /// Whose service that is, where it says so.
    pub clinic: Option<String>,
    /// Who is signed in.
    pub user: Option<User>,
    /// The realtime link to the service.
    pub link: Link,
    /// What is in front.
    pub screen: Screen,
    /// Open and coming visits, by their start.
    pub sessions: Vec<Session>,
    /// The visit one is in.
    pub visit: Option<Visit>,
    /// Past visits, once asked for.
    pub history: Option<HistoryPage>,
    /// The past visit that is open.
    pub past: Option<PastVisit>,
    /// How well the service is reached, while the waiting room looks at it.
    pub connection: Connection,
    /// Which of the person's devices this one is.
    pub device: DeviceId,
    /// Camera, microphone, speaker.
    pub devices: Devices,
    /// Something is being asked of the service; the button that did it waits.
    pub busy: bool,
    /// What went wrong with what was asked last.
    pub problem: Option<UiProblem>,
}

/// What is in front.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Screen {
    /// Looking whether somebody is signed in.
    Starting,
    /// Sign in or register.
    SignIn,
    /// A patient's visits; a doctor's room.
    Home,
    /// The waiting room, first part: camera, microphone, speaker.
    Check,
    /// The waiting room, second part.
    Waiting,
    /// The doctor calls: *Join* is asked once.
    CalledIn,
    /// In the call.
    Call,
    /// In the call on another device.
    Elsewhere,
    /// Summary, then feedback.
    After,
    /// Past visits.
    History,
    /// One of them.
    Past,
}

/// How well the service is reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// In a word.
    pub reach: Reach,
    /// The usual time until it answers, milliseconds.
    pub round_trip_ms: Option<u32>,
    /// A call to oneself through the service's relay.
    pub test: NetworkTest,
}

/// The network test.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct NetworkTest {
    /// It goes on.
    pub runs: bool,
    /// What the last one came to; none before, and where the service has no relay.
    pub verdict: Option<NetworkVerdict>,
    /// What it measured.
    pub found: Option<NetworkCheck>,
    /// By which the practice finds it.
    pub code: Option<String>,
}

/// What a network test means for the visit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum NetworkVerdict {
    /// Picture and sound will be good.
    Good,
    /// Two people will talk into one another.
    Slow,
    /// Part of what is said will be lost.
    Lossy,
    /// The picture will be small.
    Narrow,
    /// Too narrow for a picture.
    SoundOnly,
    /// Nothing came through.
    Blocked,
}

/// How well the service is reached, in a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Reach {
    /// Not looked at for long enough.
    #[default]
    Unknown,
    /// As quickly as a conversation needs.
    Good,
    /// So slowly that two people will talk into one another.
    Slow,
    /// Not at all.
    Lost,
}

/// A past visit.
#[derive(Clone, PartialEq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct PastVisit {
    /// What it came to.
    pub summary: Summary,
    /// What was written; none until it is here.
    pub chat: Option<PastChat>,
    /// What the patient said of it.
    pub feedback: Option<FeedbackRequest>,
}

/// What was written in a past visit.
#[derive(Clone, PartialEq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct PastChat {
    /// In order.
    pub messages: Vec<ChatMessage>,
    /// Whether there are older ones to fetch.
    pub has_older: bool,
}

/// The realtime link to the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Link {
    /// Not wanted: nobody is signed in.
    Off,
    /// Being made or brought back.
    Connecting,
    /// There.
    Up,
}

/// Something that went wrong. A code exists only where a screen acts on it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct UiProblem {
    /// What to act on.
    pub code: UiCode,
    /// In the service's or the system's words, where the code says too little.
    pub message: String,
}

/// What a screen acts on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum UiCode {
    /// The service does not answer; it is being tried again.
    Unreachable,
    /// The network's proxy wants a name and a password before it lets anything out; it is being tried again.
    ProxyWantsName,
    /// E-mail or password.
    WrongCredentials,
    /// There is an account with this address.
    EmailTaken,
    /// Wait a minute.
    TooManyAttempts,
    /// Signed out by the service.
    SignedOut,
    /// The visit has ended.
    SessionEnded,
    /// The patient who was called in has left the waiting room.
    PatientGone,
    /// They did not answer, and wait on.
    NoAnswer,
    /// They said *Not now*, and wait on.
    Declined,
    /// They joined at the moment in which they were no longer called.
    JoinedMeanwhile,
    /// A value the service does not take.
    Invalid,
    /// The file is too large.
    TooLarge,
    /// Not a kind of file that can be sent.
    UnsupportedType,
    /// The two ends have nothing in common that a call could be made with.
    Incompatible,
    /// A fault in the app cost a moment of sound.
    SoundRestarted,
    /// And of one's own picture.
    PictureRestarted,
    /// Anything else.
    Other,
}

impl UiCode {
    /// Whether it is over once the service answers.
    pub const fn is_unreachable(self) -> bool {
        matches!(self, Self::Unreachable | Self::ProxyWantsName)
    }
}

/// The visit one is in.
#[derive(Clone, PartialEq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Visit {
    /// As the service has it.
    pub session: Session,
    /// One's own side.
    pub party: Party,
    /// Whether one has said that one is ready.
    pub ready: bool,
    /// The other side's link to the service.
    pub other_presence: PresenceStatus,
    /// The chat.
    pub chat: Chat,
    /// The call, once admitted.
    pub call: Option<CallState>,
    /// Seconds on the visit's clock, as of now.
    #[ts(type = "number")]
    pub elapsed_seconds: u64,
    /// Whether the clock runs.
    pub clock_runs: bool,
    /// Minutes until it ends by itself, begun ones counted; only when that is near.
    pub minutes_left: Option<u32>,
    /// What it came to, once it has ended.
    pub summary: Option<Summary>,
    /// One's own screen.
    pub screen: SharedScreen,
    /// Whether feedback was given just now.
    pub feedback_given: bool,
}

/// The chat of a visit.
#[derive(Clone, PartialEq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Chat {
    /// Stored messages, in order.
    pub messages: Vec<ChatMessage>,
    /// Messages on their way, in order.
    pub pending: Vec<PendingMessage>,
    /// Whether there are older ones to fetch.
    pub has_older: bool,
    /// Messages of the other side that were not on the screen yet.
    pub unread: usize,
    /// The other side writes.
    pub other_types: bool,
}

/// A message on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct PendingMessage {
    /// Its id on this device.
    pub id: ClientMessageId,
    /// The words, or the file's name.
    pub content: Text,
    /// Why the service will not take it.
    pub refused: Option<String>,
}

/// How the call stands, for the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum CallStatus {
    /// The other side is not there yet.
    Calling,
    /// Finding a way to one another.
    Connecting,
    /// Media flows.
    Connected,
    /// Being brought back.
    Reconnecting,
    /// Not brought back in time: *Rejoin*.
    Lost,
}

/// The call.
#[derive(Clone, PartialEq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct CallState {
    /// How it stands.
    pub status: CallStatus,
    /// Seconds left to be brought back.
    pub seconds_left: Option<u32>,
    /// Who else is in it; nobody until they say what they send.
    pub participants: Vec<Participant>,
    /// How the picture and sound come in.
    pub quality: Quality,
    /// The same of each track that they send, over the last second.
    pub received: Vec<TrackStats>,
}

/// What came in of one track over the last second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct TrackStats {
    /// Which.
    pub track: Track,
    /// Bits a second received.
    #[ts(type = "number")]
    pub bits_per_second: u64,
    /// Share of the packets that did not arrive, not even repaired, percent.
    pub packet_loss_percent: f32,
    /// Interarrival jitter, milliseconds (RFC 3550 §6.4.1).
    pub jitter_ms: u32,
    /// Of a voice: share of the sound that had to be made up, percent.
    pub concealed_percent: Option<f32>,
    /// Of a picture: what was drawn.
    pub picture: Option<PictureStats>,
}

/// What was drawn of one track over the last second.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct PictureStats {
    /// Pictures a second.
    pub fps: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// Share of the last ten seconds in which it stood still, percent; none of a screen, which may.
    pub frozen_percent: Option<f32>,
}

/// Somebody else in the call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Participant {
    /// Which side.
    pub party: Party,
    /// What they send, as they say.
    pub tracks: Vec<Track>,
}

/// What somebody sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum Track {
    /// Their voice.
    Microphone,
    /// Their picture.
    Camera,
    /// Their screen, or a window of it.
    Screen,
}

/// What one shares of one's own screen.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SharedScreen {
    /// It is being looked what there is.
    pub looks: bool,
    /// What there is to choose from, while one chooses.
    pub choices: Option<Vec<ScreenChoice>>,
    /// The chosen one is being opened.
    pub opening: bool,
    /// What is shared.
    pub shared: Option<ScreenChoice>,
    /// Why nothing is.
    pub trouble: Option<ScreenTrouble>,
}

/// A screen or window that can be shared.
#[derive(Clone, PartialEq, Eq, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct ScreenChoice {
    /// For the command that shares it.
    pub id: String,
    /// Which of the two.
    pub kind: ScreenChoiceKind,
    /// A window's title; a display's connector.
    pub name: String,
    /// What it shows, as a `data:` address; none where that can't be had.
    pub preview: Option<String>,
}

/// Titles of windows, and what they show, are in no log.
impl std::fmt::Debug for ScreenChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScreenChoice").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What can be shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum ScreenChoiceKind {
    /// All that a display shows.
    Display,
    /// One window.
    Window,
    /// Whatever is chosen in the system's own dialog, which comes next.
    System,
}

/// Why nothing is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum ScreenTrouble {
    /// The window was closed, the display unplugged.
    Gone,
    /// This system lets no program look.
    Unsupported,
    /// Something else.
    Failed,
}

/// How picture and sound come in, over the last second.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Quality {
    /// Pictures a second.
    pub fps: u32,
    /// Width of the picture.
    pub width: u32,
    /// Height of the picture.
    pub height: u32,
    /// Round trip, milliseconds.
    pub round_trip_ms: Option<u32>,
    /// Share of the sound that had to be made up, percent.
    pub concealed_percent: f32,
    /// Share of the last ten seconds in which the picture stood still, percent.
    pub frozen_percent: f32,
    /// How long ago the picture that is seen should have been, milliseconds: it stands still, or comes late.
    /// None where none is meant to be seen.
    pub picture_age_ms: Option<u32>,
    /// Share of what one sends that is lost on the way, percent.
    pub lost_there_percent: f32,
    /// Bits a second received, picture and sound.
    #[ts(type = "number")]
    pub bits_per_second: u64,
    /// Whether media goes through a relay.
    pub relayed: bool,
    /// Share of the audio packets that did not arrive, percent.
    pub packet_loss_percent: f32,
    /// Interarrival jitter of the audio, milliseconds.
    pub jitter_ms: u32,
    /// How the conversation is likely to be judged: mean opinion score, 1 to 4.5 (ITU-T G.107).
    pub mos: f32,
    /// By which kind of own candidate media goes.
    pub path: Option<MediaPath>,
    /// Over what.
    pub transport: Option<MediaTransport>,
    /// What one's own picture is sent as; none when the network carries only sound.
    pub sending: Option<SentPicture>,
}

/// One's own picture as it is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct SentPicture {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
}

/// Camera, microphone, speaker.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    /// The microphone.
    pub microphone: DeviceState,
    /// The speaker.
    pub speaker: DeviceState,
    /// The camera.
    pub camera: DeviceState,
    /// The microphone is open but gives nothing at all.
    pub microphone_is_silent: bool,
    /// The test sound plays.
    pub test_sound_plays: bool,
    /// The person said that they heard it, or that they did not.
    pub test_sound_heard: Option<bool>,
    /// Hearing oneself.
    pub echo_test: EchoTest,
}

/// Hearing oneself: a few seconds are recorded and played back.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum EchoTest {
    /// Not asked for.
    #[default]
    Idle,
    /// Recording.
    Listening,
    /// Playing what was recorded.
    Playing,
    /// It was played.
    Played,
}

/// One kind of device.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct DeviceState {
    /// What there is to choose from.
    pub choices: Vec<DeviceChoice>,
    /// The one in use or chosen.
    pub chosen: Option<String>,
    /// Whether the person has it switched on.
    pub on: bool,
    /// Being opened.
    pub opening: bool,
    /// It works now.
    pub works: bool,
    /// Why not.
    pub trouble: Option<DeviceTrouble>,
    /// The system's own words for it, for whoever helps; only where the reason says too little.
    pub system_words: Option<String>,
}

/// A device to choose.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, TS)]
#[serde(rename_all = "camelCase")]
pub struct DeviceChoice {
    /// For the command that chooses.
    pub id: String,
    /// What it calls itself.
    pub name: String,
}

/// Why a device does not work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, TS)]
#[serde(rename_all = "camelCase")]
pub enum DeviceTrouble {
    /// There is none, or it was unplugged.
    Missing,
    /// Another program has it.
    Busy,
    /// The system does not allow it.
    Denied,
    /// Something else.
    Failed,
}
