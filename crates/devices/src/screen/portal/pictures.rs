//! The pictures that PipeWire brings.

use std::{cell::RefCell, io::Cursor, os::fd::OwnedFd, rc::Rc};

use pipewire::{
    context::ContextRc,
    keys,
    main_loop::MainLoopRc,
    properties::properties,
    spa::{
        buffer::ChunkFlags,
        param::{
            ParamType,
            format::{FormatProperties, MediaSubtype, MediaType},
            video::{VideoFormat, VideoInfoRaw},
        },
        pod::{Pod, Value, object, property, serialize::PodSerializer},
        utils::{Direction, Fraction, Rectangle, SpaTypes},
    },
    stream::{StreamBox, StreamFlags, StreamState},
};

use super::{Pixels, Stop};
use crate::Trouble;

/// The most that is taken of either side, pixels: eight screens of 4K.
const LARGEST: u32 = 16_384;
/// Pictures a second: text is read, not watched.
const FPS: u32 = 15;

/// Shows what comes from a node until it is told to stop. [`Trouble::Missing`] where the desktop ended it.
pub(super) fn run(
    remote: OwnedFd,
    node: u32,
    stopped: pipewire::channel::Receiver<Stop>,
    show: impl FnMut(Pixels) + 'static,
) -> Result<(), Trouble> {
    pipewire::init();
    let main_loop = MainLoopRc::new(None)?;
    let context = ContextRc::new(&main_loop, None)?;
    let core = context.connect_fd_rc(remote, None)?;
    let _stopped = stopped.attach(main_loop.loop_(), {
        let main_loop = main_loop.clone();
        move |Stop| main_loop.quit()
    });
    let ended: Rc<RefCell<Option<Trouble>>> = Rc::default();
    let end = {
        let (main_loop, ended) = (main_loop.clone(), ended.clone());
        move |trouble| {
            ended.borrow_mut().get_or_insert(trouble);
            main_loop.quit();
        }
    };
    let _core = {
        let end = end.clone();
        // The connection is gone, or what was asked for is refused.
        core.add_listener_local()
            .error(move |_, _, _, message| end(Trouble::Other(message.to_owned())))
            .register()
    };
    let registry = core.get_registry_rc()?;
    let _registry = {
        let end = end.clone();
        // What was shared is gone, or the desktop ended it.
        let gone = move |id| {
            if id == node {
                end(Trouble::Missing);
            }
        };
        registry.add_listener_local().global_remove(gone).register()
    };
    let stream = StreamBox::new(
        &core,
        "shared screen",
        properties! {
            *keys::MEDIA_TYPE => "Video",
            *keys::MEDIA_CATEGORY => "Capture",
            *keys::MEDIA_ROLE => "Screen",
            // Nothing else is taken in its place.
            *keys::NODE_DONT_RECONNECT => "true",
        },
    )?;
    let (unreadable_format, unreadable_memory) = (end.clone(), end.clone());
    let _stream = stream
        .add_local_listener_with_user_data(Incoming {
            format: None,
            before: vec![],
            before_format: None,
            number: 0,
            show,
        })
        .state_changed(move |_, _, _, state| match state {
            StreamState::Unconnected => end(Trouble::Missing),
            StreamState::Error(message) => end(Trouble::Other(message)),
            StreamState::Connecting | StreamState::Paused | StreamState::Streaming => {}
        })
        .param_changed(move |_, incoming, id, param| {
            if id == ParamType::Format.as_raw() {
                incoming.format = param.and_then(Format::parse);
                if param.is_some() && incoming.format.is_none() {
                    unreadable_format(Trouble::Unsupported);
                }
            }
        })
        .process(move |stream, incoming| {
            // Of several that wait, the newest. One that says only where the pointer is has no size, one that
            // was not written whole says so.
            let mut newest = None;
            while let Some(mut buffer) = stream.dequeue_buffer() {
                let is_whole = buffer.datas_mut().first().is_some_and(|data| {
                    data.chunk().size() > 0 && !data.chunk().flags().contains(ChunkFlags::CORRUPTED)
                });
                if is_whole {
                    newest = Some(buffer);
                }
            }
            let Some(data) = newest.as_mut().and_then(|buffer| buffer.datas_mut().first_mut()) else {
                return;
            };
            let (offset, stride) = (data.chunk().offset() as usize, data.chunk().stride());
            match data.data() {
                Some(bytes) => incoming.take(bytes.get(offset..).unwrap_or_default(), stride),
                None => unreadable_memory(Trouble::Unsupported),
            }
        })
        .register()?;
    let formats = wanted_formats()?;
    let pod = Pod::from_bytes(&formats).ok_or_else(unreadable)?;
    let flags = StreamFlags::AUTOCONNECT | StreamFlags::MAP_BUFFERS;
    stream.connect(Direction::Input, Some(node), flags, &mut [pod])?;
    main_loop.run();
    ended.take().map_or(Ok(()), Err)
}

