//! HLS (RFC 8216): a playlist and some seconds of MPEG-TS in a folder, for any web server.

use super::pipe::Pipe;
use super::{Coder, Next, Subscription, Unit, View, file_stem};
use crate::error::{Kind, WithKind, io_fault};
use crate::media::{Side, chain, element};
use anyhow::{Context, Result};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Units that wait.
const QUEUE: usize = 120;
/// Time between looks whether this shall stop.
const LOOK: Duration = Duration::from_millis(100);
/// The shortest time between two attempts.
const RETRY: Duration = Duration::from_secs(2);
/// Segments that stay on the disk after they have left the playlist: somebody may still read them.
const BEHIND: usize = 3;
/// A segment that is longer came from a stream that gave nothing for a while; the playlist says how long one can be.
const LONGEST: Duration = Duration::from_secs(10);

/// Where HLS goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HlsOptions {
    /// Made if only it is missing. `NAME.m3u8` and `NAME-*.ts` in it are replaced, by the stream's name as a file has it.
    pub folder: PathBuf,
    pub view: View,
    /// A segment has so much time, up to the next keyframe.
    pub segment: Duration,
    /// Segments in the playlist.
    pub segments: usize,
}

impl Default for HlsOptions {
    fn default() -> Self {
        Self {
            folder: PathBuf::new(),
            view: View::Masked,
            segment: Duration::from_secs(2),
            segments: 6,
        }
    }
}

/// HLS in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct HlsReport {
    /// Segments written.
    pub segments: u64,
    pub units_dropped: u64,
    pub failures: u64,
    /// The last failure, until a segment has been written again.
    pub why: Option<String>,
}

