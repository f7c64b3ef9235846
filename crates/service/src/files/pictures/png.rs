//! PNG (W3C, third edition).

use super::{Reader, Rewritten, be32};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What shows something: the image, its colours and transparency, its frames. No words, times or EXIF.
const KEPT: [&[u8; 4]; 18] = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP",
    b"mDCV", b"cLLI", b"pHYs", b"bKGD", b"acTL", b"fcTL", b"fdAT",
];

pub(super) fn rewrite(bytes: &[u8]) -> Option<Rewritten> {
    let mut reader = Reader(bytes.strip_prefix(SIGNATURE)?);
    let mut kept = SIGNATURE.to_vec();
    let mut size = None;
    loop {
        let chunk = reader.0;
        let length = usize::try_from(be32(chunk)?).ok()?;
        // Its length, its name, what it holds, and its checksum.
        let whole = reader.take(length.checked_add(12)?)?;
        let name: &[u8; 4] = whole.get(4..8)?.try_into().ok()?;
        if name == b"IHDR" {
            size = Some((be32(&whole[8..])?, be32(whole.get(12..)?)?));
        }
        // It comes first, or no two readers agree on how large it is.
        size?;
        if KEPT.contains(&name) {
            kept.extend(whole);
        }
        if name == b"IEND" {
            let (width, height) = size?;
            return Some(Rewritten { bytes: kept, width, height });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Kind;
    use crate::files::pictures::check;
    use bedside_protocol::Code;

    fn chunk(name: &[u8], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_be_bytes();
        [&length[..], name, data, b"\0\0\0\0"].concat()
    }

    fn head(width: u32, height: u32) -> Vec<u8> {
        chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), b"\x08\x02\0\0\0"].concat())
    }

    #[test]
    fn words_go_and_the_image_stays() {
        let end = chunk(b"IEND", b"");
        let image = [SIGNATURE, &head(4, 3), &chunk(b"IDAT", b"data"), &end].concat();
        let words = [
            SIGNATURE,
            &head(4, 3),
            &chunk(b"eXIf", b"where"),
            &chunk(b"tEXt", b"who"),
            &chunk(b"IDAT", b"data"),
            &end,
            b"film",
        ]
        .concat();
        assert_eq!(check(Kind::Png, &words).unwrap(), image);
    }

    #[test]
    fn a_bomb_is_one_wherever_its_size_stands() {
        let bomb = [SIGNATURE, &head(60_000, 60_000), &chunk(b"IEND", b"")].concat();
        assert_eq!(check(Kind::Png, &bomb).unwrap_err().code, Code::TooLarge);
        let hidden = [
            SIGNATURE,
            &chunk(b"tEXt", b"\0\0\0\x01\0\0\0\x01"),
            &head(60_000, 60_000),
            &chunk(b"IEND", b""),
        ];
        assert_eq!(check(Kind::Png, &hidden.concat()).unwrap_err().code, Code::UnsupportedType);
    }
}
