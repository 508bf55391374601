//! Decoding of pictures and labels.

use super::listing::Pair;
use super::{Sample, bad};
use crate::error::{Kind, fault, io_fault};
use crate::files::write_whole;
use crate::metrics::IGNORE;
use crate::scale::{resize_nearest, resize_rgb};
use anyhow::Result;
use image::ImageEncoder;
use maskline_models::Class;
use std::path::Path;

/// From class ids in files to class numbers in the order of the net's scores, and back.
#[derive(Debug, Clone)]
pub struct ClassTable {
    numbers: [Option<u8>; 256],
    ids: Vec<u8>,
}

impl ClassTable {
    /// The table of a class list; ignored classes become [`IGNORE`].
    pub fn new(classes: &[Class]) -> Self {
        let mut numbers = [None; 256];
        let mut ids = Vec::new();
        for class in classes {
            numbers[usize::from(class.id)] = Some(if class.ignore {
                IGNORE
            } else {
                ids.push(class.id);
                (ids.len() - 1) as u8
            });
        }
        Self { numbers, ids }
    }

    /// The same classes, for files whose values mean these class numbers.
    pub fn reading(self, numbers: [Option<u8>; 256]) -> Self {
        Self { numbers, ..self }
    }

    /// Number of classes that count.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// True if no class counts.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The class number of an id, if it is one.
    pub fn number(&self, id: u8) -> Option<u8> {
        self.numbers[usize::from(id)]
    }

    /// The id of a class number.
    pub fn id(&self, number: usize) -> Option<u8> {
        self.ids.get(number).copied()
    }

    /// Turns ids into class numbers in place; gives the first id that is no class.
    pub fn apply(&self, ids: &mut [u8]) -> Result<(), u8> {
        for id in ids {
            *id = self.number(*id).ok_or(*id)?;
        }
        Ok(())
    }
}

/// Reads a pair and checks that its sizes agree and that every id is a class. With a `size` both are scaled to that width and
/// height: the picture filtered, the label by its nearest pixels.
pub fn read_pair(pair: &Pair, table: &ClassTable, size: Option<[u32; 2]>) -> Result<Sample> {
    let (width, height, rgb) = read_rgb(&pair.picture)?;
    let (label_width, label_height, mut labels) = read_ids(&pair.label)?;
    if (width, height) != (label_width, label_height) {
        return Err(bad(format!(
            "{} is {width}x{height}, but its label {} is {label_width}x{label_height}; both must have one size",
            pair.picture.display(),
            pair.label.display()
        )));
    }
    table.apply(&mut labels).map_err(|id| {
        bad(format!(
            "{} holds the id {id}, which is neither a class nor ignored; wanted ids of the class list, or of the map",
            pair.label.display(),
        ))
    })?;
    let sample = Sample {
        name: pair.name(),
        width,
        height,
        rgb,
        labels,
    };
    match size {
        Some([width, height]) => scaled(sample, (width as usize, height as usize)),
        None => Ok(sample),
    }
}

/// Reads a picture without labels.
///
/// # Errors
/// If it is no PNG or JPEG (exit code 65).
pub fn read_picture(path: &Path) -> Result<Sample> {
    let (width, height, rgb) = read_rgb(path)?;
    Ok(Sample {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        labels: vec![IGNORE; width * height],
        width,
        height,
        rgb,
    })
}

fn scaled(sample: Sample, to: (usize, usize)) -> Result<Sample> {
    let from = (sample.width, sample.height);
    Ok(Sample {
        rgb: resize_rgb(&sample.rgb, from, to)?,
        labels: resize_nearest(&sample.labels, from, to),
        width: to.0,
        height: to.1,
        name: sample.name,
    })
}

/// Makes a folder for pictures, which may be there but must be empty, so that nothing of anybody is replaced.
///
/// # Errors
/// If it holds something (exit code 64) or cannot be made (74).
pub fn new_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| io_fault("make the folder", path, e))?;
    let mut held = std::fs::read_dir(path).map_err(|e| io_fault("read the folder", path, e))?;
    match held.next() {
        None => Ok(()),
        Some(_) => Err(fault(
            Kind::Usage,
            format!("--out is {}, which holds files: name a new or an empty folder", path.display()),
        )),
    }
}

/// Width, height and RGB bytes of a PNG or JPEG file.
pub fn read_rgb(path: &Path) -> Result<(usize, usize, Vec<u8>)> {
    let picture = image::open(path)
        .map_err(|e| bad(format!("cannot read the picture {}: {e}", path.display())))?
        .into_rgb8();
    Ok((picture.width() as usize, picture.height() as usize, picture.into_raw()))
}

