//! Looks at the outputs before anything is opened, so that a mistake costs no time and no file.

use super::inputs;
use crate::config::{OnExisting, OutputConfig, PipelineConfig};
use crate::error::{Fault, Kind};
use crate::pending::{folder_of, is_device, is_direct, is_stdout};
use crate::{sheet, sink};
use anyhow::Result;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Whether these outputs can be written and hit neither the input, nor each other, nor a file that shall stay.
///
/// # Errors
/// One line for every problem: kind 64 for outputs that make no sense, kind 74 for places that cannot be written to.
pub(super) fn check(config: &PipelineConfig) -> Result<()> {
    let problems = problems(config, Depth::Here);
    let Some(kind) = problems.first().map(|p| p.kind) else {
        return Ok(());
    };
    let lines: Vec<_> = problems.into_iter().map(|p| p.message).collect();
    let message = lines.join("\n");
    Err(Fault { kind, message }.into())
}

/// How far outputs are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What is wrong on every machine.
    Anywhere,
    /// Also what only this machine can tell: folders, and files that are there already.
    Here,
}

/// What is wrong with the outputs.
pub(crate) fn problems(config: &PipelineConfig, depth: Depth) -> Vec<Fault> {
    let output = &config.output;
    let mut problems = Vec::new();
    if output.sheet.is_some() && output.video.is_none() {
        let name = config.places.name("output.sheet");
        let message = format!("{name} shows frames of the masked video, so it needs --output (video in [output]) as well");
        problems.push(fault(Kind::Usage, message));
    }
    let files = files(output);
    for (i, (key, path)) in files.iter().enumerate() {
        let problem = file(config, key, path).or_else(|| {
            let (other, _) = files[..i].iter().find(|(_, p)| same_name(p, path) || same_file(p, path))?;
            let other = if config.places.prefix(other).is_empty() {
                config.places.name(other)
            } else {
                (*other).to_owned()
            };
            let message = format!(
                "{} and {other} are the same file {}, wanted two",
                config.places.name(key),
                path.display()
            );
            Some(fault(Kind::Usage, message))
        });
        problems.extend(problem.or_else(|| (depth == Depth::Here).then(|| file_here(config, key, path))?));
    }
    if let Some(folder) = &output.masks {
        problems.extend(masks(config, folder, depth));
    } else if files.is_empty() && !output.window {
        let wanted = "wanted at least one of --output, --masks, --class-video, --json, --report, --sheet, --window (video, masks, class_video, json, report, sheet, window in [output])";
        problems.push(fault(Kind::Usage, format!("found nothing to write, {wanted}")));
    }
    problems
}

fn fault(kind: Kind, message: String) -> Fault {
    Fault { kind, message }
}

fn files(output: &OutputConfig) -> Vec<(&'static str, &PathBuf)> {
    [
        ("output.video", &output.video),
        ("output.class_video", &output.class_video),
        ("output.json", &output.json),
        ("output.report", &output.report),
        ("output.sheet", &output.sheet),
    ]
    .into_iter()
    .filter_map(|(key, path)| Some((key, path.as_ref()?)))
    .collect()
}

/// What a run with so many frames leaves behind, for people. Without a frame there is nothing to show.
pub(super) fn written(output: &OutputConfig, frames: u64) -> Vec<String> {
    let seen = |path: &Option<PathBuf>| path.clone().filter(|_| frames > 0);
    let outputs = [
        seen(&output.video),
        output.masks.clone(),
        seen(&output.class_video),
        output.json.clone(),
        output.report.clone(),
        seen(&output.sheet),
    ];
    let outputs = outputs.into_iter().flatten().filter(|path| !is_stdout(path));
    outputs.map(|path| path.display().to_string()).collect()
}

/// What is wrong with a file on every machine.
fn file(config: &PipelineConfig, key: &str, path: &Path) -> Option<Fault> {
    let name = config.places.name(key);
    if is_direct(path) && !takes_lines(key) {
        let what = if is_stdout(path) { "standard output" } else { "a device or a pipe" };
        let message = format!("{name} {} is {what}, wanted a file name", path.display());
        return Some(fault(Kind::Usage, message));
    }
    let sense = match key {
        "output.video" => sink::check(path),
        "output.class_video" => sink::check_class_video(path),
        "output.sheet" => sheet::check(path),
        _ => Ok(()),
    };
    sense.err().map(|error| fault(Kind::Usage, format!("{name} {error:#}")))
}

