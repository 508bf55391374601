//! Paths in a pipeline file count from its folder (docs/decisions/005).

use std::path::{Component, Path, PathBuf};

/// A path in a file in the folder `base`, without detours: `pipelines/../a.mp4` is `a.mp4`.
pub(super) fn path(text: &str, base: &Path) -> PathBuf {
    tidy(&base.join(text))
}

/// An input that is no path stays as it is.
pub(super) fn input(text: &str, base: &Path) -> String {
    if text.starts_with("test:") || text.starts_with("device:") || text.contains("://") || text == "-" {
        return text.into();
    }
    path(text, base).to_string_lossy().into_owned()
}

/// An output; `-` is standard output.
pub(super) fn output(text: &str, base: &Path) -> PathBuf {
    if text == "-" { text.into() } else { path(text, base) }
}

/// Takes `folder/..` out, except where the folder is a link: from there, `..` leads elsewhere.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        let inside = matches!(tidy.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && inside && !tidy.is_symlink() {
            tidy.pop();
        } else {
            tidy.push(part);
        }
    }
    if tidy.as_os_str().is_empty() { ".".into() } else { tidy }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn detours_go_and_what_is_needed_stays() {
        for (text, base, wanted) in [
            ("../a.mp4", "pipelines", "a.mp4"),
            ("../../a.mp4", "pipelines", "../a.mp4"),
            ("..", "pipelines", "."),
            ("./x/../a.mp4", "deep/folder", "deep/folder/a.mp4"),
            ("/tmp/a.mp4", "deep", "/tmp/a.mp4"),
            ("a.mp4", "", "a.mp4"),
        ] {
            assert_eq!(path(text, Path::new(base)), Path::new(wanted), "{text} in {base}");
        }
        assert_eq!(output("-", Path::new("deep")), Path::new("-"));
        assert_eq!(input("device:/dev/video0", Path::new("deep")), "device:/dev/video0");
        assert_eq!(input("rtsp://camera/1", Path::new("deep")), "rtsp://camera/1");
    }

    #[test]
    fn a_way_up_out_of_a_linked_folder_stays() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        symlink("/", &link).unwrap();
        assert_eq!(path("../a.mp4", &link), link.join("../a.mp4"));
    }
}