/// What a stream brings, in memory that can be read: no modifier of a graphics card is among it.
fn wanted_formats() -> Result<Vec<u8>, Trouble> {
    let wanted = object!(
        SpaTypes::ObjectParamFormat,
        ParamType::EnumFormat,
        property!(FormatProperties::MediaType, Id, MediaType::Video),
        property!(FormatProperties::MediaSubtype, Id, MediaSubtype::Raw),
        property!(
            FormatProperties::VideoFormat,
            Choice,
            Enum,
            Id,
            VideoFormat::BGRx,
            VideoFormat::BGRx,
            VideoFormat::BGRA,
            VideoFormat::RGBx,
            VideoFormat::RGBA
        ),
        property!(
            FormatProperties::VideoSize,
            Choice,
            Range,
            Rectangle,
            Rectangle { width: 1_920, height: 1_080 },
            Rectangle { width: 1, height: 1 },
            Rectangle { width: LARGEST, height: LARGEST }
        ),
        property!(
            FormatProperties::VideoFramerate,
            Choice,
            Range,
            Fraction,
            Fraction { num: FPS, denom: 1 },
            Fraction { num: 0, denom: 1 },
            Fraction { num: 1_000, denom: 1 }
        ),
        // Where pictures come as they change, no more than these.
        property!(
            FormatProperties::VideoMaxFramerate,
            Choice,
            Range,
            Fraction,
            Fraction { num: FPS, denom: 1 },
            Fraction { num: 1, denom: 1 },
            Fraction { num: FPS, denom: 1 }
        ),
    );
    let (bytes, _) = PodSerializer::serialize(Cursor::new(vec![]), &Value::Object(wanted))
        .map_err(|error| Trouble::Other(format!("{error:?}")))?;
    Ok(bytes.into_inner())
}

fn unreadable() -> Trouble {
    Trouble::Other("the wanted formats can't be written".to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Format {
    width: usize,
    height: usize,
    /// Red comes where blue is expected.
    is_red_first: bool,
}

impl Format {
    fn parse(param: &Pod) -> Option<Self> {
        let mut info = VideoInfoRaw::new();
        info.parse(param).ok()?;
        let is_red_first = match info.format() {
            VideoFormat::BGRx | VideoFormat::BGRA => false,
            VideoFormat::RGBx | VideoFormat::RGBA => true,
            other => {
                tracing::warn!(?other, "a format that was not asked for");
                return None;
            }
        };
        let size = info.size();
        let (width, height) = (size.width.min(LARGEST) as usize, size.height.min(LARGEST) as usize);
        Some(Self { width, height, is_red_first })
    }
}

struct Incoming<F> {
    format: Option<Format>,
    /// The last picture.
    before: Vec<u8>,
    before_format: Option<Format>,
    number: u64,
    show: F,
}

impl<F: FnMut(Pixels)> Incoming<F> {
    /// Takes a picture of rows `stride` bytes apart, unless it is the same as before.
    fn take(&mut self, bytes: &[u8], stride: i32) {
        let Some(format) = self.format else { return };
        let Some(bgrx) = tight_rows(format, bytes, stride) else {
            tracing::warn!(?format, stride, size = bytes.len(), "a picture is smaller than it should be");
            return;
        };
        if bgrx == self.before && self.before_format == Some(format) {
            return;
        }
        self.before.clone_from(&bgrx);
        self.before_format = Some(format);
        self.number += 1;
        (self.show)(Pixels { number: self.number, width: format.width, height: format.height, bgrx });
    }
}

/// The picture without gaps between its rows, blue first; none where it is not whole.
fn tight_rows(format: Format, bytes: &[u8], stride: i32) -> Option<Vec<u8>> {
    let row = format.width * 4;
    // Rows without gaps may come without a word of how far they are apart.
    let stride = if stride == 0 { row } else { usize::try_from(stride).ok()? };
    if row == 0 || format.height == 0 || stride < row {
        return None;
    }
    let mut tight = Vec::with_capacity(row * format.height);
    for line in 0..format.height {
        tight.extend_from_slice(bytes.get(line * stride..)?.get(..row)?);
    }
    if format.is_red_first {
        tight.as_chunks_mut::<4>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2));
    }
    Some(tight)
}

impl From<pipewire::Error> for Trouble {
    fn from(error: pipewire::Error) -> Self {
        Self::Other(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { width: 2, height: 2, is_red_first: false };
    /// Two rows of two pixels, four bytes between them.
    const PADDED: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0, 0];

    #[test]
    fn rows_are_read_whatever_lies_between_them() {
        let tight: Vec<u8> = (1..=16).collect();
        assert_eq!(tight_rows(FORMAT, &PADDED, 12).unwrap(), tight);
        assert_eq!(tight_rows(FORMAT, &tight, 0).unwrap(), tight);
        let red_first = Format { is_red_first: true, ..FORMAT };
        assert_eq!(tight_rows(red_first, &tight, 8).unwrap()[..4], [3, 2, 1, 4]);
    }

    #[test]
    fn a_picture_that_is_not_whole_is_none() {
        for (bytes, stride) in [(&PADDED[..19], 12), (&PADDED[..], 20), (&PADDED[..], 4), (&PADDED[..], -12)]
        {
            assert_eq!(tight_rows(FORMAT, bytes, stride), None, "{} bytes, {stride}", bytes.len());
        }
        let empty = Format { width: 0, ..FORMAT };
        assert_eq!(tight_rows(empty, &PADDED, 12), None);
    }

    #[test]
    fn the_same_picture_again_is_no_change() {
        let mut seen = vec![];
        let mut incoming = Incoming {
            format: Some(FORMAT),
            before: vec![],
            before_format: None,
            number: 0,
            show: |pixels: Pixels| seen.push(pixels.number),
        };
        let mut other = PADDED;
        other[0] = 0;
        for bytes in [PADDED, PADDED, other, other, PADDED] {
            incoming.take(&bytes, 12);
        }
        assert_eq!(seen, [1, 2, 3]);
    }
}
