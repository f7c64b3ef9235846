//! Whose credentials are which: their name says it.

use jiff::Timestamp;

/// Whether a name has not ended yet.
pub(super) fn is_current(username: &str, now: Timestamp) -> bool {
    let end = username.split_once(':').and_then(|(end, _)| end.parse::<i64>().ok());
    end.is_some_and(|end| end > now.as_second())
}

/// Whose credentials somebody has shown.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Owner {
    pub(super) user: String,
    pub(super) sign_in: String,
    /// None where they are only to try the relay.
    pub(super) visit: Option<String>,
}

impl Owner {
    /// As the name of credentials has it.
    pub(super) fn of(username: &str) -> Self {
        let rest = username.split_once(':').map_or(username, |(_, rest)| rest);
        let mut parts = rest.split('/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self { user: next(), sign_in: next(), visit: Some(next()).filter(|visit| !visit.is_empty()) }
    }

    /// Whether it goes by this sign-in, or is of this visit.
    pub(super) fn is_of(&self, ending: &str) -> bool {
        self.sign_in == ending || self.visit.as_deref() == Some(ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_who_by_which_sign_in() {
        let owner = |visit: Option<&str>| Owner {
            user: "u".into(),
            sign_in: "s".into(),
            visit: visit.map(str::to_owned),
        };
        assert_eq!(Owner::of("1001:u/s"), owner(None));
        assert_eq!(Owner::of("1001:u/s/v"), owner(Some("v")));
        assert!(Owner::of("1001:u/s/v").is_of("v") && !Owner::of("1001:u/s").is_of(""));
    }

    #[test]
    fn a_name_ends_when_it_says() {
        let now = Timestamp::constant(1_000, 0);
        assert!(is_current("1001:u", now));
        for ended in ["1000:u", "999:u", "u", ":u", "x:u", ""] {
            assert!(!is_current(ended, now), "{ended}");
        }
    }
}
