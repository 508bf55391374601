//! Names of recorded files: `NAME-20261121T213000Z.mp4`, by the stream and the UTC time of the first frame.

use super::super::View;
use gstreamer::glib::DateTime;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a file is called while it is written.
const PART: &str = ".part";
/// Bytes of a stream's name that a file has; the longest file name is 255.
const LONGEST: usize = 120;

/// How the files of one recording are called. No other recording in the same folder has such names.
#[derive(Debug, Clone)]
pub(super) struct Names {
    stem: String,
}

/// One of those names, taken apart. The order is that of the times.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    /// As `20261121T213000Z`.
    pub stamp: String,
    /// Of several files that begin in the same second, from 1.
    pub number: u32,
    /// Not finished.
    pub part: bool,
}

impl Names {
    /// Names for that view of a stream.
    pub fn new(stream: &str, view: View) -> Self {
        let mut stem = file_stem(stream);
        if view != View::Masked {
            // No stem has a dot of its own.
            stem = format!("{stem}.{}", view.name());
        }
        Self { stem }
    }

    /// The name of a finished file.
    pub fn finished(&self, stamp: &str, number: u32) -> String {
        match number {
            0 | 1 => format!("{}-{stamp}.mp4", self.stem),
            _ => format!("{}-{stamp}-{number}.mp4", self.stem),
        }
    }

    /// Takes a name apart that [`Names::finished`] made, perhaps with `.part` behind it; nothing for any other.
    pub fn parse(&self, name: &OsStr) -> Option<Named> {
        let name = name.to_str()?;
        let (whole, part) = match name.strip_suffix(PART) {
            Some(whole) => (whole, true),
            None => (name, false),
        };
        let rest = whole.strip_prefix(&self.stem)?.strip_prefix('-')?.strip_suffix(".mp4")?;
        let (stamp, number) = match rest.split_once('-') {
            Some((stamp, number)) => (stamp, number.parse().ok()?),
            None => (rest, 1),
        };
        // Whatever can be read in another way than it is written is not ours.
        let named = Named {
            stamp: stamp.into(),
            number,
            part,
        };
        (is_stamp(stamp) && self.finished(stamp, number) == whole && number > 0).then_some(named)
    }
}

/// The name that a file has until it is finished.
pub(super) fn part_of(name: &str) -> String {
    format!("{name}{PART}")
}

/// A time as names have it.
pub(super) fn stamp(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let text = DateTime::from_unix_utc(seconds.min(i64::MAX as u64) as i64).and_then(|time| time.format("%Y%m%dT%H%M%SZ"));
    // Only times beyond the year 9999 have none; the clock is wrong then anyway.
    text.map_or_else(|_| "99991231T235959Z".into(), Into::into)
}

/// The same the other way: seconds since 1970 of a time that names have.
pub(super) fn seconds(stamp: &str) -> Option<u64> {
    let part = |range: std::ops::Range<usize>| stamp.get(range)?.parse::<i32>().ok();
    let time = DateTime::from_utc(
        part(0..4)?,
        part(4..6)?,
        part(6..8)?,
        part(9..11)?,
        part(11..13)?,
        f64::from(part(13..15)?),
    );
    u64::try_from(time.ok()?.to_unix()).ok()
}

fn is_stamp(text: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 => byte == b'T',
        15 => byte == b'Z',
        _ => byte.is_ascii_digit(),
    };
    text.len() == 16 && text.bytes().enumerate().all(fits)
}

/// The name of a stream as the beginning of a file name: letters, digits, `-` and `_` stay, others become `_`. A name that does
/// not stay as it is gets a mark, so that no two streams share a file.
pub(crate) fn file_stem(stream: &str) -> String {
    let mut stem = String::new();
    for letter in stream.chars() {
        let stays = letter.is_alphanumeric() || letter == '_' || (letter == '-' && !stem.is_empty());
        let letter = if stays { letter } else { '_' };
        if stem.len() + letter.len_utf8() > LONGEST {
            break;
        }
        stem.push(letter);
    }
    if stem == stream && !stem.is_empty() {
        return stem;
    }
    let mark: String = Sha256::digest(stream).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{stem}_{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_is_called_by_stream_and_time_and_its_name_is_read_back() {
        let names = Names::new("gate", View::Masked);
        let stamp = stamp(UNIX_EPOCH + Duration::from_secs(1_795_296_600));
        assert_eq!(stamp, "20261121T213000Z");
        for (number, name) in [(1, "gate-20261121T213000Z.mp4"), (2, "gate-20261121T213000Z-2.mp4")] {
            assert_eq!(names.finished(&stamp, number), name);
            for (part, name) in [(false, name.to_owned()), (true, part_of(name))] {
                let wanted = Named {
                    stamp: stamp.clone(),
                    number,
                    part,
                };
                assert_eq!(names.parse(name.as_ref()), Some(wanted));
            }
        }
    }

    #[test]
    fn names_of_others_are_not_taken_for_ours() {
        let names = Names::new("gate", View::Masked);
        for other in [
            "gate2-20261121T213000Z.mp4",
            "gate.raw-20261121T213000Z.mp4",
            "gate-20261121T213000Z-1.mp4",
            "gate-20261121T213000Z-02.mp4",
            "gate-20261121T213000Z-20261121T213000Z.mp4",
            "gate-20261121T2130000.mp4",
            "gate-20261121T213000Z.mkv",
            "gate-20261121T213000Z.mp4.part.part",
            "gate-.mp4",
            "gate.mp4",
            "holiday.mp4",
        ] {
            assert_eq!(names.parse(other.as_ref()), None, "{other}");
        }
        let raw = Names::new("gate", View::Raw);
        assert!(raw.parse("gate.raw-20261121T213000Z.mp4".as_ref()).is_some());
        assert!(raw.parse("gate-20261121T213000Z.mp4".as_ref()).is_none());
    }

    #[test]
    fn no_name_of_a_stream_leads_out_of_the_folder_or_is_shared() {
        let long = "x".repeat(255);
        let names = [
            "gate", "Tür_1-b", "a/b", "a b", "a.b", "a%nb", "a\nb", "../a", "..", ".", "", "-a", "_a", "$(a)", "\"a\"", &long,
        ];
        let mut stems: Vec<_> = names.iter().map(|name| file_stem(name)).collect();
        assert_eq!(stems[..2], ["gate", "Tür_1-b"]);
        for stem in &stems {
            assert!(stem.len() < 140 && !stem.starts_with('-'), "{stem}");
            assert!(stem.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)), "{stem}");
        }
        stems.sort();
        stems.dedup();
        assert_eq!(stems.len(), names.len());
    }
}
