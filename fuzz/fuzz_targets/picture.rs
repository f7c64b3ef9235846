//! Files that people send: looked at, written anew, and made small.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| bedside_service::fuzzing::file(file));
