//! Sealed files: whatever stands on the disk, nothing comes out of it that was not sealed.
#![no_main]

use bedside_redact::Secret;
use bedside_sealing::{HEAD_BYTES, Keys, Opening, Sealing, is_sealed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<u8>, usize, u8)| {
    let (bytes, at, bit) = input;
    let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
    let keys = Keys::read(&Secret::new(key.to_owned())).expect("a key");
    let _ = is_sealed(&bytes);
    if let Some(head) = bytes.get(..HEAD_BYTES) {
        assert!(Opening::begin(&keys, "a", head).is_err(), "nobody sealed it");
    }
    let mut sealing = Sealing::begin(&keys, "a").expect("begins");
    let mut sealed = sealing.push(&bytes).expect("seals");
    sealed.extend(sealing.finish().expect("seals"));
    let open = |sealed: &[u8]| {
        let (head, rest) = sealed.split_at_checked(HEAD_BYTES)?;
        let mut opening = Opening::begin(&keys, "a", head).ok()?;
        let mut plain = opening.push(rest).ok()?;
        plain.extend(opening.finish().ok()?);
        Some(plain)
    };
    assert_eq!(open(&sealed), Some(bytes));
    let at = at % sealed.len();
    sealed[at] ^= 1 << (bit % 8);
    assert_eq!(open(&sealed), None, "it was changed");
});
