//! STOMP frames and the signals in them: any text, and what was read is written and read again.
#![no_main]

use bedside_protocol::{ClientMessage, ServerMessage, stomp::Frame};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(Some(frame)) = Frame::parse(text) {
        let again = Frame::parse(&frame.to_text()).expect("what was read can be written").expect("a frame");
        assert_eq!((&frame.command, &frame.body), (&again.command, &again.body));
        let _ = serde_json::from_str::<ClientMessage>(&frame.body);
        let _ = serde_json::from_str::<ServerMessage>(&frame.body);
    }
    let _ = bedside_protocol::stomp::heart_beat(Some(text));
});
