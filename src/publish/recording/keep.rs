//! Which recorded files stay: the newest, as many as are wanted. Files that a killed process left get their names.

use super::RecordOptions;
use super::names::{Named, Names, part_of, stamp};
use crate::media::{Event, Side, Watch, chain, element, location};
use crate::pending::Unnamed;
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How long a look into a file that was left may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file of this recording.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    named: Named,
    path: PathBuf,
    bytes: u64,
    /// Somebody writes it now.
    open: bool,
}

/// Looks after the files of one recording. Nothing else in the folder is touched.
#[derive(Debug)]
pub(super) struct Keeper {
    folder: PathBuf,
    names: Names,
    keep_bytes: Option<u64>,
    keep: Option<Duration>,
    /// Left files without a single picture: looked into once.
    empty: BTreeSet<PathBuf>,
}

impl Keeper {
    pub fn new(names: Names, options: &RecordOptions) -> Self {
        Self {
            folder: options.folder.clone(),
            names,
            keep_bytes: options.keep_bytes,
            keep: options.keep_days.map(|days| Duration::from_secs(86_400 * u64::from(days))),
            empty: BTreeSet::new(),
        }
    }

    /// Gives names to files that were left, and removes the oldest that are too many or too old.
    ///
    /// # Errors
    /// Where the folder cannot be listed or a file not be removed; the rest is done all the same.
    pub fn tidy(&mut self, now: SystemTime) -> Result<()> {
        let adopted = self.adopt();
        let entries = self.list()?;
        let oldest = self.keep.map(|keep| stamp(now.checked_sub(keep).unwrap_or(SystemTime::UNIX_EPOCH)));
        let mut outcome = adopted;
        for entry in outdated(&entries, self.keep_bytes, oldest.as_deref()) {
            let removed = fs::remove_file(&entry.path).with_context(|| format!("cannot remove {}", entry.path.display()));
            if removed.is_ok() {
                tracing::debug!(file = %entry.path.display(), "removed: it is older than what shall be kept");
            }
            outcome = outcome.and(removed);
        }
        outcome
    }

    /// Names what a killed process left, if there is a picture in it.
    fn adopt(&mut self) -> Result<()> {
        for entry in self.list()? {
            if !entry.named.part || entry.open || self.empty.contains(&entry.path) {
                continue;
            }
            if entry.bytes == 0 {
                fs::remove_file(&entry.path).ok();
            } else if plays(&entry.path).unwrap_or(false) {
                let path = self.free_name(&entry.named);
                Unnamed::kept(&entry.path, &path)?.claim()?;
                tracing::info!(file = %path.display(), "a file that was broken off got its name");
            } else {
                tracing::warn!(file = %entry.path.display(), "there is no picture in this file that was broken off");
                self.empty.insert(entry.path);
            }
        }
        Ok(())
    }

    /// A name that nothing has, by the time of a file that was left.
    fn free_name(&self, named: &Named) -> PathBuf {
        let path = |number| self.folder.join(self.names.finished(&named.stamp, number));
        let mut number = named.number;
        while path(number).symlink_metadata().is_ok() {
            number += 1;
        }
        path(number)
    }

    /// Files of this recording, the oldest first.
    fn list(&self) -> Result<Vec<Entry>> {
        let context = || format!("cannot list {}", self.folder.display());
        let mut entries = Vec::new();
        let found = match fs::read_dir(&self.folder) {
            // Made with the first file.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(entries),
            found => found.with_context(context)?,
        };
        for entry in found {
            let entry = entry.with_context(context)?;
            // Of the entry itself: a link is nobody's recording.
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file);
            if let (Some(named), Some(metadata)) = (self.names.parse(&entry.file_name()), metadata) {
                let path = entry.path();
                entries.push(Entry {
                    open: named.part && is_locked(&path),
                    bytes: metadata.len(),
                    named,
                    path,
                });
            }
        }
        entries.sort();
        Ok(entries)
    }
}

/// Whether somebody writes this file: this process or another one.
fn is_locked(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// Those that go, of files the oldest first: what begins before `oldest`, and then the oldest until all are at most
/// `keep_bytes`. What is being written stays, and counts.
fn outdated<'e>(entries: &'e [Entry], keep_bytes: Option<u64>, oldest: Option<&str>) -> Vec<&'e Entry> {
    let mut bytes: u64 = entries.iter().map(|entry| entry.bytes).sum();
    let finished = entries.iter().filter(|entry| !entry.open);
    finished
        .filter(|entry| {
            let too_old = oldest.is_some_and(|oldest| entry.named.stamp.as_str() < oldest);
            let too_many = keep_bytes.is_some_and(|most| bytes > most);
            let goes = too_old || too_many;
            bytes -= if goes { entry.bytes } else { 0 };
            goes
        })
        .collect()
}

