//! Packets to the relay, from whom it does not know and as if from whom it does.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|packet: &[u8]| bedside_service::fuzzing::relay_packet(packet));
