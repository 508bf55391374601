//! Where ONNX Runtime's shared library lies. Only paths are looked at; nothing is loaded here.

use std::path::{Path, PathBuf};

/// Names that the library goes by, in order of preference.
const NAMES: [&str; 3] = ["libonnxruntime.so", "libonnxruntime.so.1", "libonnxruntime.so.1.31.1"];

/// A place where the library was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Why it was looked for there.
    pub reason: &'static str,
    /// The folder, or the file that `ORT_DYLIB_PATH` names.
    pub path: PathBuf,
}

/// Where `libonnxruntime` was found, or all places where it was not.
///
/// The order: `ORT_DYLIB_PATH`, beside the running program, in the `.deps/onnxruntime` folder of the checkout around the
/// program or the current folder, then the system's library folders.
///
/// # Errors
/// The places that were searched.
pub fn find_onnxruntime() -> Result<PathBuf, Vec<Place>> {
    let places = places();
    for place in &places {
        if let Some(file) = file_in(&place.path) {
            return Ok(file);
        }
    }
    Err(places)
}

fn places() -> Vec<Place> {
    let mut places = Vec::new();
    let mut add = |reason, path: PathBuf| places.push(Place { reason, path });
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|p| !p.is_empty()) {
        // What the user names is the only place: falling back would hide a typing mistake.
        add("ORT_DYLIB_PATH", path.into());
        return places;
    }
    let program = std::env::current_exe().ok().and_then(|p| p.canonicalize().ok());
    let beside = program.as_deref().and_then(Path::parent);
    if let Some(folder) = beside {
        add("beside the program", folder.into());
    }
    let here = std::env::current_dir().ok();
    for start in [beside, here.as_deref()].into_iter().flatten() {
        if let Some(checkout) = start.ancestors().find(|a| a.join(".deps/onnxruntime").is_dir()) {
            add("the checkout", checkout.join(".deps/onnxruntime"));
        }
    }
    for folder in [
        "/usr/local/lib",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ] {
        add("the system", folder.into());
    }
    places
}

fn file_in(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.into());
    }
    NAMES.iter().map(|n| path.join(n)).find(|f| f.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_or_the_file_itself_may_be_named() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(file_in(folder.path()), None);
        let library = folder.path().join("libonnxruntime.so.1.31.1");
        std::fs::write(&library, "").unwrap();
        assert_eq!(file_in(folder.path()), Some(library.clone()));
        assert_eq!(file_in(&library), Some(library));
    }
}
