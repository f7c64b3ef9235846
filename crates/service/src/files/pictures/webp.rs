//! WebP (RFC 9649).

use super::{Reader, Rewritten, le16, le32};

/// Flags of `VP8X` for what is taken away: EXIF and XMP (§2.7.1.2).
const EXIF_AND_XMP: u8 = 0x08 | 0x04;

pub(super) fn rewrite(bytes: &[u8]) -> Option<Rewritten> {
    let mut reader = Reader(bytes.strip_prefix(b"RIFF")?);
    let length = usize::try_from(le32(reader.take(4)?)?).ok()?;
    // What comes after it is none of it.
    let mut reader = Reader(reader.0.get(..length.min(reader.0.len()))?.strip_prefix(b"WEBP")?);
    let mut kept = b"WEBP".to_vec();
    let (mut width, mut height) = (0, 0);
    while !reader.0.is_empty() {
        let name: &[u8; 4] = reader.take(4)?.try_into().ok()?;
        let length = usize::try_from(le32(reader.take(4)?)?).ok()?;
        let data = reader.take(length)?;
        if length % 2 == 1 {
            reader.take(1)?;
        }
        let (size, is_kept) = match name {
            b"VP8X" => (Some(canvas(data)?), true),
            b"VP8 " => (Some(lossy(data)?), true),
            b"VP8L" => (Some(lossless(data)?), true),
            b"ANMF" => (Some(frame(data)?), true),
            b"ICCP" | b"ALPH" | b"ANIM" => (None, true),
            _ => (None, false),
        };
        if let Some((wide, high)) = size {
            (width, height) = (width.max(wide), height.max(high));
        }
        if is_kept {
            kept.extend(name);
            kept.extend(u32::try_from(length).ok()?.to_le_bytes());
            let data_at = kept.len();
            kept.extend(data);
            if name == b"VP8X" {
                kept[data_at] &= !EXIF_AND_XMP;
            }
            kept.resize(kept.len() + length % 2, 0);
        }
    }
    let mut bytes = b"RIFF".to_vec();
    bytes.extend(u32::try_from(kept.len()).ok()?.to_le_bytes());
    bytes.append(&mut kept);
    Some(Rewritten { bytes, width, height })
}

fn le24(bytes: &[u8]) -> Option<u32> {
    let [a, b, c] = bytes.get(..3)? else { return None };
    Some(u32::from_le_bytes([*a, *b, *c, 0]))
}

/// Of the extended header (§2.7.1.2): one less than each.
fn canvas(data: &[u8]) -> Option<(u32, u32)> {
    Some((le24(data.get(4..)?)? + 1, le24(data.get(7..)?)? + 1))
}

/// Of a frame of an animation (§2.7.1.5): where it begins, halved, and one less than its size.
fn frame(data: &[u8]) -> Option<(u32, u32)> {
    let at = |from: usize| le24(data.get(from..)?);
    Some((at(0)? * 2 + at(6)? + 1, at(3)? * 2 + at(9)? + 1))
}

/// Of a key frame of VP8 (RFC 6386 §9.1).
fn lossy(data: &[u8]) -> Option<(u32, u32)> {
    let size = data.get(3..)?.strip_prefix(b"\x9d\x01\x2a")?;
    Some((le16(size)? & 0x3fff, le16(size.get(2..)?)? & 0x3fff))
}

/// Of a lossless one (§3.4): fourteen bits each, one less.
fn lossless(data: &[u8]) -> Option<(u32, u32)> {
    let bits = le32(data.strip_prefix(b"\x2f")?)?;
    Some(((bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1))
}

#[cfg(test)]
mod tests {
    use crate::files::Kind;
    use crate::files::pictures::check;
    use bedside_protocol::Code;

    fn chunk(name: &[u8], data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap().to_le_bytes();
        let padding = &b"\0"[..data.len() % 2];
        [name, &length, data, padding].concat()
    }

    fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
        let inside = [&b"WEBP"[..], &chunks.concat()].concat();
        [&b"RIFF"[..], &u32::try_from(inside.len()).unwrap().to_le_bytes(), &inside].concat()
    }

    fn image(width: u32, height: u32) -> Vec<u8> {
        let bits = (width - 1) | (height - 1) << 14;
        chunk(b"VP8L", &[&b"\x2f"[..], &bits.to_le_bytes(), b"data"].concat())
    }

    #[test]
    fn where_it_was_taken_goes() {
        let extended = |flags: u8| chunk(b"VP8X", &[flags, 0, 0, 0, 3, 0, 0, 2, 0, 0]);
        let taken = riff(&[extended(0x2c), image(4, 3), chunk(b"EXIF", b"where"), chunk(b"XMP ", b"who")]);
        assert_eq!(check(Kind::WebP, &taken).unwrap(), riff(&[extended(0x20), image(4, 3)]));
    }

    #[test]
    fn the_largest_of_its_sizes_counts() {
        let small = chunk(b"VP8X", &[0, 0, 0, 0, 3, 0, 0, 2, 0, 0]);
        assert_eq!(
            check(Kind::WebP, &riff(&[small, image(16_000, 16_000)])).unwrap_err().code,
            Code::TooLarge
        );
        assert_eq!(check(Kind::WebP, &riff(&[])).unwrap_err().code, Code::UnsupportedType);
    }
}
