//! STOMP 1.2 frames, as in <https://stomp.github.io/stomp-specification-1.2.html>.
//!
//! One WebSocket message carries one frame or one heart-beat (a lone end of line). The bodies
//! are JSON text, so a frame is text too.

use std::fmt::Write as _;

/// WebSocket subprotocol of STOMP 1.2.
pub const SUBPROTOCOL: &str = "v12.stomp";

/// Most headers one frame may have: a client of ours sends at most eight.
const MAX_HEADERS: usize = 64;

/// A frame: a command, headers in order, a body.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// `CONNECT`, `SEND`, `MESSAGE` …
    pub command: String,
    headers: Vec<(String, String)>,
    /// The body; may be empty.
    pub body: String,
}

/// Shows the command and the names of the headers: their values and the body may be anybody's.
impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        f.debug_struct("Frame")
            .field("command", &self.command)
            .field("headers", &names)
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

/// Why a text is not a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StompError {
    /// No line with a command.
    #[error("the frame has no command")]
    NoCommand,
    /// A header line without a colon, or an unknown escape.
    #[error("a header can't be read")]
    BadHeader,
    /// More than 64 headers.
    #[error("the frame has too many headers")]
    TooManyHeaders,
    /// The NUL at the end is missing.
    #[error("the frame has no end")]
    Unterminated,
    /// `content-length` does not match the body.
    #[error("the body is not as long as content-length says")]
    WrongLength,
    /// Something comes after the end: one message carries one frame.
    #[error("there is more after the frame's end")]
    SecondFrame,
}

impl Frame {
    /// A frame with no headers and no body.
    pub fn new(command: &str) -> Self {
        Self { command: command.to_owned(), headers: Vec::new(), body: String::new() }
    }

    /// Adds a header. The first of a name counts (STOMP 1.2, "Repeated Header Entries").
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    /// The first value of a header.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Reads one frame; a heart-beat (only ends of line) is `Ok(None)`.
    pub fn parse(text: &str) -> Result<Option<Self>, StompError> {
        let text = text.trim_start_matches(['\r', '\n']);
        if text.is_empty() {
            return Ok(None);
        }
        let (head, rest) = split_head(text).ok_or(StompError::Unterminated)?;
        let mut lines = head.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        // All are words in capitals (STOMP 1.2, "Augmented BNF").
        let is_command = |line: &&str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_uppercase());
        let command = lines.next().filter(is_command).ok_or(StompError::NoCommand)?;
        // CONNECT and CONNECTED are read without escapes, for servers and clients of STOMP 1.0.
        let escaped = !matches!(command, "CONNECT" | "CONNECTED");
        let mut headers = Vec::new();
        for line in lines {
            if headers.len() == MAX_HEADERS {
                return Err(StompError::TooManyHeaders);
            }
            let (name, value) = line.split_once(':').ok_or(StompError::BadHeader)?;
            headers.push(if escaped {
                (unescape(name)?, unescape(value)?)
            } else {
                (name.to_owned(), value.to_owned())
            });
        }
        let mut frame = Self { command: command.to_owned(), headers, body: String::new() };
        frame.body = match frame.get("content-length") {
            Some(length) => {
                let length: usize = length.trim().parse().map_err(|_| StompError::WrongLength)?;
                let body = rest.get(..length).ok_or(StompError::WrongLength)?;
                let after = rest[length..].strip_prefix('\0').ok_or(StompError::WrongLength)?;
                only_ends(after)?;
                body.to_owned()
            }
            None => {
                let (body, after) = rest.split_once('\0').ok_or(StompError::Unterminated)?;
                only_ends(after)?;
                body.to_owned()
            }
        };
        Ok(Some(frame))
    }

    /// Its text form, with the NUL at the end.
    pub fn to_text(&self) -> String {
        let escaped = !matches!(self.command.as_str(), "CONNECT" | "CONNECTED");
        let mut text = String::with_capacity(self.body.len() + 256);
        text.push_str(&self.command);
        text.push('\n');
        for (name, value) in &self.headers {
            if escaped {
                escape(name, &mut text);
                text.push(':');
                escape(value, &mut text);
            } else {
                text.push_str(name);
                text.push(':');
                text.push_str(value);
            }
            text.push('\n');
        }
        if !self.body.is_empty() && self.get("content-length").is_none() {
            // Writing to a String can't fail.
            let _ = writeln!(text, "content-length:{}", self.body.len());
        }
        text.push('\n');
        text.push_str(&self.body);
        text.push('\0');
        text
    }
}

