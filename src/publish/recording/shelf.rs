//! What a recording has finished so far, for whoever plays it back.

use super::RecordOptions;
use super::names::{Names, seconds};
use std::fs;
use std::path::PathBuf;

/// One finished file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub path: PathBuf,
    /// Its name, which is UTF-8.
    pub name: String,
    pub bytes: u64,
    /// When its first frame was shown, in seconds since 1970, UTC.
    pub start_s: Option<u64>,
}

/// The finished files of a recording of this stream, newest first; none where the folder cannot be read. What is being written,
/// what others put there, and links are not among them.
pub(crate) fn recorded(stream: &str, options: &RecordOptions) -> Vec<Recorded> {
    let names = Names::new(stream, options.view);
    let entries = fs::read_dir(&options.folder).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter_map(|entry| {
            let named = names.parse(&entry.file_name()).filter(|named| !named.part)?;
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            let recorded = Recorded {
                path: entry.path(),
                name: entry.file_name().into_string().ok()?,
                bytes: metadata.len(),
                start_s: seconds(&named.stamp),
            };
            Some((named, recorded))
        })
        .collect();
    found.sort_by(|(a, _), (b, _)| b.cmp(a));
    found.into_iter().map(|(_, recorded)| recorded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::View;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_finished_files_of_this_recording_are_found_newest_first() {
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions {
            folder: folder.path().into(),
            ..RecordOptions::default()
        };
        assert_eq!(recorded("gate", &options), []);
        for name in [
            "gate-20261121T213000Z.mp4",
            "gate-20261121T214000Z.mp4",
            "gate-20261121T215000Z.mp4.part",
            "gate2-20261121T213000Z.mp4",
            "gate.raw-20261121T213000Z.mp4",
            "gate-holiday.mp4",
            "secret",
        ] {
            fs::write(folder.path().join(name), "1234").unwrap();
        }
        symlink(folder.path().join("secret"), folder.path().join("gate-20261121T220000Z.mp4")).unwrap();
        fs::create_dir(folder.path().join("gate-20261121T230000Z.mp4")).unwrap();
        let names = |options: &RecordOptions| recorded("gate", options).into_iter().map(|r| r.name).collect::<Vec<_>>();
        assert_eq!(names(&options), ["gate-20261121T214000Z.mp4", "gate-20261121T213000Z.mp4"]);
        let oldest = recorded("gate", &options).pop().unwrap();
        assert_eq!((oldest.bytes, oldest.start_s), (4, Some(1_795_296_600)));
        let raw = RecordOptions {
            view: View::Raw,
            ..options
        };
        assert_eq!(names(&raw), ["gate.raw-20261121T213000Z.mp4"]);
    }
}
