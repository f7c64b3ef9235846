//! Small pictures of pictures, for a list that is read over a slow line.

use std::io::Cursor;

use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder,
    metadata::Orientation,
};

use super::Kind;

/// Its longer side, in pixels: what a chat shows on the sharpest of screens.
const SIDE: u32 = 320;
/// JPEG's quality: some 15 KB.
const QUALITY: u8 = 75;
/// What decoding may take: a photograph of 14 million pixels. Of a larger one there is no small one.
const MOST_BYTES: u64 = 128 * 1_024 * 1_024;

/// A small one as JPEG, the right way up; none of what can't be decoded within the limit.
pub(super) fn make(kind: Kind, bytes: &[u8]) -> Option<Vec<u8>> {
    let format = match kind {
        Kind::Jpeg => ImageFormat::Jpeg,
        Kind::Png => ImageFormat::Png,
        Kind::WebP => ImageFormat::WebP,
        Kind::Gif => ImageFormat::Gif,
        Kind::Pdf | Kind::Text => return None,
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    // What a JPEG keeps beside the picture while it is decoded in passes is twice as much, and not counted.
    let takes = decoder.total_bytes().saturating_mul(if kind == Kind::Jpeg { 3 } else { 1 });
    if takes > MOST_BYTES {
        return None;
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut small = DynamicImage::from_decoder(decoder).ok()?.thumbnail(SIDE, SIDE);
    small.apply_orientation(orientation);
    let mut jpeg = vec![];
    small.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut jpeg, QUALITY)).ok()?;
    Some(jpeg)
}

#[cfg(test)]
mod tests {
    use image::{GenericImageView, Rgb, RgbImage};

    use super::*;

    fn encoded(width: u32, height: u32, format: ImageFormat) -> Vec<u8> {
        let picture =
            RgbImage::from_fn(
                width,
                height,
                |x, _| {
                    if x < width / 2 { Rgb([200, 0, 0]) } else { Rgb([0, 0, 200]) }
                },
            );
        let mut bytes = Cursor::new(vec![]);
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn it_shows_what_the_picture_shows() {
        let kinds =
            [(Kind::Jpeg, ImageFormat::Jpeg), (Kind::Png, ImageFormat::Png), (Kind::Gif, ImageFormat::Gif)];
        for (kind, format) in kinds {
            let small = make(kind, &encoded(640, 400, format)).unwrap();
            assert!(small.len() < 20_000, "{} bytes", small.len());
            let small = image::load_from_memory_with_format(&small, ImageFormat::Jpeg).unwrap();
            assert_eq!(small.dimensions(), (320, 200));
            let (left, right) = (small.get_pixel(40, 100), small.get_pixel(280, 100));
            assert!(left[0] > 150 && left[2] < 50 && right[2] > 150 && right[0] < 50, "{left:?} {right:?}");
        }
    }

    #[test]
    fn of_what_is_no_picture_there_is_none() {
        assert_eq!(make(Kind::Png, b"\x89PNG\r\n\x1a\nnothing"), None);
        assert_eq!(make(Kind::Pdf, b"%PDF-1.7"), None);
    }
}
