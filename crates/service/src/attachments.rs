//! Images and files of the chat, in a folder.

use std::path::PathBuf;

use bedside_protocol::{AttachmentId, Code};

use crate::error::ApiError;

/// What may be sent: what a person photographs, scans or is handed by a laboratory. Nothing that
/// a double click runs.
const ACCEPTED: &[&str] =
    &["image/jpeg", "image/png", "image/webp", "image/gif", "application/pdf", "text/plain"];

/// The folder.
pub(crate) struct Attachments {
    folder: PathBuf,
}

impl Attachments {
    pub(crate) fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    pub(crate) async fn write(&self, id: AttachmentId, bytes: &[u8]) -> std::io::Result<()> {
        // Under another name until it is whole: a crash leaves nothing that looks like a file.
        let partial = self.folder.join(format!("{id}.partial"));
        tokio::fs::write(&partial, bytes).await?;
        tokio::fs::rename(partial, self.folder.join(id.to_string())).await
    }

    pub(crate) async fn read(&self, id: AttachmentId) -> std::io::Result<Vec<u8>> {
        tokio::fs::read(self.folder.join(id.to_string())).await
    }
}

/// The type of a file by its bytes; what its name or its sender says does not count.
pub(crate) fn recognise(bytes: &[u8]) -> Result<&'static str, ApiError> {
    let found = match infer::get(bytes) {
        Some(kind) => kind.mime_type(),
        None if is_text(bytes) => "text/plain",
        None => return Err(Code::UnsupportedType.into()),
    };
    ACCEPTED.iter().find(|accepted| **accepted == found).copied().ok_or(Code::UnsupportedType.into())
}

/// UTF-8 without control characters, and no page or script that a browser would run.
fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        !text.is_empty()
            && !text.trim_start().starts_with(['<', '#'])
            && text.chars().all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    })
}

/// A file's name as it may be shown: the last part of a path, without what could mislead.
pub(crate) fn clean_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    // Direction overrides can make "fdp.exe" read "exe.pdf".
    let shown: String = last
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'))
        .take(120)
        .collect();
    if shown.trim().is_empty() { "file".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_bytes_say() {
        assert_eq!(recognise(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR").unwrap(), "image/png");
        assert_eq!(recognise(b"%PDF-1.7\n").unwrap(), "application/pdf");
        assert_eq!(recognise("Blutdruck 120/80\n".as_bytes()).unwrap(), "text/plain");
        for refused in [
            &b"MZ\x90\0\x03\0\0\0"[..],
            b"\x7fELF\x02\x01\x01\0",
            b"<html>",
            b"#!/bin/sh\n",
            b"\xff\xfe\0",
            b"",
        ] {
            assert_eq!(recognise(refused).unwrap_err().code, Code::UnsupportedType, "{refused:?}");
        }
    }

    #[test]
    fn a_name_is_only_a_name() {
        assert_eq!(clean_name("../../etc/passwd"), "passwd");
        assert_eq!(clean_name("C:\\Users\\m\\scan.pdf"), "scan.pdf");
        assert_eq!(clean_name("a\u{202e}fdp.exe\n"), "afdp.exe");
        assert_eq!(clean_name("/"), "file");
    }
}
