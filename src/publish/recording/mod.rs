//! Recordings of a live stream: files of some minutes each, of which the newest are kept.
//!
//! One thread takes units and writes; another finishes files, names what was left and removes what is too old, so that a slow
//! disk at the end of a file costs no picture of the next.

mod keep;
mod names;
mod segment;
mod shelf;

pub(crate) use names::file_stem;
pub(crate) use shelf::{Recorded, recorded};

use super::{Coder, Next, Subscription, Unit, View};
use crate::error::{Kind, WithKind, fault, io_fault};
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use keep::Keeper;
use names::Names;
use nix::sys::statvfs::statvfs;
use segment::{Finished, Segment};
use serde::Serialize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Units that wait for the disk: more than it takes to make a file.
const QUEUE: usize = 300;
/// Time between looks whether this shall stop.
const LOOK: Duration = Duration::from_millis(100);
/// Time between looks at the free space, and the shortest pause.
const SPACE_LOOK: Duration = Duration::from_secs(2);
/// A file is finished where nothing came for so long.
const SILENCE: Duration = Duration::from_secs(60);
/// Time between looks at what is kept.
const TIDY: Duration = Duration::from_secs(15);
/// How long the next file waits for those that are being finished.
const PATIENCE: Duration = Duration::from_secs(4);
/// Files that wait to be finished.
const UNFINISHED: usize = 2;

/// What is recorded, where, and how much of it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordOptions {
    /// Made if only it is missing, not what it lies in: a disk that is not mounted is not replaced by a folder.
    pub folder: PathBuf,
    /// Masked or raw.
    pub view: View,
    /// A file has so much time, up to the next keyframe.
    pub segment: Duration,
    /// A file has so many bytes at most, up to the next keyframe.
    pub segment_bytes: Option<u64>,
    /// All files together have so many bytes; the oldest go.
    pub keep_bytes: Option<u64>,
    /// Files that began earlier go.
    pub keep_days: Option<u32>,
    /// Where less is free, nothing is recorded.
    pub min_free_bytes: u64,
}

impl Default for RecordOptions {
    fn default() -> Self {
        Self {
            folder: PathBuf::new(),
            view: View::Masked,
            segment: Duration::from_secs(600),
            segment_bytes: None,
            keep_bytes: None,
            keep_days: None,
            min_free_bytes: 512 << 20,
        }
    }
}

/// What a recording does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case", tag = "state", content = "why")]
pub(crate) enum RecordState {
    /// A file is being written.
    Recording,
    /// Nothing comes from the source.
    #[default]
    Waiting,
    /// It cannot write, and says why; it tries again every few seconds.
    Paused(String),
    /// The stream is over.
    Ended,
}

/// A recording in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct RecordReport {
    #[serde(flatten)]
    pub state: RecordState,
    /// Finished files.
    pub segments: u64,
    /// Bytes of what was recorded, the open file included.
    pub bytes: u64,
    /// Seconds of what was recorded, the open file included.
    pub seconds: f64,
    /// Units that were lost while there was a signal: the disk was too slow, or full.
    pub units_dropped: u64,
    /// How often writing failed.
    pub failures: u64,
}

/// A recording that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Recording {
    board: Board,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Where both threads write what they did.
type Board = Arc<Mutex<RecordReport>>;

