//! What waits for a broker: on disk, bounded, first in, first out, and still there after `kill -9`.
//!
//! Our own, since the crates at hand lose something that is promised here: they keep batches in memory first (segment-buffer),
//! have no bound (yaque), or are logs without a reader's position (okaywal).

use super::segment::{Segment, ids_in, record_bytes};
use crate::error::{Kind, fault, io_fault};
use anyhow::Result;
use std::collections::VecDeque;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Where messages wait, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolOptions {
    /// A folder of its own; it is made if it is missing.
    pub folder: PathBuf,
    /// Most bytes that its files take. Beyond that the oldest go.
    pub max_bytes: u64,
}

impl SpoolOptions {
    /// Most bytes where nobody says it.
    pub const USUAL_BYTES: u64 = 256_000_000;
    /// Smallest bound.
    pub const LEAST_BYTES: u64 = 1_000_000;
}

/// A spool has at least so many segments when it is full: what goes at once when the bound is reached.
const SEGMENTS: u64 = 8;
const LARGEST_SEGMENT: u64 = 16 << 20;
/// Most bytes in memory while the disk takes nothing.
const MEMORY_BYTES: u64 = 16 << 20;
/// Largest message: more than any line that this program writes.
const LARGEST_MESSAGE: u64 = 8 << 20;
/// How long a disk that took nothing is left alone.
const DISK_PAUSE: Duration = Duration::from_secs(5);
/// What is not acknowledged after so long is written down to the device.
const SYNC_AFTER: Duration = Duration::from_secs(1);
const POSITION_BYTES: usize = 20;

/// Messages that no broker has acknowledged yet. Its user numbers them: each has a number that grows by one.
#[derive(Debug)]
pub(super) struct Spool {
    options: SpoolOptions,
    /// Locked as long as this lives.
    _lock: File,
    /// Which segment comes next, and how many records of it are acknowledged.
    position: File,
    /// This run.
    origin: u64,
    /// Records that this run wrote.
    written: u64,
    /// Oldest first; the last is written to.
    parts: VecDeque<Part>,
    next_id: u64,
    next_number: u64,
    /// The last segment takes no more.
    closed: bool,
    /// Since when there is something that a power cut would take.
    unsynced: Option<Instant>,
    /// When the disk took nothing.
    refused: Option<Instant>,
    losses: Losses,
}

/// A segment and what has become of its records.
#[derive(Debug)]
struct Part {
    segment: Segment,
    /// Number of its first record.
    number: u64,
    /// So many records at its beginning are acknowledged.
    acknowledged: u64,
    /// So many were given out.
    given: u64,
    /// Where the next to be given out begins.
    offset: u64,
}

/// What the spool gives out.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Grows by one with every record.
    pub number: u64,
    /// The same for the same record after any restart, and no other record has it.
    pub id: String,
    pub payload: Vec<u8>,
}

/// What was lost, since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Losses {
    /// Messages that went because the spool was full.
    pub bound: u64,
    /// Messages that could not be read again.
    pub damaged: u64,
    /// Bytes that the run before had not written to their end.
    pub torn_bytes: u64,
    /// How often the disk failed to take something.
    pub disk_failures: u64,
}

