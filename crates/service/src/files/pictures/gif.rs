//! GIF (89a).

use super::{Reader, Rewritten, le16};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;
const END: u8 = 0x3b;
/// Extensions by their labels: how a frame is shown, and an application's own.
const CONTROL: u8 = 0xf9;
const APPLICATION: u8 = 0xff;

/// Kept are the frames and how they follow one another; no comments, no words, no application's own.
pub(super) fn rewrite(bytes: &[u8]) -> Option<Rewritten> {
    let mut reader = Reader(bytes);
    let head = reader.take(13)?;
    if !matches!(&head[..6], b"GIF87a" | b"GIF89a") {
        return None;
    }
    let mut kept = head.to_vec();
    let (mut width, mut height) = (le16(&head[6..])?, le16(&head[8..])?);
    kept.extend(reader.take(table_length(head[10]))?);
    loop {
        match reader.byte()? {
            EXTENSION => {
                let label = reader.byte()?;
                let blocks = sub_blocks(&mut reader)?;
                // The one that says how often it is played.
                let is_loop = label == APPLICATION && blocks.get(1..12) == Some(b"NETSCAPE2.0");
                if label == CONTROL || is_loop {
                    kept.extend([EXTENSION, label]);
                    kept.extend(blocks);
                }
            }
            IMAGE => {
                let place = reader.take(9)?;
                let at = |from: usize| le16(&place[from..]);
                width = width.max(at(0)? + at(4)?);
                height = height.max(at(2)? + at(6)?);
                kept.push(IMAGE);
                kept.extend(place);
                kept.extend(reader.take(table_length(place[8]))?);
                // The codes' size, and the codes.
                kept.push(reader.byte()?);
                kept.extend(sub_blocks(&mut reader)?);
            }
            END => {
                kept.push(END);
                return Some(Rewritten { bytes: kept, width, height });
            }
            _ => return None,
        }
    }
}

/// Bytes of a colour table, by the flags that say whether there is one and how large.
fn table_length(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 0x07) + 1) }
}

/// Blocks, each after its length, to the empty one.
fn sub_blocks<'a>(reader: &mut Reader<'a>) -> Option<&'a [u8]> {
    let whole = reader.0;
    loop {
        let length = reader.byte()?;
        reader.take(length.into())?;
        if length == 0 {
            return whole.get(..whole.len() - reader.0.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Kind;
    use crate::files::pictures::check;
    use bedside_protocol::Code;

    fn gif(width: u16, height: u16, extensions: &[u8]) -> Vec<u8> {
        let head = [&b"GIF89a\x01\0\x01\0\x80\0\0"[..], &[0; 6]].concat();
        let image =
            [&[IMAGE, 0, 0, 0, 0][..], &width.to_le_bytes(), &height.to_le_bytes(), b"\0\x02\x02\x4c\x01\0"]
                .concat();
        [&head[..], extensions, &image, &[END]].concat()
    }

    #[test]
    fn comments_and_xmp_go_and_how_it_plays_stays() {
        let plays = b"\x21\xff\x0bNETSCAPE2.0\x03\x01\0\0\0\x21\xf9\x04\0\x0a\0\0\0";
        let says = b"\x21\xfe\x05where\0\x21\xff\x0bXMP DataXMP\x03who\0";
        let both = [&says[..], plays].concat();
        let with_film = [gif(1, 1, &both), b"film".to_vec()].concat();
        assert_eq!(check(Kind::Gif, &with_film).unwrap(), gif(1, 1, plays));
    }

    #[test]
    fn a_frame_larger_than_its_screen_counts() {
        assert_eq!(check(Kind::Gif, &gif(60_000, 60_000, b"")).unwrap_err().code, Code::TooLarge);
        assert_eq!(check(Kind::Gif, b"GIF89a\x01\0").unwrap_err().code, Code::UnsupportedType);
    }
}
