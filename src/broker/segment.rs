//! A part of the spool: records one behind the other, in a file or, while the disk takes nothing, in memory.
//!
//! A file begins with `mlspool1`, the run that wrote it and the number of its first record in that run (u64 each); a record is
//! its length, the CRC-32 of that and of what follows (u32 each, little-endian like all of it), and so many bytes.

use crate::error::{Kind, fault, io_fault};
use anyhow::Result;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"mlspool1";
const HEADER_BYTES: u64 = 24;
const RECORD_HEADER_BYTES: u64 = 8;
const EXTENSION: &str = "spool";

/// Records in the order in which they came.
#[derive(Debug)]
pub(super) struct Segment {
    /// Counts the segments of a spool, for ever; the name of its file.
    pub id: u64,
    /// The run that wrote it.
    pub origin: u64,
    /// Number of its first record in that run.
    pub first: u64,
    /// How many there are.
    pub records: u64,
    store: Store,
    /// Bytes with the header.
    bytes: u64,
}

#[derive(Debug)]
enum Store {
    File { file: File, path: PathBuf },
    Memory(Vec<u8>),
}

/// What a file held when it was opened.
pub(super) struct Found {
    /// None where not even the header is there.
    pub segment: Option<Segment>,
    /// Bytes behind the last whole record, which were cut off.
    pub torn_bytes: u64,
}

/// How many bytes a payload takes in a segment.
pub(super) fn record_bytes(payload: usize) -> u64 {
    RECORD_HEADER_BYTES + payload as u64
}

impl Segment {
    /// An empty one in a file of the folder.
    pub fn create(folder: &Path, id: u64, origin: u64, first: u64) -> io::Result<Self> {
        let path = path_of(folder, id);
        let file = File::options().read(true).write(true).create_new(true).open(&path)?;
        let header = [&MAGIC[..], &origin.to_le_bytes(), &first.to_le_bytes()].concat();
        if let Err(error) = file.write_all_at(&header, 0) {
            fs::remove_file(&path).ok(); // it was empty
            return Err(error);
        }
        Ok(Self::new(id, origin, first, Store::File { file, path }, HEADER_BYTES))
    }

    /// An empty one in memory.
    pub fn in_memory(id: u64, origin: u64, first: u64) -> Self {
        Self::new(id, origin, first, Store::Memory(vec![0; HEADER_BYTES as usize]), HEADER_BYTES)
    }

    fn new(id: u64, origin: u64, first: u64, store: Store, bytes: u64) -> Self {
        Self {
            id,
            origin,
            first,
            records: 0,
            store,
            bytes,
        }
    }

