//! Pixels out of the X server: through shared memory where it is on this machine, else over the wire.

use std::{os::fd::OwnedFd, sync::Arc};

use memmap2::MmapMut;
use x11rb::{
    connection::Connection,
    protocol::{
        shm::{ConnectionExt as _, Seg},
        xproto::{ConnectionExt as _, ImageFormat},
    },
    rust_connection::RustConnection,
};

use super::Rect;
use crate::{Trouble, screen::pixels::PIXEL};

/// Every plane of an image.
const ALL_PLANES: u32 = !0;

pub(super) struct Grabber {
    connection: Arc<RustConnection>,
    memory: Memory,
}

enum Memory {
    NotTried,
    Shared(Segment),
    /// The server is on another machine, or has no such extension.
    None {
        pixels: Vec<u8>,
    },
}

/// Memory that the server writes to. Only while it answers a request of ours: nobody else knows it.
struct Segment {
    id: Seg,
    map: MmapMut,
}

impl Grabber {
    pub(super) const fn new(connection: Arc<RustConnection>) -> Self {
        Self { connection, memory: Memory::NotTried }
    }

    /// What a window or pixmap shows there: four bytes a pixel, without gaps.
    pub(super) fn grab(&mut self, drawable: u32, rect: Rect) -> Result<&[u8], Trouble> {
        let size = usize::from(rect.width) * usize::from(rect.height) * PIXEL;
        let is_large_enough = match &self.memory {
            Memory::Shared(segment) => segment.map.len() >= size,
            Memory::NotTried => false,
            Memory::None { .. } => true,
        };
        if !is_large_enough {
            self.release();
            self.memory = match share(&self.connection, size) {
                Ok(segment) => Memory::Shared(segment),
                Err(error) => {
                    tracing::info!(%error, "the X server shares no memory");
                    Memory::None { pixels: vec![] }
                }
            };
        }
        let Rect { x, y, width, height } = rect;
        let format = ImageFormat::Z_PIXMAP;
        match &mut self.memory {
            Memory::Shared(segment) => {
                let image = self.connection.shm_get_image(
                    drawable,
                    x,
                    y,
                    width,
                    height,
                    ALL_PLANES,
                    format.into(),
                    segment.id,
                    0,
                )?;
                check(image.reply()?.size as usize, size)?;
                Ok(&segment.map[..size])
            }
            Memory::None { pixels } => {
                let image = self.connection.get_image(format, drawable, x, y, width, height, ALL_PLANES)?;
                *pixels = image.reply()?.data;
                check(pixels.len(), size)?;
                Ok(&pixels[..size])
            }
            Memory::NotTried => Err(Trouble::Missing),
        }
    }

    fn release(&mut self) {
        if let Memory::Shared(segment) = std::mem::replace(&mut self.memory, Memory::NotTried)
            && let Ok(cookie) = self.connection.shm_detach(segment.id)
        {
            // Gone with the connection otherwise.
            cookie.ignore_error();
        }
    }
}

impl Drop for Grabber {
    fn drop(&mut self) {
        self.release();
    }
}

/// Screens of 16 colours or bits a pixel are not looked at.
fn check(given: usize, wanted: usize) -> Result<(), Trouble> {
    if given < wanted {
        return Err(Trouble::Other("the screen has not 24 bits a pixel".to_owned()));
    }
    Ok(())
}

fn share(connection: &RustConnection, size: usize) -> Result<Segment, Trouble> {
    connection.shm_query_version()?.reply()?;
    let size = u32::try_from(size).map_err(|_| Trouble::Other("the screen is too large".to_owned()))?;
    let id = connection.generate_id()?;
    let reply = connection.shm_create_segment(id, size, false)?.reply()?;
    let file: OwnedFd = reply.shm_fd;
    // SAFETY: the server made this memory for this connection and writes to it only while it answers a
    // request for an image; nothing borrows from the map while one is under way (`grab` takes `&mut`).
    let map = unsafe { MmapMut::map_mut(&file) }.map_err(|error| Trouble::Other(error.to_string()))?;
    Ok(Segment { id, map })
}