/// JSON can go to a device or a pipe.
fn takes_lines(key: &str) -> bool {
    matches!(key, "output.json" | "output.report")
}

/// What is wrong with a file on this machine.
fn file_here(config: &PipelineConfig, key: &str, path: &Path) -> Option<Fault> {
    if is_direct(path) {
        return None;
    }
    let name = format!("{} {}", config.places.name(key), path.display());
    if let Some(problem) = parent(&name, path) {
        return Some(problem);
    }
    if path.is_dir() {
        return Some(fault(Kind::Io, format!("{name} is a folder, wanted a file name")));
    }
    if let Some(what) = inputs::read_as(config, path) {
        let message = format!("{name} is {what}: give the output another name");
        return Some(fault(Kind::Usage, message));
    }
    if config.output.existing == OnExisting::Refuse && fs::symlink_metadata(path).is_ok() {
        let remedy = "give another name, or --overwrite (overwrite = true in [output]) to replace it";
        return Some(fault(Kind::Usage, format!("{name} exists already: {remedy}")));
    }
    let free = if matches!(key, "output.video" | "output.class_video") {
        sink::is_free(path)
    } else {
        Ok(())
    };
    free.err().map(|error| fault(Kind::Usage, format!("{error:#}")))
}

fn masks(config: &PipelineConfig, folder: &Path, depth: Depth) -> Option<Fault> {
    let name = format!("{} {}", config.places.name("output.masks"), folder.display());
    if is_stdout(folder) {
        return Some(fault(Kind::Usage, format!("{name} is standard output, wanted a folder")));
    }
    if let Some((key, _)) = files(&config.output).iter().find(|(_, file)| same_name(file, folder)) {
        let other = config.places.name(key);
        let masks = config.places.name("output.masks");
        let message = format!(
            "{masks} and {other} have the same name {}, wanted a folder and a file",
            folder.display()
        );
        return Some(fault(Kind::Usage, message));
    }
    if depth == Depth::Anywhere {
        return None;
    }
    if !folder.exists() {
        return parent(&name, folder);
    }
    if !folder.is_dir() {
        return Some(fault(Kind::Io, format!("{name} is a file, wanted a folder")));
    }
    if inputs::lie_in(config, folder) {
        return Some(fault(Kind::Usage, format!("{name} is where the input lies: give another folder")));
    }
    let is_empty = fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    if config.output.existing == OnExisting::Refuse && !is_empty {
        let remedy = "give another folder, or --overwrite (overwrite = true in [output]) to write into this one";
        return Some(fault(Kind::Usage, format!("{name} is not empty: {remedy}")));
    }
    None
}

fn parent(name: &str, path: &Path) -> Option<Fault> {
    let folder = folder_of(path);
    if folder.is_dir() {
        return None;
    }
    let what = if folder.exists() { "is no folder" } else { "does not exist" };
    let remedy = format!("make it first: mkdir -p {}", folder.display());
    let message = format!("{name} cannot be written: the folder {} {what}; {remedy}", folder.display());
    Some(fault(Kind::Io, message))
}

/// Two names of one file, be it through links.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()) && !is_device(&a),
        _ => false,
    }
}

/// The same name for files that may not be there yet.
pub(crate) fn same_name(a: &Path, b: &Path) -> bool {
    is_stdout(a) && is_stdout(b) || a.file_name() == b.file_name() && (a == b || same_file(folder_of(a), folder_of(b)))
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
    fn standard_output_takes_one_output_of_json_and_nothing_else() {
        let mut config = config(Path::new("test:"), None);
        config.output.json = Some("-".into());
        check(&config).unwrap();
        config.output.report = Some("/dev/stdout".into());
        assert!(refusal(&config).contains("--report and --json are the same file"));
        config.output = OutputConfig {
            masks: Some("-".into()),
            video: Some("-".into()),
            ..OutputConfig::default()
        };
        let lines = refusal(&config);
        assert_eq!(lines.lines().count(), 2, "{lines}");
        assert!(
            lines.starts_with("--output - is standard output, wanted a file name\n--masks - is"),
            "{lines}"
        );
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
