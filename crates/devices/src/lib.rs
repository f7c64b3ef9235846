//! Microphones, speakers, cameras and screens: the only crate that names cpal, v4l, nokhwa,
//! x11rb, xcap and pipewire.
//!
//! Each device runs on a thread of its own, says when it is open or why not, hands data over
//! through something bounded that counts what it drops, and is joined when its handle is closed.

mod camera;
mod convert;
mod priority;
mod screen;
mod sound;

pub use camera::{Camera, CameraFrame, cameras};
pub use priority::{run_before_others, yield_to_sound};
pub use screen::{Screen, ScreenCapture, ScreenKind, Shown, open_screen, screens};
pub use sound::{CaptureSink, PLAYOUT_LATENCY, PlayoutSource, Sound, SoundStream};

use std::fmt;

/// A device as a person chooses it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// Stays the same while the device does.
    pub id: String,
    /// What it calls itself.
    pub name: String,
    /// The system's choice.
    pub is_default: bool,
}

/// Why a device does not work, as far as a person can do something about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Trouble {
    /// There is none, or it is gone.
    Missing,
    /// Another program has it.
    Busy,
    /// The system does not let this program use it.
    Denied,
    /// This program can't use such a device on this system.
    Unsupported,
    /// Something else; the system's words, for support.
    Other(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such device"),
            Self::Busy => f.write_str("another program uses the device"),
            Self::Denied => f.write_str("the system does not allow it"),
            Self::Unsupported => f.write_str("it can't be used on this system"),
            Self::Other(words) => f.write_str(words),
        }
    }
}

impl std::error::Error for Trouble {}
