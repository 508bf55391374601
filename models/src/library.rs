//! Where ONNX Runtime's shared library lies. Only paths are looked at; nothing is loaded here.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};

/// A place where the library was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Why it was looked for there.
    pub reason: &'static str,
    /// The folder, or what `ORT_DYLIB_PATH` names: a folder or the file itself.
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
    let files = path.read_dir().ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let libraries = files.filter_map(|file| Some((version(&file)?, file)));
    // The name that an installation points to its choice comes first, then the newest.
    let best = libraries
        .filter(|(_, file)| file.is_file())
        .min_by_key(|(version, _)| (version.len(), Reverse(version.clone())));
    best.map(|(_, file)| file)
}

/// The numbers behind `libonnxruntime.so`, be there none or `1.31.1`; nothing for other files.
fn version(file: &Path) -> Option<Vec<u32>> {
    let rest = file.file_name()?.to_str()?.strip_prefix("libonnxruntime.so")?;
    rest.split('.')
        .skip(1)
        .map(|number| number.parse().ok())
        .collect::<Option<Vec<_>>>()
        .filter(|v| rest.is_empty() == v.is_empty())
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

    #[test]
    fn a_folder_gives_the_library_whatever_its_version() {
        let folder = tempfile::tempdir().unwrap();
        let add = |name: &str| std::fs::write(folder.path().join(name), "").unwrap();
        let found = || file_in(folder.path()).map(|f| f.file_name().unwrap().to_str().unwrap().to_owned());
        ["libonnxruntime_providers_shared.so", "libonnxruntime.so.txt", "libonnxruntime.sox"]
            .iter()
            .for_each(|n| add(n));
        assert_eq!(found(), None);
        add("libonnxruntime.so.1.9.0");
        add("libonnxruntime.so.1.24.3");
        assert_eq!(found().as_deref(), Some("libonnxruntime.so.1.24.3"));
        add("libonnxruntime.so.1");
        assert_eq!(found().as_deref(), Some("libonnxruntime.so.1"));
        add("libonnxruntime.so");
        assert_eq!(found().as_deref(), Some("libonnxruntime.so"));
    }
}
