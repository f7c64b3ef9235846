//! What may be sent in a chat, and as what: what a person photographs, scans, writes or is handed by a laboratory.
//! A file's bytes say what it is, and what it is says how it is called: nothing here runs at a double click.

use bedside_protocol::Code;
use encoding_rs::{UTF_16BE, UTF_16LE, WINDOWS_1252};

mod pictures;
mod thumbnails;

use crate::error::ApiError;

/// Longest name, without what says its kind.
const STEM_CHARS: usize = 120;

/// A kind of file that is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Jpeg,
    Png,
    WebP,
    Gif,
    Pdf,
    Text,
}

impl Kind {
    /// Its media type (IANA).
    pub(crate) const fn mime_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
            Self::Pdf => "application/pdf",
            Self::Text => "text/plain",
        }
    }

    const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
            Self::Pdf => "pdf",
            Self::Text => "txt",
        }
    }
}

/// A file as it is kept and given to others.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// Pixels across and down, of a picture.
    pub(crate) size: Option<(u32, u32)>,
    /// A small one of it, as JPEG, where it could be made.
    pub(crate) thumbnail: Option<Vec<u8>>,
}

/// Takes a file, or says in words why not.
pub(crate) fn accept(name: &str, bytes: Vec<u8>) -> Result<Accepted, ApiError> {
    let picture = |kind| pictures::rewrite(kind, &bytes).map(|picture| (kind, Some(picture), vec![]));
    let (kind, picture, other) = match infer::get(&bytes).map(|kind| kind.mime_type()) {
        Some("image/jpeg") => picture(Kind::Jpeg)?,
        Some("image/png") => picture(Kind::Png)?,
        Some("image/webp") => picture(Kind::WebP)?,
        Some("image/gif") => picture(Kind::Gif)?,
        Some("application/pdf") => (Kind::Pdf, None, bytes),
        Some("image/heif" | "image/heic") => {
            return Err(refused(
                "A photo in the HEIC format can’t be shown on every computer. On an iPhone, choose Settings, Camera, \
                 Formats, Most Compatible and take it again, or send a screenshot of it",
            ));
        }
        Some("image/avif") => {
            return Err(refused(
                "A picture in the AVIF format can’t be shown on every computer. Send it as JPEG or PNG",
            ));
        }
        // Text that begins like a page or a script is text here: it is kept, shown and saved as nothing else.
        _ => (Kind::Text, None, text(&bytes)?),
    };
    let name = format!("{}.{}", stem(name), kind.extension());
    Ok(match picture {
        Some(picture) => Accepted {
            kind,
            name,
            size: Some((picture.width, picture.height)),
            thumbnail: thumbnails::make(kind, &picture.bytes),
            bytes: picture.bytes,
        },
        None => Accepted { kind, name, bytes: other, size: None, thumbnail: None },
    })
}

fn refused(detail: &str) -> ApiError {
    ApiError::new(Code::UnsupportedType, detail)
}

/// Text as UTF-8, whatever it was written as: editors and laboratories' devices write UTF-16 and Windows-1252 as well.
fn text(bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    if bytes.is_empty() {
        return Err(refused("The file is empty"));
    }
    let wide = [UTF_16LE, UTF_16BE].into_iter().find(|encoding| {
        encoding_rs::Encoding::for_bom(bytes).is_some_and(|(of_bom, _)| of_bom == *encoding)
    });
    let plain = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = match (wide, std::str::from_utf8(plain)) {
        (Some(encoding), _) => encoding.decode_with_bom_removal(bytes).0,
        (None, Ok(text)) => text.into(),
        (None, Err(_)) => WINDOWS_1252.decode_without_bom_handling(bytes).0,
    };
    // What is no text at all has these in its first line.
    let is_foreign =
        |c: char| (c.is_control() && !matches!(c, '\n' | '\r' | '\t' | '\u{c}')) || c == '\u{fffd}';
    if text.is_empty() || text.chars().any(is_foreign) {
        return Err(Code::UnsupportedType.into());
    }
    Ok(text.into_owned().into_bytes())
}

