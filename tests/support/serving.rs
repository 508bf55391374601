//! `maskline serve` as a program that is listened to.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A host that runs until it is stopped or dropped.
pub struct Serving {
    pub child: Child,
    pub said: mpsc::Receiver<String>,
    pub heard: String,
}

impl Serving {
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

    /// Reads its log until there is a line of which this is true.
    pub fn hear(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.said.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("wanted {what}: {}", self.heard));
            self.heard += &format!("{line}\n");
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if is_it(&line) {
                return line;
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, which must come soon.
    pub fn end(mut self) -> (Option<i32>, String) {
        let asked = Instant::now();
        self.heard.extend(self.said.iter().map(|line| line + "\n"));
        let code = self.child.wait().unwrap().code();
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}: {}", asked.elapsed(), self.heard);
        (code, std::mem::take(&mut self.heard))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
