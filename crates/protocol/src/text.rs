//! Strings that travel but are never printed.

use bedside_redact::{Phi, Secret};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that may say who a person is or how they are: a name, a message, a note.
#[derive(Clone, PartialEq, Eq, Debug, Default, Hash, PartialOrd, Ord)]
pub struct Text(Phi<String>);

impl Text {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Phi::new(text.into()))
    }

    /// The text itself: for the screen or the wire.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Self {
        Self::new(text)
    }
}

/// A password, token or credential.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Token(Secret<String>);

impl Token {
    /// Wraps `token`.
    pub fn new(token: impl Into<String>) -> Self {
        Self(Secret::new(token.into()))
    }

    /// The token itself: for a header, a hash or a keyring.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl<T: Into<String>> From<T> for Token {
    fn from(token: T) -> Self {
        Self::new(token)
    }
}

macro_rules! as_plain_string {
    ($type:ident, $show:ident) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.$show())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map(Self::new)
            }
        }

        impl ts_rs::TS for $type {
            type WithoutGenerics = Self;
            type OptionInnerType = Self;
            fn name(_: &ts_rs::Config) -> String {
                "string".to_owned()
            }
            fn inline(_: &ts_rs::Config) -> String {
                "string".to_owned()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                String::schema()
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $type {}
    };
}

as_plain_string!(Text, reveal);
as_plain_string!(Token, expose);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn travels_plainly_and_prints_nothing() {
        let name = Text::new("Maria Keller");
        assert_eq!(serde_json::to_string(&name).unwrap(), r#""Maria Keller""#);
        assert!(!format!("{name:?}").contains("Maria"));
        let token: Token = serde_json::from_str(r#""abc""#).unwrap();
        assert_eq!(token.expose(), "abc");
        assert!(!format!("{token:?}").contains("abc"));
    }
}
