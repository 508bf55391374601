//! Scenes rendered in memory.

use super::{ClassTable, Sample, bad};
use crate::config::DataConfig;
use anyhow::Result;
use maskline_synth::SceneOptions;
use rayon::prelude::*;

/// Renders the scenes of an entry without a path: those that `synth pairs` writes for the same seed and size.
pub fn render(config: &DataConfig, table: &ClassTable, nominal: (u32, u32)) -> Result<Vec<Sample>> {
    let count = config.count.unwrap_or(0);
    let seed = config.seed.unwrap_or(1);
    let [width, height] = config.size.unwrap_or([nominal.0, nominal.1]).map(|side| side as usize);
    let options = SceneOptions::default();
    (0..count)
        .into_par_iter()
        .step_by(config.every.max(1))
        .map(|index| {
            let picture = maskline_synth::pairs::sample(seed, index, width, height, &options);
            let mut labels = picture.labels;
            table.apply(&mut labels).map_err(|id| {
                bad(format!(
                    "scenes hold the class id {id}, which is not in the class list; use the driving classes for synth"
                ))
            })?;
            Ok(Sample {
                name: format!("scene {index} of seed {seed}"),
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
}