/// Splits at the empty line between headers and body.
fn split_head(text: &str) -> Option<(&str, &str)> {
    let unix = text.find("\n\n").map(|at| (at, at + 2));
    let dos = text.find("\n\r\n").map(|at| (at, at + 3));
    let (end, start) = match (unix, dos) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a.or(b)?,
    };
    let head = &text[..end];
    Some((head.strip_suffix('\r').unwrap_or(head), &text[start..]))
}

fn escape(value: &str, out: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            '\n' => out.push_str("\\n"),
            ':' => out.push_str("\\c"),
            c => out.push(c),
        }
    }
}

fn unescape(value: &str) -> Result<String, StompError> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('r') => '\r',
                Some('n') => '\n',
                Some('c') => ':',
                _ => return Err(StompError::BadHeader),
            },
            c => c,
        });
    }
    Ok(out)
}

/// Reads a `heart-beat` header: (sends every, wants every), in milliseconds, 0 for never.
pub fn heart_beat(header: Option<&str>) -> (u32, u32) {
    header
        .and_then(|text| text.split_once(','))
        .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)))
        .unwrap_or((0, 0))
}

/// After a frame there are only line ends: a second one would be lost without a word.
fn only_ends(after: &str) -> Result<(), StompError> {
    if after.bytes().all(|byte| matches!(byte, b'\n' | b'\r')) {
        Ok(())
    } else {
        Err(StompError::SecondFrame)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_others_write() {
        let text = "\r\nSEND\r\ndestination:/app/chat.send\r\nx:a\\cb\\nc\r\n\r\n{}\0\n";
        let frame = Frame::parse(text).unwrap().unwrap();
        assert_eq!(frame.command, "SEND");
        assert_eq!(frame.get("destination"), Some("/app/chat.send"));
        assert_eq!(frame.get("x"), Some("a:b\nc"));
        assert_eq!(frame.body, "{}");
    }

    #[test]
    fn a_heart_beat_is_no_frame() {
        assert_eq!(Frame::parse("\n"), Ok(None));
    }

    #[test]
    fn the_first_of_repeated_headers_counts() {
        let frame = Frame::parse("MESSAGE\nfoo:World\nfoo:Hello\n\n\0").unwrap().unwrap();
        assert_eq!(frame.get("foo"), Some("World"));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(Frame::parse("SEND\nx\n\n\0"), Err(StompError::BadHeader));
        assert_eq!(Frame::parse("SEND\nx:\\t\n\n\0"), Err(StompError::BadHeader));
        assert_eq!(Frame::parse("SEND\n\nbody"), Err(StompError::Unterminated));
        assert_eq!(Frame::parse("SEND"), Err(StompError::Unterminated));
        assert_eq!(Frame::parse("SEND\ncontent-length:9\n\nbody\0"), Err(StompError::WrongLength));
        assert_eq!(Frame::parse("SEND\ncontent-length:1\n\nü\0"), Err(StompError::WrongLength));
        for command in ["S\0\r\r", "send", "SEND ", "\t"] {
            assert_eq!(
                Frame::parse(&format!("{command}\nx:y\n\n\0")),
                Err(StompError::NoCommand),
                "{command:?}"
            );
        }
        for two in ["SEND\n\na\0SEND\n\nb\0", "SEND\ncontent-length:1\n\na\0b"] {
            assert_eq!(Frame::parse(two), Err(StompError::SecondFrame));
        }
        let many = "x:y\n".repeat(65);
        assert_eq!(Frame::parse(&format!("SEND\n{many}\n\0")), Err(StompError::TooManyHeaders));
    }

    #[test]
    fn prints_no_values() {
        let frame = Frame::new("CONNECT").header("Authorization", "Bearer abc").body("Maria");
        let shown = format!("{frame:?}");
        assert!(!shown.contains("abc") && !shown.contains("Maria"), "{shown}");
    }

    proptest! {
        #[test]
        fn every_frame_reads_back(
            command in "[A-Z]{3,12}",
            headers in prop::collection::vec((".{1,20}", ".{0,40}"), 0..8),
            body in "[^\0]{0,200}",
        ) {
            prop_assume!(!matches!(command.as_str(), "CONNECT" | "CONNECTED"));
            prop_assume!(headers.iter().all(|(name, _)| name != "content-length"));
            let mut frame = Frame::new(&command).body(body.clone());
            for (name, value) in &headers {
                frame = frame.header(name, value.clone());
            }
            let back = Frame::parse(&frame.to_text()).unwrap().unwrap();
            prop_assert_eq!(&back.command, &command);
            prop_assert_eq!(&back.body, &body);
            for (name, _) in &headers {
                prop_assert_eq!(back.get(name), frame.get(name));
            }
        }

        #[test]
        fn no_text_panics(text in ".{0,300}") {
            let _ = Frame::parse(&text);
        }
    }
}
