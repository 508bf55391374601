//! A run of the program that is listened to.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// It runs until it is stopped or dropped.
pub struct Watched {
    pub child: Child,
    said: mpsc::Receiver<String>,
    pub heard: String,
}

impl Watched {
    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (tell, said) = mpsc::channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        Self {
            child,
            said,
            heard: String::new(),
        }
    }

    /// The next line that it says, which must come within this time.
    pub fn line(&mut self, wanted: &str, within: Duration) -> String {
        let line = self.said.recv_timeout(within);
        let line = line.unwrap_or_else(|_| panic!("wanted {wanted}: {}", self.heard));
        self.heard += &format!("{line}\n");
        line
    }

    /// Waits for its end, which must come within this time.
    pub fn end(mut self, within: Duration) -> (Option<i32>, String) {
        let asked = Instant::now();
        self.heard.extend(self.said.iter().map(|line| line + "\n"));
        let code = self.child.wait().unwrap().code();
        assert!(asked.elapsed() < within, "{:?}: {}", asked.elapsed(), self.heard);
        (code, std::mem::take(&mut self.heard))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
