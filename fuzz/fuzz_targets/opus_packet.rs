//! What is read of an Opus packet without decoding it.
#![no_main]

use bedside_media::opus::{has_fec, is_dtx, samples_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // RFC 6716 §3.2.5: 120 ms at the most.
    assert!(samples_of(data).is_none_or(|samples| samples <= 5_760));
    let _ = (is_dtx(data), has_fec(data));
});
