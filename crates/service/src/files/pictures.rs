//! Pictures: bounded in their pixels, and without what tells where, when and by whom they were taken.
//!
//! A picture is written anew from those of its parts that show something. What a library leaves standing when it takes
//! EXIF away (a second picture or a film after the end, XMP, comments, makers' own parts) says the same once more.

use bedside_protocol::Code;

use super::Kind;
use crate::error::ApiError;

mod gif;
mod jpeg;
mod png;
mod webp;

/// A picture takes four bytes a pixel where it is shown: 256 MB at most. More than any telephone takes unless it is told
/// to, and a file of some hundred kilobytes can say that it has a thousand times as many.
const MOST_PIXELS: u64 = 64_000_000;

/// A picture as it is kept.
pub(super) struct Rewritten {
    pub(super) bytes: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The picture as it is kept, if it may be.
pub(super) fn rewrite(kind: Kind, bytes: &[u8]) -> Result<Rewritten, ApiError> {
    let rewritten = match kind {
        Kind::Jpeg => jpeg::rewrite(bytes),
        Kind::Png => png::rewrite(bytes),
        Kind::WebP => webp::rewrite(bytes),
        Kind::Gif => gif::rewrite(bytes),
        Kind::Pdf | Kind::Text => None,
    };
    let damaged = || ApiError::new(Code::UnsupportedType, "The picture is damaged");
    let rewritten = rewritten.ok_or_else(damaged)?;
    let Rewritten { width, height, .. } = rewritten;
    if width == 0 || height == 0 {
        return Err(damaged());
    }
    if u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(ApiError::new(
            Code::TooLarge,
            "The picture has more than 64 million pixels. Send it smaller",
        ));
    }
    Ok(rewritten)
}

/// Its bytes alone.
#[cfg(test)]
fn check(kind: Kind, bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    rewrite(kind, bytes).map(|picture| picture.bytes)
}

/// Reads a file from its beginning; `None` where it ends too early.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|one| one[0])
    }
}

/// A number of two or four bytes, as each format has it.
fn be16(bytes: &[u8]) -> Option<u32> {
    Some(u32::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?)))
}

fn be32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn le16(bytes: &[u8]) -> Option<u32> {
    Some(u32::from(u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?)))
}

fn le32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is sent as a picture: no panic, and no more than was sent, but for which way is up.
        #[test]
        fn nothing_breaks_it(kind in prop::sample::select(vec![Kind::Jpeg, Kind::Png, Kind::WebP, Kind::Gif]),
            head in prop::sample::select(vec![&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBPVP8X", b"GIF89a"]),
            rest in prop::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [head, &rest].concat();
            if let Ok(kept) = check(kind, &bytes) {
                prop_assert!(kept.len() <= bytes.len() + 64);
            }
        }
    }
}
