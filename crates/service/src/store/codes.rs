//! Codes that people say and type.

use rand::seq::IndexedRandom;

/// What a code is made of: nothing that is taken for something else when it is read out.
const LETTERS: &[u8] = b"23456789ABCDEFGHJKMNPQRSTUVWXYZ";
/// Some 900 million: few enough to say, too many to find somebody's by trying.
const CODE_LENGTH: usize = 6;

/// A new one.
pub(super) fn new() -> String {
    let mut rng = rand::rng();
    (0..CODE_LENGTH).filter_map(|_| LETTERS.choose(&mut rng)).map(|&letter| char::from(letter)).collect()
}

/// A code as it is kept, however it was typed.
pub(super) fn as_kept(typed: &str) -> String {
    typed.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_can_be_read_out_and_typed() {
        let code = new();
        assert_eq!(code.len(), CODE_LENGTH);
        assert!(!code.contains(['0', 'O', '1', 'I', 'L']), "{code}");
        assert_eq!(as_kept(" k7m-2qx "), "K7M2QX");
        assert_ne!(new(), code);
    }
}
