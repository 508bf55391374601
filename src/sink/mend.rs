//! Two repairs of what mp4mux of GStreamer 1.22 writes while a file grows. Both matter only if the program is broken off: a
//! finished file has one table for everything.
//!
//! 1. The edit list at the front ends with the first fragment, so that a player which believes it shows one second. It
//!    gets the longest duration that there is (0 would be right by the book, but FFmpeg then drops the first second).
//! 2. A fragment whose track is split into several runs may hold a run without the size or the duration of its samples,
//!    though the track's defaults are gone too; FFmpeg then refuses the whole file. What is meant is the value of the
//!    track's first sample in that fragment.
//!
//! The muxer has counted every byte, so a box never changes its length: what becomes shorter is filled with a `free` box.

/// Bits of a track fragment's header (ISO 14496-12, `tfhd`).
mod track {
    pub(super) const BASE_OFFSET: u32 = 0x01;
    pub(super) const DESCRIPTION: u32 = 0x02;
    pub(super) const DURATION: u32 = 0x08;
    pub(super) const SIZE: u32 = 0x10;
    pub(super) const FLAGS: u32 = 0x20;
}

/// Bits of a run of samples (`trun`).
mod run {
    pub(super) const OFFSET: u32 = 0x001;
    pub(super) const FIRST_FLAGS: u32 = 0x004;
    pub(super) const DURATION: u32 = 0x100;
    pub(super) const SIZE: u32 = 0x200;
    pub(super) const FLAGS: u32 = 0x400;
    pub(super) const COMPOSITION: u32 = 0x800;
}

