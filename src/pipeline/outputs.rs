//! Looks at the outputs before anything is opened, so that a mistake costs no time and no file.

use super::inputs;
use crate::config::{OnExisting, OutputConfig, PipelineConfig};
use crate::error::{Kind, fault};
use crate::pending::{folder_of, is_device, is_direct};
use crate::{sheet, sink};
use anyhow::Result;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether these outputs can be written and hit neither the input, nor each other, nor a file that shall stay.
///
/// # Errors
/// Kind 64 for outputs that make no sense, kind 74 for places that cannot be written to.
pub(super) fn check(config: &PipelineConfig) -> Result<()> {
    let output = &config.output;
    let files = files(output);
    if files.is_empty() && output.masks.is_none() {
        let wanted = "wanted at least one of --output, --masks, --json, --report, --sheet";
        return Err(fault(Kind::Usage, format!("found nothing to write, {wanted}")));
    }
    if output.sheet.is_some() && output.video.is_none() {
        return Err(fault(Kind::Usage, "--sheet shows the masked video, so it needs --output"));
    }
    output.video.as_deref().map_or(Ok(()), sink::check)?;
    output.sheet.as_deref().map_or(Ok(()), sheet::check)?;
    for (i, (flag, path)) in files.iter().enumerate() {
        let name = path.display();
        parent(path)?;
        if path.is_dir() {
            return Err(fault(Kind::Io, format!("{flag} {name} is a folder, wanted a file name")));
        }
        if let Some(what) = inputs::read_as(config, path) {
            let remedy = "give the output another name";
            return Err(fault(Kind::Usage, format!("{flag} {name} is {what}: {remedy}")));
        }
        if let Some((other, _)) = files[..i].iter().find(|(_, p)| same_name(p, path) || same_file(p, path)) {
            return Err(fault(
                Kind::Usage,
                format!("{other} and {flag} are the same file {name}, wanted two"),
            ));
        }
        if is_direct(path) {
            if matches!(*flag, "--json" | "--report") {
                continue;
            }
            return Err(fault(
                Kind::Usage,
                format!("{flag} {name} is a device or a pipe, wanted a file name"),
            ));
        }
        if output.existing == OnExisting::Refuse && fs::symlink_metadata(path).is_ok() {
            let remedy = "give another name, or --overwrite to replace it";
            return Err(fault(Kind::Usage, format!("{flag} {name} exists already: {remedy}")));
        }
    }
    output.video.as_deref().map_or(Ok(()), sink::is_free)?;
    output.masks.as_deref().map_or(Ok(()), |folder| masks(folder, config))
}

fn files(output: &OutputConfig) -> Vec<(&'static str, &PathBuf)> {
    [
        ("--output", &output.video),
        ("--json", &output.json),
        ("--report", &output.report),
        ("--sheet", &output.sheet),
    ]
    .into_iter()
    .filter_map(|(flag, path)| Some((flag, path.as_ref()?)))
    .collect()
}

fn masks(folder: &Path, config: &PipelineConfig) -> Result<()> {
    let name = folder.display();
    if let Some((flag, _)) = files(&config.output).iter().find(|(_, file)| same_name(file, folder)) {
        let line = format!("--masks and {flag} have the same name {name}, wanted a folder and a file");
        return Err(fault(Kind::Usage, line));
    }
    if !folder.exists() {
        return parent(folder);
    }
    if !folder.is_dir() {
        return Err(fault(Kind::Io, format!("--masks {name} is a file, wanted a folder")));
    }
    if inputs::lie_in(config, folder) {
        return Err(fault(
            Kind::Usage,
            format!("--masks {name} is where the input lies: give another folder"),
        ));
    }
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if config.output.existing == OnExisting::Refuse && !is_empty {
        let remedy = "give another folder, or --overwrite to write into this one";
        return Err(fault(Kind::Usage, format!("--masks {name} is not empty: {remedy}")));
    }
    Ok(())
}

fn parent(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    let what = if folder.exists() { "is no folder" } else { "does not exist" };
    let remedy = format!("make it first: mkdir -p {}", folder.display());
    Err(fault(
        Kind::Io,
        format!("cannot write {}: the folder {} {what}; {remedy}", path.display(), folder.display()),
    ))
}

/// Two names of one file, be it through links.
pub(super) fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()) && !is_device(&a),
        _ => false,
    }
}

