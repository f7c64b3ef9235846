//! Packets of audio in any order and of any content, between any pulls: always whole frames, and a bounded
//! level.
#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use bedside_media::{JitterBuffer, OpusPacket};
use libfuzzer_sys::fuzz_target;

/// More than this never waits, even where nobody takes it: 128 packets of the longest kind (RFC 6716 §3.2.5).
const MOST: Duration = Duration::from_millis(128 * 120);
/// And where somebody does: a second, beyond which it is cut back, and a packet.
const MOST_PULLED: Duration = Duration::from_millis(1_000 + 120);

#[derive(Arbitrary, Debug)]
enum Step<'a> {
    Packet { ssrc: bool, sequence: u16, timestamp: u32, data: &'a [u8] },
    /// As a sender would go on: so many packets of silence from the last one.
    GoesOn(u8),
    Pull(u8),
}

fuzz_target!(|steps: Vec<Step<'_>>| {
    let mut buffer = JitterBuffer::new().expect("a decoder");
    let (mut last_sequence, mut last_timestamp) = (0_u16, 0_u32);
    for step in steps.into_iter().take(400) {
        match step {
            Step::Packet { ssrc, sequence, timestamp, data } => {
                (last_sequence, last_timestamp) = (sequence, timestamp);
                buffer.push(&OpusPacket { ssrc: ssrc.into(), sequence, timestamp, data });
            }
            Step::GoesOn(count) => {
                for _ in 0..count % 16 {
                    last_sequence = last_sequence.wrapping_add(1);
                    last_timestamp = last_timestamp.wrapping_add(960);
                    // 20 ms of full-band CELT silence (RFC 6716 §3.1).
                    let data = &[0xf8, 0xff, 0xfe];
                    buffer.push(&OpusPacket { ssrc: 0, sequence: last_sequence, timestamp: last_timestamp, data });
                }
            }
            Step::Pull(count) => {
                for _ in 0..count % 16 {
                    let frame = buffer.pull().expect("whatever came, there is a frame");
                    assert!(frame.iter().all(|sample| sample.is_finite()));
                    assert!(buffer.stats().level <= MOST_PULLED, "{:?}", buffer.stats());
                }
            }
        }
        assert!(buffer.stats().level <= MOST, "{:?}", buffer.stats());
    }
});
