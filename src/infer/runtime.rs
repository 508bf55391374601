//! ONNX Runtime's shared library: found, loaded once, asked what it can do.

use super::Provider;
use crate::console::say;
use crate::error::{Kind, fault};
use anyhow::Result;
use maskline_models::library::{Place, find_onnxruntime};
use ort::ep::{CUDA, ExecutionProvider, OpenVINO, TensorRT};
use ort::logging::LogLevel;
use std::ffi::CStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What mends a missing library.
pub const REMEDY: &str =
    "run scripts/install in the checkout, or `pip install --target ~/ort onnxruntime && export ORT_DYLIB_PATH=~/ort/onnxruntime/capi`";

/// The loaded library.
#[derive(Debug)]
pub struct Runtime {
    /// The file.
    pub path: PathBuf,
    /// Its version, e.g. `1.31.1`.
    pub version: String,
    /// Providers that it was built with, in the order of [`Provider::ORDER`].
    pub providers: Vec<Provider>,
    pub(super) environment: ort::environment::Environment,
}

/// The library of this process; the first call loads it.
///
/// # Errors
/// Kind 78: not found (with the places that were searched) or not an ONNX Runtime that this program can use.
pub fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| load(&find_onnxruntime().map_err(|places| not_found(&places))?));
    runtime.as_ref().map_err(|message| fault(Kind::Config, message))
}

fn not_found(places: &[Place]) -> String {
    let pattern = places.iter().any(|p| p.path.to_string_lossy().contains(['*', '?', '~']));
    let hint = if pattern {
        "the shell fills in no pattern there, so name the folder; or "
    } else {
        ""
    };
    let places: Vec<_> = places.iter().map(|p| format!("{} ({})", p.path.display(), p.reason)).collect();
    format!("found no libonnxruntime.so in {}: {hint}{REMEDY}", places.join(", "))
}

fn load(path: &Path) -> Result<Runtime, String> {
    let unusable = |why: String| {
        format!(
            "{} is no ONNX Runtime that this program can use: {}: {REMEDY}",
            path.display(),
            one_line(&why)
        )
    };
    // Relative paths would be looked for beside the program.
    let path = path.canonicalize().map_err(|e| unusable(e.to_string()))?;
    // Asked first, as `ort` keeps the first library that it ever got.
    let version = version(&path).map_err(|e| unusable(e.to_string()))?;
    let environment = ort::init_from(&path)
        .map_err(|e| unusable(e.to_string()))?
        .with_name("maskline")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|e| unusable(e.to_string()))?;
    environment.set_log_level(wanted_log_level().unwrap_or(LogLevel::Error));
    let has = |found: ort::Result<bool>| found.unwrap_or(false);
    let mut providers = vec![Provider::Cpu];
    for (provider, built_in) in [
        (Provider::OpenVino, has(OpenVINO::is_available())),
        (Provider::Cuda, has(CUDA::is_available())),
        (Provider::TensorRt, has(TensorRT::is_available())),
    ] {
        if built_in {
            providers.insert(0, provider);
        }
    }
    Ok(Runtime {
        version,
        path,
        providers,
        environment,
    })
}

/// The version that the library states; `ort` checks it but does not tell it.
fn version(path: &Path) -> Result<String, libloading::Error> {
    // SAFETY: the user or the installation names this library to be loaded; the symbol has had this type in every release.
    unsafe {
        let library = libloading::Library::new(path)?;
        let base = library.get::<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase>(b"OrtGetApiBase")?();
        let text = ((*base).GetVersionString)();
        let version = CStr::from_ptr(text).to_string_lossy().into_owned();
        std::mem::forget(library); // its threads and thread-locals do not bear unloading
        Ok(version)
    }
}

/// Level of ONNX Runtime's own messages, by the environment variable `ORT_LOG`; without it they are not shown, as every
/// failure comes back as an error as well.
fn wanted_log_level() -> Option<LogLevel> {
    match std::env::var("ORT_LOG").ok()?.as_str() {
        "verbose" => Some(LogLevel::Verbose),
        "info" => Some(LogLevel::Info),
        "warning" => Some(LogLevel::Warning),
        "error" => Some(LogLevel::Error),
        _ => None,
    }
}

fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    if wanted_log_level().is_some_and(|wanted| level >= wanted) {
        say(format_args!("onnxruntime {level:?} {category}: {message}"));
    }
}

/// A message of ONNX Runtime as one line of reasonable length, without the place in its source code.
pub(super) fn one_line(message: &str) -> String {
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    // "/onnxruntime_src/onnxruntime/core/x.cc:123 void f(int) the message": keep what follows the signature.
    let line = match line.find("/onnxruntime_src/") {
        Some(0) => line.split_once(") ").map_or(line.clone(), |(_, rest)| rest.to_owned()),
        _ => line,
    };
    let cut = line.floor_char_boundary(300);
    if cut < line.len() { format!("{}...", &line[..cut]) } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_many_lines_become_one() {
        assert_eq!(
            one_line("Load model failed:\n  no such operator\n\n"),
            "Load model failed: no such operator"
        );
        assert_eq!(
            one_line("/onnxruntime_src/core/x.cc:12 void F(int, long) libcuda is missing"),
            "libcuda is missing"
        );
        assert_eq!(one_line(&"é".repeat(400)).len(), 303);
    }

    #[test]
    fn a_missing_library_is_reported_with_every_place_and_the_remedy() {
        let place = |reason, path: &str| Place { reason, path: path.into() };
        let text = not_found(&[place("the checkout", "/a/.deps"), place("the system", "/usr/lib")]);
        assert!(
            text.contains("/a/.deps (the checkout), /usr/lib (the system)") && text.contains("scripts/install"),
            "{text}"
        );
        assert!(!text.contains('\n'));
        let text = not_found(&[place("ORT_DYLIB_PATH", "/a/libonnxruntime.so.1.*")]);
        assert!(text.contains("name the folder"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_library_is_refused_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libonnxruntime.so");
        std::fs::write(&path, "not a library").unwrap();
        let error = load(&path).unwrap_err();
        assert!(
            error.contains("libonnxruntime.so is no ONNX Runtime") && !error.contains('\n'),
            "{error}"
        );
    }
}
