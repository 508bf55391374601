//! The command line, as a library, so that other programs offer the same commands.

use crate::pairs::{PairOptions, write_pairs};
use crate::sheet::write_sheet;
use crate::{ClipOptions, Daylight, Layout, SceneOptions, Weather, write_clip};
use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Mutex;

/// Arguments of the program `maskline-synth`.
#[derive(Debug, clap::Parser)]
#[command(
    name = "maskline-synth",
    version,
    about = "Renders labelled driving scenes: picture and label pairs, video clips, contact sheets"
)]
pub struct Args {
    /// What to render.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be rendered.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Picture and label pairs, each of another scene: DIR/images, DIR/labels, classes.toml, train.txt, val.txt
    Pairs {
        /// Folder to write into; made if need be
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Number of pairs
        #[arg(long, value_name = "N", default_value_t = 100)]
        count: usize,
        /// Share of pairs listed in val.txt instead of train.txt
        #[arg(long, value_name = "F", default_value_t = 0.1)]
        val_share: f64,
        /// What all commands share
        #[command(flatten)]
        common: Common,
    },
    /// A video clip of one scene, and a label picture for every frame if asked
    Clip {
        /// Clip to write: NAME.mp4 or NAME.mkv (H.264, needs gst-launch-1.0), NAME.y4m (raw) or FOLDER/%06d.png
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Length in seconds
        #[arg(long, value_name = "S", default_value_t = 10.0)]
        seconds: f64,
        /// Frames a second
        #[arg(long, value_name = "F", default_value_t = 25)]
        fps: u32,
        /// Folder for the label pictures, 000000.png on: indexed PNG, pixel value = class id
        #[arg(long, value_name = "DIR")]
        labels: Option<PathBuf>,
        /// What all commands share
        #[command(flatten)]
        common: Common,
    },
    /// A PNG with samples in a grid, each with its labels in colour beside it
    Sheet {
        /// PNG to write
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Grid of samples, columns by rows
        #[arg(long, value_name = "CxR", default_value = "3x6")]
        grid: Size,
        /// What all commands share
        #[command(flatten)]
        common: Common,
    },
}

/// What all commands share.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Seed: the same one gives the same pictures on every machine
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// Picture size in pixels
    #[arg(long, value_name = "WxH", default_value = "480x360")]
    pub size: Size,
    /// Kind of street
    #[arg(long, value_enum, default_value_t = Layout::Any)]
    pub layout: Layout,
    /// Where the sun stands
    #[arg(long, value_enum, default_value_t = Daylight::Any)]
    pub light: Daylight,
    /// Factor on the number of vehicles, people and signs, 0 to 3
    #[arg(long, value_name = "K", default_value_t = 1.0)]
    pub clutter: f32,
    /// Hard weather over the scenes
    #[arg(long, value_enum)]
    pub weather: Option<Weather>,
    /// Print nothing but errors
    #[arg(long)]
    pub quiet: bool,
}

/// Two numbers written `640x360`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The first number: width or columns.
    pub width: usize,
    /// The second number: height or rows.
    pub height: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("found {text:?}, wanted two numbers from 1 to 8192 like 480x360");
        let (w, h) = text.split_once('x').ok_or_else(wrong)?;
        let number = |s: &str| s.parse::<usize>().ok().filter(|n| (1..=8192).contains(n)).ok_or_else(wrong);
        Ok(Self {
            width: number(w)?,
            height: number(h)?,
        })
    }
}

/// A wish that cannot be met; exit code 64.
#[derive(Debug)]
struct Usage(String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

pub(crate) fn usage(text: String) -> anyhow::Error {
    anyhow::Error::new(Usage(text))
}

/// The program's exit code for an error: 64 for a wish that cannot be met, 74 for files and programs, else 70.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|e| e.is::<Usage>()) {
        64
    } else if error.chain().any(|e| e.is::<std::io::Error>() || e.is::<png::EncodingError>()) {
        74
    } else {
        70
    }
}

