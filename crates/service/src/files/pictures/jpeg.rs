//! JPEG (ITU-T T.81).

use super::{Reader, Rewritten, be16};

const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
const APP0: u8 = 0xe0;
const APP1: u8 = 0xe1;
const APP2: u8 = 0xe2;
const APP14: u8 = 0xee;
const COMMENT: u8 = 0xfe;

/// Kept are the frame and its tables, what says how its colours are meant, and of all else only which way is up.
pub(super) fn rewrite(bytes: &[u8]) -> Option<Rewritten> {
    let mut reader = Reader(bytes.strip_prefix(b"\xff\xd8")?);
    let (mut kept, mut size, mut up) = (vec![], None, None);
    loop {
        let marker = marker(&mut reader)?;
        // Restarts and the like stand alone; before a scan they mean nothing.
        if matches!(marker, 0x01 | 0xd0..=0xd7) {
            continue;
        }
        if marker == END {
            break;
        }
        let length = usize::try_from(be16(reader.0)?).ok()?;
        let segment = reader.take(length)?.get(2..)?;
        // The frame's head, but for the tables and the extension between its numbers.
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            size = size.max(Some((be16(segment.get(3..)?)?, be16(segment.get(1..)?)?)));
        }
        let is_kept = match marker {
            APP0 => segment.starts_with(b"JFIF\0"),
            APP1 => {
                up = up.or_else(|| orientation(segment.strip_prefix(b"Exif\0\0")?));
                false
            }
            APP2 => segment.starts_with(b"ICC_PROFILE\0"),
            APP14 => segment.starts_with(b"Adobe"),
            APP0..=0xef | COMMENT => false,
            _ => true,
        };
        if is_kept {
            push(&mut kept, marker, segment)?;
        }
        if marker == SCAN {
            let scan = scan_length(reader.0);
            kept.extend(reader.take(scan)?);
        }
    }
    let (width, height) = size?;
    let mut bytes = b"\xff\xd8".to_vec();
    if let Some(up) = up {
        push(&mut bytes, APP1, &only_orientation(up))?;
    }
    bytes.append(&mut kept);
    bytes.extend([0xff, END]);
    Some(Rewritten { bytes, width, height })
}

fn marker(reader: &mut Reader<'_>) -> Option<u8> {
    if reader.byte()? != 0xff {
        return None;
    }
    // Any number of fill bytes before it.
    loop {
        let byte = reader.byte()?;
        if byte != 0xff {
            return Some(byte);
        }
    }
}

fn push(bytes: &mut Vec<u8>, marker: u8, segment: &[u8]) -> Option<()> {
    bytes.extend([0xff, marker]);
    bytes.extend(u16::try_from(segment.len() + 2).ok()?.to_be_bytes());
    bytes.extend(segment);
    Some(())
}

/// Bytes of a scan's coded data: up to the next marker that is no restart and no stuffed zero.
fn scan_length(data: &[u8]) -> usize {
    let is_end = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0x00 | 0xd0..=0xd7 | 0xff);
    data.windows(2).position(is_end).unwrap_or(data.len())
}

/// EXIF's tag of which way is up (JEITA CP-3451, 4.6.4).
const ORIENTATION: u16 = 0x0112;

/// Which way is up, 2 to 8, by EXIF; none for as it is.
fn orientation(exif: &[u8]) -> Option<u16> {
    let is_little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| -> Option<u16> {
        let two = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if is_little { u16::from_le_bytes(two) } else { u16::from_be_bytes(two) })
    };
    let long = |at: usize| -> Option<usize> {
        let four = exif.get(at..at.checked_add(4)?)?.try_into().ok()?;
        usize::try_from(if is_little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) }).ok()
    };
    let directory = long(4)?;
    let entries = usize::from(short(directory)?);
    let entry = |number: usize| directory.checked_add(2)?.checked_add(number * 12);
    let found = (0..entries).filter_map(entry).find(|&at| short(at) == Some(ORIENTATION))?;
    short(found.checked_add(8)?).filter(|value| (2..=8).contains(value))
}