/// The same name for files that may not be there yet.
pub(super) fn same_name(a: &Path, b: &Path) -> bool {
    a.file_name() == b.file_name() && (a == b || same_file(folder_of(a), folder_of(b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn config(input: &Path, video: Option<&Path>) -> PipelineConfig {
        let mut config = PipelineConfig::default();
        config.source.input = input.to_string_lossy().into_owned();
        config.output.video = video.map(Path::to_path_buf);
        config
    }

    fn refusal(config: &PipelineConfig) -> String {
        check(config).unwrap_err().to_string()
    }

    #[test]
    fn the_input_is_never_written_over_not_even_through_a_link_or_with_overwrite() {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("a.mp4");
        fs::write(&input, "x").unwrap();
        let (soft, hard) = (folder.path().join("soft.mp4"), folder.path().join("hard.mp4"));
        symlink(&input, &soft).unwrap();
        fs::hard_link(&input, &hard).unwrap();
        for output in [&input, &soft, &hard, &folder.path().join("../").join(folder.path()).join("a.mp4")] {
            let mut config = config(&input, Some(output));
            config.output.existing = OnExisting::Replace;
            assert!(refusal(&config).contains("is the input itself"), "{}", output.display());
        }
    }

    #[test]
    fn nothing_that_the_run_reads_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        fs::create_dir(place("pictures")).unwrap();
        for name in ["pictures/001.png", "net.onnx", "net.toml", "p.toml"] {
            fs::write(place(name), "x").unwrap();
        }
        let mut config = config(&place("pictures"), None);
        config.model.name = Some(place("net.onnx").to_string_lossy().into_owned());
        config.file = Some(place("p.toml"));
        config.output.existing = OnExisting::Replace;
        for input in ["pictures", "pictures/%03d.png"] {
            config.source.input = place(input).to_string_lossy().into_owned();
            for (name, part) in [
                ("pictures/001.png", "a picture of the input"),
                ("net.onnx", "the model:"),
                ("net.toml", "the model's sidecar"),
                ("p.toml", "the pipeline file"),
            ] {
                config.output.json = Some(place(name));
                assert!(refusal(&config).contains(part), "{}", refusal(&config));
            }
            config.output.json = None;
            config.output.masks = Some(place("pictures"));
            assert!(refusal(&config).contains("where the input lies"), "{}", refusal(&config));
            config.output.masks = None;
        }
        config.output.json = Some(place("pictures/report.json"));
        check(&config).unwrap();
    }

    #[test]
    fn names_that_only_the_end_of_the_run_would_refuse_are_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(Path::new("test:"), Some(&folder.path().join("a.mp4")));
        config.output.masks = Some(folder.path().join("x"));
        config.output.json = Some(folder.path().join("x"));
        assert!(refusal(&config).contains("--masks and --json have the same name"));
        config.output.json = None;
        config.output.sheet = Some(folder.path().join("x.jpg"));
        assert!(refusal(&config).contains(".png"));
        config.output.sheet = None;
        fs::write(folder.path().join("a.mp4.part"), "somebody's").unwrap();
        config.output.existing = OnExisting::Replace;
        assert!(refusal(&config).contains("a.mp4.part is there already"));
    }

    #[test]
    fn a_file_that_is_there_stays_unless_asked_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        fs::write(&output, "precious").unwrap();
        let mut config = config(Path::new("test:"), Some(&output));
        assert!(refusal(&config).contains("--overwrite"));
        config.output.existing = OnExisting::Replace;
        check(&config).unwrap();
        config.output.masks = Some(folder.path().into());
        check(&config).unwrap();
        config.output.existing = OnExisting::Refuse;
        config.output.video = None;
        assert!(refusal(&config).contains("not empty"));
    }

    #[test]
    fn a_device_takes_lines_but_is_never_replaced() {
        let mut config = config(Path::new("test:"), None);
        config.output.json = Some("/dev/null".into());
        check(&config).unwrap();
        config.output.existing = OnExisting::Replace;
        config.output.json = None;
        config.output.report = Some("/dev/null".into());
        check(&config).unwrap();
        config.output.masks = Some("/dev/null".into());
        assert!(refusal(&config).contains("wanted a folder"));
    }

    #[test]
    fn two_outputs_are_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(Path::new("test:"), Some(&folder.path().join("a.mp4")));
        config.output.json = Some(folder.path().join(".").join("a.mp4"));
        assert!(refusal(&config).contains("are the same file"));
    }

    #[test]
    fn a_missing_folder_is_answered_with_the_command_that_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(Path::new("test:"), Some(&folder.path().join("no/a.mp4")));
        assert!(refusal(&config).contains("mkdir -p"));
        config.output.video = None;
        config.output.masks = Some(folder.path().join("no/masks"));
        assert!(refusal(&config).contains("mkdir -p"));
        config.output.masks = Some(folder.path().join("masks"));
        check(&config).unwrap();
    }

    #[test]
    fn a_run_that_writes_nothing_is_a_mistake() {
        assert!(refusal(&config(Path::new("test:"), None)).contains("nothing to write"));
    }
}