impl Spool {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// 78 where another process has it or it holds what is no spool, 74 where it cannot be read or written.
    pub fn open(options: &SpoolOptions) -> Result<Self> {
        let folder = &options.folder;
        fs::create_dir_all(folder).map_err(|e| io_fault("make the folder", folder, e))?;
        let open = |name| {
            let path = folder.join(name);
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            file.map_err(|e| io_fault("write", &path, e))
        };
        let lock = open("lock")?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let line = format!("the spool {} is in use: give each broker a folder of its own", folder.display());
                return Err(fault(Kind::Config, line));
            }
            Err(TryLockError::Error(error)) => return Err(io_fault("lock", folder, error)),
        }
        let position = open("position")?;
        let (segment, acknowledged) = read_position(&position).unwrap_or_default();
        let mut spool = Self {
            options: options.clone(),
            _lock: lock,
            position,
            origin: fastrand::u64(..),
            written: 0,
            parts: VecDeque::new(),
            next_id: segment + 1,
            next_number: 0,
            closed: true, // a new run is a new origin, and so a new segment
            unsynced: None,
            refused: None,
            losses: Losses::default(),
        };
        for id in ids_in(folder).map_err(|e| io_fault("read", folder, e))? {
            let found = Segment::open(folder, id)?;
            spool.losses.torn_bytes += found.torn_bytes;
            spool.next_id = spool.next_id.max(id + 1);
            if let Some(segment_found) = found.segment {
                let done = match id.cmp(&segment) {
                    std::cmp::Ordering::Less => u64::MAX,
                    std::cmp::Ordering::Equal => acknowledged,
                    std::cmp::Ordering::Greater => 0,
                };
                spool.add(segment_found, done);
            }
        }
        spool.clear_away();
        spool.rewind();
        spool.write_position(); // has its place on the disk before that may be full
        Ok(spool)
    }

    fn add(&mut self, segment: Segment, acknowledged: u64) {
        let (number, records) = (self.next_number, segment.records);
        self.next_number += records;
        self.parts.push_back(Part {
            acknowledged: acknowledged.min(records),
            number,
            given: 0,
            offset: 0,
            segment,
        });
        self.rewind_last();
    }

    /// Takes a message in, on disk if that is possible at all, else in memory. `false` if it is lost, being too large.
    pub fn append(&mut self, payload: &[u8]) -> bool {
        let bytes = record_bytes(payload.len());
        if bytes > LARGEST_MESSAGE.min(self.options.max_bytes / 2) {
            self.losses.bound += 1;
            return false;
        }
        self.make_room(bytes, false);
        if self.has_room_in_last(bytes) && self.try_append(payload) {
            return true;
        }
        self.roll(bytes);
        if self.try_append(payload) {
            return true;
        }
        // The disk gave a new file and then no room in it.
        self.roll(bytes);
        let taken = self.try_append(payload);
        self.losses.bound += u64::from(!taken);
        taken
    }

    fn has_room_in_last(&self, bytes: u64) -> bool {
        let Some(part) = self.parts.back().filter(|_| !self.closed) else {
            return false;
        };
        let again = part.segment.is_in_memory() && !self.is_disk_paused();
        !again && part.segment.bytes() + bytes <= self.segment_bytes(part.segment.is_in_memory())
    }

    fn segment_bytes(&self, in_memory: bool) -> u64 {
        match in_memory {
            true => self.memory_bytes() / SEGMENTS,
            false => (self.options.max_bytes / SEGMENTS).min(LARGEST_SEGMENT),
        }
    }

    fn memory_bytes(&self) -> u64 {
        self.options.max_bytes.min(MEMORY_BYTES)
    }

    fn is_disk_paused(&self) -> bool {
        self.refused.is_some_and(|at| at.elapsed() < DISK_PAUSE)
    }

    fn try_append(&mut self, payload: &[u8]) -> bool {
        let Some(part) = self.parts.back_mut() else { return false };
        match part.segment.append(payload) {
            Ok(()) => {
                self.next_number += 1;
                self.written += 1;
                if !part.segment.is_in_memory() {
                    self.unsynced.get_or_insert_with(Instant::now);
                }
                true
            }
            Err(_) => {
                self.disk_failed();
                false
            }
        }
    }

    fn disk_failed(&mut self) {
        self.losses.disk_failures += 1;
        self.refused = Some(Instant::now());
        self.closed = true;
    }

    /// Begins a new segment, with room for so many bytes.
    fn roll(&mut self, bytes: u64) {
        self.sync();
        let (id, first) = (self.next_id, self.written);
        self.next_id += 1;
        let on_disk = match self.is_disk_paused() {
            true => None,
            false => match Segment::create(&self.options.folder, id, self.origin, first) {
                Ok(segment) => {
                    self.refused = None;
                    Some(segment)
                }
                Err(_) => {
                    self.disk_failed();
                    None
                }
            },
        };
        let segment = on_disk.unwrap_or_else(|| {
            self.make_room(bytes.max(self.segment_bytes(true)), true);
            Segment::in_memory(id, self.origin, first)
        });
        self.add(segment, 0);
        self.closed = false;
        self.clear_away();
    }

    /// Lets the oldest go until so many bytes more are within the bound of the disk or of the memory.
    fn make_room(&mut self, bytes: u64, in_memory: bool) {
        let most = if in_memory { self.memory_bytes() } else { self.options.max_bytes };
        while self.bytes_of(in_memory) + bytes > most {
            let oldest = self.parts.iter().position(|part| part.segment.is_in_memory() == in_memory);
            let Some(part) = oldest.and_then(|at| self.parts.remove(at)) else {
                break;
            };
            self.losses.bound += part.segment.records - part.acknowledged;
            self.closed |= self.parts.back().is_none_or(|last| last.segment.id < part.segment.id);
            self.discard(part.segment);
        }
    }

    fn bytes_of(&self, in_memory: bool) -> u64 {
        let parts = self.parts.iter().filter(|part| part.segment.is_in_memory() == in_memory);
        parts.map(|part| part.segment.bytes()).sum()
    }

    /// The next message that was not given out yet.
    pub fn next(&mut self) -> Option<Record> {
        loop {
            let part = self.parts.iter_mut().find(|part| part.given < part.segment.records)?;
            let (number, seq) = (part.number + part.given, part.segment.first + part.given);
            match part.segment.read(part.offset) {
                Ok((payload, end)) => {
                    part.offset = end;
                    part.given += 1;
                    let id = format!("{:016x}-{seq}", part.segment.origin);
                    return Some(Record { number, id, payload });
                }
                // What is behind it cannot be found either: its length may be what is damaged.
                Err(_) => {
                    self.losses.damaged += part.segment.records - part.given;
                    part.segment.records = part.given;
                    self.closed = true;
                }
            }
        }
    }

    /// Everything that is not acknowledged will be given out again.
    pub fn rewind(&mut self) {
        for at in 0..self.parts.len() {
            self.rewind_part(at);
        }
    }

    fn rewind_last(&mut self) {
        self.rewind_part(self.parts.len() - 1);
    }

    fn rewind_part(&mut self, at: usize) {
        let part = &mut self.parts[at];
        part.given = part.acknowledged;
        // An offset of 0 is that of no record: reading there fails, and is counted.
        part.offset = part.segment.offset(part.given).unwrap_or(0);
    }

    /// The message of this number and all before it need not be kept any longer.
    pub fn acknowledge(&mut self, number: u64) {
        for part in self.parts.iter_mut().take_while(|part| part.number <= number) {
            let done = (number - part.number + 1).min(part.segment.records);
            part.acknowledged = part.acknowledged.max(done);
        }
        self.clear_away();
        self.write_position();
    }

    /// Removes the segments that nobody needs any more.
    fn clear_away(&mut self) {
        while let Some(part) = self.parts.front() {
            let is_written_to = self.parts.len() == 1 && !self.closed;
            if is_written_to || part.acknowledged < part.segment.records {
                break;
            }
            if let Some(part) = self.parts.pop_front() {
                self.discard(part.segment);
            }
        }
        if self.is_empty() {
            self.unsynced = None;
        }
    }

    fn discard(&mut self, segment: Segment) {
        // A file that stays is behind the position, and removed at the next opening.
        self.losses.disk_failures += u64::from(segment.remove().is_err());
    }

    /// In place and in one write, so that it needs no room and `kill -9` cannot halve it.
    fn write_position(&mut self) {
        let (id, acknowledged) = self
            .parts
            .front()
            .map_or((self.next_id, 0), |part| (part.segment.id, part.acknowledged));
        let mut bytes = [id.to_le_bytes(), acknowledged.to_le_bytes()].concat();
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        let written = self.position.write_all_at(&bytes, 0);
        self.losses.disk_failures += u64::from(written.is_err());
    }

    /// To be called several times a second: writes down to the device what has waited for long.
    pub fn sync_if_due(&mut self) {
        if self.unsynced.is_some_and(|since| since.elapsed() >= SYNC_AFTER) {
            self.sync();
        }
    }

    /// Writes everything down to the device.
    pub fn sync(&mut self) {
        if self.unsynced.take().is_none() {
            return;
        }
        let data = self.parts.back().map_or(Ok(()), |last| last.segment.sync());
        // The folder too: a new file is lost with its name.
        let synced = data.and_then(|()| File::open(&self.options.folder)?.sync_all());
        self.losses.disk_failures += u64::from(synced.is_err());
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages() == 0
    }

    /// Messages that are not acknowledged.
    pub fn messages(&self) -> u64 {
        self.parts.iter().map(|part| part.segment.records - part.acknowledged).sum()
    }

    /// Bytes on disk and in memory.
    pub fn bytes(&self) -> (u64, u64) {
        (self.bytes_of(false), self.bytes_of(true))
    }

    /// What was lost.
    pub fn losses(&self) -> Losses {
        self.losses
    }
}