fn on<T>(board: &Board, change: impl FnOnce(&mut RecordReport) -> T) -> T {
    change(&mut board.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Recording {
    /// Records what the coder gives under the name of the stream.
    ///
    /// # Errors
    /// 70 where no thread can be had.
    pub(crate) fn start(coder: &Arc<Coder>, stream: &str, options: RecordOptions) -> Result<Self> {
        let (board, stop) = (Board::default(), Arc::<AtomicBool>::default());
        let (jobs, queue) = bounded(UNFINISHED);
        let names = Names::new(stream, options.view);
        let keeper = Keeper::new(names.clone(), &options);
        let writer = Writer {
            stream: stream.to_owned(),
            names,
            units: coder.subscribe(QUEUE),
            options,
            board: board.clone(),
            stop: stop.clone(),
            jobs,
            segment: None,
            last_unit: Instant::now(),
            looked: Instant::now(),
            paused: None,
            missed: 0,
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            let spawned = thread::Builder::new().name(name.into()).spawn(work);
            spawned.context("no thread for a recording").kind(Kind::Internal)
        };
        let (to, name) = (board.clone(), stream.to_owned());
        let keeper = spawn("record-keeper", Box::new(move || keep(keeper, &queue, &to, &name)))?;
        let work = move || {
            writer.work();
            // The queue is closed with the writer.
            keeper.join().ok();
        };
        Ok(Self {
            board,
            stop,
            thread: Some(spawn("record", Box::new(work))?),
        })
    }

    /// What it has done until now.
    pub(crate) fn report(&self) -> RecordReport {
        on(&self.board, |report| report.clone())
    }

    /// Finishes the open file: within five seconds unless the disk hangs.
    #[cfg(test)]
    pub(crate) fn stop(mut self) -> RecordReport {
        self.finish();
        self.report()
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Takes units and writes them.
struct Writer {
    stream: String,
    names: Names,
    units: Subscription<Unit>,
    options: RecordOptions,
    board: Board,
    stop: Arc<AtomicBool>,
    jobs: Sender<Segment>,
    segment: Option<Segment>,
    last_unit: Instant,
    looked: Instant,
    /// Nothing is written until then.
    paused: Option<Instant>,
    /// Units that came during a pause.
    missed: u64,
}

impl Writer {
    fn work(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            match self.units.next(LOOK) {
                Next::Item(unit) => self.take(&unit),
                Next::Nothing if self.last_unit.elapsed() > SILENCE => self.wait_for_signal(),
                Next::Nothing => {}
                Next::End => break,
            }
        }
        self.close();
        on(&self.board, |report| report.state = RecordState::Ended);
    }

    fn take(&mut self, unit: &Unit) {
        self.last_unit = Instant::now();
        if unit.filler {
            self.wait_for_signal();
        } else if let Err(error) = self.record(unit) {
            // What was written plays, and the keeper names it.
            self.segment = None;
            on(&self.board, |report| report.failures += 1);
            self.pause(&format!("{error:#}"));
        }
        let dropped = self.units.dropped() + self.missed;
        on(&self.board, |report| report.units_dropped = dropped);
    }

    fn wait_for_signal(&mut self) {
        self.close();
        if self.paused.is_none() {
            on(&self.board, |report| report.state = RecordState::Waiting);
        }
    }

    fn record(&mut self, unit: &Unit) -> Result<()> {
        let is_over = |Segment { pipe, .. }: &Segment| {
            let long = pipe.span_to(unit) >= self.options.segment;
            let large = self.options.segment_bytes.is_some_and(|most| pipe.bytes() >= most);
            !pipe.takes(unit) || (unit.keyframe && (long || large))
        };
        if self.segment.as_ref().is_some_and(is_over) {
            self.close();
        }
        if self.segment.is_none() && !self.begin(unit)? {
            return Ok(());
        }
        let Some(Segment { pipe, .. }) = &mut self.segment else {
            return Ok(());
        };
        let added = pipe.write(unit)?;
        on(&self.board, |report| {
            report.bytes += unit.buffer.size() as u64;
            report.seconds += added.as_secs_f64();
        });
        if self.looked.elapsed() > SPACE_LOOK {
            self.looked = Instant::now();
            if let Err(full) = self.look_at_space(self.options.min_free_bytes) {
                // There is room for the end of the file, which is what the reserve is for.
                self.close();
                self.pause(&format!("{full:#}"));
            }
        }
        Ok(())
    }

    /// Begins a file with this unit; false if it cannot be begun now.
    fn begin(&mut self, unit: &Unit) -> Result<bool> {
        let is_paused = self.paused.is_some_and(|until| Instant::now() < until);
        if is_paused || !unit.keyframe {
            self.missed += u64::from(self.paused.is_some());
            return Ok(false);
        }
        super::make_folder(&self.options.folder)?;
        // Some more than what paused it, or it would begin and end all the time.
        let reserve = self.options.min_free_bytes;
        let wanted = if self.paused.is_some() { reserve + reserve / 8 } else { reserve };
        if let Err(full) = self.look_at_space(wanted) {
            self.missed += 1;
            self.pause(&format!("{full:#}"));
            return Ok(false);
        }
        self.segment = Some(Segment::create(&self.options.folder, &self.names, unit)?);
        if self.paused.take().is_some() {
            tracing::info!(stream = self.stream, "recording goes on");
        }
        self.looked = Instant::now();
        on(&self.board, |report| report.state = RecordState::Recording);
        Ok(true)
    }

    /// Hands the open file to the keeper.
    fn close(&mut self) {
        let Some(segment) = self.segment.take() else { return };
        // Units wait meanwhile. Where the disk is still slower, this file is left as it is; the keeper names it later.
        if self.jobs.send_timeout(segment, PATIENCE).is_err() {
            on(&self.board, |report| report.failures += 1);
            tracing::warn!(
                stream = self.stream,
                "the disk is too slow to finish files while others are written"
            );
        }
    }

    /// Writes nothing for a while; says so once.
    fn pause(&mut self, why: &str) {
        if self.paused.is_none() {
            tracing::warn!(stream = self.stream, "recording pauses: {why}");
        }
        self.paused = Some(Instant::now() + SPACE_LOOK);
        on(&self.board, |report| report.state = RecordState::Paused(why.into()));
    }

    /// # Errors
    /// 74 if less than `wanted` bytes are free.
    fn look_at_space(&self, wanted: u64) -> Result<()> {
        let folder = &self.options.folder;
        let space = statvfs(folder).map_err(|error| io_fault("look at the free space of", folder, error))?;
        let free = space.blocks_available() * space.fragment_size();
        if free >= wanted {
            return Ok(());
        }
        let (name, free, wanted) = (folder.display(), free >> 20, wanted >> 20);
        let text = format!(
            "{free} MiB are free in {name}, wanted {wanted} MiB (min_free): free some, or let less be kept (keep_bytes, keep_days)"
        );
        Err(fault(Kind::Io, text))
    }
}

/// Finishes files, and looks after those that are finished, until the writer has gone.
fn keep(mut keeper: Keeper, jobs: &Receiver<Segment>, board: &Board, stream: &str) {
    let told = |outcome: Result<()>| {
        if let Err(error) = outcome {
            tracing::warn!(stream, "{error:#}");
        }
    };
    let mut tidied = None::<Instant>;
    loop {
        let job = match tidied {
            // At first, what an earlier process left.
            None => Err(RecvTimeoutError::Timeout),
            Some(_) => jobs.recv_timeout(LOOK),
        };
        let finished = job.is_ok();
        match job {
            Ok(segment) => match segment.finish() {
                Ok(Finished { path, bytes }) => {
                    tracing::info!(stream, file = %path.display(), bytes, "recorded");
                    on(board, |report| report.segments += 1);
                }
                Err(error) => {
                    on(board, |report| report.failures += 1);
                    told(Err(error));
                }
            },
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if finished || tidied.is_none_or(|last| last.elapsed() > TIDY) {
            tidied = Some(Instant::now());
            told(keeper.tidy(SystemTime::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, decoded_file, until};
    use super::*;
    use names::{part_of, stamp};
    use std::fs;
    use std::path::Path;

    const SIZE: (u32, u32) = (64, 48);

    fn options(folder: &Path) -> RecordOptions {
        RecordOptions {
            folder: folder.into(),
            segment: Duration::from_secs(1),
            min_free_bytes: 0,
            ..RecordOptions::default()
        }
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// How many pictures are in each file.
    fn pictures(folder: &Path) -> Vec<usize> {
        files(folder).iter().map(|path| decoded_file(path).0).collect()
    }

    #[test]
    fn every_picture_is_in_one_of_the_files_and_each_begins_with_a_keyframe() {
        let folder = tempfile::tempdir().unwrap();
        let folder = &folder.path().join("made");
        let mut stage = Stage::new(View::Masked);
        let recording = Recording::start(&stage.coder, "north gate %n", options(folder)).unwrap();
        stage.show(80, SIZE, false);
        until("80 units", || recording.report().seconds > 2.99);
        assert_eq!(recording.report().state, RecordState::Recording);
        let report = recording.stop();
        assert_eq!(
            (report.state, report.segments, report.units_dropped, report.failures),
            (RecordState::Ended, 4, 0, 0)
        );
        let mut counts = pictures(folder);
        assert_eq!(counts.len(), 4, "{:?}", files(folder));
        counts.sort_unstable();
        // A file goes up to the first keyframe after its second.
        assert_eq!(counts, [5, 25, 25, 25]);
        let names = Names::new("north gate %n", View::Masked);
        assert!(
            files(folder)
                .iter()
                .all(|f| names.parse(f.file_name().unwrap()).is_some_and(|n| !n.part))
        );
    }

    #[test]
    fn filler_is_not_recorded_and_parts_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(View::Masked);
        let long = Duration::from_secs(600);
        let recording = Recording::start(
            &stage.coder,
            "gate",
            RecordOptions {
                segment: long,
                ..options(folder.path())
            },
        )
        .unwrap();
        stage.show(30, SIZE, false);
        stage.show(40, SIZE, true);
        until("the end of the first file", || recording.report().segments == 1);
        assert_eq!(recording.report().state, RecordState::Waiting);
        stage.show(10, SIZE, false);
        // Another size needs a file of its own.
        stage.show(7, (32, 32), false);
        stage.screen.hub.end();
        until("the end", || recording.report().state == RecordState::Ended);
        drop(recording);
        let mut counts = pictures(folder.path());
        counts.sort_unstable();
        assert_eq!(counts, [7, 10, 30]);
    }

    #[test]
    fn a_file_of_a_killed_process_plays_and_gets_its_name_at_the_next_start() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut stage = Stage::new(View::Masked);
        let long = Duration::from_secs(600);
        let recording = Recording::start(
            &stage.coder,
            "gate",
            RecordOptions {
                segment: long,
                ..options(first.path())
            },
        )
        .unwrap();
        stage.show(75, SIZE, false);
        let open = files(first.path()).remove(0);
        let name = open.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.ends_with(".mp4.part"));
        until("two seconds on the disk", || decoded_file(&open).0 >= 60);
        // What the kernel has when the process is killed.
        fs::copy(&open, second.path().join(&name)).unwrap();
        let other = stage.coder.clone();
        let again = Recording::start(&other, "gate", options(second.path())).unwrap();
        let finished = second.path().join(name.strip_suffix(".part").unwrap());
        until("its name", || finished.exists());
        assert!(decoded_file(&finished).0 >= 60);
        drop((again, recording));
        // The one that is written by another recording keeps its own.
        assert!(!open.exists() && files(first.path()).len() == 1);
    }

    #[test]
    fn a_full_disk_pauses_and_says_so_and_room_lets_it_go_on() {
        let outer = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(View::Masked);
        let full = RecordOptions {
            min_free_bytes: u64::MAX / 2,
            ..options(outer.path())
        };
        let full = Recording::start(&stage.coder, "full", full).unwrap();
        // Not there: perhaps a disk that is not mounted.
        let folder = outer.path().join("disk/gate");
        let missing = Recording::start(&stage.coder, "gate", options(&folder)).unwrap();
        stage.show(10, SIZE, false);
        let why = |recording: &Recording| match recording.report().state {
            RecordState::Paused(why) => why,
            _ => String::new(),
        };
        until("a pause", || {
            why(&full).contains("are free") && why(&missing).contains("cannot make the folder")
        });
        assert!(files(outer.path()).is_empty());
        fs::create_dir(outer.path().join("disk")).unwrap();
        until("that it goes on", || {
            stage.show(25, SIZE, false);
            thread::sleep(Duration::from_millis(50));
            missing.report().state == RecordState::Recording
        });
        let report = missing.stop();
        assert!(report.segments > 0 && report.units_dropped > 0, "{report:?}");
        assert!(files(&folder).iter().all(|file| decoded_file(file).0 > 0));
        assert!(matches!(full.stop().state, RecordState::Ended));
    }

    #[test]
    fn a_file_without_a_picture_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::new("gate", View::Masked);
        let broken = folder.path().join(part_of(&names.finished(&stamp(SystemTime::now()), 1)));
        fs::write(&broken, b"no video").unwrap();
        Keeper::new(names, &options(folder.path())).tidy(SystemTime::now()).unwrap();
        assert_eq!(files(folder.path()), [broken]);
    }
}
