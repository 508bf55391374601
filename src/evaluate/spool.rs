//! Class maps of a run, on disk: a long clip has too many for the memory.

use crate::error::{Kind, WithKind};
use crate::frame::ClassMap;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};

/// Class maps in their order, in a file without a name.
#[derive(Debug)]
pub(crate) struct Spool(File);

impl Spool {
    /// An empty one.
    ///
    /// # Errors
    /// Kind 74 if no temporary file can be made.
    pub fn new() -> Result<Self> {
        said(tempfile::tempfile()).map(Self)
    }

    /// Adds a map behind the last one.
    ///
    /// # Errors
    /// Kind 74 if it cannot be written.
    pub fn push(&mut self, map: &ClassMap) -> Result<()> {
        let size = [map.width.to_le_bytes(), map.height.to_le_bytes()];
        let written = self.0.write_all(size.as_flattened());
        said(written.and_then(|()| self.0.write_all(&map.ids)))
    }

    /// Goes back to the first map.
    ///
    /// # Errors
    /// Kind 74 if the file fails.
    pub fn rewind(&mut self) -> Result<()> {
        said(self.0.rewind())
    }

    /// The next map; `None` behind the last one.
    ///
    /// # Errors
    /// Kind 74 if it cannot be read.
    pub fn next(&mut self) -> Result<Option<ClassMap>> {
        said(self.read())
    }

    fn read(&mut self) -> io::Result<Option<ClassMap>> {
        let mut size = [0; 8];
        match self.0.read_exact(&mut size) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let [width, height] = [[size[0], size[1], size[2], size[3]], [size[4], size[5], size[6], size[7]]].map(u32::from_le_bytes);
        let mut ids = vec![0; width as usize * height as usize];
        self.0.read_exact(&mut ids)?;
        Ok(Some(ClassMap { width, height, ids }))
    }
}

fn said<T>(outcome: io::Result<T>) -> Result<T> {
    outcome.context("cannot keep class maps in a temporary file").kind(Kind::Io)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_any_size_come_back_in_their_order_as_often_as_wanted() {
        let map = |width, ids: &[u8]| ClassMap {
            width,
            height: ids.len() as u32 / width,
            ids: ids.to_vec(),
        };
        let maps = [map(2, &[1, 2, 3, 4, 5, 6]), map(3, &[7, 8, 9])];
        let mut spool = Spool::new().unwrap();
        for map in &maps {
            spool.push(map).unwrap();
        }
        for _ in 0..2 {
            spool.rewind().unwrap();
            for map in &maps {
                assert_eq!(spool.next().unwrap().as_ref(), Some(map));
            }
            assert_eq!(spool.next().unwrap(), None);
        }
    }
}
