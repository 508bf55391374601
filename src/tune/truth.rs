//! What class maps are held against: those of the reference, and labels.

use super::net::Net;
use crate::error::{Kind, fault};
use crate::evaluate::judge::Judge;
use crate::evaluate::labels;
use crate::evaluate::spool::Spool;
use crate::frame::{ClassMap, VideoFormat};
use anyhow::Result;
use maskline_models::Class;
use std::path::{Path, PathBuf};

/// Class maps of every frame of the clip.
pub(super) struct Truth {
    reference: Spool,
    classes: Vec<Class>,
    labels: Option<Vec<PathBuf>>,
    format: (u32, u32),
}

impl Truth {
    /// The maps that the reference gave, and one label for each of them.
    pub fn new(reference: Spool, net: &Net, labels: Option<Vec<PathBuf>>, format: &VideoFormat) -> Self {
        Self {
            reference,
            classes: net.classes.clone(),
            labels,
            format: (format.width, format.height),
        }
    }

    /// Mean IoU (0-1) of the reference, where there are labels.
    ///
    /// # Errors
    /// Those of [`Self::judge`].
    pub fn miou_of_reference(&mut self) -> Result<Option<f64>> {
        let mut judge = Judge::default();
        self.reference.rewind()?;
        let mut index = 0;
        while let Some(map) = self.reference.next()? {
            self.check(&mut judge, index, &map)?;
            index += 1;
        }
        self.miou(&judge)
    }

    /// Agreement with the reference and mIoU against the labels, as shares (0-1).
    ///
    /// # Errors
    /// Kind 65 if labels cannot be read, are too few, of another shape than the frames, or show no class of the nets; kind 74
    /// if maps cannot be read.
    pub fn judge(&mut self, net: &Net, mut maps: Spool) -> Result<(f64, Option<f64>)> {
        let mut judge = Judge::default();
        maps.rewind()?;
        self.reference.rewind()?;
        let mut index = 0;
        while let (Some(mut map), Some(reference)) = (maps.next()?, self.reference.next()?) {
            net.translate(&mut map);
            judge.agree(&map, &reference);
            self.check(&mut judge, index, &map)?;
            index += 1;
        }
        Ok((judge.agreement(), self.miou(&judge)?))
    }

    fn check(&self, judge: &mut Judge, index: u64, map: &ClassMap) -> Result<()> {
        let Some(files) = &self.labels else { return Ok(()) };
        let label = labels::of_frame(files, index)?;
        check_shape(&label, &files[index as usize], self.format)?;
        judge.check(map, &self.classes, &label);
        Ok(())
    }

    fn miou(&self, judge: &Judge) -> Result<Option<f64>> {
        let (Some(files), Some(truth)) = (&self.labels, judge.truth()) else {
            return Ok(None);
        };
        if truth.pixels == 0 {
            let line = format!("{} and the other labels have no pixel with the id of a class", files[0].display());
            return Err(fault(Kind::BadInput, line));
        }
        Ok(Some(truth.miou))
    }
}

/// The labels of a clip, the first of which is looked at.
///
/// # Errors
/// Kind 65 as in [`Truth::judge`].
pub(super) fn open_labels(folder: &Path, format: &VideoFormat) -> Result<Vec<PathBuf>> {
    let files = labels::in_folder(folder)?;
    check_shape(&labels::of_frame(&files, 0)?, &files[0], (format.width, format.height))?;
    Ok(files)
}

/// Labels may be smaller or larger than frames, but not of another shape: they would be about other places.
fn check_shape(label: &ClassMap, file: &Path, (width, height): (u32, u32)) -> Result<()> {
    let shape = |w: u32, h: u32| f64::from(w) / f64::from(h);
    let apart = shape(label.width, label.height) / shape(width, height);
    if (apart - 1.0).abs() <= 0.02 {
        return Ok(());
    }
    let line = format!(
        "the label {} is {}x{}, wanted the shape of the frames, which are {width}x{height}",
        file.display(),
        label.width,
        label.height
    );
    Err(fault(Kind::BadInput, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_have_the_shape_of_the_frames_if_not_their_size() {
        let label = |width, height| ClassMap {
            width,
            height,
            ids: Vec::new(),
        };
        let check = |w, h| check_shape(&label(w, h), Path::new("a.png"), (1280, 720));
        assert!(check(1280, 720).is_ok() && check(640, 360).is_ok() && check(544, 304).is_ok());
        let line = check(480, 360).unwrap_err().to_string();
        assert!(line.contains("a.png is 480x360") && line.contains("1280x720"), "{line}");
    }
}
