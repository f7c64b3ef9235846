//! Screens and windows to share: a list with small pictures to choose from, then picture after picture
//! of the one that was chosen.

mod pixels;
#[cfg(all(target_os = "linux", feature = "portal"))]
mod portal;

#[cfg(any(windows, target_os = "macos"))]
#[path = "elsewhere.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "x11/mod.rs"]
mod system;

use bedside_media::I420;

use crate::Trouble;

/// Something that can be shared.
#[derive(Clone, PartialEq, Eq)]
pub struct Screen {
    /// Of this screen or window while it is there.
    pub id: String,
    /// A screen or a window.
    pub kind: ScreenKind,
    /// A window's title; a screen's connector.
    pub name: String,
    /// What it shows now, small, as JPEG; none where that can't be had.
    pub preview: Option<Vec<u8>>,
}

/// Titles of windows, and what they show, are nobody else's business.
impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What is shared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScreenKind {
    /// All that a display shows.
    Display,
    /// One window, whatever lies over it.
    Window,
    /// What the system's own dialog lets a person choose, which opens once this was chosen. It has no name.
    System,
}

/// What is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// With the mouse pointer on X11, and on Wayland where the desktop draws it in.
    pub picture: &'a I420,
    /// Whether it is something else than at the time before.
    pub has_changed: bool,
}

/// A screen or window that is being looked at. On X11 a frame lies around it until this is dropped, so that
/// whoever shares it sees what is shared; on Wayland the desktop has a sign of its own.
pub trait ScreenCapture: Send {
    /// What it shows now. A window that is minimised keeps showing what it did.
    /// Nothing while the system's own dialog still asks. [`Trouble::Missing`] once it is gone, and
    /// [`Trouble::Denied`] where the dialog was left.
    fn capture(&mut self) -> Result<Option<Shown<'_>>, Trouble>;
}

/// Everything that can be shared: screens, then windows, the uppermost first.
/// Where the system asks itself, that alone. [`Trouble::Unsupported`] where it lets no program look.
pub fn screens() -> Result<Vec<Screen>, Trouble> {
    system::screens()
}

/// Begins to look at one of them.
pub fn open_screen(id: &str) -> Result<Box<dyn ScreenCapture>, Trouble> {
    system::open(id)
}
