//! X11: monitors by RandR, windows by Composite, pixels through shared memory, the pointer by XFixes.
//!
//! Where the session is Wayland's, X11 shows none of its windows: there the portal is asked (feature `portal`).

mod frame;
mod grab;
mod list;

use std::sync::Arc;

use bedside_media::I420;
use x11rb::{
    connection::Connection,
    errors::{ConnectError, ConnectionError, ReplyError, ReplyOrIdError},
    protocol::{
        Event,
        composite::{ConnectionExt as _, Redirect},
        xfixes::ConnectionExt as _,
        xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask, MapState, Pixmap, Window},
    },
    rust_connection::RustConnection,
};

#[cfg(feature = "portal")]
use super::portal;
use super::{
    Screen, ScreenCapture, ScreenKind, Shown,
    pixels::{self, Overlay},
};
use crate::Trouble;
use frame::Frame;
use grab::Grabber;

/// A place on the screen, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Rect {
    x: i16,
    y: i16,
    width: u16,
    height: u16,
}

/// Ids as they are given out: `display:` and the monitor's name, or `window:` and its number.
const DISPLAY: &str = "display:";
const WINDOW: &str = "window:";

pub(super) fn screens() -> Result<Vec<Screen>, Trouble> {
    #[cfg(feature = "portal")]
    if portal::is_wayland() {
        let (id, name) = (portal::PORTAL.to_owned(), String::new());
        return Ok(vec![Screen { id, kind: ScreenKind::System, name, preview: None }]);
    }
    let server = Server::connect()?;
    let mut grabber = Grabber::new(server.connection.clone());
    let mut screens = vec![];
    for monitor in list::monitors(&server)? {
        let preview = preview(&mut grabber, server.root, monitor.rect);
        let id = format!("{DISPLAY}{}", monitor.name);
        screens.push(Screen { id, kind: ScreenKind::Display, name: monitor.name, preview });
    }
    if server.can_redirect {
        for window in list::windows(&server)? {
            let preview = RedirectedWindow::new(&server, window.window).ok().and_then(|redirected| {
                let rect = redirected.rect()?;
                preview(&mut grabber, redirected.pixmap, Rect { x: 0, y: 0, ..rect })
            });
            let id = format!("{WINDOW}{}", window.window);
            screens.push(Screen { id, kind: ScreenKind::Window, name: window.title, preview });
        }
    }
    Ok(screens)
}

fn preview(grabber: &mut Grabber, drawable: u32, rect: Rect) -> Option<Vec<u8>> {
    let pixels = grabber.grab(drawable, rect).inspect_err(|error| {
        // It may have gone meanwhile; it is offered without a picture.
        tracing::debug!(%error, "no preview");
    });
    pixels::preview(pixels.ok()?, rect.width.into(), rect.height.into())
}

pub(super) fn open(id: &str) -> Result<Box<dyn ScreenCapture>, Trouble> {
    #[cfg(feature = "portal")]
    if id == portal::PORTAL {
        return portal::open();
    }
    let server = Server::connect()?;
    let what = if let Some(name) = id.strip_prefix(DISPLAY) {
        What::Display { name: name.to_owned() }
    } else {
        let window = id.strip_prefix(WINDOW).and_then(|number| number.parse().ok());
        let window = window.filter(|_| server.can_redirect).ok_or(Trouble::Missing)?;
        What::Window(RedirectedWindow::new(&server, window)?)
    };
    let mut capture = Capture {
        grabber: Grabber::new(server.connection.clone()),
        frame: Frame::new(&server),
        what,
        rect: Rect { x: 0, y: 0, width: 0, height: 0 },
        is_stale: false,
        pixels: vec![],
        before: vec![],
        picture: I420::black(2, 2),
        server,
    };
    // So that what can't be had is said now.
    capture.capture()?;
    Ok(Box::new(capture))
}

/// The X server.
struct Server {
    connection: Arc<RustConnection>,
    root: Window,
    has_pointer: bool,
    /// Whether a window can be looked at without what lies over it.
    can_redirect: bool,
}