/// Segment and acknowledged records; nothing where it was not written to its end, which only costs duplicates.
fn read_position(file: &File) -> Option<(u64, u64)> {
    let mut bytes = [0; POSITION_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    let (numbers, crc) = bytes.split_at(16);
    let whole = crc32fast::hash(numbers).to_le_bytes() == crc;
    let number = |at: usize| Some(u64::from_le_bytes(numbers[at..at + 8].try_into().ok()?));
    number(0).zip(number(8)).filter(|_| whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tempfile::TempDir;

    fn options(folder: &TempDir) -> SpoolOptions {
        SpoolOptions {
            folder: folder.path().join("spool"),
            max_bytes: SpoolOptions::LEAST_BYTES,
        }
    }

    fn open(folder: &TempDir) -> Spool {
        Spool::open(&options(folder)).unwrap()
    }

    /// What is given out, as numbers.
    fn all(spool: &mut Spool) -> Vec<Record> {
        std::iter::from_fn(|| spool.next()).collect()
    }

    fn append(spool: &mut Spool, texts: &[&str]) {
        for text in texts {
            assert!(spool.append(text.as_bytes()));
        }
    }

    fn texts(records: &[Record]) -> Vec<&str> {
        records.iter().map(|r| std::str::from_utf8(&r.payload).unwrap()).collect()
    }

    fn segments(folder: &TempDir) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.path().join("spool")).unwrap();
        let mut paths: Vec<_> = entries.map(|e| e.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "spool"));
        paths.sort();
        paths
    }

    #[test]
    fn messages_come_in_their_order_and_again_until_they_are_acknowledged() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        append(&mut spool, &["a", "b", ""]);
        let first = all(&mut spool);
        assert_eq!(texts(&first), ["a", "b", ""]);
        assert_eq!(first.iter().map(|r| r.number).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(spool.next().is_none() && spool.messages() == 3);
        spool.acknowledge(0);
        spool.rewind();
        append(&mut spool, &["d"]);
        let again = all(&mut spool);
        assert_eq!(again[..2], first[1..], "the same messages have the same numbers and ids");
        assert_eq!(texts(&again), ["b", "", "d"]);
        spool.acknowledge(3);
        assert!(spool.is_empty());
    }

    #[test]
    fn a_spool_that_was_killed_goes_on_where_it_was_and_gives_no_id_twice() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        append(&mut spool, &["a", "b", "c"]);
        let before = all(&mut spool);
        spool.acknowledge(before[0].number);
        drop(spool); // writes nothing more: it has no `Drop`
        let mut spool = open(&folder);
        assert_eq!(spool.messages(), 2);
        append(&mut spool, &["d"]);
        let after = all(&mut spool);
        assert_eq!(texts(&after), ["b", "c", "d"]);
        assert_eq!((&after[0].id, &after[1].id), (&before[1].id, &before[2].id));
        assert!(before.iter().all(|r| r.id != after[2].id));
        spool.acknowledge(after[2].number);
        drop(spool);
        let mut spool = open(&folder);
        assert!(spool.next().is_none());
        assert_eq!(segments(&folder), [] as [&Path; 0], "nothing that is done is kept");
    }

    #[test]
    fn what_was_not_written_to_its_end_is_cut_off_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        append(&mut spool, &["first", "second", "third"]);
        drop(spool);
        let path = &segments(&folder)[0];
        let length = fs::metadata(path).unwrap().len();
        let file = File::options().write(true).open(path).unwrap();
        file.set_len(length - 1).unwrap();
        let mut spool = open(&folder);
        assert_eq!(texts(&all(&mut spool)), ["first", "second"]);
        assert_eq!(spool.losses().torn_bytes, 8 + 4);
        drop(spool);
        assert_eq!(open(&folder).losses().torn_bytes, 0, "it is cut off once");
        // A length that leads beyond the end, and a file that ends in its header.
        file.write_all_at(&[0xff; 9], length).unwrap();
        fs::write(path.with_file_name(format!("{:020}.spool", 9)), b"mlsp").unwrap();
        let mut spool = open(&folder);
        assert_eq!(texts(&all(&mut spool)), ["first", "second"]);
        assert!(spool.losses().torn_bytes >= 4 + 9);
        append(&mut spool, &["more"]);
        assert_eq!(texts(&all(&mut spool)), ["more"]);
    }

    #[test]
    fn beyond_the_bound_the_oldest_go_and_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        let message = |n: u32| [&n.to_le_bytes()[..], &[7; 996]].concat();
        for n in 0..3000 {
            assert!(spool.append(&message(n)));
            assert!(spool.bytes().0 <= SpoolOptions::LEAST_BYTES, "{n}");
        }
        let on_disk: u64 = segments(&folder).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!((spool.bytes(), on_disk <= SpoolOptions::LEAST_BYTES), ((on_disk, 0), true));
        let lost = spool.losses().bound;
        let left = all(&mut spool);
        assert_eq!(lost + left.len() as u64, 3000);
        assert!(lost > 2000 && left.len() > 800, "{lost} lost");
        let numbers: Vec<_> = left
            .iter()
            .map(|r| u32::from_le_bytes(r.payload[..4].try_into().unwrap()))
            .collect();
        assert_eq!(numbers, (lost as u32..3000).collect::<Vec<_>>(), "the newest are there, in order");
        // Those that were on their way when they had to go are not acknowledged any more, and later ones are.
        for n in 3000..6000 {
            spool.append(&message(n));
        }
        spool.acknowledge(left[left.len() - 1].number);
        assert_eq!(spool.losses().bound + spool.messages(), 6000);
        assert!(!spool.append(&[0; 600_000]) && spool.append(&[0; 400_000]));
    }

    #[test]
    fn what_is_acknowledged_leaves_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        for _ in 0..20_000 {
            spool.append(&[7; 1000]);
            let record = spool.next().unwrap();
            spool.acknowledge(record.number);
        }
        assert_eq!((spool.losses(), spool.messages()), (Losses::default(), 0));
        assert!(spool.bytes().0 < 200_000 && segments(&folder).len() == 1);
    }

    #[test]
    fn two_at_a_time_do_not_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(&folder);
        let error = Spool::open(&options(&folder)).unwrap_err().to_string();
        assert!(error.contains("is in use: give each broker a folder of its own"), "{error}");
        drop(spool);
        open(&folder);
    }

    #[test]
    fn a_file_that_is_no_segment_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        drop(open(&folder));
        let theirs = folder.path().join("spool").join(format!("{:020}.spool", 3));
        fs::write(&theirs, [b'x'; 100]).unwrap();
        let error = Spool::open(&options(&folder)).unwrap_err().to_string();
        assert!(error.contains("move it out"), "{error}");
        assert_eq!(fs::read(&theirs).unwrap(), [b'x'; 100]);
    }

    #[test]
    fn a_damaged_position_costs_duplicates_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        append(&mut spool, &["a", "b"]);
        let first = spool.next().unwrap();
        spool.acknowledge(first.number);
        drop(spool);
        fs::write(folder.path().join("spool/position"), [1; POSITION_BYTES]).unwrap();
        assert_eq!(texts(&all(&mut open(&folder))), ["a", "b"]);
    }

    #[test]
    fn a_damaged_message_is_counted_and_what_comes_after_it_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        append(&mut spool, &["a", "b", "c"]);
        let file = File::options().write(true).open(&segments(&folder)[0]).unwrap();
        file.write_all_at(b"x", 24 + 9 + 8).unwrap(); // the `b`
        assert_eq!(texts(&all(&mut spool)), ["a"]);
        append(&mut spool, &["d"]);
        let rest = all(&mut spool);
        assert_eq!((texts(&rest), spool.losses().damaged), (vec!["d"], 2));
        spool.acknowledge(rest[0].number);
        assert!(spool.is_empty());
    }

    /// Lets the segment that is written to, and the next new one, fail.
    fn fill_disk(spool: &mut Spool) {
        spool.parts.back_mut().unwrap().segment.fill_disk();
        block_next(spool);
    }

    /// Lets the next new file fail.
    fn block_next(spool: &Spool) {
        fs::create_dir(spool.options.folder.join(format!("{:020}.spool", spool.next_id))).unwrap();
    }

    #[test]
    fn a_full_disk_is_counted_and_messages_wait_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        append(&mut spool, &["a"]);
        let first = spool.next().unwrap();
        fill_disk(&mut spool);
        append(&mut spool, &["b", "c"]);
        assert_eq!(texts(&all(&mut spool)), ["b", "c"]);
        let failures = spool.losses().disk_failures;
        assert!(failures > 0 && spool.losses().bound == 0 && spool.bytes().1 > 0);
        // The pause is over, and the disk has no room for a new file either.
        spool.refused = Instant::now().checked_sub(DISK_PAUSE);
        block_next(&spool);
        append(&mut spool, &["d"]);
        assert_eq!(spool.losses().disk_failures, failures + 1);
        // Now it has.
        spool.refused = Instant::now().checked_sub(DISK_PAUSE);
        append(&mut spool, &["e"]);
        spool.acknowledge(first.number);
        spool.rewind();
        let rest = all(&mut spool);
        assert_eq!(texts(&rest), ["b", "c", "d", "e"]);
        spool.acknowledge(rest[2].number);
        assert_eq!((spool.bytes().1, spool.messages()), (0, 1), "the memory is free again");
        for entry in fs::read_dir(&spool.options.folder).unwrap() {
            fs::remove_dir(entry.unwrap().path()).ok(); // what blocked
        }
        drop(spool);
        assert_eq!(texts(&all(&mut open(&folder))), ["e"]);
    }

    #[test]
    fn memory_is_bounded_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = open(&folder);
        append(&mut spool, &["a"]);
        fill_disk(&mut spool);
        spool.next();
        for n in 0..3000_u32 {
            spool.refused = spool.refused.map(|_| Instant::now());
            assert!(spool.append(&[&n.to_le_bytes()[..], &[7; 996]].concat()));
            assert!(spool.bytes().1 <= SpoolOptions::LEAST_BYTES, "{n}");
        }
        let left = all(&mut spool);
        assert_eq!(spool.losses().bound + left.len() as u64, 3000);
        assert!(left.len() > 800);
        assert_eq!(left[left.len() - 1].payload[..4], 2999_u32.to_le_bytes());
    }
}
