//! OpenH264 behind the codecs' face.

use std::{ffi::c_int, ptr::NonNull};

use crate::{
    I420, MediaError, VIDEO_CLOCK_RATE,
    codec::{Encoded, EncoderConfig, VideoDecoder, VideoEncoder},
};

mod ffi {
    use std::ffi::{c_float, c_int, c_void};

    unsafe extern "C" {
        pub(super) fn bedside_h264_encoder_new(
            width: c_int,
            height: c_int,
            kbps: c_int,
            fps: c_float,
        ) -> *mut c_void;
        pub(super) fn bedside_h264_encoder_free(encoder: *mut c_void);
        pub(super) fn bedside_h264_encoder_set_bitrate(encoder: *mut c_void, kbps: c_int) -> c_int;
        pub(super) fn bedside_h264_encode(
            encoder: *mut c_void,
            i420: *const u8,
            milliseconds: i64,
            fps: c_float,
            force_key: c_int,
            out: *mut u8,
            capacity: c_int,
            is_key: *mut c_int,
        ) -> c_int;
        pub(super) fn bedside_h264_decoder_new() -> *mut c_void;
        pub(super) fn bedside_h264_decoder_free(decoder: *mut c_void);
        pub(super) fn bedside_h264_decode(
            decoder: *mut c_void,
            data: *const u8,
            size: c_int,
            planes: *mut *const u8,
            strides: *mut c_int,
            width: *mut c_int,
            height: *mut c_int,
        ) -> c_int;
    }
}

/// The pace that an encoder is made for until the first frame says its own.
const FPS: f32 = 30.0;

pub(crate) fn encoder(config: EncoderConfig) -> Result<Box<dyn VideoEncoder>, MediaError> {
    let EncoderConfig { width, height, kbps, content: _ } = config;
    // SAFETY: plain numbers in, a pointer or null out.
    let raw =
        unsafe { ffi::bedside_h264_encoder_new(width as c_int, height as c_int, kbps.max(1) as c_int, FPS) };
    let raw = NonNull::new(raw).ok_or(MediaError::H264("no encoder of this size"))?;
    // No frame exceeds the raw picture; small sizes have headers to spare.
    Ok(Box::new(Encoder { raw, width, height, out: vec![0; I420::bytes(width, height) + 4096] }))
}

pub(crate) fn decoder() -> Result<Box<dyn VideoDecoder>, MediaError> {
    // SAFETY: no input, a pointer or null out.
    let raw = NonNull::new(unsafe { ffi::bedside_h264_decoder_new() });
    Ok(Box::new(Decoder { raw: raw.ok_or(MediaError::H264("no decoder"))? }))
}

/// Encodes pictures of one size.
struct Encoder {
    raw: NonNull<std::ffi::c_void>,
    width: usize,
    height: usize,
    out: Vec<u8>,
}

// SAFETY: the codec's state is only reached through `&mut self`; OpenH264 has no thread affinity.
unsafe impl Send for Encoder {}

impl VideoEncoder for Encoder {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn set_bitrate(&mut self, kbps: u32) -> Result<(), MediaError> {
        // SAFETY: `raw` is a live encoder.
        match unsafe { ffi::bedside_h264_encoder_set_bitrate(self.raw.as_ptr(), kbps.max(1) as c_int) } {
            0 => Ok(()),
            _ => Err(MediaError::H264("the bitrate was refused")),
        }
    }

    fn encode(
        &mut self,
        picture: &I420,
        pts: i64,
        duration: u32,
        key: bool,
    ) -> Result<Option<Encoded<'_>>, MediaError> {
        if (picture.width(), picture.height()) != (self.width, self.height) {
            return Err(MediaError::H264("the picture has another size"));
        }
        let fps = VIDEO_CLOCK_RATE as f32 / duration.max(1) as f32;
        let mut is_key = 0;
        // SAFETY: the planes are complete for the encoder's size (checked above), `out` is as
        // long as said.
        let written = unsafe {
            ffi::bedside_h264_encode(
                self.raw.as_ptr(),
                picture.data().as_ptr(),
                pts * 1_000 / i64::from(VIDEO_CLOCK_RATE),
                fps,
                c_int::from(key),
                self.out.as_mut_ptr(),
                self.out.len() as c_int,
                &raw mut is_key,
            )
        };
        match usize::try_from(written) {
            Ok(0) => Ok(None),
            Ok(length) => Ok(Some(Encoded { data: &self.out[..length], key: is_key != 0 })),
            Err(_) => Err(MediaError::H264("a picture was not encoded")),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made by `encoder`, freed once.
        unsafe { ffi::bedside_h264_encoder_free(self.raw.as_ptr()) }
    }
}

/// Decodes pictures of any size.
struct Decoder {
    raw: NonNull<std::ffi::c_void>,
}

// SAFETY: as for the encoder.
unsafe impl Send for Decoder {}

impl VideoDecoder for Decoder {
    fn decode(&mut self, data: &[u8]) -> Result<Option<I420>, MediaError> {
        let mut planes = [std::ptr::null::<u8>(); 3];
        let mut strides = [0; 3];
        let (mut width, mut height) = (0, 0);
        // SAFETY: `data` is as long as said; the arrays have three elements.
        let shown = unsafe {
            ffi::bedside_h264_decode(
                self.raw.as_ptr(),
                data.as_ptr(),
                data.len() as c_int,
                planes.as_mut_ptr(),
                strides.as_mut_ptr(),
                &raw mut width,
                &raw mut height,
            )
        };
        match shown {
            1 => {}
            0 => return Ok(None),
            _ => return Err(MediaError::H264("a frame was not decoded")),
        }
        // SAFETY: OpenH264 gives three planes of at least this size, valid until the next call.
        unsafe { I420::copied(planes, strides, width, height) }.map(Some)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by `decoder`, freed once.
        unsafe { ffi::bedside_h264_decoder_free(self.raw.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codec::ContentHint, h264::key_frame_size};

    /// 360 lines are no whole number of macroblocks: the size must be what the window shows.
    const CONFIG: EncoderConfig =
        EncoderConfig { width: 640, height: 360, kbps: 800, content: ContentHint::Motion };

    #[test]
    fn what_goes_in_comes_out() {
        let (mut encoder, mut decoder) = (encoder(CONFIG).unwrap(), decoder().unwrap());
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
            let mut encoder = encoder(EncoderConfig { kbps, ..CONFIG }).unwrap();
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
        assert!(decoder().unwrap().decode(&[0, 0, 0, 1, 0x65, 1, 2, 3, 4, 5]).is_err());
        assert!(encoder(CONFIG).unwrap().encode(&I420::black(160, 90), 0, 3_000, false).is_err());
    }
}
