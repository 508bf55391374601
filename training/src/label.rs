//! Labels by a model wherever it is sure of itself, for learning from pictures that nobody has labelled (Lee 2013).

use crate::data::{ClassTable, clips_of, new_folder, pictures, read_picture, write_ids};
use crate::error::{Kind, fault};
use crate::eval::Subject;
use crate::metrics::{IGNORE, scored_names};
use crate::predict::{NO_SCORES, predict, softmax};
use anyhow::Result;
use maskline_models::Class;
use std::path::Path;

/// When a model is sure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Acceptance {
    /// The least probability of the best class that makes a label, 0 up to 1.
    pub threshold: f32,
    /// What scores are divided by first, above 0.
    pub temperature: f32,
}

/// What was labelled.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// Number of pictures.
    pub pictures: usize,
    /// Name and share of all pixels of each class.
    pub shares: Vec<(String, f64)>,
    /// Share of the pixels without label.
    pub unsure: f64,
    /// The id of such pixels in the files.
    pub unsure_id: u8,
}

/// Writes a PNG of class ids into `out` for every picture of `images`, under the same name: what a `folders` data set takes.
///
/// # Errors
/// Pictures that cannot be read (exit code 65), a model without scores or without an ignored class (78), or files that cannot be
/// written (74), into a folder that holds something (64).
pub fn label(subject: &mut Subject, images: &Path, out: &Path, accept: Acceptance, size: Option<(u32, u32)>) -> Result<Labelled> {
    let Subject::Net {
        segmenter, input, classes, ..
    } = subject
    else {
        return Err(fault(Kind::Usage, "class maps label nothing: name a model"));
    };
    if !segmenter.has_scores() {
        return Err(fault(Kind::Config, NO_SCORES));
    }
    let unsure_id = ignored_id(classes)?;
    let table = ClassTable::new(classes);
    let all = pictures(images)?;
    new_folder(out)?;
    let mut counts = [0_u64; 256];
    let clips = clips_of(all.iter().map(|(name, _)| name.as_ref()));
    for (number, (name, path)) in all.iter().enumerate() {
        if clips.iter().any(|clip| clip.start == number) {
            segmenter.reset();
        }
        let sample = read_picture(path)?;
        let prediction = predict(segmenter.as_mut(), input, &sample, size)?;
        let scores = prediction.scores.ok_or_else(|| fault(Kind::Config, NO_SCORES))?;
        let numbers = sure(&prediction.classes, scores, accept);
        let id = |number: &u8| {
            counts[usize::from(*number)] += 1;
            table.id(usize::from(*number)).unwrap_or(unsure_id)
        };
        let ids: Vec<u8> = numbers.iter().map(id).collect();
        write_ids(&out.join(format!("{name}.png")), sample.width, sample.height, &ids)?;
    }
    let pixels: u64 = counts.iter().sum();
    let share = |number: usize| counts[number] as f64 / pixels.max(1) as f64;
    let names = scored_names(classes).into_iter().enumerate();
    Ok(Labelled {
        pictures: all.len(),
        shares: names.map(|(number, name)| (name, share(number))).collect(),
        unsure: share(usize::from(IGNORE)),
        unsure_id,
    })
}

/// The id for pixels without label: 255 where that is an ignored class, else the first ignored one.
fn ignored_id(classes: &[Class]) -> Result<u8> {
    let ids: Vec<u8> = classes.iter().filter(|c| c.ignore).map(|c| c.id).collect();
    let id = if ids.contains(&255) { Some(255) } else { ids.first().copied() };
    id.ok_or_else(|| {
        fault(
            Kind::Config,
            "the model has no ignored class for pixels that it is not sure of: train it with one in its classes TOML (id = 255, ignore = true)",
        )
    })
}

/// Class numbers `[pixels]` with [`IGNORE`] where the best class of scores `[classes, pixels]` is not probable enough.
fn sure(classes: &[u8], mut scores: Vec<f32>, accept: Acceptance) -> Vec<u8> {
    let pixels = classes.len();
    scores.iter_mut().for_each(|score| *score /= accept.temperature);
    softmax(&mut scores, pixels);
    let probable = |(i, class): (usize, &u8)| {
        let p = scores[usize::from(*class) * pixels + i];
        if p >= accept.threshold { *class } else { IGNORE }
    };
    classes.iter().enumerate().map(probable).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline_models::classes::driving_classes;

    #[test]
    fn a_class_counts_from_the_threshold_on() {
        let scores = || vec![2.0, 0.4, 0.0, 0.0]; // p of class 0: 0.88 and 0.60
        let at = |threshold, temperature| sure(&[0, 0], scores(), Acceptance { threshold, temperature });
        assert_eq!(at(0.5, 1.0), [0, 0]);
        assert_eq!(at(0.8, 1.0), [0, IGNORE]);
        assert_eq!(at(0.8, 2.0), [IGNORE, IGNORE]); // 0.73 then
        assert_eq!(at(0.8, 0.2), [0, 0]);
    }

    #[test]
    fn pixels_without_label_have_the_id_of_an_ignored_class() {
        let mut classes = driving_classes();
        assert_eq!(ignored_id(&classes).unwrap(), 11);
        let mut void = classes[11].clone();
        void.id = 255;
        classes.push(void);
        assert_eq!(ignored_id(&classes).unwrap(), 255);
        classes.retain(|c| !c.ignore);
        assert!(ignored_id(&classes).unwrap_err().to_string().contains("no ignored class"));
    }
}