impl Server {
    fn connect() -> Result<Self, Trouble> {
        let is_wayland = std::env::var_os("WAYLAND_DISPLAY").is_some_and(|display| !display.is_empty());
        if is_wayland {
            return Err(Trouble::Unsupported);
        }
        let (connection, screen) = RustConnection::connect(None).map_err(|error| match error {
            ConnectError::DisplayParsingError(_) => Trouble::Unsupported,
            error => Trouble::Other(error.to_string()),
        })?;
        let root = connection.setup().roots.get(screen).ok_or(Trouble::Unsupported)?.root;
        let connection = Arc::new(connection);
        // Each has to be told the version that is spoken before it is asked for anything.
        let has_pointer = connection.xfixes_query_version(5, 0).map(|cookie| cookie.reply().is_ok());
        let can_redirect = connection.composite_query_version(0, 4).map(|cookie| cookie.reply().is_ok());
        Ok(Self {
            connection,
            root,
            has_pointer: has_pointer.unwrap_or(false),
            can_redirect: can_redirect.unwrap_or(false),
        })
    }
}

/// A window that the server draws beside the screen, too, so that it is had whole.
struct RedirectedWindow {
    connection: Arc<RustConnection>,
    root: Window,
    window: Window,
    pixmap: Pixmap,
}

impl RedirectedWindow {
    fn new(server: &Server, window: Window) -> Result<Self, Trouble> {
        let connection = server.connection.clone();
        // Each time it is shown or changes its size it is drawn on another pixmap.
        let told = ChangeWindowAttributesAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
        connection.change_window_attributes(window, &told)?.check()?;
        connection.composite_redirect_window(window, Redirect::AUTOMATIC)?.check()?;
        let pixmap = connection.generate_id()?;
        connection.composite_name_window_pixmap(window, pixmap)?.check()?;
        Ok(Self { connection, root: server.root, window, pixmap })
    }

    /// It is drawn on another pixmap from now on.
    fn renew(&mut self) -> Result<(), Trouble> {
        let pixmap = self.connection.generate_id()?;
        self.connection.composite_name_window_pixmap(self.window, pixmap)?.check()?;
        let before = std::mem::replace(&mut self.pixmap, pixmap);
        self.connection.free_pixmap(before)?.ignore_error();
        Ok(())
    }

    /// Where it lies; none while it is minimised or gone.
    fn rect(&self) -> Option<Rect> {
        let attributes = self.connection.get_window_attributes(self.window).ok()?.reply().ok()?;
        if attributes.map_state != MapState::VIEWABLE {
            return None;
        }
        let geometry = self.connection.get_geometry(self.window).ok()?.reply().ok()?;
        let border = geometry.border_width.saturating_mul(2);
        let corner =
            self.connection.translate_coordinates(self.window, self.root, 0, 0).ok()?.reply().ok()?;
        let inset = i16::try_from(geometry.border_width).unwrap_or_default();
        Some(Rect {
            x: corner.dst_x.saturating_sub(inset),
            y: corner.dst_y.saturating_sub(inset),
            width: geometry.width.saturating_add(border),
            height: geometry.height.saturating_add(border),
        })
    }

    fn is_there(&self) -> bool {
        self.connection.get_window_attributes(self.window).is_ok_and(|cookie| cookie.reply().is_ok())
    }
}

impl Drop for RedirectedWindow {
    fn drop(&mut self) {
        // Gone with the connection otherwise.
        if let Ok(cookie) = self.connection.free_pixmap(self.pixmap) {
            cookie.ignore_error();
        }
        if let Ok(cookie) = self.connection.composite_unredirect_window(self.window, Redirect::AUTOMATIC) {
            cookie.ignore_error();
        }
    }
}

enum What {
    Display { name: String },
    Window(RedirectedWindow),
}

/// One that is being looked at.
struct Capture {
    server: Server,
    grabber: Grabber,
    frame: Frame,
    what: What,
    rect: Rect,
    /// A window is drawn on another pixmap than the one that is known.
    is_stale: bool,
    /// What it shows, with the pointer, and what it showed before.
    pixels: Vec<u8>,
    before: Vec<u8>,
    picture: I420,
}

