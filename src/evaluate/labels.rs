//! Labels of a clip: a folder with one PNG a frame, class ids as pixel values.

use crate::error::{Kind, WithKind, fault};
use crate::frame::ClassMap;
use anyhow::{Context, Result};
use png::{BitDepth, ColorType, Decoder, Transformations};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// The PNG files of a folder in the order of their names.
///
/// # Errors
/// Kind 65 if there is no such folder, or no PNG in it.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>> {
    let name = folder.display();
    let read = || -> std::io::Result<Vec<PathBuf>> { std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let mut files = read()
        .with_context(|| format!("cannot read the labels in {name}"))
        .kind(Kind::BadInput)?;
    files.retain(|file| file.extension().is_some_and(|e| e.eq_ignore_ascii_case("png")));
    files.sort();
    if files.is_empty() {
        return Err(fault(
            Kind::BadInput,
            format!("{name} has no .png file, wanted one label a frame with class ids as pixel values"),
        ));
    }
    Ok(files)
}

/// The label of a frame.
///
/// # Errors
/// Kind 65 if there is none, or those of [`read`].
pub fn of_frame(files: &[PathBuf], index: u64) -> Result<ClassMap> {
    let file = usize::try_from(index).ok().and_then(|i| files.get(i));
    read(file.ok_or_else(|| {
        let line = format!("found {} labels, wanted one for each frame, of which there are more", files.len());
        fault(Kind::BadInput, line)
    })?)
}

/// One label: grey or indexed, up to 8 bits.
///
/// # Errors
/// Kind 65 if it cannot be read or has colours instead of ids.
pub fn read(path: &Path) -> Result<ClassMap> {
    let open = || -> Result<ClassMap> {
        let mut decoder = Decoder::new(BufReader::new(File::open(path)?));
        // Palette entries are ids here, not colours.
        decoder.set_transformations(Transformations::IDENTITY);
        let mut reader = decoder.read_info()?;
        let (color, depth) = reader.output_color_type();
        let bits = match (color, depth) {
            (ColorType::Grayscale | ColorType::Indexed, BitDepth::One | BitDepth::Two | BitDepth::Four | BitDepth::Eight) => depth as usize,
            _ => anyhow::bail!("found {color:?} of {depth:?} bits, wanted class ids: grey or indexed, up to 8 bits"),
        };
        let size = reader.output_buffer_size().context("it is too large")?;
        let mut bytes = vec![0; size];
        let info = reader.next_frame(&mut bytes)?;
        let width = info.width as usize;
        let mut ids = Vec::with_capacity(width * info.height as usize);
        for row in bytes.chunks_exact(info.line_size) {
            ids.extend((0..width).map(|x| row[x * bits / 8] >> (8 - bits - x * bits % 8) & (0xff >> (8 - bits)) as u8));
        }
        Ok(ClassMap {
            width: info.width,
            height: info.height,
            ids,
        })
    };
    open()
        .with_context(|| format!("cannot read the label {}", path.display()))
        .kind(Kind::BadInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, color: ColorType, depth: BitDepth, width: u32, rows: &[&[u8]]) {
        let mut encoder = png::Encoder::new(File::create(path).unwrap(), width, rows.len() as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![7; 48]);
        }
        encoder.write_header().unwrap().write_image_data(&rows.concat()).unwrap();
    }

    #[test]
    fn ids_are_pixel_values_at_any_depth() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        write(&path, ColorType::Grayscale, BitDepth::Eight, 3, &[&[1, 2, 11], &[0, 255, 4]]);
        assert_eq!(read(&path).unwrap().ids, [1, 2, 11, 0, 255, 4]);
        write(&path, ColorType::Indexed, BitDepth::Four, 3, &[&[0x1b, 0x50], &[0x0f, 0x20]]);
        assert_eq!(read(&path).unwrap().ids, [1, 11, 5, 0, 15, 2]);
        write(&path, ColorType::Grayscale, BitDepth::One, 9, &[&[0b1010_0001, 0b1000_0000]]);
        assert_eq!(read(&path).unwrap().ids, [1, 0, 1, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn colours_are_refused_and_so_is_an_empty_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(in_folder(folder.path()).unwrap_err().to_string().contains("no .png"));
        let path = folder.path().join("a.png");
        write(&path, ColorType::Rgb, BitDepth::Eight, 1, &[&[1, 2, 3]]);
        assert!(read(&path).unwrap_err().to_string().contains("wanted class ids"));
        assert_eq!(in_folder(folder.path()).unwrap(), [path]);
    }
}
