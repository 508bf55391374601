//! Scenes and short clips of scenes, rendered in memory.

use super::{ClassTable, Sample, bad};
use crate::config::DataConfig;
use anyhow::Result;
use maskline_synth::{Scene, SceneOptions};
use rayon::prelude::*;

/// Frames a second of rendered clips, as many as CamVid's.
pub const FPS: u32 = 15;

/// Renders the scenes of an entry without a path: those that `synth pairs` writes for the same seed and size, or the first frames of
/// the clips that `synth clip` writes for the seeds from there on.
pub fn render(config: &DataConfig, table: &ClassTable, nominal: (u32, u32)) -> Result<Vec<Sample>> {
    let count = config.count.unwrap_or(0);
    let seed = config.seed.unwrap_or(1);
    let [width, height] = config.size.unwrap_or([nominal.0, nominal.1]).map(|side| side as usize);
    let options = SceneOptions::default();
    let frames = config.frames.unwrap_or(1);
    (0..count * frames)
        .into_par_iter()
        .step_by(config.every.max(1))
        .map(|number| {
            let (index, frame) = (number / frames, number % frames);
            let (name, picture) = match config.frames {
                None => (
                    format!("scene {index} of seed {seed}"),
                    maskline_synth::pairs::sample(seed, index, width, height, &options),
                ),
                Some(_) => {
                    let seed = seed.wrapping_add(index as u64);
                    let time_s = frame as f64 / f64::from(config.fps.unwrap_or(FPS));
                    let picture = Scene::new(seed, &options).render(time_s, width, height);
                    (format!("clip of seed {seed}, frame {frame}"), picture)
                }
            };
            let mut labels = picture.labels;
            table.apply(&mut labels).map_err(|id| {
                bad(format!(
                    "scenes hold the class id {id}, which is not in the class list; use the driving classes for synth"
                ))
            })?;
            Ok(Sample {
                name,
                width,
                height,
                rgb: picture.rgb,
                labels,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline_models::classes::driving_classes;

    #[test]
    fn scenes_come_out_the_same_every_time_with_labels_of_the_driving_classes() {
        let config: DataConfig = toml::from_str("kind = \"synth\"\ncount = 2\nseed = 3\nsize = [64, 48]").unwrap();
        let table = ClassTable::new(&driving_classes());
        let scenes = render(&config, &table, (480, 352)).unwrap();
        assert_eq!(scenes, render(&config, &table, (480, 352)).unwrap());
        assert_eq!((scenes.len(), scenes[0].width, scenes[0].height), (2, 64, 48));
        assert_ne!(scenes[0].rgb, scenes[1].rgb);
    }

    #[test]
    fn clips_are_frames_of_one_scene_after_another() {
        let config: DataConfig = toml::from_str("kind = \"synth\"\ncount = 2\nframes = 3\nfps = 10\nsize = [64, 48]").unwrap();
        let samples = render(&config, &ClassTable::new(&driving_classes()), (480, 352)).unwrap();
        assert_eq!(crate::data::clips(&samples), [0..3, 3..6]);
        let scene = Scene::new(2, &SceneOptions::default()).render(0.2, 64, 48);
        assert_eq!(samples[5].rgb, scene.rgb);
        assert_ne!(samples[3].rgb, samples[4].rgb);
    }
}
