//! Codecs of video behind shims in C (`csrc/`), which all have the same calls.

use std::{
    ffi::{c_int, c_uint, c_void},
    ptr::NonNull,
};

use crate::{
    I420, MediaError,
    codec::{ContentHint, Encoded, EncoderConfig, VideoDecoder, VideoEncoder},
};

/// A shim's calls: `shim_t` of `csrc/shim.h`, which says what each takes and gives. Pointers are what its
/// `new` gave; none has an affinity to a thread.
#[repr(C)]
pub(crate) struct Calls {
    encoder_new: unsafe extern "C" fn(c_int, c_int, c_int, c_int) -> *mut c_void,
    encoder_free: unsafe extern "C" fn(*mut c_void),
    encoder_set_bitrate: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    encode:
        unsafe extern "C" fn(*mut c_void, *const u8, i64, c_int, c_int, *mut u8, c_int, *mut c_int) -> c_int,
    decoder_new: unsafe extern "C" fn() -> *mut c_void,
    decoder_free: unsafe extern "C" fn(*mut c_void),
    decode: unsafe extern "C" fn(
        *mut c_void,
        *const u8,
        c_uint,
        *mut *const u8,
        *mut c_int,
        *mut c_int,
        *mut c_int,
    ) -> c_int,
}

/// A codec behind a shim.
#[derive(Clone, Copy)]
pub(crate) struct Shim {
    pub(crate) calls: &'static Calls,
    /// The error that says what failed.
    pub(crate) failed: fn(&'static str) -> MediaError,
}

impl Shim {
    pub(crate) fn encoder(self, config: EncoderConfig) -> Result<Box<dyn VideoEncoder>, MediaError> {
        let EncoderConfig { width, height, kbps, content } = config;
        // SAFETY: plain numbers in, a pointer or null out.
        let raw = unsafe {
            (self.calls.encoder_new)(
                width as c_int,
                height as c_int,
                kbps.max(1) as c_int,
                c_int::from(content == ContentHint::Text),
            )
        };
        let raw = NonNull::new(raw).ok_or_else(|| (self.failed)("no encoder of this size"))?;
        // No frame exceeds the raw picture; small sizes have headers to spare.
        let out = vec![0; I420::bytes(width, height) + 4096];
        Ok(Box::new(Encoder { shim: self, raw, width, height, out }))
    }

    pub(crate) fn decoder(self) -> Result<Box<dyn VideoDecoder>, MediaError> {
        // SAFETY: no input, a pointer or null out.
        let raw = NonNull::new(unsafe { (self.calls.decoder_new)() });
        let raw = raw.ok_or_else(|| (self.failed)("no decoder"))?;
        Ok(Box::new(Decoder { shim: self, raw }))
    }
}

struct Encoder {
    shim: Shim,
    raw: NonNull<c_void>,
    width: usize,
    height: usize,
    out: Vec<u8>,
}

// SAFETY: the codec's state is only reached through `&mut self`, from any thread.
unsafe impl Send for Encoder {}

impl VideoEncoder for Encoder {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn set_bitrate(&mut self, kbps: u32) -> Result<(), MediaError> {
        // SAFETY: `raw` is a live encoder.
        match unsafe { (self.shim.calls.encoder_set_bitrate)(self.raw.as_ptr(), kbps.max(1) as c_int) } {
            0 => Ok(()),
            _ => Err((self.shim.failed)("the bitrate was refused")),
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
            return Err((self.shim.failed)("the picture has another size"));
        }
        let mut is_key = 0;
        // SAFETY: the planes are complete for the encoder's size (checked above), `out` is as
        // long as said.
        let written = unsafe {
            (self.shim.calls.encode)(
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
            Err(_) => Err((self.shim.failed)("a picture was not encoded")),
        }
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { (self.shim.calls.encoder_free)(self.raw.as_ptr()) }
    }
}

struct Decoder {
    shim: Shim,
    raw: NonNull<c_void>,
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
            (self.shim.calls.decode)(
                self.raw.as_ptr(),
                data.as_ptr(),
                data.len() as c_uint,
                planes.as_mut_ptr(),
                strides.as_mut_ptr(),
                &raw mut width,
                &raw mut height,
            )
        };
        match shown {
            1 => {}
            0 => return Ok(None),
            _ => return Err((self.shim.failed)("a frame was not decoded")),
        }
        let (width, height) = (width as usize & !1, height as usize & !1);
        let mut picture = Vec::with_capacity(I420::bytes(width, height));
        for (plane, (pointer, stride)) in planes.into_iter().zip(strides).enumerate() {
            let (w, h) = if plane == 0 { (width, height) } else { (width / 2, height / 2) };
            for row in 0..h {
                // SAFETY: the shim gives three planes of at least this size, rows `stride` apart, which stay
                // until its next call.
                picture.extend_from_slice(unsafe {
                    std::slice::from_raw_parts(pointer.add(row * stride as usize), w)
                });
            }
        }
        I420::new(width, height, picture).map(Some)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by the shim, freed once.
        unsafe { (self.shim.calls.decoder_free)(self.raw.as_ptr()) }
    }
}
