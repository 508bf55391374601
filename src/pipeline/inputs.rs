//! What a run reads, so that no output is written over it.

use super::outputs::{same_file, same_name};
use crate::config::PipelineConfig;
use crate::pending::folder_of;
use crate::source;
use std::path::{Path, PathBuf};

/// What `path` is, if this run reads it.
pub(crate) fn read_as(config: &PipelineConfig, path: &Path) -> Option<&'static str> {
    if !path.exists() {
        return None;
    }
    if same_file(path, Path::new(&config.source.input)) {
        return Some("the input itself");
    }
    if source::files(&config.source.input).iter().any(|picture| same_name(path, picture)) {
        return Some("a picture of the input");
    }
    let model = config.model.name.as_deref().map(Path::new);
    let beside = model.map(|m| m.with_extension("toml"));
    let others = [
        ("the model", model),
        ("the model's sidecar", config.model.contract.as_deref().or(beside.as_deref())),
        ("the pipeline file", config.file.as_deref()),
    ];
    let hit = others
        .into_iter()
        .find(|(_, other)| other.is_some_and(|other| same_file(path, other)));
    hit.map(|(what, _)| what)
}

/// Whether the run reads files that lie in `folder`.
pub(super) fn lie_in(config: &PipelineConfig, folder: &Path) -> bool {
    let input = Path::new(&config.source.input);
    let files = source::files(&config.source.input);
    let pictures: Option<&PathBuf> = files.first(); // all of them lie in one folder
    same_file(folder, input) || pictures.is_some_and(|picture| same_file(folder, folder_of(picture)))
}
