//! What there is to look at.

use x11rb::protocol::{
    randr::ConnectionExt as _,
    xproto::{AtomEnum, ConnectionExt as _, MapState, Window, WindowClass},
};

use super::{Rect, Server};
use crate::Trouble;

/// Windows listed: more than anybody looks through.
const MOST_WINDOWS: usize = 24;
/// A window with a shorter side is a tool or a tray, pixels.
const SMALLEST: u16 = 80;
/// Longest part of a title that is read, in units of four bytes.
const LONGEST_TITLE: u32 = 64;

pub(super) struct Monitor {
    pub(super) name: String,
    pub(super) rect: Rect,
}

pub(super) struct TitledWindow {
    pub(super) window: Window,
    pub(super) title: String,
}

/// Every monitor that is on.
pub(super) fn monitors(server: &Server) -> Result<Vec<Monitor>, Trouble> {
    let connection = &server.connection;
    let mut monitors = vec![];
    let reply = connection.randr_get_monitors(server.root, true)?.reply()?;
    for monitor in reply.monitors {
        let name = connection.get_atom_name(monitor.name)?.reply()?.name;
        monitors.push(Monitor {
            name: String::from_utf8_lossy(&name).into_owned(),
            rect: Rect { x: monitor.x, y: monitor.y, width: monitor.width, height: monitor.height },
        });
    }
    Ok(monitors)
}

/// Every window with a title that is on the screen, the uppermost first; not those of this program,
/// which would show themselves in themselves.
pub(super) fn windows(server: &Server) -> Result<Vec<TitledWindow>, Trouble> {
    let mut windows = vec![];
    for window in stacked(server)?.into_iter().rev() {
        // One that has gone meanwhile is none.
        if let Ok(Some(title)) = title_if_offered(server, window) {
            windows.push(TitledWindow { window, title });
            if windows.len() == MOST_WINDOWS {
                break;
            }
        }
    }
    Ok(windows)
}

/// From the lowest to the uppermost: as the window manager says, or all where there is none.
fn stacked(server: &Server) -> Result<Vec<Window>, Trouble> {
    let list = property(server, server.root, b"_NET_CLIENT_LIST_STACKING", AtomEnum::WINDOW.into(), 1_024)?;
    let windows: Vec<Window> =
        list.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]])).collect();
    if !windows.is_empty() {
        return Ok(windows);
    }
    Ok(server.connection.query_tree(server.root)?.reply()?.children)
}

fn title_if_offered(server: &Server, window: Window) -> Result<Option<String>, Trouble> {
    let connection = &server.connection;
    let attributes = connection.get_window_attributes(window)?.reply()?;
    let is_window = attributes.map_state == MapState::VIEWABLE
        && attributes.class == WindowClass::INPUT_OUTPUT
        && !attributes.override_redirect;
    if !is_window {
        return Ok(None);
    }
    let geometry = connection.get_geometry(window)?.reply()?;
    let cardinal = AtomEnum::CARDINAL.into();
    let process = property(server, window, b"_NET_WM_PID", cardinal, 1)?;
    let is_own = process == std::process::id().to_ne_bytes();
    if is_own || geometry.width.min(geometry.height) < SMALLEST {
        return Ok(None);
    }
    let utf8 = connection.intern_atom(false, b"UTF8_STRING")?.reply()?.atom;
    let title = property(server, window, b"_NET_WM_NAME", utf8, LONGEST_TITLE)?;
    let mut title = String::from_utf8_lossy(&title).into_owned();
    if title.is_empty() {
        // Latin-1 (ICCCM §2.7.1).
        let old = property(server, window, b"WM_NAME", AtomEnum::STRING.into(), LONGEST_TITLE)?;
        title = old.into_iter().map(char::from).collect();
    }
    Ok((!title.is_empty()).then_some(title))
}

fn property(server: &Server, window: Window, name: &[u8], kind: u32, most: u32) -> Result<Vec<u8>, Trouble> {
    let connection = &server.connection;
    let name = connection.intern_atom(true, name)?.reply()?.atom;
    if name == u32::from(AtomEnum::NONE) {
        return Ok(vec![]);
    }
    Ok(connection.get_property(false, window, name, kind, 0, most)?.reply()?.value)
}
