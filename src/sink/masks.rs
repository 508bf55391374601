//! Class maps as a folder of pictures: one indexed PNG a frame, ids as pixel values.

use super::sample::Sampler;
use crate::error::{Kind, WithKind, fault};
use crate::frame::ClassMap;
use anyhow::{Context, Result};
use maskline_models::Fit;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// What a picture of this writer says about its origin; a folder of other pictures is never written into.
const ORIGIN: (&str, &str) = ("Software", "maskline");

/// Where new pictures wait inside a folder that holds those of an earlier run: there, giving them their places is a rename
/// even if the folder is a mount of its own.
const WAITING: &str = ".part";

/// Writes `000000.png`, `000001.png` and so on into a folder.
///
/// Into an empty folder they go one by one, so that others can read along and a run that breaks off keeps what it did.
/// Where an earlier run has left its pictures, the new ones take their places together in [`MaskWriter::finish`]; dropped
/// without it, a writer leaves the earlier ones as they were (docs/decisions/010).
#[derive(Debug)]
pub struct MaskWriter {
    folder: PathBuf,
    /// Where the pictures wait, if they do.
    waiting: Option<PathBuf>,
    /// The folder was made for them.
    made: bool,
    finished: bool,
    palette: Vec<u8>,
    written: u64,
    sampler: Sampler,
}

impl MaskWriter {
    /// Makes the folder where it is missing. `palette` holds an RGB colour for every id.
    ///
    /// A folder may hold the pictures of an earlier run, which are replaced, but nothing else.
    ///
    /// # Errors
    /// 74 where the folder cannot be made or holds other files.
    pub fn create(folder: &Path, palette: &[[u8; 3]; 256]) -> Result<Self> {
        let shown = folder.display();
        let made = !folder.exists();
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {shown}: choose another one"))
            .kind(Kind::Io)?;
        let mut writer = Self {
            folder: folder.to_owned(),
            waiting: None,
            made,
            finished: false,
            palette: palette.concat(),
            written: 0,
            sampler: Sampler::default(),
        };
        let mut holds_earlier = false;
        for path in list(folder)? {
            let name = path.file_name().unwrap_or_default();
            if name == WAITING {
                let text = format!(
                    "{} is there already: another run writes into {shown} now, or one was broken off and left it; if none runs, remove it",
                    path.display()
                );
                return Err(fault(Kind::Usage, text));
            }
            if !is_scrap(name) && (number(name).is_none() || !is_ours(&path)) {
                let text = format!("{shown} holds {} besides masks: name a new or empty folder", name.display());
                return Err(fault(Kind::Io, text));
            }
            holds_earlier = true;
        }
        if holds_earlier {
            let waiting = folder.join(WAITING);
            fs::create_dir(&waiting)
                .with_context(|| format!("cannot make the folder {}: choose another one", waiting.display()))
                .kind(Kind::Io)?;
            writer.waiting = Some(waiting);
        } else {
            // An empty folder may still be one that cannot be written to.
            drop(
                tempfile::tempfile_in(folder)
                    .with_context(|| format!("cannot write into {shown}"))
                    .kind(Kind::Io)?,
            );
        }
        Ok(writer)
    }

    /// The folder in which pictures remain if the run breaks off; nothing if they wait for its end.
    pub fn partial(&self) -> Option<&Path> {
        self.waiting.is_none().then_some(&*self.folder)
    }

    /// Writes the class map of one frame of `width` x `height` pixels, by nearest neighbour out of the part of the model's
    /// input that the frame covers. A file appears under its name only when it is whole.
    ///
    /// # Errors
    /// 74 where the file cannot be written.
    pub fn write(&mut self, index: u64, map: &ClassMap, fit: &Fit, width: u32, height: u32) -> Result<()> {
        let place = self.waiting.as_deref().unwrap_or(&self.folder);
        let path = place.join(format!("{index:06}.png"));
        let part = place.join(format!(".{index:06}.png.part"));
        // Neither name is there unless a second run writes into the same folder.
        let result = File::create_new(&part).map_err(anyhow::Error::from).and_then(|file| {
            let part = TempPath::try_from_path(&part)?;
            self.encode(file, map, fit, width, height)?;
            Ok(part.persist_noclobber(&path).map_err(|e| e.error)?)
        });
        result
            .with_context(|| match path.exists() {
                true => format!("{} is there already: another run writes into this folder", path.display()),
                false => format!("cannot write {}: free some space or choose another folder", path.display()),
            })
            .kind(Kind::Io)?;
        self.written = self.written.max(index + 1);
        Ok(())
    }

