//! Wrappers for what must never be printed.
//!
//! A [`Secret`] gives access (a password, a token, a key); a [`Phi`] says something about a
//! patient (a name, an address, a message). Neither has a `Debug` or `Display` that shows what
//! is inside, so that no log line, error or panic can. Getting at the value takes a call whose
//! name is easy to search for: [`Secret::expose`], [`Phi::reveal`].

use std::fmt;

/// Something that gives access. Its memory is overwritten when a `Secret<String>` is dropped
/// through [`Secret::wipe`]; printing shows `[secret]`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: for the wire, a hash or a keyring, never for a log.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Takes the value out.
    pub fn into_exposed(self) -> T {
        self.0
    }
}

impl Secret<String> {
    /// Overwrites the text with zeros, then empties it.
    pub fn wipe(&mut self) {
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
}

impl<T> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Something that says who a person is or how they are. Printing shows `[phi]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Phi<T>(T);

impl<T> Phi<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself: for the screen or the wire, never for a log.
    pub const fn reveal(&self) -> &T {
        &self.0
    }

    /// Takes the value out.
    pub fn into_revealed(self) -> T {
        self.0
    }
}

impl<T> From<T> for Phi<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> fmt::Debug for Phi<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[phi]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_prints_what_it_holds() {
        let secret = Secret::new("hunter2".to_owned());
        let name = Phi::new("Maria Keller".to_owned());
        let shown = format!("{secret:?} {name:?} {:?}", Some((&secret, &name)));
        assert_eq!(shown, "[secret] [phi] Some(([secret], [phi]))");
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(name.reveal(), "Maria Keller");
    }
}
