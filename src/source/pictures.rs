//! A folder of pictures, or a numbered sequence of them.

use super::stream::{Explain, Setup, Stream, tail};
use super::{Opened, SourceOptions};
use crate::error::{Kind, WithKind, fault};
use crate::frame::EndMark;
use crate::media::{Side, Watch, chain, element};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSrc, AppSrcCallbacks};
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A kind of picture: its decoder, its caps and the extensions of its files.
const KINDS: [(&str, &str, &[&str]); 2] = [("pngdec", "image/png", &["png"]), ("jpegdec", "image/jpeg", &["jpg", "jpeg"])];

/// Index in [`KINDS`] of a file, by its extension.
fn kind_of(path: &Path) -> Option<usize> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    KINDS.iter().position(|(.., extensions)| extensions.contains(&extension.as_str()))
}

/// The pictures of a folder in the order of their names, numbers in them by value.
///
/// # Errors
/// 65 for a folder that cannot be listed or holds no picture.
pub(super) fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let shown = folder.display();
    let list = fs::read_dir(folder)
        .with_context(|| format!("{shown} cannot be listed"))
        .kind(Kind::BadInput)?;
    let mut pictures = Vec::new();
    for entry in list {
        let path = entry
            .with_context(|| format!("{shown} cannot be listed"))
            .kind(Kind::BadInput)?
            .path();
        let hidden = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
        if !hidden && kind_of(&path).is_some() && path.is_file() {
            pictures.push(path);
        }
    }
    if pictures.is_empty() {
        return Err(fault(
            Kind::BadInput,
            format!("the folder {shown} holds no .png or .jpg picture: name a video file or a folder with pictures"),
        ));
    }
    pictures.sort_by(|a, b| natural(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(pictures)
}

/// `img2` before `img10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(&x), Some(&y)) = (a.first(), b.first()) else {
            return a.len().cmp(&b.len());
        };
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let run = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
            let ((m, rest_a), (n, rest_b)) = (a.split_at(run(a)), b.split_at(run(b)));
            let bare = |s: &[u8]| s.iter().position(|&c| c != b'0').map_or(Vec::new(), |at| s[at..].to_vec());
            let (p, q) = (bare(m), bare(n));
            let order = p.len().cmp(&q.len()).then_with(|| p.cmp(&q)).then_with(|| m.len().cmp(&n.len()));
            if order != Ordering::Equal {
                return order;
            }
            (a, b) = (rest_a, rest_b);
        } else if x != y {
            return x.cmp(&y);
        } else {
            (a, b) = (&a[1..], &b[1..]);
        }
    }
}

/// Splits `img_%06d.png` into what stands before and after the number, and the least count of digits.
fn pattern(name: &str) -> Option<(&str, usize, &str)> {
    let (before, rest) = name.split_once('%')?;
    let (digits, after) = rest.split_once('d')?;
    let width = match digits {
        "" => 0,
        _ => digits.strip_prefix('0')?.parse().ok()?,
    };
    (!after.contains('%') && !before.contains('/') && !after.contains('/')).then_some((before, width, after))
}