    /// Puts the pictures in the places of those of an earlier run, of which none remains.
    ///
    /// # Errors
    /// 74 where one cannot be moved or removed.
    pub fn finish(mut self) -> Result<()> {
        self.finished = true;
        let Some(waiting) = self.waiting.take() else { return Ok(()) };
        let moved = list(&waiting)?.into_iter().try_for_each(|path| {
            let name = path.file_name().unwrap_or_default();
            fs::rename(&path, self.folder.join(name))
        });
        moved
            .with_context(|| format!("cannot move all masks out of {}", waiting.display()))
            .kind(Kind::Io)?;
        let mut outdated = list(&self.folder)?;
        outdated.retain(|path| {
            let name = path.file_name().unwrap_or_default();
            is_scrap(name) || number(name).is_some_and(|n| n >= self.written) && is_ours(path)
        });
        for path in outdated {
            fs::remove_file(&path)
                .with_context(|| format!("cannot remove the outdated {}", path.display()))
                .kind(Kind::Io)?;
        }
        fs::remove_dir(&waiting)
            .with_context(|| format!("cannot remove {}", waiting.display()))
            .kind(Kind::Io)
    }

    fn encode(&mut self, file: File, map: &ClassMap, fit: &Fit, width: u32, height: u32) -> Result<()> {
        let mut pixels = vec![0; width as usize * height as usize];
        self.sampler.sample(&mut pixels, width as usize, map, fit, (width, height));
        let mut file = BufWriter::new(file);
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.set_palette(self.palette.as_slice());
        encoder.set_compression(png::Compression::Fast);
        encoder.add_text_chunk(ORIGIN.0.into(), ORIGIN.1.into())?;
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&pixels)?;
        writer.finish()?;
        file.flush()?;
        Ok(())
    }
}

impl Drop for MaskWriter {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // What cannot be removed does no harm.
        if let Some(waiting) = &self.waiting {
            fs::remove_dir_all(waiting).ok();
        } else if self.made {
            fs::remove_dir(&self.folder).ok(); // refused, as it should be, once a picture is in it
        }
    }
}

/// Everything in a folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<io::Result<_>>());
    entries.with_context(|| format!("cannot list {}", folder.display())).kind(Kind::Io)
}

