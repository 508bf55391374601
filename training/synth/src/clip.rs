//! Video clips of one scene, with a label picture for every frame.

use crate::{Picture, Scene, SceneOptions, Shares, y4m};
use anyhow::{Context, Result, anyhow, ensure};
use rayon::prelude::*;
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// What a clip shows.
#[derive(Debug, Clone)]
pub struct ClipOptions {
    /// Number of frames.
    pub frames: usize,
    /// Frames a second.
    pub fps: u32,
    /// Seed of the scene.
    pub seed: u64,
    /// Frame width in pixels; even for .mp4 and .mkv.
    pub width: usize,
    /// Frame height in pixels; even for .mp4 and .mkv.
    pub height: usize,
    /// What the seed shall not decide.
    pub scene: SceneOptions,
    /// Where the label pictures go: `000000.png` on, indexed, pixel value = class id.
    pub labels: Option<PathBuf>,
}

/// A file form, known by its name.
enum Form {
    /// Raw frames that every video tool reads.
    Y4m,
    /// H.264 by GStreamer, in this muxer.
    Encoded(&'static str),
    /// A folder of pictures: `%06d.png`.
    Pictures,
}

impl Form {
    fn of(path: &Path) -> Result<Self> {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if name == "%06d.png" {
            return Ok(Form::Pictures);
        }
        match path.extension().and_then(|e| e.to_str()) {
            Some("y4m") => Ok(Form::Y4m),
            Some("mp4") => Ok(Form::Encoded("mp4mux")),
            Some("mkv") => Ok(Form::Encoded("matroskamux")),
            _ => Err(crate::cli::usage(format!(
                "{}: the clip's form is not known, wanted a name that ends in .mp4, .mkv, .y4m or /%06d.png",
                path.display()
            ))),
        }
    }
}

/// Renders a clip into `path`, whose name decides the form: `.mp4` and `.mkv` (H.264, by the program `gst-launch-1.0`),
/// `.y4m` (raw I420, BT.709 above 576 rows, else BT.601, limited range) or `FOLDER/%06d.png`. A file appears under its
/// name only when it is complete. `progress` hears how many frames are done. Gives the class shares.
///
/// # Errors
/// One line: an unknown form, an odd size for H.264, `gst-launch-1.0` absent or failing, or the file that could not be written.
pub fn write_clip(path: &Path, options: &ClipOptions, mut progress: impl FnMut(usize)) -> Result<Shares> {
    let form = Form::of(path)?;
    ensure!(
        options.frames > 0 && options.fps > 0,
        crate::cli::usage(format!(
            "{} frames at {} a second make no clip, wanted at least 1 of each",
            options.frames, options.fps
        ))
    );
    if let Some(folder) = &options.labels {
        fs::create_dir_all(folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    }
    let mut sink = Sink::open(path, &form, options)?;
    let scene = Scene::new(options.seed, &options.scene);
    let mut shares = Shares::default();
    let batch = rayon::current_num_threads().max(1) * 2;
    for first in (0..options.frames).step_by(batch) {
        let last = (first + batch).min(options.frames);
        let pictures: Vec<Picture> = (first..last)
            .into_par_iter()
            .map(|k| {
                let picture = scene.render(k as f64 / f64::from(options.fps), options.width, options.height);
                if let Some(folder) = &options.labels {
                    picture.write_labels(&folder.join(format!("{k:06}.png")))?;
                }
                Ok(picture)
            })
            .collect::<Result<_>>()?;
        for (k, picture) in (first..).zip(&pictures) {
            sink.write(k, picture)?;
            shares.add(&picture.labels);
            progress(k + 1);
        }
    }
    sink.finish()?;
    Ok(shares)
}

enum Sink {
    Y4m {
        out: BufWriter<File>,
        part: Part,
    },
    Encoder {
        child: Child,
        stdin: Option<BufWriter<ChildStdin>>,
        part: Part,
    },
    Pictures(PathBuf),
}

/// A file that gets its name when it is complete, and vanishes if it never is.
struct Part {
    part: PathBuf,
    path: PathBuf,
    kept: bool,
}

impl Part {
    fn create(path: &Path) -> Result<(File, Self)> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(".part");
        let part = path.with_file_name(name);
        let file = File::create(&part).with_context(|| format!("{}: cannot write the clip", path.display()))?;
        Ok((
            file,
            Self {
                part,
                path: path.to_path_buf(),
                kept: false,
            },
        ))
    }

    fn keep(mut self) -> Result<()> {
        fs::rename(&self.part, &self.path).with_context(|| format!("{}: cannot name the finished clip", self.path.display()))?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.part); // nothing better can be done while another error is on its way
        }
    }
}

impl Sink {
    fn open(path: &Path, form: &Form, options: &ClipOptions) -> Result<Self> {
        match form {
            Form::Pictures => {
                let folder = path
                    .parent()
                    .filter(|p| !p.as_os_str().is_empty())
                    .unwrap_or(Path::new("."))
                    .to_path_buf();
                fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
                Ok(Self::Pictures(folder))
            }
            Form::Y4m => {
                let (file, part) = Part::create(path)?;
                let mut out = BufWriter::new(file);
                y4m::header(&mut out, options.width, options.height, options.fps)
                    .with_context(|| format!("{}: cannot write the clip", path.display()))?;
                Ok(Self::Y4m { out, part })
            }
            Form::Encoded(muxer) => {
                let odd = options.width % 2 + options.height % 2 > 0;
                ensure!(
                    !odd,
                    crate::cli::usage(format!(
                        "the clip is {}x{}, but H.264 wants even sides: change --size, or write a .y4m",
                        options.width, options.height
                    ))
                );
                let (file, part) = Part::create(path)?;
                let mut child = encoder(muxer, file)?;
                let pipe = child.stdin.take().context("the encoder has no input")?;
                let mut sink = Self::Encoder {
                    child,
                    stdin: Some(BufWriter::with_capacity(1 << 20, pipe)),
                    part,
                };
                if let Self::Encoder { stdin: Some(out), .. } = &mut sink {
                    y4m::header(out, options.width, options.height, options.fps).context("cannot write to the encoder")?;
                }
                Ok(sink)
            }
        }
    }