/// Does what a command says. Progress goes to standard error, the class shares to standard output.
///
/// # Errors
/// One line; [`exit_code`] tells what kind.
pub fn run(command: &Command) -> Result<()> {
    let (common, shares) = match command {
        Command::Pairs {
            out,
            count,
            val_share,
            common,
        } => {
            if *count == 0 || !(0.0..=1.0).contains(val_share) {
                return Err(usage(format!(
                    "found --count {count} --val-share {val_share}, wanted at least 1 pair and a share from 0 to 1"
                )));
            }
            let options = PairOptions {
                count: *count,
                seed: common.seed,
                width: common.size.width,
                height: common.size.height,
                val_share: *val_share,
                scene: common.scene()?,
            };
            let counter = Counter::new("pairs", *count, common.quiet);
            (common, write_pairs(out, &options, |n| counter.show(n))?)
        }
        Command::Clip {
            out,
            seconds,
            fps,
            labels,
            common,
        } => {
            let frames = (seconds * f64::from(*fps)).round();
            if !(1.0..=1e7).contains(&frames) {
                return Err(usage(format!(
                    "found --seconds {seconds} --fps {fps}, wanted a clip of 1 to 10000000 frames"
                )));
            }
            let options = ClipOptions {
                frames: frames as usize,
                fps: *fps,
                seed: common.seed,
                width: common.size.width,
                height: common.size.height,
                scene: common.scene()?,
                labels: labels.clone(),
            };
            let counter = Counter::new("frames", options.frames, common.quiet);
            (common, write_clip(out, &options, |n| counter.show(n))?)
        }
        Command::Sheet { out, grid, common } => {
            if grid.width * grid.height > 400 {
                return Err(usage(format!(
                    "found --grid {}x{}, wanted at most 400 samples",
                    grid.width, grid.height
                )));
            }
            let size = (common.size.width, common.size.height);
            (
                common,
                write_sheet(out, grid.width, grid.height, common.seed, size, &common.scene()?)?,
            )
        }
    };
    if !common.quiet {
        println!("{}", shares.line());
    }
    Ok(())
}

impl Common {
    fn scene(&self) -> Result<SceneOptions> {
        if !(0.0..=3.0).contains(&self.clutter) {
            return Err(usage(format!("found --clutter {}, wanted 0 to 3", self.clutter)));
        }
        Ok(SceneOptions {
            layout: self.layout,
            light: self.light,
            clutter: self.clutter,
            weather: self.weather,
        })
    }
}

/// Progress: one line that changes on a terminal, else a line every tenth of the work.
struct Counter {
    what: &'static str,
    total: usize,
    quiet: bool,
    shown: Mutex<usize>,
}

impl Counter {
    fn new(what: &'static str, total: usize, quiet: bool) -> Self {
        Self {
            what,
            total,
            quiet,
            shown: Mutex::new(0),
        }
    }

    fn show(&self, done: usize) {
        let mut shown = self.shown.lock().expect("no holder of this lock can panic");
        if self.quiet || done <= *shown {
            return;
        }
        let mut err = std::io::stderr();
        // A progress line that cannot be written is no reason to stop.
        if err.is_terminal() {
            let _ = write!(
                err,
                "\r{done} of {} {}{}",
                self.total,
                self.what,
                if done == self.total { "\n" } else { "" }
            );
            *shown = done;
        } else if done * 10 / self.total > *shown * 10 / self.total {
            let _ = writeln!(err, "{done} of {} {}", self.total, self.what);
            *shown = done;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn sizes_read_as_written_and_wrong_ones_say_what_is_wanted() {
        assert_eq!("854x480".parse(), Ok(Size { width: 854, height: 480 }));
        for bad in ["854", "0x5", "5x", "axb", "9000x2", "-1x2"] {
            assert!(bad.parse::<Size>().unwrap_err().contains("480x360"), "{bad}");
        }
    }

    #[test]
    fn exit_codes_tell_wishes_from_files() {
        let dir = tempfile::tempdir().unwrap();
        let code = |args: &[&str]| {
            let args = Args::try_parse_from([&["maskline-synth"], args].concat()).unwrap();
            exit_code(&run(&args.command).unwrap_err())
        };
        let avi = dir.path().join("x.avi").display().to_string();
        assert_eq!(code(&["clip", "--quiet", "--out", &avi]), 64);
        assert_eq!(code(&["pairs", "--quiet", "--count", "0", "--out", &avi]), 64);
        assert_eq!(code(&["sheet", "--quiet", "--clutter", "9", "--out", &avi]), 64);
        let nowhere = dir.path().join("none/x.png").display().to_string();
        assert_eq!(
            code(&["sheet", "--quiet", "--grid", "1x1", "--size", "16x16", "--out", &nowhere]),
            74
        );
    }
}
