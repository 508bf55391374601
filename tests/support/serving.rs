//! `maskline serve` as a program that is listened to.

#[path = "watched.rs"]
mod watched;

use serde_json::Value;
use std::process::Command;
use std::time::Duration;
use watched::Watched;

/// A host that writes its log as JSON, until it is stopped or dropped.
pub struct Serving(Watched);

impl Serving {
    pub fn of(command: &mut Command) -> Self {
        Self(Watched::of(command))
    }

    /// Reads its log until there is a line of which this is true.
    pub fn hear(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.0.line(what, Duration::from_secs(60));
            let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no JSON: {line}"));
            if is_it(&line) {
                return line;
            }
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.0.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end, which must come soon.
    pub fn end(self) -> (Option<i32>, String) {
        self.0.end(Duration::from_secs(8))
    }
}
