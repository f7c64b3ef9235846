//! The driver: owns the machines, performs what they decide. Commands in, snapshots out.
//!
//! One actor ([`app`]) holds the state and is the only one to change it. Requests to the service
//! run as tasks that report back to it; sound, pictures and the screen run on threads of their own
//! ([`audio`], [`video`], [`screen`]) and never wait for it.

mod account;
mod app;
mod audio;
mod call;
mod command;
mod frame_channel;
mod incoming;
mod measuring;
mod microphone_loopback;
mod outgoing;
mod quality;
mod remote;
mod screen;
mod settings;
mod track_meter;
mod vault;
mod video;

use std::{path::PathBuf, sync::Arc};

use bedside_session::Snapshot;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

pub use command::{Command, DecodableCodec, DeviceKind};
pub use frame_channel::{FrameChannel, FrameSink};

/// A log filter for crates that log addresses, headers or messages. Whoever writes a log puts it
/// last, where it wins over whatever level is asked for.
pub const SILENCED: &str = "hyper=off,hyper_util=off,reqwest=off,h2=off,tungstenite=off,tokio_tungstenite=off,\
    rustls=off,webrtc=off,rtc=off,rtc_ice=off,rtc_dtls=off,rtc_interceptor=off,rtc_srtp=off,rtc_sctp=off,\
    rtc_turn=off";

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    /// Folder for settings and, where the system has no keyring, the encrypted token.
    pub folder: PathBuf,
    /// The service to offer at first, such as a deep link's.
    pub service: Option<String>,
    /// Media only through the service's relay: for a clinic whose addresses must not be seen,
    /// and for tests.
    pub relay_only: bool,
    /// No codec but VP8, whatever the page can decode: where nobody has settled H.264's patents.
    pub vp8_only: bool,
    /// As if the machine had no camera, microphone or speaker: for tests on one that has.
    pub without_devices: bool,
}

impl ClientConfig {
    /// The system's usual folder for this program.
    pub fn for_this_user() -> Option<Self> {
        let folders = directories::ProjectDirs::from("org", "Bedside", "Bedside")?;
        Some(Self {
            folder: folders.config_dir().to_owned(),
            service: std::env::var("BEDSIDE_SERVICE").ok(),
            relay_only: is_on("BEDSIDE_RELAY_ONLY"),
            vp8_only: is_on("BEDSIDE_VP8_ONLY"),
            without_devices: false,
        })
    }
}

fn is_on(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|value| value == "1")
}

/// Loudness as meters show it, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Levels {
    /// One's own microphone.
    pub microphone: f32,
    /// What the speaker plays.
    pub speaker: f32,
}

/// A running client.
pub struct Client {
    commands: mpsc::Sender<Command>,
    snapshots: watch::Receiver<Snapshot>,
    audio: Arc<audio::Shared>,
    /// Pictures of the other side.
    pub remote_video: Arc<FrameChannel>,
    /// What the other side shares of its screen.
    pub remote_screen: Arc<FrameChannel>,
    /// One's own picture.
    pub self_video: Arc<FrameChannel>,
    task: JoinHandle<()>,
}

/// Commands waiting to be taken; a person can't click as fast.
const COMMANDS: usize = 64;

impl Client {
    /// Starts a client. To be called inside a tokio runtime.
    pub fn start(config: ClientConfig) -> Self {
        let (commands, queue) = mpsc::channel(COMMANDS);
        let (feeds, self_video) = (remote::FrameChannels::default(), Arc::new(FrameChannel::default()));
        let (remote_video, remote_screen) = (feeds.camera.clone(), feeds.screen.clone());
        let (app, snapshots, audio) = app::App::new(config, feeds, self_video.clone());
        let task = tokio::spawn(app.run(queue));
        Self { commands, snapshots, audio, remote_video, remote_screen, self_video, task }
    }

    /// The state now, and whenever it changes.
    pub fn snapshots(&self) -> watch::Receiver<Snapshot> {
        self.snapshots.clone()
    }

    /// Does what the person asked for; the outcome is in the snapshots.
    pub fn command(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!("a command was dropped");
        }
    }

    /// How loud it is now.
    pub fn levels(&self) -> Levels {
        self.audio.levels()
    }

    /// Leaves everything and waits until every task and thread is gone.
    pub async fn close(self) {
        drop(self.commands);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the client had stopped");
        }
    }
}