    /// Reads the file of a run before this one through, and cuts off what was not written to its end.
    pub fn open(folder: &Path, id: u64) -> Result<Found> {
        let path = path_of(folder, id);
        let said = |error| io_fault("read", &path, error);
        let file = File::options().read(true).write(true).open(&path).map_err(said)?;
        let length = file.metadata().map_err(said)?.len();
        if length < HEADER_BYTES {
            fs::remove_file(&path).map_err(said)?;
            return Ok(Found {
                segment: None,
                torn_bytes: length,
            });
        }
        let mut reader = BufReader::with_capacity(1 << 16, file.try_clone().map_err(said)?);
        let mut header = [0; HEADER_BYTES as usize];
        reader.read_exact(&mut header).map_err(said)?;
        let number = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("eight bytes are eight bytes"));
        if header[..8] != MAGIC[..] {
            let line = format!(
                "{} is no part of a spool of this version: move it out of the spool's folder",
                path.display()
            );
            return Err(fault(Kind::Config, line));
        }
        let store = Store::File { file, path: path.clone() };
        let mut segment = Self::new(id, number(8), number(16), store, HEADER_BYTES);
        let mut payload = Vec::new();
        while let Some((size, crc)) = read_record_header(&mut reader).filter(|(size, _)| segment.bytes + record_bytes(*size) <= length) {
            payload.resize(size, 0);
            if reader.read_exact(&mut payload).is_err() || checksum(&payload) != crc {
                break;
            }
            segment.records += 1;
            segment.bytes += record_bytes(size);
        }
        let torn_bytes = length - segment.bytes;
        if let (1.., Store::File { file, .. }) = (torn_bytes, &segment.store) {
            file.set_len(segment.bytes).map_err(said)?;
        }
        Ok(Found {
            segment: Some(segment),
            torn_bytes,
        })
    }

    /// Adds a record, all of it or nothing.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<()> {
        let size = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let record = [&size.to_le_bytes()[..], &checksum(payload).to_le_bytes(), payload].concat();
        match &mut self.store {
            Store::Memory(memory) => memory.extend(&record),
            Store::File { file, .. } => {
                if let Err(error) = file.write_all_at(&record, self.bytes) {
                    file.set_len(self.bytes).ok(); // else the next opening cuts it off
                    return Err(error);
                }
            }
        }
        self.records += 1;
        self.bytes += record.len() as u64;
        Ok(())
    }

    /// The payload of the record that begins so many bytes from the start, and where the next one begins.
    pub fn read(&self, offset: u64) -> io::Result<(Vec<u8>, u64)> {
        let mut header = [0; RECORD_HEADER_BYTES as usize];
        self.read_at(&mut header, offset)?;
        let (size, crc) = parts(header);
        let end = offset + record_bytes(size);
        if end > self.bytes {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0; size];
        self.read_at(&mut payload, offset + RECORD_HEADER_BYTES)?;
        if checksum(&payload) != crc {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((payload, end))
    }

    /// Where the record of this index begins.
    pub fn offset(&self, index: u64) -> io::Result<u64> {
        let mut offset = HEADER_BYTES;
        for _ in 0..index {
            let mut header = [0; RECORD_HEADER_BYTES as usize];
            self.read_at(&mut header, offset)?;
            offset += record_bytes(parts(header).0);
        }
        Ok(offset)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.store {
            Store::File { file, .. } => file.read_exact_at(into, offset),
            Store::Memory(memory) => {
                let start = usize::try_from(offset).map_err(io::Error::other)?;
                let from = memory.get(start..start + into.len());
                into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    /// Bytes that it takes, with its header.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it is in memory alone.
    pub fn is_in_memory(&self) -> bool {
        matches!(self.store, Store::Memory(_))
    }

    /// Waits until the device has it.
    pub fn sync(&self) -> io::Result<()> {
        match &self.store {
            Store::File { file, .. } => file.sync_data(),
            Store::Memory(_) => Ok(()),
        }
    }

    /// From now on the disk has no room for it.
    #[cfg(test)]
    pub fn fill_disk(&mut self) {
        if let Store::File { file, .. } = &mut self.store {
            *file = File::options().write(true).open("/dev/full").unwrap();
        }
    }

    /// Takes its file away.
    pub fn remove(self) -> io::Result<()> {
        match self.store {
            Store::File { path, .. } => fs::remove_file(path),
            Store::Memory(_) => Ok(()),
        }
    }
}

fn path_of(folder: &Path, id: u64) -> PathBuf {
    folder.join(format!("{id:020}.{EXTENSION}"))
}

/// The ids of all files of a folder that are called like segments, in order.
pub(super) fn ids_in(folder: &Path) -> io::Result<Vec<u64>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.'));
        ids.extend(stem.filter(|stem| stem.len() == 20).and_then(|stem| stem.parse::<u64>().ok()));
    }
    ids.sort_unstable();
    Ok(ids)
}

/// With the length, so that the zeros that a power cut may leave behind are no record.
fn checksum(payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(payload.len() as u32).to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn read_record_header(reader: &mut impl Read) -> Option<(usize, u32)> {
    let mut header = [0; RECORD_HEADER_BYTES as usize];
    reader.read_exact(&mut header).ok()?;
    Some(parts(header))
}

/// Length of the payload and CRC.
fn parts([a, b, c, d, e, f, g, h]: [u8; RECORD_HEADER_BYTES as usize]) -> (usize, u32) {
    (u32::from_le_bytes([a, b, c, d]) as usize, u32::from_le_bytes([e, f, g, h]))
}
