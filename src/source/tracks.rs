//! What an MP4 or MOV file says about its tracks: GStreamer tells only how long the longest of them is, and leaves out those
//! that are much shorter.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A table of contents is rarely longer than some MiB, even for hours.
const LONGEST_TABLE: u64 = 256 << 20;

/// A track by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Track {
    /// `vide`, `soun` and others.
    pub(super) kind: [u8; 4],
    /// How long it is shown, edits included; `None` where it is not told, as in files of fragments.
    pub(super) duration_ns: Option<u64>,
}

/// The tracks of a file; none where it is of another kind or cannot be read.
pub(super) fn tracks(path: &Path) -> Vec<Track> {
    let table = File::open(path).and_then(|mut file| table(&mut file));
    table.ok().flatten().map_or(Vec::new(), |table| listed(&table))
}

/// The content of the `moov` box.
fn table(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    loop {
        let mut head = [0; 16];
        file.read_exact(&mut head[..8])?;
        let (mut length, mut header) = (u64::from(u32_at(&head, 0).unwrap_or(0)), 8);
        if length == 1 {
            file.read_exact(&mut head[8..])?;
            (length, header) = (u64_at(&head, 8).unwrap_or(0), 16);
        }
        let Some(content) = length.checked_sub(header) else {
            return Ok(None);
        };
        if &head[4..8] == b"moov" {
            let mut table = Vec::new();
            file.take(content.min(LONGEST_TABLE)).read_to_end(&mut table)?;
            return Ok(Some(table));
        }
        let Ok(skip) = i64::try_from(content) else { return Ok(None) };
        file.seek(SeekFrom::Current(skip))?;
    }
}

fn listed(table: &[u8]) -> Vec<Track> {
    let clock = first(table, b"mvhd").and_then(|header| match header.first()? {
        0 => u32_at(header, 12),
        _ => u32_at(header, 20),
    });
    let in_fragments = first(table, b"mvex").is_some();
    let clock = clock.filter(|ticks| *ticks > 0 && !in_fragments);
    let tracks = boxes(table).filter(|(name, _)| name == b"trak");
    tracks.filter_map(|(_, track)| listed_track(track, clock)).collect()
}

/// `clock` has so many ticks a second.
fn listed_track(track: &[u8], clock: Option<u32>) -> Option<Track> {
    let handler = first(first(track, b"mdia")?, b"hdlr")?;
    let header = first(track, b"tkhd")?;
    let duration = match header.first()? {
        0 => u32_at(header, 20).filter(|d| *d != u32::MAX).map(u64::from),
        _ => u64_at(header, 28).filter(|d| *d != u64::MAX),
    };
    let in_ns = |(ticks, clock): (u64, u32)| (u128::from(ticks) * 1_000_000_000 / u128::from(clock)) as u64;
    Some(Track {
        kind: handler.get(8..12)?.try_into().ok()?,
        duration_ns: duration.filter(|d| *d > 0).zip(clock).map(in_ns),
    })
}

/// Name and content of each box, as far as they are whole.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let name = bytes.get(4..8)?.try_into().ok()?;
        let (length, header) = match u32_at(bytes, 0)? {
            1 => (usize::try_from(u64_at(bytes, 8)?).ok()?, 16),
            length => (length as usize, 8),
        };
        let content = bytes.get(header..length)?;
        bytes = &bytes[length..];
        Some((name, content))
    })
}

fn first<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(found, _)| found == name).map(|(_, content)| content)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn boxed(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes(), name.as_slice(), content].concat()
    }

    /// A track of so many ticks.
    fn track(kind: &[u8; 4], ticks: u32) -> Vec<u8> {
        let tkhd = boxed(b"tkhd", &[&[0; 20], ticks.to_be_bytes().as_slice(), &[0; 60]].concat());
        let hdlr = boxed(b"hdlr", &[&[0; 8], kind.as_slice(), &[0; 12]].concat());
        boxed(b"trak", &[tkhd, boxed(b"mdia", &hdlr)].concat())
    }

    fn movie(parts: &[Vec<u8>]) -> Vec<u8> {
        let mvhd = boxed(b"mvhd", &[&[0; 12], 1000_u32.to_be_bytes().as_slice(), &[0; 80]].concat());
        let moov = boxed(b"moov", &[mvhd, parts.concat()].concat());
        [boxed(b"ftyp", b"isom"), boxed(b"mdat", &[7; 100]), moov].concat()
    }

    fn read(bytes: &[u8]) -> Vec<Track> {
        let table = table(&mut Cursor::new(bytes)).unwrap_or_default();
        table.map_or(Vec::new(), |table| listed(&table))
    }

    #[test]
    fn every_track_tells_its_kind_and_its_own_duration() {
        let found = read(&movie(&[track(b"vide", 2500), track(b"soun", 300), track(b"vide", 0)]));
        let told: Vec<_> = found.iter().map(|t| (&t.kind, t.duration_ns)).collect();
        let expected = [(b"vide", Some(2_500_000_000)), (b"soun", Some(300_000_000)), (b"vide", None)];
        assert_eq!(told, expected);
        let fragments = read(&movie(&[track(b"vide", 2500), boxed(b"mvex", &[])]));
        assert_eq!(fragments[0].duration_ns, None, "it would be that of the first fragment");
    }

    #[test]
    fn damage_anywhere_ends_the_list_and_nothing_else() {
        let whole = movie(&[track(b"vide", 2500), track(b"soun", 300)]);
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).len() <= 2);
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                assert!(read(&damaged).len() <= 2);
            }
        }
    }
}
