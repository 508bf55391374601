//! Collects every problem of a TOML file with its place.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};

/// Problems found so far in one TOML text.
pub(super) struct Problems<'t> {
    text: &'t str,
    found: Vec<(usize, String)>, // byte offset, line for people
}

impl<'t> Problems<'t> {
    pub fn new(text: &'t str) -> Self {
        Self { text, found: Vec::new() }
    }

    /// Reads the text, noting every unknown key, or the one error that keeps it from being read.
    pub fn read<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut unknown = Vec::new();
        let reader = match toml::Deserializer::parse(self.text) {
            Ok(reader) => reader,
            Err(e) => {
                self.note(&e);
                return None;
            }
        };
        let value = serde_ignored::deserialize(reader, |path| unknown.push(path.to_string()));
        for path in unknown {
            let keys: Vec<&str> = path.split('.').filter(|k| *k != "?").collect();
            let at = self.offset(&keys);
            self.found.push((at, format!("unknown key {}", keys.join("."))));
        }
        value.map_err(|e| self.note(&e)).ok()
    }

    fn note(&mut self, error: &toml::de::Error) {
        let at = error.span().map_or(usize::MAX, |s| s.start);
        self.found.push((at, error.message().trim().replace('\n', "; ")));
    }

    /// A problem of the value at that path of keys.
    pub fn add(&mut self, path: &[&str], line: String) {
        let at = self.offset(path);
        self.found.push((at, line));
    }

    /// A problem of the value at that path of keys, unless it is as it should be.
    pub fn want(&mut self, ok: bool, path: &[&str], found: impl std::fmt::Display, wanted: &str) {
        if !ok {
            self.add(path, format!("{} is {found}, wanted {wanted}", path.last().unwrap_or(&"")));
        }
    }

    /// Where the last key of that path stands (a number is a place in a list), or the nearest of its parents.
    fn offset(&self, path: &[&str]) -> usize {
        let Ok(root) = DeTable::parse(self.text) else {
            return usize::MAX;
        };
        let mut at = usize::MAX;
        let mut here = DeValue::Table(root.into_inner());
        for name in path {
            let next = match here {
                DeValue::Table(table) => table
                    .into_iter()
                    .find(|(key, _)| key.get_ref() == name)
                    .map(|(key, value)| (key.span().start, value)),
                DeValue::Array(list) => name
                    .parse::<usize>()
                    .ok()
                    .and_then(|i| list.into_iter().nth(i))
                    .map(|value| (value.span().start, value)),
                _ => None,
            };
            let Some((start, value)) = next else {
                return at;
            };
            at = start;
            here = value.into_inner();
        }
        at
    }

    /// All problems in the order of the file, one a line; nothing where there is none.
    pub fn into_text(mut self) -> Option<String> {
        self.found.sort();
        let lines: Vec<String> = self.found.iter().map(|(at, line)| place(self.text, *at) + line).collect();
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

fn place(text: &str, offset: usize) -> String {
    if offset > text.len() {
        return String::new();
    }
    let before = &text[..text.floor_char_boundary(offset)];
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    format!("line {}, column {column}: ", before.matches('\n').count() + 1)
}
