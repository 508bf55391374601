//! Which samples follow each other in one video: what a net with a memory is taught and measured on in order.

use super::{Sample, Source};
use std::ops::Range;

/// A step between frame numbers above so many times the usual one begins another clip.
const GAP: u64 = 2;

/// The clips of samples ([`clips_of`]).
pub fn clips(samples: &[Sample]) -> Vec<Range<usize>> {
    clips_of(samples.iter().map(|sample| sample.name.as_str()))
}

/// The clips of pictures in the order of their names, as ranges of their places. Frames of one video have one name up to a number at
/// its end (`0016E5_00390`, `0016E5_00420`), and numbers that grow by about the same step; a picture without such neighbours is a
/// clip of its own.
pub fn clips_of<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Range<usize>> {
    let frames: Vec<_> = names.into_iter().map(numbered).collect();
    let mut all = Vec::new();
    for video in frames.chunk_by(|a, b| a.is_some() && a.map(|f| f.0) == b.map(|f| f.0)) {
        let begin = all.last().map_or(0, |clip: &Range<usize>| clip.end);
        // Numbers that do not grow are another clip's: names without leading zeros are not in the order of their numbers.
        let steps: Vec<Option<u64>> = video
            .windows(2)
            .map(|pair| number(pair[1]).checked_sub(number(pair[0])).filter(|step| *step > 0))
            .collect();
        let mut sorted: Vec<u64> = steps.iter().flatten().copied().collect();
        sorted.sort_unstable();
        let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
        let mut from = begin;
        for (place, step) in (begin + 1..).zip(steps) {
            if step.is_none_or(|step| step > GAP.saturating_mul(usual)) {
                all.push(from..place);
                from = place;
            }
        }
        all.push(from..begin + video.len());
    }
    all
}

/// A name without the number at its end, and that number.
fn numbered(name: &str) -> Option<(&str, u64)> {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    Some((stem, name[stem.len()..].parse().ok()?))
}

fn number(frame: Option<(&str, u64)>) -> u64 {
    frame.map_or(0, |f| f.1)
}

/// All samples of all sources in order, each with whether a clip begins with it.
pub fn in_order(sources: &[Source]) -> impl Iterator<Item = (bool, &Sample)> {
    sources.iter().flat_map(|source| {
        let clips = clips(&source.samples);
        let firsts = clips.into_iter().flat_map(|clip| clip.clone().map(move |at| at == clip.start));
        firsts.zip(&source.samples)
    })
}

/// Places of a sequence of `length` frames of one clip that begins with the sample `at`, or earlier where the clip ends too soon. A
/// shorter clip repeats its last frame.
pub fn sequence(clips: &[Range<usize>], at: usize, length: usize) -> impl Iterator<Item = usize> {
    let clip = clips.iter().find(|clip| clip.contains(&at)).cloned().unwrap_or(at..at + 1);
    let first = at.min(clip.end.saturating_sub(length)).max(clip.start);
    (first..first + length).map(move |frame| frame.min(clip.end - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(names: &[&str]) -> Vec<Sample> {
        names.iter().map(|name| Sample::named(name)).collect()
    }

    #[test]
    fn a_clip_ends_where_the_drive_changes_or_frames_are_missing() {
        let names = [
            "0001TP_006690",
            "0001TP_006720",
            "0001TP_006750", // one a second
            "0016E5_00870",
            "0016E5_00901",
            "0016E5_00930",
            "0016E5_01140",
            "0016E5_01170", // some are kept out
            "a picture",
            "another",
            "scene 1 of seed 3",
            "scene 2 of seed 3",
        ];
        assert_eq!(clips(&samples(&names)), [0..3, 3..6, 6..8, 8..9, 9..10, 10..11, 11..12]);
        assert_eq!(clips(&samples(&["7", "b"])), [0..1, 1..2]);
        assert_eq!(clips(&samples(&["f_1", "f_10", "f_11", "f_12", "f_2", "f_3"])), [0..1, 1..4, 4..6]);
        assert!(clips(&[]).is_empty());
    }

    #[test]
    fn a_sequence_stays_in_its_clip() {
        let clips = [0..5, 5..7];
        let places = |at, length| sequence(&clips, at, length).collect::<Vec<_>>();
        assert_eq!(places(1, 3), [1, 2, 3]);
        assert_eq!(places(4, 3), [2, 3, 4], "the end of the clip");
        assert_eq!(places(6, 3), [5, 6, 6], "a clip that is too short");
        assert_eq!(places(3, 1), [3]);
    }

    #[test]
    fn samples_in_order_tell_where_a_clip_begins() {
        let source = |names: &[&str]| Source {
            description: String::new(),
            weight: 1.0,
            samples: samples(names),
        };
        let sources = [source(&["a_1", "a_2", "b_1"]), source(&["b_2", "b_3"])];
        let firsts: Vec<_> = in_order(&sources).map(|(first, sample)| (first, sample.name.as_str())).collect();
        assert_eq!(
            firsts,
            [(true, "a_1"), (false, "a_2"), (true, "b_1"), (true, "b_2"), (false, "b_3")]
        );
    }
}