impl Capture {
    /// Where it lies now; none while there is nothing new of it.
    fn locate(&mut self) -> Result<Option<Rect>, Trouble> {
        match &mut self.what {
            What::Display { name } => {
                let monitors = list::monitors(&self.server)?;
                let monitor = monitors.into_iter().find(|monitor| monitor.name == *name);
                monitor.map(|monitor| Some(monitor.rect)).ok_or(Trouble::Missing)
            }
            What::Window(window) => {
                let Some(rect) = window.rect() else {
                    return if window.is_there() { Ok(None) } else { Err(Trouble::Missing) };
                };
                let has_other_size = (rect.width, rect.height) != (self.rect.width, self.rect.height);
                if has_other_size || std::mem::take(&mut self.is_stale) {
                    window.renew()?;
                }
                Ok(Some(rect))
            }
        }
    }

    /// Takes what it shows now; whether that is something else.
    fn look(&mut self) -> Result<bool, Trouble> {
        // What the server tells of otherwise is looked up anew each time.
        while let Some(event) = self.server.connection.poll_for_event()? {
            self.is_stale |= matches!(event, Event::MapNotify(_) | Event::ConfigureNotify(_));
        }
        let Some(rect) = self.locate()? else {
            self.is_stale = true;
            self.frame.hide()?;
            return Ok(false);
        };
        self.rect = rect;
        let grabbed = match &self.what {
            What::Display { .. } => self.grabber.grab(self.server.root, rect)?,
            What::Window(window) => self.grabber.grab(window.pixmap, Rect { x: 0, y: 0, ..rect })?,
        };
        self.pixels.clear();
        self.pixels.extend_from_slice(grabbed);
        self.draw_pointer()?;
        let is_around = matches!(self.what, What::Window(_));
        self.frame.show(rect, is_around)?;
        let has_changed = self.pixels != self.before;
        if has_changed {
            let (width, height) = (rect.width.into(), rect.height.into());
            self.picture = I420::from_bgra(width, height, &self.pixels)
                .map_err(|error| Trouble::Other(error.to_string()))?;
            std::mem::swap(&mut self.pixels, &mut self.before);
        }
        Ok(has_changed)
    }

    fn is_there(&self) -> bool {
        match &self.what {
            What::Display { name } => list::monitors(&self.server)
                .is_ok_and(|monitors| monitors.iter().any(|monitor| monitor.name == *name)),
            What::Window(window) => window.is_there(),
        }
    }

    fn draw_pointer(&mut self) -> Result<(), Trouble> {
        if !self.server.has_pointer {
            return Ok(());
        }
        let pointer = self.server.connection.xfixes_get_cursor_image()?.reply()?;
        let overlay = Overlay {
            left: i32::from(pointer.x) - i32::from(pointer.xhot) - i32::from(self.rect.x),
            top: i32::from(pointer.y) - i32::from(pointer.yhot) - i32::from(self.rect.y),
            width: pointer.width.into(),
            argb: &pointer.cursor_image,
        };
        pixels::draw_over(&mut self.pixels, self.rect.width.into(), &overlay);
        Ok(())
    }
}

impl ScreenCapture for Capture {
    fn capture(&mut self) -> Result<Option<Shown<'_>>, Trouble> {
        let has_changed = match self.look() {
            // It changed its size between two questions: it is looked at again the next time.
            Err(Trouble::Missing) if self.is_there() => {
                self.is_stale = true;
                false
            }
            looked => looked?,
        };
        Ok(Some(Shown { picture: &self.picture, has_changed }))
    }
}

impl From<ConnectionError> for Trouble {
    fn from(error: ConnectionError) -> Self {
        Self::Other(error.to_string())
    }
}

/// The server refuses what is not there any more.
impl From<ReplyError> for Trouble {
    fn from(error: ReplyError) -> Self {
        match error {
            ReplyError::X11Error(error) => {
                tracing::info!(kind = ?error.error_kind, "the X server refused");
                Self::Missing
            }
            ReplyError::ConnectionError(error) => error.into(),
        }
    }
}

impl From<ReplyOrIdError> for Trouble {
    fn from(error: ReplyOrIdError) -> Self {
        match error {
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
            error => Self::Other(error.to_string()),
        }
    }
}