    fn write(&mut self, index: usize, picture: &Picture) -> Result<()> {
        match self {
            Self::Pictures(folder) => picture.write_image(&folder.join(format!("{index:06}.png"))),
            Self::Y4m { out, part } => y4m::frame(out, picture).with_context(|| format!("{}: cannot write the clip", part.path.display())),
            Self::Encoder {
                child, stdin: Some(out), ..
            } => match y4m::frame(out, picture) {
                Ok(()) => Ok(()),
                Err(error) => Err(failure(child, Some(error))),
            },
            Self::Encoder { stdin: None, .. } => Err(anyhow!("the encoder has been closed")),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::Pictures(_) => Ok(()),
            Self::Y4m { mut out, part } => {
                out.flush()
                    .with_context(|| format!("{}: cannot write the clip", part.path.display()))?;
                part.keep()
            }
            Self::Encoder { mut child, stdin, part } => {
                let flushed = stdin.map_or(Ok(()), |mut out| out.flush()); // and dropped: the encoder's input ends
                if let Err(error) = flushed {
                    return Err(failure(&mut child, Some(error)));
                }
                let status = child.wait().context("cannot wait for gst-launch-1.0")?;
                if !status.success() {
                    return Err(failure(&mut child, None));
                }
                part.keep()
            }
        }
    }
}

/// The encoder as a program of its own. It reads our frames from its standard input and writes to the file that is its
/// standard output, so no name of the user's enters the launch line.
fn encoder(muxer: &str, file: File) -> Result<Child> {
    let mut command = Command::new("gst-launch-1.0");
    command.args([
        "-q",
        "fdsrc",
        "fd=0",
        "!",
        "y4mdec",
        "!",
        "videoconvert",
        "!",
        "video/x-raw,format=I420",
        "!",
        "x264enc",
    ]);
    command.args([
        "speed-preset=veryfast",
        "pass=quant",
        "quantizer=19",
        "key-int-max=50",
        "!",
        "h264parse",
        "!",
        muxer,
        "!",
        "fdsink",
        "fd=1",
    ]);
    command.stdin(Stdio::piped()).stdout(file).stderr(Stdio::piped());
    command
        .spawn()
        .context("cannot start gst-launch-1.0, which encodes the clip: install gstreamer1.0-tools, or write a .y4m")
}

/// Why the encoder failed, in one line.
fn failure(child: &mut Child, error: Option<std::io::Error>) -> anyhow::Error {
    let _ = child.kill(); // it may have gone already
    let _ = child.wait();
    let mut text = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut text); // what can be read is told
    }
    let line = text
        .lines()
        .find(|l| l.contains("ERROR") || l.contains("WARNING"))
        .unwrap_or("it gave no reason")
        .to_string();
    let what = format!("gst-launch-1.0 could not encode the clip: {line}");
    match error {
        Some(error) => anyhow::Error::new(error).context(what),
        None => anyhow!(std::io::Error::other("the encoder failed")).context(what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(frames: usize) -> ClipOptions {
        ClipOptions {
            frames,
            fps: 10,
            seed: 4,
            width: 64,
            height: 48,
            scene: SceneOptions::default(),
            labels: None,
        }
    }

    #[test]
    fn a_raw_clip_holds_every_frame_and_its_labels() {
        let dir = tempfile::tempdir().unwrap();
        let (path, labels) = (dir.path().join("clip.y4m"), dir.path().join("labels"));
        let mut seen = 0;
        write_clip(
            &path,
            &ClipOptions {
                labels: Some(labels.clone()),
                ..options(5)
            },
            |n| seen = n,
        )
        .unwrap();
        let bytes = fs::read(&path).unwrap();
        let header = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        assert_eq!(bytes.len(), header + 5 * (6 + 64 * 48 * 3 / 2));
        assert_eq!(fs::read_dir(labels).unwrap().count(), 5);
        assert_eq!(seen, 5);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the unfinished file is gone");
    }

    #[test]
    fn a_folder_of_pictures_is_numbered_from_zero() {
        let dir = tempfile::tempdir().unwrap();
        write_clip(&dir.path().join("frames/%06d.png"), &options(3), |_| ()).unwrap();
        assert!(dir.path().join("frames/000002.png").exists());
    }

    #[test]
    fn an_encoded_clip_is_an_mp4_and_nothing_else_stays() {
        if Command::new("gst-launch-1.0").arg("--version").output().is_err() {
            println!("skipped: gst-launch-1.0 is not installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("it's a \"clip\" ! fakesink.mp4");
        write_clip(&path, &options(12), |_| ()).unwrap();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(&bytes[4..8], b"ftyp");
        assert!(bytes.windows(4).any(|w| w == b"moov"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn wrong_names_and_odd_sizes_are_refused_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let error = write_clip(&dir.path().join("clip.avi"), &options(1), |_| ()).unwrap_err();
        assert!(error.to_string().contains(".mp4, .mkv, .y4m"), "{error}");
        let error = write_clip(&dir.path().join("clip.mp4"), &ClipOptions { width: 63, ..options(1) }, |_| ()).unwrap_err();
        assert!(error.to_string().contains("63x48"), "{error}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
