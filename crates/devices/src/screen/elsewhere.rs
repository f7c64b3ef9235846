//! Windows and macOS, through the systems' own ways as `xcap` has them. They are looked at picture by picture:
//! what is shared changes seldom.
//!
//! macOS asks its person once whether this program may see the screen; until then nothing can be listed.

use bedside_media::I420;
use xcap::{Monitor, Window, XCapError, image::RgbaImage};

use super::{Screen, ScreenCapture, ScreenKind, Shown, pixels};
use crate::Trouble;

/// Ids as they are given out, each with the system's number.
const DISPLAY: &str = "display:";
const WINDOW: &str = "window:";
/// A window that is smaller is none that a person would share.
const LEAST_SIDE: u32 = 64;

pub(super) fn screens() -> Result<Vec<Screen>, Trouble> {
    let mut screens = vec![];
    for monitor in Monitor::all()? {
        let name = monitor.friendly_name().or_else(|_| monitor.name())?;
        let preview = monitor.capture_image().ok().and_then(preview);
        let id = format!("{DISPLAY}{}", monitor.id()?);
        screens.push(Screen { id, kind: ScreenKind::Display, name, preview });
    }
    for window in Window::all()? {
        // One that goes meanwhile, or has nothing to show, is left out.
        screens.extend(choice(&window).unwrap_or_default());
    }
    Ok(screens)
}

fn choice(window: &Window) -> Result<Option<Screen>, XCapError> {
    let name = window.title()?;
    let is_small = window.width()? < LEAST_SIDE || window.height()? < LEAST_SIDE;
    if name.is_empty() || is_small || window.is_minimized()? || window.pid()? == std::process::id() {
        return Ok(None);
    }
    let preview = window.capture_image().ok().and_then(preview);
    Ok(Some(Screen { id: format!("{WINDOW}{}", window.id()?), kind: ScreenKind::Window, name, preview }))
}

fn preview(image: RgbaImage) -> Option<Vec<u8>> {
    let (width, height) = image.dimensions();
    pixels::preview(&bgra(image), width as usize, height as usize)
}

/// Blue first, as everything here has it.
fn bgra(image: RgbaImage) -> Vec<u8> {
    let mut pixels = image.into_raw();
    pixels.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
    pixels
}

pub(super) fn open(id: &str) -> Result<Box<dyn ScreenCapture>, Trouble> {
    let what = if let Some(number) = id.strip_prefix(DISPLAY) {
        What::Display(number.parse().map_err(|_| Trouble::Missing)?)
    } else {
        let number = id.strip_prefix(WINDOW).and_then(|number| number.parse().ok());
        What::Window(number.ok_or(Trouble::Missing)?)
    };
    let mut capture = Capture { what, pixels: vec![], picture: I420::black(2, 2) };
    // So that what can't be had is said now.
    capture.capture()?;
    Ok(Box::new(capture))
}

/// What is looked at, by the system's number. Its handles stay on the thread that got them: each look gets it anew.
#[derive(Clone, Copy)]
enum What {
    Display(u32),
    Window(u32),
}

impl What {
    /// What it shows; none while a window is minimised.
    fn look(self) -> Result<Option<RgbaImage>, Trouble> {
        match self {
            Self::Display(id) => {
                let monitor =
                    Monitor::all()?.into_iter().find(|monitor| monitor.id().is_ok_and(|it| it == id));
                Ok(Some(monitor.ok_or(Trouble::Missing)?.capture_image()?))
            }
            Self::Window(id) => {
                let window = Window::all()?.into_iter().find(|window| window.id().is_ok_and(|it| it == id));
                let window = window.ok_or(Trouble::Missing)?;
                if window.is_minimized()? { Ok(None) } else { Ok(Some(window.capture_image()?)) }
            }
        }
    }
}

struct Capture {
    what: What,
    pixels: Vec<u8>,
    picture: I420,
}

impl ScreenCapture for Capture {
    fn capture(&mut self) -> Result<Option<Shown<'_>>, Trouble> {
        let image = self.what.look()?;
        let mut has_changed = false;
        if let Some(image) = image {
            let (width, height) = (image.width() as usize, image.height() as usize);
            let pixels = bgra(image);
            has_changed = pixels != self.pixels;
            if has_changed {
                self.picture = I420::from_bgra(width, height, &pixels)
                    .map_err(|error| Trouble::Other(error.to_string()))?;
                self.pixels = pixels;
            }
        }
        Ok(Some(Shown { picture: &self.picture, has_changed }))
    }
}

impl From<XCapError> for Trouble {
    fn from(error: XCapError) -> Self {
        match error {
            XCapError::NotSupported => Self::Unsupported,
            error => Self::Other(error.to_string()),
        }
    }
}
