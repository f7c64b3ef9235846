//! A frame around what is shared: four bars on top of everything that let clicks through.

use x11rb::{
    connection::Connection,
    protocol::{
        shape::{ConnectionExt as _, SK, SO},
        xproto::{
            ClipOrdering, ConfigureWindowAux, ConnectionExt as _, CreateWindowAux, StackMode, Window,
            WindowClass,
        },
    },
    rust_connection::RustConnection,
};

use super::{Rect, Server};
use crate::Trouble;

/// Wide enough to be seen from a chair, in pixels.
const WIDTH: u16 = 4;
/// An orange that stands out against paper and against night.
const COLOUR: u32 = 0x00e0_7b00;

pub(super) struct Frame {
    connection: std::sync::Arc<RustConnection>,
    root: Window,
    bars: Vec<Window>,
    shown: Option<Rect>,
}

impl Frame {
    pub(super) fn new(server: &Server) -> Self {
        Self { connection: server.connection.clone(), root: server.root, bars: vec![], shown: None }
    }

    /// Shows it around a place, or along its inner edges where there may be nothing around.
    pub(super) fn show(&mut self, place: Rect, is_around: bool) -> Result<(), Trouble> {
        if self.shown == Some(place) {
            return Ok(());
        }
        if self.bars.is_empty() {
            for _ in 0..4 {
                let bar = self.new_bar()?;
                self.bars.push(bar);
            }
        }
        for (bar, rect) in self.bars.iter().zip(bars(place, is_around)) {
            let values = ConfigureWindowAux::new()
                .x(i32::from(rect.x))
                .y(i32::from(rect.y))
                .width(u32::from(rect.width))
                .height(u32::from(rect.height))
                .stack_mode(StackMode::ABOVE);
            self.connection.configure_window(*bar, &values)?;
            self.connection.map_window(*bar)?;
        }
        self.connection.flush()?;
        self.shown = Some(place);
        Ok(())
    }

    pub(super) fn hide(&mut self) -> Result<(), Trouble> {
        if self.shown.take().is_some() {
            for bar in &self.bars {
                self.connection.unmap_window(*bar)?;
            }
            self.connection.flush()?;
        }
        Ok(())
    }

    fn new_bar(&self) -> Result<Window, Trouble> {
        let bar = self.connection.generate_id()?;
        // No window manager moves or decorates it.
        let values = CreateWindowAux::new().override_redirect(1).background_pixel(COLOUR);
        let depth = x11rb::COPY_DEPTH_FROM_PARENT;
        self.connection.create_window(
            depth,
            bar,
            self.root,
            0,
            0,
            1,
            1,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &values,
        )?;
        // Nothing of it takes a click.
        let nowhere = ClipOrdering::UNSORTED;
        self.connection.shape_rectangles(SO::SET, SK::INPUT, nowhere, bar, 0, 0, &[])?.check()?;
        Ok(bar)
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        for bar in &self.bars {
            // Gone with the connection otherwise.
            if let Ok(cookie) = self.connection.destroy_window(*bar) {
                cookie.ignore_error();
            }
        }
        if let Err(error) = self.connection.flush() {
            tracing::debug!(%error, "the frame goes with the connection");
        }
    }
}

/// Above, below, left, right.
fn bars(place: Rect, is_around: bool) -> [Rect; 4] {
    let out = if is_around { WIDTH } else { 0 };
    let x = place.x.saturating_sub(out as i16);
    let y = place.y.saturating_sub(out as i16);
    let width = place.width.saturating_add(2 * out).max(WIDTH);
    let height = place.height.saturating_add(2 * out).max(WIDTH);
    let lower = y.saturating_add((height - WIDTH) as i16);
    let right = x.saturating_add((width - WIDTH) as i16);
    [
        Rect { x, y, width, height: WIDTH },
        Rect { x, y: lower, width, height: WIDTH },
        Rect { x, y, width: WIDTH, height },
        Rect { x: right, y, width: WIDTH, height },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_framed_outside_and_a_screen_inside() {
        let place = Rect { x: 100, y: 50, width: 640, height: 480 };
        let outside = bars(place, true);
        assert_eq!(outside[0], Rect { x: 96, y: 46, width: 648, height: 4 });
        assert_eq!(outside[1], Rect { x: 96, y: 530, width: 648, height: 4 });
        let inside = bars(place, false);
        assert_eq!(inside[2], Rect { x: 100, y: 50, width: 4, height: 480 });
        assert_eq!(inside[3], Rect { x: 736, y: 50, width: 4, height: 480 });
    }
}
