//! The end of a run: everything is complete before the first output gets its name.

use crate::config::OnExisting;
use crate::error::{fault, kind_of};
use crate::pending::Unnamed;
use crate::sink::masks::MaskWriter;
use anyhow::Result;

/// Outputs that are complete but lack their names.
#[derive(Default)]
pub(super) struct Outputs {
    pub masks: Option<MaskWriter>,
    pub files: Vec<Unnamed>,
}

impl Outputs {
    /// Gives all of them their names. Only what an earlier run has left is replaced, and only if that is wanted.
    ///
    /// # Errors
    /// Kind 74 with what is in its place already, where the rest is, and why.
    pub fn name(self, existing: OnExisting) -> Result<()> {
        let mut first_failure = self.masks.map_or(Ok(()), MaskWriter::finish);
        let mut named = Vec::new();
        for file in self.files {
            let name = file.path().display().to_string();
            match file.name(existing) {
                Ok(()) => named.push(name),
                failed => first_failure = first_failure.and(failed),
            }
        }
        first_failure.map_err(|error| match named.is_empty() {
            true => error,
            false => fault(kind_of(&error), format!("{error:#}; complete in place: {}", named.join(", "))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pending::PendingFile;
    use std::fs;

    #[test]
    fn a_name_that_cannot_be_given_does_not_hide_those_that_were() {
        let folder = tempfile::tempdir().unwrap();
        let complete = |name: &str| PendingFile::create(&folder.path().join(name)).unwrap().complete().unwrap();
        let outputs = Outputs {
            masks: None,
            files: vec![complete("a.json"), complete("b.json"), complete("c.json")],
        };
        fs::write(folder.path().join("b.json"), "theirs").unwrap();
        let error = outputs.name(OnExisting::Refuse).unwrap_err().to_string();
        assert!(error.contains("b.json cannot get its name"), "{error}");
        assert!(error.ends_with("c.json") && error.contains("complete in place: "), "{error}");
        assert!(folder.path().join("a.json").exists() && folder.path().join("c.json").exists());
        assert_eq!(fs::read(folder.path().join("b.json")).unwrap(), b"theirs");
    }
}