/// The last part of a path, without its extension and what could mislead: nothing that turns the direction of writing
/// or can't be seen, nothing that a system takes for a device or another file.
fn stem(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let last = last.rsplit_once('.').map_or(last, |(stem, _)| if stem.is_empty() { last } else { stem });
    let clean: String = last.chars().filter(|&c| !is_misleading(c)).take(STEM_CHARS).collect();
    let clean = clean.trim_matches(|c: char| c.is_whitespace() || c == '.');
    let is_device = ["CON", "PRN", "AUX", "NUL"].iter().any(|device| clean.eq_ignore_ascii_case(device))
        || matches!(clean.get(..3), Some(port) if clean.len() == 4
            && (port.eq_ignore_ascii_case("COM") || port.eq_ignore_ascii_case("LPT")));
    if clean.is_empty() || is_device { "file".to_owned() } else { clean.to_owned() }
}

/// Controls, marks that turn the direction or can't be seen (Unicode's `Default_Ignorable_Code_Point` and bidirectional
/// controls), and what Windows takes for something else.
pub(crate) fn is_misleading(c: char) -> bool {
    c.is_control() || matches!(c, ':' | '*' | '?' | '"' | '<' | '>' | '|') || is_invisible(c)
}

/// Whether a character turns the direction of writing or takes no room.
pub(crate) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str, bytes: &[u8]) -> String {
        accept(name, bytes.to_vec()).unwrap().name
    }

    #[test]
    fn a_file_is_called_what_it_is() {
        let pdf = b"%PDF-1.7\n";
        assert_eq!(name("Befund.pdf", pdf), "Befund.pdf");
        assert_eq!(name("Befund.pdf.bat", pdf), "Befund.pdf.pdf");
        for script in
            ["scan.vbs", "photo.hta", "x.js", "a.desktop", "a.ps1", "a.reg", "a.url", "macro.csv", "a.html"]
        {
            let kept = name(script, "\u{feff}<script>".as_bytes());
            assert_eq!(kept.rsplit_once('.').unwrap().1, "txt", "{script}");
        }
        assert_eq!(name("a.exe", b"GIF89a\x01\0\x01\0\0\0\0\x3b"), "a.gif");
        assert_eq!(name("../../etc/passwd", pdf), "passwd.pdf");
        assert_eq!(name("C:\\Users\\m\\scan.pdf", pdf), "scan.pdf");
        assert_eq!(name("a\u{202e}fdp.exe\n", pdf), "afdp.pdf");
        assert_eq!(name("\u{200e}\u{61c}\u{feff}.pdf", pdf), "file.pdf");
        for nothing in ["/", "..", "", "CON.pdf", "lpt1", "   ", ".pdf"] {
            let kept = name(nothing, pdf);
            assert!(kept == "file.pdf" || kept == "pdf.pdf", "{nothing} became {kept}");
        }
        assert_eq!(name("a.txt:evil.exe", pdf), "a.txtevil.pdf");
        assert_eq!(name(&"ä".repeat(500), pdf).chars().count(), STEM_CHARS + 4);
    }

    #[test]
    fn text_is_text_however_it_was_written() {
        let text = |bytes: &[u8]| String::from_utf8(accept("a", bytes.to_vec()).unwrap().bytes).unwrap();
        assert_eq!(text("Blutdruck 120/80\n".as_bytes()), "Blutdruck 120/80\n");
        assert_eq!(text(b"<5 mg/l, # 3"), "<5 mg/l, # 3");
        assert_eq!(text(b"# Befund"), "# Befund");
        assert_eq!(text(b"M\xfcller \x80 5"), "Müller € 5", "Windows-1252");
        let wide: Vec<u8> = "\u{feff}Größe".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text(&wide), "Größe");
        let wide: Vec<u8> = "\u{feff}Größe".encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(text(&wide), "Größe");
        assert_eq!(text("\u{feff}BOM".as_bytes()), "BOM");
    }

    #[test]
    fn what_runs_or_is_nothing_is_refused_in_words() {
        for refused in [
            &b"MZ\x90\0\x03\0\0\0"[..],
            b"\x7fELF\x02\x01\x01\0",
            b"PK\x03\x04\x14\0",
            b"\0\0\0\0",
            b"\xff\xfe\0",
        ] {
            assert_eq!(accept("a", refused.to_vec()).unwrap_err().code, Code::UnsupportedType, "{refused:?}");
        }
        let words = |bytes: &[u8]| accept("a", bytes.to_vec()).unwrap_err().detail.unwrap();
        assert_eq!(words(b""), "The file is empty");
        assert!(words(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic").contains("Most Compatible"));
        assert!(words(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif").contains("AVIF"));
    }
}