/// HLS of a stream until it is dropped.
#[derive(Debug)]
pub(crate) struct Hls {
    board: Arc<Mutex<HlsReport>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Hls {
    /// Begins with an empty playlist.
    ///
    /// # Errors
    /// 70 where no thread can be had.
    pub(crate) fn start(coder: &Arc<Coder>, stream: &str, options: HlsOptions) -> Result<Self> {
        let (board, stop) = (Arc::<Mutex<HlsReport>>::default(), Arc::<AtomicBool>::default());
        let writer = Writer {
            stream: stream.to_owned(),
            units: coder.subscribe(QUEUE),
            board: board.clone(),
            stop: stop.clone(),
            list: Playlist::new(file_stem(stream), options.segments),
            options,
            is_clean: false,
            open: None,
            zero_ns: None,
            counters: BTreeMap::new(),
            discontinuity: false,
            retry: Instant::now(),
        };
        let thread = thread::Builder::new().name("hls".into()).spawn(move || writer.work());
        Ok(Self {
            board,
            stop,
            thread: Some(thread.context("no thread for HLS").kind(Kind::Internal)?),
        })
    }

    /// What it has done until now.
    pub(crate) fn report(&self) -> HlsReport {
        self.board.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Hls {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// The segment that is being filled.
struct Open {
    pipe: Pipe,
    /// What the muxer has made.
    bytes: Arc<Mutex<Vec<u8>>>,
    filler: bool,
}

struct Writer {
    stream: String,
    units: Subscription<Unit>,
    options: HlsOptions,
    board: Arc<Mutex<HlsReport>>,
    stop: Arc<AtomicBool>,
    list: Playlist,
    /// What an earlier process left is gone.
    is_clean: bool,
    open: Option<Open>,
    /// Times count from the first unit, over all segments.
    zero_ns: Option<u64>,
    /// Of packets, by their stream: each segment has a muxer of its own, players want one count.
    counters: BTreeMap<u16, u8>,
    /// The next segment does not go on where the last one ended.
    discontinuity: bool,
    retry: Instant,
}

impl Writer {
    fn work(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            match self.units.next(LOOK) {
                Next::Item(unit) => self.take(&unit),
                Next::Nothing => {}
                Next::End => break,
            }
        }
        let last = self.close(None).and_then(|()| self.list.end(&self.options.folder));
        self.told(last);
    }

    fn take(&mut self, unit: &Unit) {
        let written = self.write(unit);
        self.told(written);
        let dropped = self.units.dropped();
        self.board.lock().unwrap_or_else(PoisonError::into_inner).units_dropped = dropped;
    }

    fn told(&mut self, outcome: Result<()>) {
        let Err(error) = outcome else { return };
        let why = format!("{error:#}");
        (self.open, self.discontinuity, self.retry) = (None, true, Instant::now() + RETRY);
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        if board.why.is_none() {
            tracing::warn!(stream = self.stream, "HLS pauses: {why}");
        }
        board.failures += 1;
        board.why = Some(why);
    }

    fn write(&mut self, unit: &Unit) -> Result<()> {
        let is_over = |open: &Open| {
            let long = open.pipe.span_to(unit) >= self.options.segment;
            unit.keyframe && (long || open.filler != unit.filler) || !open.pipe.takes(unit)
        };
        if self.open.as_ref().is_some_and(is_over) {
            self.close(Some(unit))?;
        }
        if self.open.is_none() {
            if !unit.keyframe || Instant::now() < self.retry {
                self.discontinuity = true;
                return Ok(());
            }
            if !self.is_clean {
                self.list.clean(&self.options.folder)?;
                self.is_clean = true;
            }
            let zero_ns = *self.zero_ns.get_or_insert(unit.pts_ns);
            self.open = Some(open(unit, zero_ns)?);
        }
        if let Some(open) = &mut self.open {
            open.pipe.write(unit)?;
        }
        Ok(())
    }

    /// Writes the open segment and the playlist with it; `next` is the unit that comes behind it.
    fn close(&mut self, next: Option<&Unit>) -> Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.pipe.finish()?;
        let mut bytes = std::mem::take(&mut *open.bytes.lock().unwrap_or_else(PoisonError::into_inner));
        count(&mut bytes, &mut self.counters);
        let span = next.map_or_else(|| open.pipe.span(), |unit| open.pipe.span_to(unit));
        let begins_anew = std::mem::take(&mut self.discontinuity);
        self.list.add(&self.options.folder, &bytes, span.min(LONGEST), begins_anew)?;
        // Another size, and filler instead of a picture or the other way round.
        self.discontinuity = next.is_some_and(|unit| unit.filler != open.filler || !open.pipe.takes(unit));
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.segments += 1;
        board.why = None;
        Ok(())
    }
}

/// A muxer that begins with this unit.
fn open(unit: &Unit, zero_ns: u64) -> Result<Open> {
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let made = bytes.clone();
    let callbacks = AppSinkCallbacks::builder().new_sample(move |sink| {
        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let map = sample
            .buffer()
            .and_then(|buffer| buffer.map_readable().ok())
            .ok_or(gst::FlowError::Error)?;
        made.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&map);
        Ok(gst::FlowSuccess::Ok)
    });
    let sink = AppSink::builder().sync(false).callbacks(callbacks.build()).build();
    let pipe = Pipe::new(Side::Writing("HLS".into()), unit, zero_ns, |pipeline| {
        let muxer = element("mpegtsmux")?;
        chain(pipeline, &[&muxer, sink.upcast_ref()])?;
        muxer.request_pad_simple("sink_%d").context("the muxer takes no video")
    })?;
    Ok(Open {
        pipe,
        bytes,
        filler: unit.filler,
    })
}

/// Bytes of an MPEG-TS packet.
const PACKET: usize = 188;

/// Lets the packets of each stream count on where the last segment ended (ISO 13818-1, 2.4.3.3).
fn count(bytes: &mut [u8], counters: &mut BTreeMap<u16, u8>) {
    for packet in bytes.chunks_exact_mut(PACKET) {
        let stream = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
        let has_payload = packet[3] & 0x10 != 0;
        let counter = counters.entry(stream).or_insert(15);
        *counter = (*counter + u8::from(has_payload)) & 15;
        packet[3] = packet[3] & 0xf0 | *counter;
    }
}

/// What stands in the playlist.
#[derive(Debug)]
struct Playlist {
    /// What all names begin with.
    stem: String,
    entries: VecDeque<Entry>,
    /// Segments in it.
    length: usize,
    /// Number of the next segment.
    next: u64,
    /// Discontinuities that have left it.
    discontinuities: u64,
    /// Names of segments that have left it and are still there.
    behind: VecDeque<String>,
}

#[derive(Debug)]
struct Entry {
    name: String,
    seconds: f64,
    discontinuity: bool,
}

impl Playlist {
    fn new(stem: String, length: usize) -> Self {
        // Players of an earlier run must not take new segments for those they know.
        let next = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self {
            stem,
            entries: VecDeque::new(),
            length: length.max(2),
            next,
            discontinuities: 0,
            behind: VecDeque::new(),
        }
    }

