//! Descriptions and candidates of others: any text, and what comes out is read again as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// As `bedside-rtc` has it: its module is private, and is taken in as it stands.
#[derive(Debug)]
pub enum RtcError {
    Incompatible(&'static str),
}

#[path = "../../crates/rtc/src/sdp.rs"]
#[allow(dead_code, reason = "the crate uses what is not tried here")]
mod sdp;

fuzz_target!(|text: &str| {
    let _ = sdp::is_readable(text);
    if let Ok(once) = sdp::clean(text) {
        let again = sdp::clean(&once.sdp).expect("what was made readable can be read");
        assert_eq!(once.sdp, again.sdp, "nothing more to leave out");
        let _ = once.answered(&once.sdp);
    }
});