/// The number in a name such as `000042.png`.
fn number(name: &OsStr) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(".png")?;
    (digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// Whether it is a name such as `.000042.png.part`, which a run that was killed may leave.
fn is_scrap(name: &OsStr) -> bool {
    let inner = name.to_str().and_then(|n| n.strip_prefix('.')?.strip_suffix(".part"));
    inner.is_some_and(|n| number(OsStr::new(n)).is_some())
}

/// Whether a picture was written by this program.
fn is_ours(path: &Path) -> bool {
    let reader = File::open(path)
        .ok()
        .and_then(|f| png::Decoder::new(BufReader::new(f)).read_info().ok());
    reader.is_some_and(|r| {
        let mut texts = r.info().uncompressed_latin1_text.iter();
        texts.any(|t| (t.keyword.as_str(), t.text.as_str()) == ORIGIN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline_models::{Fit, Rect};

    fn whole(width: u32, height: u32) -> Fit {
        Fit {
            width,
            height,
            content: Rect { x: 0, y: 0, width, height },
            pad: 0,
        }
    }

    fn read(path: &Path) -> (png::ColorType, Vec<u8>, Vec<u8>) {
        let mut reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        let palette = reader.info().palette.clone().unwrap().to_vec();
        (reader.info().color_type, pixels, palette)
    }

    fn colours() -> [[u8; 3]; 256] {
        std::array::from_fn(|i| [i as u8, 255 - i as u8, 7])
    }

    #[test]
    fn ids_are_the_pixel_values_at_the_frames_size_and_the_palette_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut masks = MaskWriter::create(folder.path(), &colours()).unwrap();
        let ids = vec![1, 2, 200, 255];
        let map = ClassMap { width: 2, height: 2, ids };
        masks.write(0, &map, &whole(8, 8), 5, 4).unwrap();
        masks.finish().unwrap();
        let (kind, pixels, palette) = read(&folder.path().join("000000.png"));
        assert_eq!(kind, png::ColorType::Indexed);
        let (a, b) = ([1, 1, 2, 2, 2], [200, 200, 255, 255, 255]);
        assert_eq!(pixels, [a, a, b, b].concat());
        assert_eq!(palette[3 * 200..][..3], [200, 55, 7]);
    }

    #[test]
    fn only_what_the_frame_covers_of_a_letterboxed_input_is_in_its_mask() {
        let folder = tempfile::tempdir().unwrap();
        let mut masks = MaskWriter::create(folder.path(), &colours()).unwrap();
        let map = ClassMap {
            width: 4,
            height: 4,
            ids: [[9; 4], [1, 2, 3, 4], [5, 6, 7, 8], [9; 4]].concat(),
        };
        let content = Rect {
            x: 0,
            y: 2,
            width: 8,
            height: 4,
        };
        let fit = Fit { content, ..whole(8, 8) };
        masks.write(3, &map, &fit, 4, 2).unwrap();
        assert_eq!(read(&folder.path().join("000003.png")).1, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_folder_with_other_files_is_refused_and_an_earlier_run_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let map = ClassMap {
            width: 1,
            height: 1,
            ids: vec![1],
        };
        let mut masks = MaskWriter::create(folder.path(), &colours()).unwrap();
        for index in 0..3 {
            masks.write(index, &map, &whole(1, 1), 1, 1).unwrap();
        }
        masks.finish().unwrap();
        let mut masks = MaskWriter::create(folder.path(), &colours()).unwrap();
        masks.write(0, &map, &whole(1, 1), 1, 1).unwrap();
        masks.finish().unwrap();
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, ["000000.png"]);

        let foreign = folder.path().join("000001.png");
        let mut encoder = png::Encoder::new(File::create(&foreign).unwrap(), 1, 1);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        let error = format!("{:#}", MaskWriter::create(folder.path(), &colours()).unwrap_err());
        assert!(error.contains("000001.png") && error.contains("new or empty folder"), "{error}");
        assert!(foreign.exists());
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = list(folder)
            .unwrap()
            .iter()
            .map(|p| p.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Writes so many masks whose one pixel is `id`.
    fn write(masks: &mut MaskWriter, frames: u64, id: u8) {
        let map = ClassMap {
            width: 1,
            height: 1,
            ids: vec![id],
        };
        (0..frames).for_each(|index| masks.write(index, &map, &whole(1, 1), 1, 1).unwrap());
    }

    #[test]
    fn masks_of_an_earlier_run_stay_until_the_new_ones_are_complete() {
        let outer = tempfile::tempdir().unwrap();
        let folder = &outer.path().join("masks");
        let mut masks = MaskWriter::create(folder, &colours()).unwrap();
        write(&mut masks, 3, 1);
        masks.finish().unwrap();
        // What a killed run may leave is tidied up.
        fs::write(folder.join(".000007.png.part"), "").unwrap();

        let mut masks = MaskWriter::create(folder, &colours()).unwrap();
        write(&mut masks, 2, 2);
        let second = format!("{:#}", MaskWriter::create(folder, &colours()).unwrap_err());
        assert!(second.contains(".part is there already"), "{second}");
        drop(masks);
        assert_eq!(names(folder), [".000007.png.part", "000000.png", "000001.png", "000002.png"]);
        assert_eq!(read(&folder.join("000001.png")).1, [1]);

        let mut masks = MaskWriter::create(folder, &colours()).unwrap();
        write(&mut masks, 2, 2);
        assert_eq!(read(&folder.join("000001.png")).1, [1]);
        masks.finish().unwrap();
        assert_eq!(names(folder), ["000000.png", "000001.png"]);
        assert_eq!(read(&folder.join("000001.png")).1, [2]);
    }

    #[test]
    fn masks_in_an_empty_folder_can_be_read_along_and_stay_if_the_run_breaks_off() {
        let outer = tempfile::tempdir().unwrap();
        let folder = &outer.path().join("masks");
        drop(MaskWriter::create(folder, &colours()).unwrap());
        assert!(!folder.exists(), "a folder without a mask goes again");
        let mut masks = MaskWriter::create(folder, &colours()).unwrap();
        let mut other = MaskWriter::create(folder, &colours()).unwrap();
        write(&mut masks, 2, 1);
        assert_eq!(names(folder), ["000000.png", "000001.png"]);
        let map = ClassMap {
            width: 1,
            height: 1,
            ids: vec![9],
        };
        let error = format!("{:#}", other.write(0, &map, &whole(1, 1), 1, 1).unwrap_err());
        assert!(error.contains("another run"), "{error}");
        drop(masks);
        assert_eq!(names(folder), ["000000.png", "000001.png"]);
        assert_eq!(read(&folder.join("000000.png")).1, [1]);
    }
}
