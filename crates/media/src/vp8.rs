//! VP8 (RFC 6386) through the system's libvpx.

use std::{ffi::c_int, ptr::NonNull};

use crate::{
    I420, MediaError,
    codec::{ContentHint, Encoded, EncoderConfig, VideoDecoder, VideoEncoder},
};

mod ffi {
    use std::ffi::{c_int, c_uint, c_void};

    unsafe extern "C" {
        pub(super) fn bedside_vp8_encoder_new(
            width: c_int,
            height: c_int,
            kbps: c_int,
            cpu_used: c_int,
            is_screen: c_int,
        ) -> *mut c_void;
        pub(super) fn bedside_vp8_encoder_free(encoder: *mut c_void);
        pub(super) fn bedside_vp8_encoder_set_bitrate(encoder: *mut c_void, kbps: c_int) -> c_int;
        pub(super) fn bedside_vp8_encode(
            encoder: *mut c_void,
            i420: *const u8,
            pts: i64,
            duration: c_int,
            force_key: c_int,
            out: *mut u8,
            capacity: c_int,
            is_key: *mut c_int,
        ) -> c_int;
        pub(super) fn bedside_vp8_decoder_new() -> *mut c_void;
        pub(super) fn bedside_vp8_decoder_free(decoder: *mut c_void);
        pub(super) fn bedside_vp8_decode(
            decoder: *mut c_void,
            data: *const u8,
            size: c_uint,
            planes: *mut *const u8,
            strides: *mut c_int,
            width: *mut c_int,
            height: *mut c_int,
        ) -> c_int;
    }
}

/// Speed over quality: 0.5 dB less than −4 at 60 % of its time (measured at 720p).
const CPU_USED: c_int = -10;

/// Encodes pictures of one size.
pub struct Encoder {
    raw: NonNull<std::ffi::c_void>,
    width: usize,
    height: usize,
    out: Vec<u8>,
}

// SAFETY: the codec's state is only reached through `&mut self`; libvpx has no thread affinity.
unsafe impl Send for Encoder {}

impl Encoder {
    /// An encoder.
    pub fn new(config: EncoderConfig) -> Result<Self, MediaError> {
        let EncoderConfig { width, height, kbps, content } = config;
        // SAFETY: plain numbers in, a pointer or null out.
        let raw = unsafe {
            ffi::bedside_vp8_encoder_new(
                width as c_int,
                height as c_int,
                kbps.max(1) as c_int,
                CPU_USED,
                c_int::from(content == ContentHint::Text),
            )
        };
        let raw = NonNull::new(raw).ok_or(MediaError::Vp8("no encoder of this size"))?;
        // A key frame never exceeds the raw picture; small sizes have headers to spare.
        Ok(Self { raw, width, height, out: vec![0; I420::bytes(width, height) + 4096] })
    }
}

impl VideoEncoder for Encoder {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn set_bitrate(&mut self, kbps: u32) -> Result<(), MediaError> {
        // SAFETY: `raw` is a live encoder.
        match unsafe { ffi::bedside_vp8_encoder_set_bitrate(self.raw.as_ptr(), kbps.max(1) as c_int) } {
            0 => Ok(()),
            _ => Err(MediaError::Vp8("the bitrate was refused")),
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
            return Err(MediaError::Vp8("the picture has another size"));
        }
        let mut is_key = 0;
        // SAFETY: the planes are complete for the encoder's size (checked above), `out` is as
        // long as said.
        let written = unsafe {
            ffi::bedside_vp8_encode(
                self.raw.as_ptr(),
                picture.data().as_ptr(),
                pts,
                duration as c_int,
                c_int::from(key),
                self.out.as_mut_ptr(),
                self.out.len() as c_int,
                &raw mut is_key,
            )
        };
        match usize::try_from(written) {
            Ok(0) => Ok(None),
            Ok(length) => Ok(Some(Encoded { data: &self.out[..length], key: is_key != 0 })),
            Err(_) => Err(MediaError::Vp8("a picture was not encoded")),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { ffi::bedside_vp8_encoder_free(self.raw.as_ptr()) }
    }
}

/// Decodes pictures of any size.
pub struct Decoder {
    raw: NonNull<std::ffi::c_void>,
}

// SAFETY: as for the encoder.
unsafe impl Send for Decoder {}

impl Decoder {
    /// A decoder that waits for a key frame.
    pub fn new() -> Result<Self, MediaError> {
        // SAFETY: no input, a pointer or null out.
        let raw = unsafe { ffi::bedside_vp8_decoder_new() };
        NonNull::new(raw).map(|raw| Self { raw }).ok_or(MediaError::Vp8("no decoder"))
    }
}

impl VideoDecoder for Decoder {
    fn decode(&mut self, data: &[u8]) -> Result<Option<I420>, MediaError> {
        let mut planes = [std::ptr::null::<u8>(); 3];
        let mut strides = [0; 3];
        let (mut width, mut height) = (0, 0);
        // SAFETY: `data` is as long as said; the arrays have three elements.
        let shown = unsafe {
            ffi::bedside_vp8_decode(
                self.raw.as_ptr(),
                data.as_ptr(),
                data.len() as u32,
                planes.as_mut_ptr(),
                strides.as_mut_ptr(),
                &raw mut width,
                &raw mut height,
            )
        };
        match shown {
            1 => {}
            0 => return Ok(None),
            _ => return Err(MediaError::Vp8("a frame was not decoded")),
        }
        // SAFETY: libvpx gives three planes of at least this size, valid until the next call.
        unsafe { I420::copied(planes, strides, width, height) }.map(Some)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by `new`, freed once.
        unsafe { ffi::bedside_vp8_decoder_free(self.raw.as_ptr()) }
    }
}

/// Width and height that a VP8 key frame says it has (RFC 6386 §9.1).
pub fn key_frame_size(data: &[u8]) -> Option<(u16, u16)> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *data else { return None };
    (tag & 1 == 0).then(|| (u16::from_le_bytes([w0, w1]) & 0x3fff, u16::from_le_bytes([h0, h1]) & 0x3fff))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: EncoderConfig =
        EncoderConfig { width: 320, height: 180, kbps: 800, content: ContentHint::Motion };

    #[test]
    fn what_goes_in_comes_out() {
        let mut encoder = Encoder::new(CONFIG).unwrap();
        let mut decoder = Decoder::new().unwrap();
        for n in 0..10 {
            let picture = I420::gradient(320, 180, n);
            let encoded = encoder.encode(&picture, n as i64 * 3000, 3000, n == 5).unwrap().unwrap();
            assert_eq!(encoded.key, n == 0 || n == 5);
            assert_eq!(key_frame_size(encoded.data), encoded.key.then_some((320, 180)));
            let back = decoder.decode(encoded.data).unwrap().unwrap();
            let error = back.error(&picture);
            assert!(error < 8, "frame {n} differs by {error} a pixel");
        }
    }

    #[test]
    fn refuses_what_is_not_vp8() {
        assert!(Decoder::new().unwrap().decode(b"not a frame at all").is_err());
        assert!(Encoder::new(CONFIG).unwrap().encode(&I420::black(160, 90), 0, 3000, false).is_err());
    }
}
