//! Class maps as a folder of pictures: one indexed PNG a frame, ids as pixel values.

use crate::error::{Kind, WithKind, fault};
use crate::frame::ClassMap;
use anyhow::{Context, Result};
use maskline_models::Fit;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a picture of this writer says about its origin; a folder of other pictures is never written into.
const ORIGIN: (&str, &str) = ("Software", "maskline");

/// Writes `000000.png`, `000001.png` and so on into a folder.
#[derive(Debug)]
pub struct MaskWriter {
    folder: PathBuf,
    palette: Vec<u8>,
    written: u64,
    columns: Columns,
    row: Vec<u8>,
}

/// Which column of a class map each column of a frame shows, remembered from frame to frame.
#[derive(Debug, Default, PartialEq, Eq)]
struct Columns {
    key: Option<(u32, u32, Fit)>,
    table: Vec<usize>,
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
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {shown}: choose another one"))
            .kind(Kind::Io)?;
        for entry in fs::read_dir(folder)
            .with_context(|| format!("cannot list {shown}"))
            .kind(Kind::Io)?
        {
            let entry = entry.with_context(|| format!("cannot list {shown}")).kind(Kind::Io)?;
            if number(&entry.file_name()).is_none() || !is_ours(&entry.path()) {
                let name = entry.file_name();
                let text = format!("{shown} holds {} besides masks: name a new or empty folder", name.display());
                return Err(fault(Kind::Io, text));
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            palette: palette.concat(),
            written: 0,
            columns: Columns::default(),
            row: Vec::new(),
        })
    }

    /// Writes the class map of one frame of `width` x `height` pixels, by nearest neighbour out of the part of the model's
    /// input that the frame covers. A file appears under its name only when it is whole.
    ///
    /// # Errors
    /// 74 where the file cannot be written.
    pub fn write(&mut self, index: u64, map: &ClassMap, fit: &Fit, width: u32, height: u32) -> Result<()> {
        let path = self.folder.join(format!("{index:06}.png"));
        let part = self.folder.join(format!(".{index:06}.png.part"));
        let result = self
            .encode(&part, map, fit, width, height)
            .and_then(|()| Ok(fs::rename(&part, &path)?));
        if result.is_err() {
            // What remains of it has no value, and the reason is already known.
            fs::remove_file(&part).ok();
        }
        result
            .with_context(|| format!("cannot write {}: free some space or choose another folder", path.display()))
            .kind(Kind::Io)?;
        self.written = self.written.max(index + 1);
        Ok(())
    }

    /// Removes the pictures of a longer earlier run.
    ///
    /// # Errors
    /// 74 where one cannot be removed.
    pub fn finish(self) -> Result<()> {
        let shown = self.folder.display();
        for entry in fs::read_dir(&self.folder)
            .with_context(|| format!("cannot list {shown}"))
            .kind(Kind::Io)?
        {
            let entry = entry.with_context(|| format!("cannot list {shown}")).kind(Kind::Io)?;
            if number(&entry.file_name()).is_some_and(|n| n >= self.written) && is_ours(&entry.path()) {
                fs::remove_file(entry.path())
                    .with_context(|| format!("cannot remove the outdated {}", entry.path().display()))
                    .kind(Kind::Io)?;
            }
        }
        Ok(())
    }

    fn encode(&mut self, path: &Path, map: &ClassMap, fit: &Fit, width: u32, height: u32) -> Result<()> {
        let mut pixels = vec![0; width as usize * height as usize];
        self.sample(&mut pixels, map, fit, width, height);
        let mut file = BufWriter::new(File::create(path)?);
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

    /// Fills `pixels` (`width * height` ids) from the map.
    fn sample(&mut self, pixels: &mut [u8], map: &ClassMap, fit: &Fit, width: u32, height: u32) {
        let key = Some((width, map.width, *fit));
        if self.columns.key != key {
            let content = (fit.content.x, fit.content.width);
            let table = (0..width).map(|x| nearest(x, width, content, fit.width, map.width)).collect();
            self.columns = Columns { key, table };
        }
        let content = (fit.content.y, fit.content.height);
        let mut last = usize::MAX;
        for (y, row) in pixels.chunks_exact_mut(width as usize).enumerate() {
            let from = nearest(y as u32, height, content, fit.height, map.height);
            if from != last {
                let ids = &map.ids[from * map.width as usize..][..map.width as usize];
                self.row.clear();
                self.row.extend(self.columns.table.iter().map(|&x| ids[x]));
                last = from;
            }
            row.copy_from_slice(&self.row);
        }
    }
}

/// The sample of a map `map` long that lies under the middle of pixel `at` of a frame `frame` long, which covers
/// `content` (begin, length) of a model input `input` long.
fn nearest(at: u32, frame: u32, content: (u32, u32), input: u32, map: u32) -> usize {
    let [at, frame, begin, length, input, map] = [at, frame, content.0, content.1, input, map].map(u64::from);
    // (begin + (at + 1/2) * length / frame) * map / input, in whole numbers
    let position = (2 * begin * frame + (2 * at + 1) * length) * map / (2 * frame * input);
    position.min(map - 1) as usize
}

/// The number in a name such as `000042.png`.
fn number(name: &OsStr) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(".png")?;
    (digits.len() >= 6 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
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
}
