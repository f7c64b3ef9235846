//! VP8 (RFC 6386) through the system's libvpx.

use crate::{
    MediaError,
    shim::{Calls, Shim},
};

unsafe extern "C" {
    safe static bedside_vp8: Calls;
}

pub(crate) fn shim() -> Shim {
    Shim { calls: &bedside_vp8, failed: MediaError::Vp8 }
}

/// Width and height that a VP8 key frame says it has (RFC 6386 §9.1).
pub(crate) fn key_frame_size(data: &[u8]) -> Option<(u16, u16)> {
    let [tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = *data else { return None };
    (tag & 1 == 0).then(|| (u16::from_le_bytes([w0, w1]) & 0x3fff, u16::from_le_bytes([h0, h1]) & 0x3fff))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        I420,
        codec::{ContentHint, EncoderConfig},
    };

    const CONFIG: EncoderConfig =
        EncoderConfig { width: 320, height: 180, kbps: 800, content: ContentHint::Motion };

    #[test]
    fn what_goes_in_comes_out() {
        let mut encoder = shim().encoder(CONFIG).unwrap();
        let mut decoder = shim().decoder().unwrap();
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
        assert!(shim().decoder().unwrap().decode(b"not a frame at all").is_err());
        assert!(shim().encoder(CONFIG).unwrap().encode(&I420::black(160, 90), 0, 3000, false).is_err());
    }
}
