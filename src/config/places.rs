//! Where the values of a configuration were written, for messages about them that come later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The file that a configuration was read from and where in it each value stands. A value from a flag or from a program has
/// no place. Keys are written `section.key`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Places {
    file: PathBuf,
    /// Line and column, from 1.
    at: BTreeMap<String, (usize, usize)>,
}

impl Places {
    pub(super) fn new(at: BTreeMap<String, (usize, usize)>) -> Self {
        Self { file: PathBuf::new(), at }
    }

    /// The places of one part of the file, whose keys begin with this.
    pub(super) fn of_part(&self, prefix: &str) -> Self {
        let part = self
            .at
            .iter()
            .filter_map(|(key, at)| Some((key.strip_prefix(prefix)?.to_owned(), *at)));
        Self {
            file: self.file.clone(),
            at: part.collect(),
        }
    }

    pub(super) fn in_file(self, file: &Path) -> Self {
        Self { file: file.into(), ..self }
    }

    /// A flag has set this value.
    pub fn forget(&mut self, key: &str) {
        self.at.remove(key);
    }

    /// What a message about a value begins with: `FILE:LINE:COLUMN: KEY: `, or nothing where it stands in no file.
    pub fn prefix(&self, key: &str) -> String {
        self.at.get(key).map_or(String::new(), |_| format!("{}: ", self.name(key)))
    }

    /// What a message calls a value: `FILE:LINE:COLUMN: KEY`, or the flag that sets it.
    pub fn name(&self, key: &str) -> String {
        match self.at.get(key) {
            Some((line, column)) => format!("{}:{line}:{column}: {key}", self.file.display()),
            None if key == "output.video" => "--output".into(),
            None if key == "temporal.lookahead" => "--no-lookahead".into(),
            None if key == "source.threads" => "--decoder-threads".into(),
            None if key == "output.threads" => "--encoder-threads".into(),
            None if key == "messages.every" => "--json-every".into(),
            None => format!("--{}", key.rsplit('.').next().unwrap_or(key).replace('_', "-")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_named_by_its_place_until_a_flag_sets_it() {
        let at = [("output.video".to_owned(), (3, 9)), ("model.size".to_owned(), (7, 8))];
        let mut places = Places::new(at.into()).in_file(Path::new("p.toml"));
        assert_eq!(places.name("output.video"), "p.toml:3:9: output.video");
        assert_eq!(places.prefix("model.size"), "p.toml:7:8: model.size: ");
        places.forget("output.video");
        assert_eq!(places.name("output.video"), "--output");
        assert_eq!(places.name("output.json"), "--json");
        assert_eq!(places.prefix("output.json"), "");
    }
}