/// Repairs `bytes` if they are a whole `moov` or `moof` box.
pub(super) fn mend(bytes: &mut [u8]) {
    if bytes.len() < 8 || word(bytes, 0) != Some(bytes.len() as u32) {
        return;
    }
    match &bytes[4..8] {
        b"moov" if boxes(bytes, 8, bytes.len()).any(|(kind, ..)| &kind == b"mvex") => open_edits(bytes),
        b"moof" => {
            let tracks: Vec<_> = boxes(bytes, 8, bytes.len()).filter(|(kind, ..)| kind == b"traf").collect();
            for (_, at, end) in tracks {
                if let Some(mended) = mended_track(&bytes[at..end]) {
                    bytes[at..end].copy_from_slice(&mended);
                }
            }
        }
        _ => {}
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?;
    Some(u32::from_be_bytes(four.try_into().ok()?))
}

/// The boxes between two positions: kind, begin and end.
fn boxes(bytes: &[u8], from: usize, to: usize) -> impl Iterator<Item = ([u8; 4], usize, usize)> {
    let mut at = from;
    std::iter::from_fn(move || {
        let length = word(bytes, at).filter(|_| at + 8 <= to)? as usize;
        let end = at.checked_add(length).filter(|&end| length >= 8 && end <= to)?;
        let found = (bytes[at + 4..at + 8].try_into().ok()?, at, end);
        at = end;
        Some(found)
    })
}

/// A duration in an edit list: 6.6 hours, the longest that readers with signed numbers understand.
const ENDLESS: u32 = i32::MAX as u32;

/// Makes the last edit of every track last for ever.
fn open_edits(moov: &mut [u8]) {
    let mut lists = Vec::new();
    for (_, track, end) in boxes(moov, 8, moov.len()).filter(|(kind, ..)| kind == b"trak") {
        for (_, edits, end) in boxes(moov, track + 8, end).filter(|(kind, ..)| kind == b"edts") {
            lists.extend(boxes(moov, edits + 8, end).filter(|(kind, ..)| kind == b"elst"));
        }
    }
    for (_, at, end) in lists {
        let wide = moov[at + 8] == 1;
        let (length, field) = if wide { (20, 8) } else { (12, 4) };
        let count = word(moov, at + 12).unwrap_or(0) as usize;
        let last = at + 16 + count.saturating_sub(1) * length;
        if count > 0 && last + length <= end {
            moov[last + field - 4..last + field].copy_from_slice(&ENDLESS.to_be_bytes());
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    duration: Option<u32>,
    size: Option<u32>,
    flags: Option<u32>,
    composition: Option<u32>,
}

#[derive(Debug)]
struct Run {
    version: u32,
    offset: Option<u32>,
    first_flags: Option<u32>,
    samples: Vec<Sample>,
}

/// The track fragment with everything told, in as many bytes; `None` where nothing is missing or it does not fit.
fn mended_track(old: &[u8]) -> Option<Vec<u8>> {
    let parts: Vec<_> = boxes(old, 8, old.len()).collect();
    let (_, head, head_end) = *parts.iter().find(|(kind, ..)| kind == b"tfhd")?;
    let flags = word(old, head + 8)?;
    let mut runs = Vec::new();
    for (_, at, end) in parts.iter().filter(|(kind, ..)| kind == b"trun") {
        runs.push(read_run(&old[*at..*end])?);
    }
    let first = *runs.first()?.samples.first()?;
    let untold = |field: fn(&Sample) -> Option<u32>| runs.iter().any(|r| r.samples.iter().any(|s| field(s).is_none()));
    let size_missing = flags & track::SIZE == 0 && untold(|s| s.size);
    let duration_missing = flags & track::DURATION == 0 && untold(|s| s.duration);
    if !size_missing && !duration_missing {
        return None;
    }
    // The fields of the header before the defaults, and the defaults themselves.
    let mut at = head + 16;
    at += if flags & track::BASE_OFFSET == 0 { 0 } else { 8 };
    at += if flags & track::DESCRIPTION == 0 { 0 } else { 4 };
    let mut default = |bit| {
        let value = if flags & bit == 0 { None } else { word(old, at) };
        at += if flags & bit == 0 { 0 } else { 4 };
        value
    };
    let (duration, size, sample_flags) = (default(track::DURATION), default(track::SIZE), default(track::FLAGS));
    if at != head_end {
        return None;
    }
    let (duration, size) = (duration.or(first.duration)?, size.or(first.size)?);
    for run in &mut runs {
        if run.first_flags == sample_flags {
            run.first_flags = None;
        }
        for sample in &mut run.samples {
            sample.duration = Some(sample.duration.unwrap_or(duration));
            sample.size = Some(sample.size.unwrap_or(size));
        }
    }
    let known = flags | track::DURATION | track::SIZE;
    let defaults = (flags & (track::DURATION | track::SIZE | track::FLAGS)).count_ones() as usize * 4;
    let head_fields = &old[head + 12..head_end - defaults];
    let build = |runs: &[Run]| {
        let mut new = Vec::with_capacity(old.len());
        new.extend_from_slice(&[0; 4]);
        new.extend_from_slice(b"traf");
        for (kind, at, end) in &parts {
            match kind {
                b"tfhd" => {
                    let defaults = [Some(duration), Some(size), sample_flags];
                    let defaults = defaults.into_iter().flatten().flat_map(u32::to_be_bytes);
                    let body: Vec<u8> = known
                        .to_be_bytes()
                        .into_iter()
                        .chain(head_fields.iter().copied())
                        .chain(defaults)
                        .collect();
                    push_box(&mut new, b"tfhd", &body);
                }
                b"trun" => {}
                kind => push_box(&mut new, kind, &old[at + 8..*end]),
            }
        }
        runs.iter()
            .for_each(|run| push_box(&mut new, b"trun", &write_run(run, duration, size)));
        new
    };
    let mut new = build(&runs);
    if old.len().checked_sub(new.len())? == 4 {
        // Too little for a box: tell once more what is known already.
        runs.iter_mut().find(|r| r.samples[0].flags.is_none())?.first_flags = Some(sample_flags?);
        new = build(&runs);
    }
    match old.len() - new.len() {
        0 => {}
        spare if spare >= 8 => push_box(&mut new, b"free", &vec![0; spare - 8]),
        _ => return None,
    }
    new[..4].copy_from_slice(&(old.len() as u32).to_be_bytes());
    Some(new)
}

fn push_box(to: &mut Vec<u8>, kind: &[u8; 4], body: &[u8]) {
    to.extend_from_slice(&(body.len() as u32 + 8).to_be_bytes());
    to.extend_from_slice(kind);
    to.extend_from_slice(body);
}

fn read_run(bytes: &[u8]) -> Option<Run> {
    let (head, count) = (word(bytes, 8)?, word(bytes, 12)? as usize);
    let flags = head & 0x00ff_ffff;
    let mut at = 16;
    let mut next = |bit| {
        if flags & bit == 0 {
            return Some(None);
        }
        at += 4;
        word(bytes, at - 4).map(Some)
    };
    let (offset, first_flags) = (next(run::OFFSET)?, next(run::FIRST_FLAGS)?);
    let mut samples = Vec::new();
    for _ in 0..count {
        samples.push(Sample {
            duration: next(run::DURATION)?,
            size: next(run::SIZE)?,
            flags: next(run::FLAGS)?,
            composition: next(run::COMPOSITION)?,
        });
    }
    (at == bytes.len()).then_some(Run {
        version: head & 0xff00_0000,
        offset,
        first_flags,
        samples,
    })
}

/// The body of a `trun` box that leaves out what the defaults say.
fn write_run(run: &Run, duration: u32, size: u32) -> Vec<u8> {
    let differs = |field: fn(&Sample) -> Option<u32>, default| run.samples.iter().any(|s| field(s) != Some(default));
    let told = [
        (run::OFFSET, run.offset.is_some()),
        (run::FIRST_FLAGS, run.first_flags.is_some()),
        (run::DURATION, differs(|s| s.duration, duration)),
        (run::SIZE, differs(|s| s.size, size)),
        (run::FLAGS, run.samples.iter().any(|s| s.flags.is_some())),
        (run::COMPOSITION, run.samples.iter().any(|s| s.composition.is_some())),
    ];
    let flags = told.iter().filter(|(_, is)| *is).fold(run.version, |all, (bit, _)| all | bit);
    let mut words = vec![flags, run.samples.len() as u32];
    words.extend(run.offset);
    words.extend(run.first_flags);
    for sample in &run.samples {
        let fields = [
            (run::DURATION, sample.duration),
            (run::SIZE, sample.size),
            (run::FLAGS, sample.flags),
            (run::COMPOSITION, sample.composition),
        ];
        words.extend(
            fields
                .iter()
                .filter(|(bit, _)| flags & bit != 0)
                .map(|(_, value)| value.unwrap_or(0)),
        );
    }
    words.into_iter().flat_map(u32::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut new = Vec::new();
        push_box(&mut new, kind, body);
        new
    }

    fn words(values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_be_bytes()).collect()
    }

    /// A fragment of one track in the given runs (without the size of the box and its kind), as the muxer makes it.
    fn fragment(head: &[u32], runs: &[&[u32]]) -> Vec<u8> {
        let mut track = boxed(b"tfhd", &words(head));
        track.extend(boxed(b"tfdt", &words(&[0, 96_256])));
        runs.iter().for_each(|run| track.extend(boxed(b"trun", &words(run))));
        let mut moof = boxed(b"mfhd", &words(&[0, 3]));
        moof.extend(boxed(b"traf", &track));
        boxed(b"moof", &moof)
    }

    /// Duration and size of every sample, by the rules of the format.
    fn samples(moof: &[u8]) -> Vec<(Option<u32>, Option<u32>)> {
        let (_, track, end) = boxes(moof, 8, moof.len()).find(|(kind, ..)| kind == b"traf").unwrap();
        let mut defaults = (None, None);
        let mut all = Vec::new();
        for (kind, at, end) in boxes(moof, track + 8, end) {
            match &kind {
                b"tfhd" => {
                    let flags = word(moof, at + 8).unwrap();
                    let mut field = at + 24;
                    if flags & track::DURATION != 0 {
                        defaults.0 = word(moof, field);
                        field += 4;
                    }
                    if flags & track::SIZE != 0 {
                        defaults.1 = word(moof, field);
                    }
                }
                b"trun" => {
                    let run = read_run(&moof[at..end]).unwrap();
                    all.extend(run.samples.iter().map(|s| (s.duration.or(defaults.0), s.size.or(defaults.1))));
                }
                _ => {}
            }
        }
        all
    }

    #[test]
    fn a_run_without_size_gets_that_of_the_first_sample_in_as_many_bytes() {
        let pair = |offset| [0x305, 2, offset, 0xc0, 1024, 6, 1024, 6];
        let last = [0x001, 1, 400];
        let head = [0x21, 2, 0, 1000, 0xc0];
        for pairs in 1..6 {
            let pairs: Vec<_> = (0..pairs).map(|i| pair(16 + i * 90)).collect();
            let mut runs: Vec<&[u32]> = pairs.iter().map(|p| p.as_slice()).collect();
            runs.push(&last);
            let mut moof = fragment(&head, &runs);
            assert!(samples(&moof).iter().any(|s| s.1.is_none()), "the test shows the defect");
            let length = moof.len();
            mend(&mut moof);
            assert_eq!(moof.len(), length);
            assert_eq!(samples(&moof), vec![(Some(1024), Some(6)); pairs.len() * 2 + 1]);
        }
    }

    #[test]
    fn sizes_that_differ_stay_what_they_are() {
        let runs: [&[u32]; 4] = [
            &[0x201, 1, 16, 300],
            &[0x201, 1, 900, 280],
            &[0x201, 1, 1500, 310],
            &[0x001, 1, 2000],
        ];
        let mut moof = fragment(&[0x29, 2, 0, 1000, 1024, 0xc0], &runs);
        mend(&mut moof);
        let sizes: Vec<_> = samples(&moof).iter().map(|s| s.1.unwrap()).collect();
        assert_eq!(sizes, [300, 280, 310, 300]);
    }

    #[test]
    fn a_fragment_that_tells_everything_is_left_alone() {
        let mut moof = fragment(&[0x21, 2, 0, 1000, 0xc0], &[&[0x301, 1, 16, 1024, 6], &[0x301, 1, 90, 1024, 7]]);
        let before = moof.clone();
        mend(&mut moof);
        assert_eq!(moof, before);
    }

    #[test]
    fn edits_stay_open_only_while_fragments_follow() {
        let list = boxed(b"elst", &words(&[0, 2, 6000, u32::MAX, 65536, 84_000, 0, 65536]));
        let track = boxed(b"trak", &boxed(b"edts", &list));
        let mut growing = boxed(b"moov", &[track.clone(), boxed(b"mvex", &[])].concat());
        let mut finished = boxed(b"moov", &track);
        let before = finished.clone();
        mend(&mut growing);
        mend(&mut finished);
        assert_eq!(finished, before);
        let durations = [40, 52].map(|at| word(&growing, at).unwrap());
        assert_eq!(durations, [6000, ENDLESS]);
    }

    #[test]
    fn damaged_boxes_do_no_harm() {
        for length in 0..64 {
            for value in [0_u8, 1, 7, 9, 255] {
                let mut bytes = boxed(b"moof", &boxed(b"traf", &vec![value; length]));
                mend(&mut bytes);
                let mut bytes = boxed(b"moov", &vec![value; length]);
                mend(&mut bytes);
            }
        }
    }
}
