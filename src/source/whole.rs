//! Whether a file is all there. GStreamer takes the end of a file for the end of its stream, wherever it comes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// How a file's size differs from what it should be by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Difference {
    /// Bytes that are missing at its end.
    pub(super) missing: u64,
    /// Bytes behind its end that belong to nothing.
    pub(super) behind: u64,
}

/// The difference of an MP4, MOV, Matroska or WebM file; none for all others.
pub(super) fn difference(path: &Path) -> Difference {
    let found = File::open(path).and_then(|mut file| {
        let size = file.metadata()?.len();
        let stated = stated_size(&mut file, size)?.unwrap_or(size);
        Ok(Difference {
            missing: stated.saturating_sub(size),
            behind: size.saturating_sub(stated),
        })
    });
    // What cannot be read here will be reported by whoever reads it in earnest.
    found.unwrap_or_default()
}

/// Boxes that lie at the top of MP4 and MOV files (mp4ra.org).
const BOXES: [&[u8; 4]; 21] = [
    b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"free", b"skip", b"wide", b"pnot", b"PICT", b"udta", b"uuid", b"meta", b"sidx",
    b"ssix", b"prft", b"emsg", b"pdin", b"imda", b"bloc",
];

fn stated_size(file: &mut (impl Read + Seek), size: u64) -> io::Result<Option<u64>> {
    let mut head = [0; 8];
    file.read_exact(&mut head)?;
    if head[..4] == EBML {
        return segment_end(file);
    }
    match head[4..] {
        ref kind if BOXES.iter().any(|known| kind == *known) => boxes_end(file, size),
        _ => Ok(None),
    }
}

/// The end of the last box that begins inside the file. What has no known name and does not fit into the file is no box.
fn boxes_end(file: &mut (impl Read + Seek), size: u64) -> io::Result<Option<u64>> {
    let mut at = 0_u64;
    while at + 8 <= size {
        file.seek(SeekFrom::Start(at))?;
        let short = u64::from(u32::from_be_bytes(bytes(file)?));
        let kind = bytes::<4>(file)?;
        let length = match short {
            // To the end of the file, wherever that is.
            0 => return Ok(None),
            1 => u64::from_be_bytes(bytes(file)?),
            short => short,
        };
        let end = at.saturating_add(length);
        if !BOXES.contains(&&kind) && (length < 8 || end > size) {
            break;
        }
        if length < 8 {
            return Ok(None);
        }
        at = end;
    }
    Ok(Some(at))
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

const EBML: [u8; 4] = [0x1a, 0x45, 0xdf, 0xa3];
const SEGMENT: [u8; 4] = [0x18, 0x53, 0x80, 0x67];

/// The end of a Matroska file's one segment, behind its EBML header.
fn segment_end(file: &mut (impl Read + Seek)) -> io::Result<Option<u64>> {
    file.seek(SeekFrom::Start(4))?;
    let Some(header) = variable_size(file)? else {
        return Ok(None);
    };
    let begin = file.stream_position()?.saturating_add(header);
    file.seek(SeekFrom::Start(begin))?;
    if bytes(file)? != SEGMENT {
        return Ok(None);
    }
    let Some(length) = variable_size(file)? else {
        return Ok(None);
    };
    Ok(Some(file.stream_position()?.saturating_add(length)))
}

/// EBML's size: the number of leading zeros tells its length, and all ones mean that it is not known.
fn variable_size(file: &mut impl Read) -> io::Result<Option<u64>> {
    let [first] = bytes(file)?;
    let more = first.leading_zeros();
    if more > 7 {
        return Ok(None);
    }
    let mut value = u64::from(first) & (0x7f >> more);
    for _ in 0..more {
        let [next] = bytes(file)?;
        value = value << 8 | u64::from(next);
    }
    let unknown = (1 << (7 * (more + 1))) - 1;
    Ok((value != unknown).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn stated(bytes: &[u8]) -> Option<u64> {
        stated_size(&mut Cursor::new(bytes), bytes.len() as u64).unwrap()
    }

    #[test]
    fn boxes_tell_where_a_file_should_end() {
        let ftyp = [&[0, 0, 0, 12], b"ftyp".as_slice(), &[0; 4]].concat();
        let long = [&[0, 0, 0, 1], b"mdat".as_slice(), &100_u64.to_be_bytes()].concat();
        assert_eq!(stated(&ftyp), Some(12));
        assert_eq!(stated(&[ftyp.clone(), long].concat()), Some(112));
        let open = [&[0; 4], b"mdat".as_slice(), &[0; 20]].concat();
        assert_eq!(stated(&[ftyp, open].concat()), None);
    }

    #[test]
    fn a_segment_tells_where_a_file_should_end_unless_it_was_streamed() {
        let file = |size: &[u8]| [&EBML, [0x82, 1, 2].as_slice(), &SEGMENT, size, &[0; 4]].concat();
        assert_eq!(stated(&file(&[0x41, 0])), Some(13 + 256));
        assert_eq!(stated(&file(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])), None);
        assert_eq!(stated(&file(&[0xff])), None);
    }

    #[test]
    fn what_lies_behind_the_last_box_is_not_taken_for_one() {
        let ftyp = [&[0, 0, 0, 12], b"ftyp".as_slice(), &[0; 4]].concat();
        assert_eq!(stated(&[&ftyp, b"TAGged by some camera".as_slice()].concat()), Some(12));
        assert_eq!(stated(&[&ftyp, b"\n".as_slice()].concat()), Some(12));
    }

    #[test]
    fn other_files_tell_nothing() {
        assert_eq!(stated(b"RIFF....AVI LIST"), None);
    }
}
