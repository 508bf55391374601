//! JSON lines of a stream, added to a file on a thread of its own: a disk that is slow or full holds up no frame.

use super::events::{Events, Happening};
use super::stream::LineTaker;
use anyhow::{Context, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, TrySendError, bounded};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Lines that wait for the disk.
const QUEUE: usize = 256;
/// How often it is looked whether the file is still the one of its name.
const LOOK: Duration = Duration::from_secs(1);

/// Adds lines to this file, which is made if it is missing. What moves it away (logrotate) gets a new one made. It ends when
/// the taker is dropped.
///
/// # Errors
/// If no thread can be had. A file that cannot be written to is an event, and tried again with every line.
pub(super) fn to_file(path: &Path, events: Arc<Events>) -> Result<LineTaker> {
    let (tx, rx) = bounded::<Vec<u8>>(QUEUE);
    let lost = Arc::<AtomicU64>::default();
    let writer = Writer {
        path: path.to_owned(),
        file: None,
        looked: Instant::now(),
        trouble: false,
        events,
        lost: lost.clone(),
    };
    let thread = thread::Builder::new().name("lines".into());
    thread
        .spawn(move || writer.run(&rx))
        .context("cannot start the thread of a file of lines")?;
    Ok(Arc::new(move |_, line| {
        let mut whole = line.to_vec();
        whole.push(b'\n');
        if let Err(TrySendError::Full(_)) = tx.try_send(whole) {
            lost.fetch_add(1, Ordering::Relaxed);
        }
    }))
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    looked: Instant,
    /// Whether the last line could not be written.
    trouble: bool,
    events: Arc<Events>,
    /// Lines that were not written.
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, lines: &Receiver<Vec<u8>>) {
        loop {
            match lines.recv_timeout(LOOK) {
                Ok(line) => self.write(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                self.file = self.file.take().filter(|file| is_named(file, &self.path));
            }
        }
    }

    fn write(&mut self, line: &[u8]) {
        let outcome = self.open().and_then(|file| file.write_all(line));
        let name = self.path.display();
        match outcome {
            Ok(()) if self.trouble => {
                self.trouble = false;
                let lost = self.lost.swap(0, Ordering::Relaxed);
                self.say(format!("{name} is written again; {lost} lines are lost"));
            }
            Ok(()) => {}
            Err(error) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                self.file = None;
                if !self.trouble {
                    self.trouble = true;
                    self.say(format!("{name} cannot be written to ({error}): lines are lost until it can"));
                }
            }
        }
    }

    fn open(&mut self) -> std::io::Result<&mut File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => OpenOptions::new().create(true).append(true).open(&self.path)?,
        };
        Ok(self.file.insert(file))
    }

    fn say(&self, what: String) {
        self.events.add(None, None, Happening::Output { what });
    }
}

/// Whether the file is still the one of that name.
fn is_named(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(own), Ok(named)) => (own.dev(), own.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn until(what: &str, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < deadline, "{what} does not come");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn lines_are_added_and_a_file_that_is_moved_away_gets_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        fs::write(&path, "{\"old\":1}\n").unwrap();
        let taker = to_file(&path, Arc::default()).unwrap();
        let name: Arc<str> = "a".into();
        taker(&name, b"{\"new\":2}");
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        until("the line", || text(&path) == "{\"old\":1}\n{\"new\":2}\n");
        let moved = folder.path().join("a.jsonl.1");
        fs::rename(&path, &moved).unwrap();
        until("a new file", || {
            taker(&name, b"{}");
            path.exists()
        });
        assert!(text(&moved).starts_with("{\"old\":1}\n"));
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_an_event_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/a.jsonl");
        let events = Arc::<Events>::default();
        let taker = to_file(&path, events.clone()).unwrap();
        let name: Arc<str> = "a".into();
        taker(&name, b"1");
        until("the event", || events.since(0).len() == 1);
        fs::create_dir(path.parent().unwrap()).unwrap();
        until("the next event", || {
            taker(&name, b"2");
            events.since(0).len() == 2
        });
        assert!(fs::read_to_string(&path).unwrap().starts_with("2\n"));
        let said = format!("{:?}", events.since(0));
        assert!(said.contains("cannot be written to") && said.contains("1 lines are lost"), "{said}");
    }
}