    /// Writes a segment, and then the playlist with it; removes segments that have left it for long.
    fn add(&mut self, folder: &Path, bytes: &[u8], span: Duration, discontinuity: bool) -> Result<()> {
        let name = format!("{}-{}.ts", self.stem, self.next);
        replace(folder, &name, bytes)?;
        self.next += 1;
        let seconds = span.as_secs_f64();
        self.entries.push_back(Entry {
            name,
            seconds,
            discontinuity,
        });
        while self.entries.len() > self.length {
            let gone = self.entries.pop_front();
            self.discontinuities += u64::from(gone.as_ref().is_some_and(|entry| entry.discontinuity));
            self.behind.extend(gone.map(|entry| entry.name));
        }
        replace(folder, &self.name(), self.text(false).as_bytes())?;
        while self.behind.len() > BEHIND {
            if let Some(name) = self.behind.pop_front() {
                // What cannot be removed now goes at the next start.
                fs::remove_file(folder.join(name)).ok();
            }
        }
        Ok(())
    }

    /// Says that nothing will come any more.
    fn end(&self, folder: &Path) -> Result<()> {
        match self.entries.is_empty() {
            true => Ok(()),
            false => replace(folder, &self.name(), self.text(true).as_bytes()),
        }
    }

    fn name(&self) -> String {
        format!("{}.m3u8", self.stem)
    }

    /// Makes the folder, but not what it lies in, and removes our files of an earlier run.
    fn clean(&self, folder: &Path) -> Result<()> {
        super::make_folder(folder)?;
        for entry in fs::read_dir(folder).map_err(|error| io_fault("list", folder, error))?.flatten() {
            let is_ours = entry.file_name().to_str().is_some_and(|name| self.is_ours(name));
            if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
                fs::remove_file(entry.path()).map_err(|error| io_fault("remove", &entry.path(), error))?;
            }
        }
        Ok(())
    }

    fn is_ours(&self, name: &str) -> bool {
        let name = name.strip_suffix(NEW).unwrap_or(name);
        let number = name
            .strip_prefix(&self.stem)
            .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".ts"));
        name == self.name() || number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    }

    fn text(&self, ended: bool) -> String {
        let longest = self.entries.iter().map(|entry| entry.seconds).fold(1.0, f64::max).ceil();
        let first = self.next - self.entries.len() as u64;
        let mut text = format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:{longest}\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
        if self.discontinuities > 0 {
            writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{}", self.discontinuities).expect("a text takes all");
        }
        for entry in &self.entries {
            if entry.discontinuity {
                text.push_str("#EXT-X-DISCONTINUITY\n");
            }
            writeln!(text, "#EXTINF:{:.3},\n{}", entry.seconds, entry.name).expect("a text takes all");
        }
        if ended {
            text.push_str("#EXT-X-ENDLIST\n");
        }
        text
    }
}

/// Behind the name of a file that is not complete.
const NEW: &str = ".new";