/// Width, height and raw pixel values of a grey or indexed PNG of at most 8 bits.
///
/// # Errors
/// If it is none (exit code 65).
pub fn read_ids(path: &Path) -> Result<(usize, usize, Vec<u8>)> {
    let damaged = |e: &dyn std::fmt::Display| bad(format!("cannot read the label {}: {e}", path.display()));
    let file = std::fs::File::open(path).map_err(|e| damaged(&e))?;
    let mut decoder = png::Decoder::new(std::io::BufReader::new(file));
    decoder.set_transformations(png::Transformations::IDENTITY);
    let mut reader = decoder.read_info().map_err(|e| damaged(&e))?;
    let info = reader.info();
    let (width, height, depth, color) = (info.width as usize, info.height as usize, info.bit_depth, info.color_type);
    if !matches!(color, png::ColorType::Grayscale | png::ColorType::Indexed) || depth == png::BitDepth::Sixteen {
        return Err(damaged(&format!(
            "found {color:?} of {depth:?} bits, wanted a grey or indexed PNG of at most 8 bits with class ids as pixel values"
        )));
    }
    let size = reader.output_buffer_size().ok_or_else(|| damaged(&"too large"))?;
    let mut bytes = vec![0; size];
    let frame = reader.next_frame(&mut bytes).map_err(|e| damaged(&e))?;
    let bits = depth as usize;
    if bits == 8 {
        bytes.truncate(width * height);
        return Ok((width, height, bytes));
    }
    let per_byte = 8 / bits;
    let ids = (0..width * height).map(|i| {
        let (y, x) = (i / width, i % width);
        let byte = bytes[y * frame.line_size + x / per_byte];
        byte >> (8 - bits * (x % per_byte + 1)) & ((1 << bits) - 1)
    });
    Ok((width, height, ids.collect()))
}

/// Writes an RGB PNG.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn write_rgb(path: &Path, width: usize, height: usize, rgb: &[u8]) -> Result<()> {
    write_png(path, [width, height], rgb, image::ExtendedColorType::Rgb8)
}

/// Writes a grey PNG whose pixel values are class ids.
///
/// # Errors
/// If the file cannot be written (exit code 74).
pub fn write_ids(path: &Path, width: usize, height: usize, ids: &[u8]) -> Result<()> {
    write_png(path, [width, height], ids, image::ExtendedColorType::L8)
}

fn write_png(path: &Path, [width, height]: [usize; 2], values: &[u8], kind: image::ExtendedColorType) -> Result<()> {
    let mut png = Vec::new();
    let encoder = image::codecs::png::PngEncoder::new(&mut png);
    encoder
        .write_image(values, width as u32, height as u32, kind)
        .map_err(|e| io_fault("write", path, e))?;
    write_whole(path, &png)
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline_models::classes::driving_classes;

    #[test]
    fn ids_become_numbers_and_void_is_ignored() {
        let table = ClassTable::new(&driving_classes());
        let mut ids = [0, 10, 11];
        table.apply(&mut ids).unwrap();
        assert_eq!(ids, [0, 10, IGNORE]);
        assert_eq!(table.apply(&mut [3, 12]), Err(12));
        assert_eq!((table.len(), table.id(10)), (11, Some(10)));
    }

    #[test]
    fn indexed_labels_of_four_bits_give_their_indices() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("label.png");
        let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 3, 2);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_depth(png::BitDepth::Four);
        encoder.set_palette(vec![0; 48]);
        encoder.write_header().unwrap().write_image_data(&[0x12, 0x30, 0x45, 0x60]).unwrap();
        assert_eq!(read_ids(&path).unwrap(), (3, 2, vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn a_bad_pair_is_refused_with_what_was_found() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let grey = |path: &Path, w: u32, h: u32, value: u8| {
            image::GrayImage::from_pixel(w, h, image::Luma([value])).save(path).unwrap();
        };
        write_rgb(&at("picture.png"), 4, 3, &[7; 36]).unwrap();
        grey(&at("small.png"), 2, 3, 0);
        grey(&at("odd.png"), 4, 3, 77);
        std::fs::write(at("text.png"), "hello").unwrap();
        let table = ClassTable::new(&driving_classes());
        let read = |label: &str| {
            let pair = Pair {
                picture: at("picture.png"),
                label: at(label),
            };
            read_pair(&pair, &table, None).unwrap_err().to_string()
        };
        assert!(read("small.png").contains("is 4x3, but its label"));
        assert!(read("odd.png").contains("holds the id 77"));
        assert!(read("text.png").contains("cannot read the label"));
        assert!(read("picture.png").contains("found Rgb"));
    }
}
