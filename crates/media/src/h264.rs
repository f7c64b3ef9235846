//! H.264 (ITU-T H.264, constrained baseline) through the system's OpenH264, where there is one.

use h264_reader::nal::{Nal, NalHeader, RefNal, UnitType, sps::SeqParameterSet};

#[cfg(openh264)]
use crate::{
    MediaError,
    shim::{Calls, Shim},
};

#[cfg(openh264)]
unsafe extern "C" {
    safe static bedside_h264: Calls;
}

#[cfg(openh264)]
pub(crate) fn shim() -> Shim {
    Shim { calls: &bedside_h264, failed: MediaError::H264 }
}

/// What each NAL unit of a byte stream begins with (Annex B), but for a zero that may come before it.
const START_CODE: [u8; 3] = [0, 0, 1];

/// Width and height that a key frame's sequence parameter set says it has (§7.3.2.1). Its first unit
/// but for delimiters is that set: so encoders, and RFC 6184 §12.5, have it.
pub(crate) fn key_frame_size(data: &[u8]) -> Option<(u16, u16)> {
    let starts = data.windows(START_CODE.len()).enumerate().filter(|(_, at)| *at == START_CODE);
    let mut starts = starts.map(|(at, _)| at + START_CODE.len()).take(MOST_UNITS);
    while let Some(start) = starts.next() {
        let header = NalHeader::new(*data.get(start)?).ok()?;
        match header.nal_unit_type() {
            UnitType::SeqParameterSet => {
                // Only now: of other frames the rest need not be searched.
                let end = starts.next().map_or(data.len(), |next| next - START_CODE.len());
                let unit = RefNal::new(data.get(start..end)?, &[], true);
                let set = SeqParameterSet::from_bits(unit.rbsp_bits()).ok()?;
                let (width, height) = set.pixel_dimensions().ok()?;
                return Some((width.try_into().ok()?, height.try_into().ok()?));
            }
            UnitType::AccessUnitDelimiter | UnitType::SEI => {}
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

#[cfg(all(test, openh264))]
mod openh264_tests {
    use super::*;
    use crate::{
        I420,
        codec::{ContentHint, EncoderConfig},
    };

    /// 360 lines are no whole number of macroblocks: the size must be what the window shows.
    const CONFIG: EncoderConfig =
        EncoderConfig { width: 640, height: 360, kbps: 800, content: ContentHint::Motion };

    #[test]
    fn what_goes_in_comes_out() {
        let (mut encoder, mut decoder) = (shim().encoder(CONFIG).unwrap(), shim().decoder().unwrap());
        for n in 0..10 {
            let picture = I420::gradient(640, 360, n);
            let encoded = encoder.encode(&picture, n as i64 * 3_000, 3_000, n == 5).unwrap().unwrap();
            assert_eq!(encoded.key, n == 0 || n == 5);
            assert_eq!(key_frame_size(encoded.data), encoded.key.then_some((640, 360)));
            let back = decoder.decode(encoded.data).unwrap().unwrap();
            let error = back.error(&picture);
            assert!(error < 8, "frame {n} differs by {error} a pixel");
        }
    }

    /// Squares of eight by eight pixels whose brightness nobody can foretell.
    fn restless(n: u32) -> I420 {
        let mut picture = I420::black(640, 360);
        for (at, value) in picture.planes_mut().0.iter_mut().enumerate() {
            let square = (at / 640 / 8 * 80 + at % 640 / 8) as u32;
            let mixed = (square ^ n.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
            *value = 96 + (mixed >> 26) as u8;
        }
        picture
    }

    /// It is shared among the frames that there are, not among those that there could be.
    #[test]
    fn the_bitrate_is_held_at_any_pace() {
        let sent = |kbps: u32, fps: u32| {
            let mut encoder = shim().encoder(EncoderConfig { kbps, ..CONFIG }).unwrap();
            let sizes = (0..fps * 4).filter_map(|n| {
                let pts = i64::from(n * 90_000 / fps);
                let encoded = encoder.encode(&restless(n), pts, 90_000 / fps, false).unwrap();
                encoded.map(|encoded| encoded.data.len())
            });
            sizes.sum::<usize>() * 8 / 4 / 1_000
        };
        for (kbps, fps) in [(300, 30), (300, 15), (800, 15)] {
            let (rate, kbps) = (sent(kbps, fps), kbps as usize);
            assert!((kbps * 7 / 10..kbps * 12 / 10).contains(&rate), "{rate} of {kbps} kbit/s at {fps}");
        }
    }

    #[test]
    fn refuses_what_is_not_h264_and_what_has_another_size() {
        assert!(shim().decoder().unwrap().decode(&[0, 0, 0, 1, 0x65, 1, 2, 3, 4, 5]).is_err());
        assert!(shim().encoder(CONFIG).unwrap().encode(&I420::black(160, 90), 0, 3_000, false).is_err());
    }
}