/// Whether a picture can be had of a file.
fn plays(path: &Path) -> Result<bool> {
    let mut watch = Watch::new(Side::Reading(path.display().to_string()));
    let (source, demuxer) = (element("filesrc")?, element("qtdemux")?);
    source.set_property("location", location(path)?);
    let sink = AppSink::builder().sync(false).build();
    let pipeline = watch.pipeline().upcast_ref::<gst::Bin>();
    chain(pipeline, &[&source, &demuxer])?;
    pipeline.add(&sink).context("GStreamer elements cannot be added")?;
    let pad = sink.static_pad("sink").context("an appsink has a sink pad")?;
    demuxer.connect_pad_added(move |_, found| {
        // Where it fails, no picture comes, which is noticed.
        found.link(&pad).ok();
    });
    watch.play()?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if sink.try_pull_sample(gst::ClockTime::from_mseconds(50)).is_some() {
            return Ok(true);
        }
        if matches!(watch.poll(Duration::ZERO), Some(Event::Failed(_) | Event::End)) {
            return Ok(false);
        }
    }
    Ok(false)
}

/// The path of a file that nobody has, while it is written and afterwards, held by the lock on it.
///
/// # Errors
/// Where no file can be made in the folder.
pub(super) fn claim(folder: &Path, names: &Names, stamp: &str) -> Result<(PathBuf, PathBuf, File)> {
    for number in 1.. {
        let name = names.finished(stamp, number);
        let (path, part) = (folder.join(&name), folder.join(part_of(&name)));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match File::create_new(&part) {
            Ok(file) => {
                // A file system without locks has no second process on it either, one hopes.
                file.try_lock().ok();
                return Ok((path, part, file));
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot write into {}", folder.display())),
        }
    }
    unreachable!("numbers do not end before names do")
}

#[cfg(test)]
mod tests {
    use super::super::super::View;
    use super::*;

    const DAY: u64 = 86_400;

    fn keeper(folder: &Path, keep_bytes: Option<u64>, keep_days: Option<u32>) -> Keeper {
        let options = RecordOptions {
            folder: folder.into(),
            keep_bytes,
            keep_days,
            ..RecordOptions::default()
        };
        Keeper::new(Names::new("gate", View::Masked), &options)
    }

    fn at(days: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(20_000 * DAY + days * DAY)
    }

    /// Files of 100 bytes, one of every day.
    fn fill(folder: &Path, days: std::ops::Range<u64>) -> Vec<PathBuf> {
        let names = Names::new("gate", View::Masked);
        let path = |day| folder.join(names.finished(&stamp(at(day)), 1));
        let paths: Vec<_> = days.map(path).collect();
        paths.iter().for_each(|path| fs::write(path, [0; 100]).unwrap());
        paths
    }

    fn stay(paths: &[PathBuf]) -> Vec<bool> {
        paths.iter().map(|path| path.exists()).collect()
    }

    #[test]
    fn the_oldest_go_first_and_only_files_of_this_recording() {
        let folder = tempfile::tempdir().unwrap();
        let files = fill(folder.path(), 0..5);
        let others = [
            "gate-2.mp4",
            "yard-20240101T000000Z.mp4",
            "gate.raw-20240101T000000Z.mp4",
            "notes.txt",
        ]
        .map(|name| folder.path().join(name));
        others.iter().for_each(|path| fs::write(path, [0; 1000]).unwrap());
        let link = folder.path().join("gate-20200101T000000Z.mp4");
        std::os::unix::fs::symlink(&others[3], &link).unwrap();
        keeper(folder.path(), Some(250), None).tidy(at(5)).unwrap();
        assert_eq!(stay(&files), [false, false, false, true, true]);
        assert_eq!(stay(&others), [true; 4]);
        assert!(link.symlink_metadata().is_ok());
    }

    #[test]
    fn what_is_older_than_wanted_goes() {
        let folder = tempfile::tempdir().unwrap();
        let files = fill(folder.path(), 0..5);
        keeper(folder.path(), None, Some(2)).tidy(at(4)).unwrap();
        assert_eq!(stay(&files), [false, false, true, true, true]);
        keeper(folder.path(), None, None).tidy(at(4000)).unwrap();
        assert_eq!(stay(&files[2..]), [true; 3], "without a limit everything stays");
    }

    #[test]
    fn a_file_that_is_being_written_stays_and_counts() {
        let folder = tempfile::tempdir().unwrap();
        let files = fill(folder.path(), 1..3);
        let names = Names::new("gate", View::Masked);
        let (path, part, file) = claim(folder.path(), &names, &stamp(at(0))).unwrap();
        fs::write(&part, [0; 200]).unwrap();
        keeper(folder.path(), Some(250), Some(1)).tidy(at(2)).unwrap();
        assert!(part.exists() && !path.exists());
        assert_eq!(stay(&files), [false, false]);
        drop(file);
        // Left by its process, without a picture in it: it is no recording, but goes when its time has come.
        keeper(folder.path(), Some(250), None).tidy(at(2)).unwrap();
        assert!(part.exists());
        keeper(folder.path(), Some(150), None).tidy(at(2)).unwrap();
        assert!(!part.exists());
    }

    #[test]
    fn two_files_of_the_same_second_have_two_names() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new("gate", View::Masked);
        let stamp = stamp(at(0));
        let (first, ..) = claim(folder.path(), &names, &stamp).unwrap();
        let (second, ..) = claim(folder.path(), &names, &stamp).unwrap();
        assert_ne!(first, second);
        assert_eq!(names.parse(second.file_name().unwrap()).unwrap().number, 2);
    }
}