/// EXIF that says nothing but which way is up: one entry, a short.
fn only_orientation(value: u16) -> Vec<u8> {
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend(value.to_be_bytes());
    // The rest of the entry's value, and no further directory.
    exif.extend([0; 6]);
    exif
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::Kind;
    use crate::files::pictures::check;
    use bedside_protocol::Code;

    /// As a camera writes it: which way is up, and after it where.
    fn exif(value: u16) -> Vec<u8> {
        let mut exif = b"II*\0\x08\0\0\0\x02\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend(value.to_le_bytes());
        exif.extend(b"\0\0\x25\x88\x04\0\x01\0\0\0\x26\0\0\0\0\0\0\0N 48 12 30");
        exif
    }

    /// The parts of a photo; its coded data is looked at by nobody here.
    fn photo(up: u16, width: u16, height: u16) -> Vec<u8> {
        let mut bytes = b"\xff\xd8".to_vec();
        push(&mut bytes, APP1, &[b"Exif\0\0", &exif(up)[..]].concat()).unwrap();
        push(&mut bytes, APP1, b"http://ns.adobe.com/xap/1.0/\0N 48 12 30").unwrap();
        push(&mut bytes, APP2, b"MPF\0N 48 12 30").unwrap();
        push(&mut bytes, APP2, b"ICC_PROFILE\0colours").unwrap();
        push(&mut bytes, COMMENT, b"N 48 12 30").unwrap();
        let mut frame = b"\x08".to_vec();
        frame.extend(height.to_be_bytes());
        frame.extend(width.to_be_bytes());
        frame.extend(b"\x01\x01\x11\0");
        push(&mut bytes, 0xc0, &frame).unwrap();
        push(&mut bytes, SCAN, b"\x01\x01\0\0\x3f\0").unwrap();
        bytes.extend(b"\x7f\xff\0\xff\xd0\x12\xff\xd9");
        // A film of the same moment, as telephones put it after the picture.
        bytes.extend(b"ftypmp42 N 48 12 30");
        bytes
    }

    #[test]
    fn where_a_photo_was_taken_goes_and_which_way_is_up_stays() {
        let kept = check(Kind::Jpeg, &photo(6, 40, 30)).unwrap();
        assert!(!kept.windows(4).any(|part| part == b"N 48"), "the place is gone");
        assert!(kept.windows(7).any(|part| part == b"colours"));
        assert!(kept.ends_with(b"\x7f\xff\0\xff\xd0\x12\xff\xd9"), "its own data, and nothing after it");
        let exif = kept.windows(4).position(|part| part == b"MM\0*").unwrap();
        assert_eq!(orientation(&kept[exif..]), Some(6));
        assert!(!check(Kind::Jpeg, &photo(1, 40, 30)).unwrap().windows(4).any(|part| part == b"Exif"));
        assert_eq!(check(Kind::Jpeg, &kept).unwrap(), kept, "what is kept is kept again");
    }

    #[test]
    fn more_pixels_than_can_be_shown_are_refused() {
        assert_eq!(check(Kind::Jpeg, &photo(1, 60_000, 60_000)).unwrap_err().code, Code::TooLarge);
        let cut_off = &photo(1, 40, 30)[..30];
        assert_eq!(check(Kind::Jpeg, cut_off).unwrap_err().code, Code::UnsupportedType);
    }

    #[test]
    fn what_no_camera_writes_is_read_to_its_end_and_no_further() {
        for length in 0..exif(6).len() {
            let _ = orientation(&exif(6)[..length]);
        }
        let mut endless = exif(6);
        endless[8..10].copy_from_slice(&[0xff, 0xff]);
        assert_eq!(orientation(&endless), Some(6));
        assert_eq!(orientation(b"II*\0\xff\xff\xff\xff"), None);
    }
}
