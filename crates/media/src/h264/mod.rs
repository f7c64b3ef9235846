//! H.264 (ITU-T H.264, constrained baseline) through the system's OpenH264, where there is one.

#[cfg(openh264)]
mod openh264;

use h264_reader::nal::{Nal, NalHeader, RefNal, UnitType, sps::SeqParameterSet};

#[cfg(openh264)]
pub(crate) use openh264::{decoder, encoder};

#[cfg(not(openh264))]
mod absent {
    use crate::{
        MediaError,
        codec::{EncoderConfig, VideoDecoder, VideoEncoder},
    };

    const ABSENT: MediaError = MediaError::H264("this system has no OpenH264");

    pub(crate) fn encoder(_: EncoderConfig) -> Result<Box<dyn VideoEncoder>, MediaError> {
        Err(ABSENT)
    }

    pub(crate) fn decoder() -> Result<Box<dyn VideoDecoder>, MediaError> {
        Err(ABSENT)
    }
}
#[cfg(not(openh264))]
pub(crate) use absent::{decoder, encoder};

/// What each NAL unit of a byte stream begins with (Annex B), but for a zero that may come before it.
const START_CODE: [u8; 3] = [0, 0, 1];

/// Width and height that a key frame's sequence parameter set says it has (§7.3.2.1). Its first unit
/// but for delimiters is that set: so encoders, and RFC 6184 §12.5, have it.
pub fn key_frame_size(data: &[u8]) -> Option<(u16, u16)> {
    let starts = data.windows(START_CODE.len()).enumerate().filter(|(_, at)| *at == START_CODE);
    let mut starts = starts.map(|(at, _)| at + START_CODE.len()).take(MOST_UNITS).peekable();
    while let Some(start) = starts.next() {
        let end = starts.peek().map_or(data.len(), |next| next - START_CODE.len());
        let unit = data.get(start..end).filter(|unit| !unit.is_empty())?;
        let unit = RefNal::new(unit, &[], true);
        match unit.header().map(NalHeader::nal_unit_type) {
            Ok(UnitType::SeqParameterSet) => {
                let set = SeqParameterSet::from_bits(unit.rbsp_bits()).ok()?;
                let (width, height) = set.pixel_dimensions().ok()?;
                return Some((width.try_into().ok()?, height.try_into().ok()?));
            }
            Ok(UnitType::AccessUnitDelimiter | UnitType::SEI) => {}
            _ => return None,
        }
    }
    None
}

/// Units looked at for a parameter set: a delimiter, a message or two, the set.
const MOST_UNITS: usize = 6;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_of_nothing_have_no_size() {
        for data in [&[0, 0, 1][..], &[0, 0, 0, 1, 6, 0, 0, 1], &[0, 0, 1, 9, 0, 0, 1, 0, 0, 1], &[]] {
            assert_eq!(key_frame_size(data), None, "{data:?}");
        }
    }

    proptest! {
        /// Whatever somebody sends as a parameter set, a size or none comes of it.
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200), unit in 0_u8..32) {
            let mut data = vec![0, 0, 0, 1, 0x60 | unit];
            data.extend(&bytes);
            key_frame_size(&data);
            data[4] = 0x67;
            key_frame_size(&data);
            // Mostly start codes.
            let few: Vec<u8> = bytes.iter().map(|byte| [0, 0, 1, 6, 9, 0x67][usize::from(byte % 6)]).collect();
            key_frame_size(&few);
        }
    }
}