/// The files of a numbered sequence such as `dir/%06d.png`, from the lowest number on; `None` where `input` is no such
/// pattern.
///
/// # Errors
/// 65 where there is none of them, or one is missing in between.
pub(super) fn in_sequence(input: &Path) -> Result<Option<Vec<PathBuf>>> {
    let Some((before, width, after)) = input.file_name().and_then(|n| n.to_str()).and_then(pattern) else {
        return Ok(None);
    };
    let folder = input.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let shown = input.display();
    let mut found = Vec::new();
    let list = fs::read_dir(folder).with_context(|| format!("{} cannot be listed", folder.display()));
    for entry in list.kind(Kind::BadInput)? {
        let entry = entry
            .with_context(|| format!("{} cannot be listed", folder.display()))
            .kind(Kind::BadInput)?;
        let name = entry.file_name();
        let digits = name.to_str().and_then(|n| n.strip_prefix(before)?.strip_suffix(after));
        let digits = digits.filter(|d| d.len() >= width.max(1) && d.bytes().all(|b| b.is_ascii_digit()));
        let digits = digits.filter(|d| d.len() == width || !d.starts_with('0') || *d == "0");
        if let Some(number) = digits.and_then(|d| d.parse::<u64>().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    if found.is_empty() {
        return Err(fault(
            Kind::BadInput,
            format!("no file is named like {shown}: wanted numbered .png or .jpg pictures"),
        ));
    }
    if let Some(gap) = found.windows(2).find(|pair| pair[1].0 != pair[0].0 + 1) {
        let missing = gap[0].0 + 1;
        let text = format!("{shown}: number {missing} is missing; name the folder to take the pictures that there are");
        return Err(fault(Kind::BadInput, text));
    }
    Ok(Some(found.into_iter().map(|(_, path)| path).collect()))
}

/// Opens pictures as a video of `options.image_rate`; the first decides the size, others are fitted into it.
///
/// # Errors
/// As [`super::open`].
pub(super) fn open(name: &str, mut files: Vec<PathBuf>, options: &SourceOptions) -> Result<Opened> {
    let (n, d) = options.image_rate;
    if n == 0 || d == 0 || n > 1_000_000 || d > 1_000_000 {
        return Err(fault(
            Kind::Usage,
            format!("a picture rate of {n}/{d} is no rate: wanted frames per second such as 25"),
        ));
    }
    let kind = kind_of(&files[0]).ok_or_else(|| {
        let text = format!("{} is no .png or .jpg picture", files[0].display());
        fault(Kind::BadInput, text)
    })?;
    if let Some(other) = files.iter().find(|f| kind_of(f) != Some(kind)) {
        let text = format!(
            "{name} holds both {} and {}: wanted one kind of picture",
            files[0].display(),
            other.display()
        );
        return Err(fault(Kind::BadInput, text));
    }
    let time = move |index: u64| (u128::from(index) * u128::from(d) * 1_000_000_000 / u128::from(n)) as u64;
    // The picture that is shown at the start time is the first.
    let skipped = (0..files.len() as u64).take_while(|&i| time(i + 1) <= options.start_ns).count();
    if skipped == files.len() {
        let text = format!("{name}: the start lies behind the last of its {skipped} pictures");
        return Err(fault(Kind::Usage, text));
    }
    files.drain(..skipped);
    let total = (files.len() as u64).min(options.frames.unwrap_or(u64::MAX));
    files.truncate(total as usize);
    let files = Arc::new(files);

    let watch = Watch::new(Side::Reading(name.to_owned()));
    let tail = tail(&watch, false)?;
    let unread = Arc::new(Mutex::new(None));
    let source = feed(&files, KINDS[kind].1, (n, d), time, &unread)?;
    let decoder = element(KINDS[kind].0)?;
    chain(watch.pipeline().upcast_ref(), &[source.upcast_ref(), &decoder])?;
    decoder.link(&tail.first).context("pictures cannot be decoded")?;
    let stream = Stream::start(Setup {
        watch,
        sink: tail.sink,
        start_ns: 0,
        from_first: &|| false,
        frames: options.frames,
        stop: options.stop.clone(),
        end: EndMark::default(),
        explain: Some(missing_picture(files, unread)),
        hopeless: &|| None,
        name,
    })?;
    let format = stream.format().clone();
    Ok(Opened {
        description: format!("{total} {} pictures, {}x{}", KINDS[kind].2[0], format.width, format.height),
        format,
        frames: Box::new(stream),
        packets: Vec::new(),
        frames_total: Some(total),
        duration_ns: Some(time(total)),
        notes: Vec::new(),
    })
}

type Unread = Arc<Mutex<Option<String>>>;

/// A decoder leaves out what it cannot decode, so the first frame that does not come names the picture.
fn missing_picture(files: Arc<Vec<PathBuf>>, unread: Unread) -> Explain {
    Box::new(move |frames| {
        if let Some(text) = unread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Some(fault(Kind::BadInput, text));
        }
        let bad = files.get(frames as usize)?.display();
        Some(fault(
            Kind::BadInput,
            format!("{bad} or a picture before it cannot be decoded: wanted a whole .png or .jpg"),
        ))
    })
}

/// Whether a JPEG has no end mark behind the last of its scans. (One in front of it may end a thumbnail.)
fn is_half_a_jpeg(bytes: &[u8]) -> bool {
    const START: [u8; 3] = [0xff, 0xd8, 0xff];
    const SCAN: [u8; 2] = [0xff, 0xda];
    const END: [u8; 2] = [0xff, 0xd9];
    let scan = bytes.windows(2).rposition(|pair| pair == SCAN).unwrap_or(0);
    bytes.starts_with(&START) && !bytes[scan..].windows(2).any(|pair| pair == END)
}

/// Gives the files one by one, each when the decoder wants it.
fn feed(
    files: &Arc<Vec<PathBuf>>,
    caps: &str,
    (n, d): (u32, u32),
    time: impl Fn(u64) -> u64 + Send + 'static,
    unread: &Unread,
) -> Result<AppSrc> {
    let caps = gst::Caps::builder(caps)
        .field("framerate", gst::Fraction::new(n as i32, d as i32))
        .build();
    let (files, unread) = (files.clone(), unread.clone());
    let mut index = 0;
    let callbacks = AppSrcCallbacks::builder().need_data(move |source, _| {
        let Some(path) = files.get(index as usize) else {
            // Refused only where the pipeline is being stopped anyway.
            source.end_of_stream().ok();
            return;
        };
        match fs::read(path) {
            // Its decoder would fill the rest with grey and say nothing.
            Ok(bytes) if is_half_a_jpeg(&bytes) => {
                let text = format!("{} is cut off, its end is missing: copy it again", path.display());
                *unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                source.end_of_stream().ok();
            }
            Ok(bytes) => {
                let mut buffer = gst::Buffer::from_mut_slice(bytes);
                let fresh = buffer.get_mut().expect("nobody else has the new buffer");
                fresh.set_pts(gst::ClockTime::from_nseconds(time(index)));
                fresh.set_duration(gst::ClockTime::from_nseconds(time(index + 1) - time(index)));
                index += 1;
                source.push_buffer(buffer).ok();
            }
            Err(error) => {
                let text = format!("{} cannot be read: {error}", path.display());
                *unread.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
                source.end_of_stream().ok();
            }
        }
    });
    Ok(AppSrc::builder()
        .caps(&caps)
        .format(gst::Format::Time)
        .callbacks(callbacks.build())
        .build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_value() {
        let mut names = ["b", "img10", "img2", "img02", "img1", "img1a"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["b", "img1", "img1a", "img2", "img02", "img10"]);
    }

    #[test]
    fn a_jpeg_ends_with_its_mark_whatever_its_thumbnail_does() {
        let thumbnail = [0xff, 0xd8, 0xff, 0xda, 1, 2, 0xff, 0xd9];
        let whole = [
            &[0xff, 0xd8, 0xff, 0xe1],
            &thumbnail[..],
            &[0xff, 0xda, 3, 4, 0xff, 0xd9],
            b"and what a camera adds",
        ]
        .concat();
        assert!(!is_half_a_jpeg(&whole));
        assert!(is_half_a_jpeg(&whole[..16]), "{:x?}", &whole[..16]);
        assert!(!is_half_a_jpeg(b"\x89PNG"));
    }

    #[test]
    fn only_one_number_makes_a_pattern() {
        assert_eq!(pattern("img_%06d.png"), Some(("img_", 6, ".png")));
        assert_eq!(pattern("%d.png"), Some(("", 0, ".png")));
        for name in ["100%.png", "%06d_%d.png", "%6d.png", "%s.png", "plain.png"] {
            assert_eq!(pattern(name), None, "{name}");
        }
    }
}