/// Writes a file that is whole at any moment.
fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let (path, new) = (folder.join(name), folder.join(format!("{name}{NEW}")));
    let written = fs::write(&new, bytes).and_then(|()| fs::rename(&new, &path));
    written.map_err(|error| io_fault("write", &path, error))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Stage, decoded_file, until};
    use super::*;

    fn options(folder: &Path) -> HlsOptions {
        HlsOptions {
            folder: folder.into(),
            segment: Duration::from_secs(1),
            segments: 3,
            ..HlsOptions::default()
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_playlist_names_the_last_segments_and_each_can_be_decoded_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (ours, others) = (["gate-7.ts", "gate.m3u8.new"], ["gate-x.ts", "gate-1-7.ts", "index.html"]);
        for name in ours.iter().chain(&others) {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let mut stage = Stage::new(View::Masked);
        let hls = Hls::start(&stage.coder, "gate", options(folder.path())).unwrap();
        stage.show(25 * 9 + 1, (64, 48), false);
        until("nine segments", || hls.report().segments == 9);
        let text = fs::read_to_string(folder.path().join("gate.m3u8")).unwrap();
        let listed: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(listed.len(), 3, "{text}");
        assert!(
            text.contains("#EXT-X-TARGETDURATION:1\n") && !text.contains("DISCONTINUITY") && !text.contains("ENDLIST"),
            "{text}"
        );
        let (mut all, mut counters) = (Vec::new(), BTreeMap::<u16, u8>::new());
        for name in &listed {
            assert_eq!(decoded_file(&folder.path().join(name)), (25, 64, 48));
            all.extend(fs::read(folder.path().join(name)).unwrap());
        }
        for packet in all.chunks_exact(PACKET).filter(|packet| packet[3] & 0x10 != 0) {
            let stream = u16::from_be_bytes([packet[1], packet[2]]) & 0x1fff;
            let counter = packet[3] & 15;
            assert!(packet[0] == 0x47 && counters.insert(stream, counter).is_none_or(|last| (last + 1) & 15 == counter));
        }
        // As one file the segments are one stream.
        fs::write(folder.path().join("all.ts"), all).unwrap();
        assert_eq!(decoded_file(&folder.path().join("all.ts")).0, 75);
        fs::remove_file(folder.path().join("all.ts")).unwrap();
        let there = names(folder.path());
        assert_eq!(there.len(), 3 + BEHIND + 1 + others.len(), "{there:?}");
        assert!(
            others.iter().all(|name| there.contains(&(*name).to_owned())) && !there.contains(&ours[0].to_owned()),
            "{there:?}"
        );
        drop(hls);
        assert!(
            fs::read_to_string(folder.path().join("gate.m3u8"))
                .unwrap()
                .ends_with("#EXT-X-ENDLIST\n")
        );
    }

    #[test]
    fn a_loss_of_signal_and_another_size_are_discontinuities() {
        let folder = tempfile::tempdir().unwrap();
        let mut stage = Stage::new(View::Masked);
        let hls = Hls::start(&stage.coder, "gate", options(folder.path())).unwrap();
        stage.show(10, (64, 48), false);
        stage.show(10, (64, 48), true);
        stage.show(10, (32, 32), true);
        until("two segments", || hls.report().segments == 2);
        drop(hls);
        let text = fs::read_to_string(folder.path().join("gate.m3u8")).unwrap();
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{text}");
        assert!(text.matches("#EXTINF:0.4").count() >= 2, "{text}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_told_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("disk/hls");
        let mut stage = Stage::new(View::Masked);
        let hls = Hls::start(&stage.coder, "gate", options(&place)).unwrap();
        stage.show(1, (64, 48), false);
        until("a failure", || {
            hls.report().why.is_some_and(|why| why.contains("cannot make the folder"))
        });
        fs::create_dir(folder.path().join("disk")).unwrap();
        until("a segment", || {
            stage.show(25, (64, 48), false);
            thread::sleep(Duration::from_millis(50));
            hls.report().segments > 0
        });
        assert_eq!(hls.report().why, None);
    }
}
