//! Pictures out of the JPEGs that most webcams send.

use bedside_media::I420;
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use crate::Trouble;

/// No camera gives more; a header that says so is no reason to take the memory.
const LARGEST: usize = 4_096;
/// Begins a JPEG.
const START: [u8; 2] = [0xff, 0xd8];
/// Says that tables which are left out are the usual ones, as webcams leave them out (USB Video Class,
/// Motion-JPEG Payload §3); the decoder fills them in only where this stands.
const AVI1: [u8; 9] = [0xff, 0xe0, 0, 7, b'A', b'V', b'I', b'1', 0];

/// Decodes one JPEG after the other.
#[derive(Default)]
pub(super) struct Mjpeg {
    jpeg: Vec<u8>,
    pixels: Vec<u8>,
}

impl Mjpeg {
    /// The picture in `raw`, whatever follows it. A torn one is an error: half of it would be grey.
    pub(super) fn decode(&mut self, raw: &[u8]) -> Result<I420, Trouble> {
        let rest = raw.strip_prefix(&START).ok_or_else(|| Trouble::Other("no JPEG".into()))?;
        self.jpeg.clear();
        self.jpeg.extend_from_slice(&START);
        self.jpeg.extend_from_slice(&AVI1);
        self.jpeg.extend_from_slice(rest);
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .set_max_width(LARGEST)
            .set_max_height(LARGEST)
            .jpeg_set_out_colorspace(ColorSpace::YCbCr);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&self.jpeg[..]), options);
        let other = |error: &dyn std::fmt::Display| Trouble::Other(error.to_string());
        decoder.decode_headers().map_err(|error| other(&error))?;
        let size = decoder.output_buffer_size().zip(decoder.dimensions());
        let Some((bytes, (width, height))) = size else {
            return Err(Trouble::Other("a JPEG of no size".into()));
        };
        self.pixels.resize(bytes, 0);
        decoder.decode_into(&mut self.pixels).map_err(|error| other(&error))?;
        I420::from_full_range_ycc(width, height, &self.pixels).map_err(|error| other(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two halves, 64 by 48: a dark red left, a bright right; made with ImageMagick.
    const PICTURE: &[u8] = include_bytes!("../../tests/halves.jpg");

    fn halves(picture: &I420) -> (u8, u8) {
        let (luma, ..) = picture.planes();
        let row = picture.width() * picture.height() / 2;
        (luma[row + picture.width() / 4], luma[row + picture.width() * 3 / 4])
    }

    #[test]
    fn a_picture_is_read_in_the_range_that_others_have() {
        let picture = Mjpeg::default().decode(PICTURE).unwrap();
        assert_eq!((picture.width(), picture.height()), (64, 48));
        let (left, right) = halves(&picture);
        // #400000 and white: luma 19 and 255 in JPEG's range, 32 and 235 in video's.
        assert!(left.abs_diff(32) < 4 && right.abs_diff(235) < 3, "{left} {right}");
    }

    #[test]
    fn webcams_leave_out_the_usual_tables() {
        // Without its Huffman tables (marker C4).
        let mut bare = PICTURE.to_vec();
        while let Some(at) = bare.windows(2).position(|two| two == [0xff, 0xc4]) {
            let length = usize::from(u16::from_be_bytes([bare[at + 2], bare[at + 3]])) + 2;
            bare.drain(at..at + length);
        }
        assert!(bare.len() < PICTURE.len() - 100);
        let picture = Mjpeg::default().decode(&bare).unwrap();
        assert!(halves(&picture).0 < 40);
    }

    #[test]
    fn what_follows_is_not_read_and_what_is_torn_is_refused() {
        let mut decoder = Mjpeg::default();
        let followed = [PICTURE, &[0x55; 500]].concat();
        assert!(decoder.decode(&followed).is_ok());
        for broken in [&PICTURE[..PICTURE.len() / 2], b"", b"\xff\xd8", b"GIF89a"] {
            assert!(decoder.decode(broken).is_err());
        }
    }
}
