//! Folders of picture and label pairs, each of another scene.

use crate::{Picture, Scene, SceneOptions, Shares};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many pairs, and of what.
#[derive(Debug, Clone)]
pub struct PairOptions {
    /// Number of pairs.
    pub count: usize,
    /// Seed of the whole set.
    pub seed: u64,
    /// Picture width in pixels.
    pub width: usize,
    /// Picture height in pixels.
    pub height: usize,
    /// Share of pairs that go into `val.txt` instead of `train.txt`, 0-1: every n-th one.
    pub val_share: f64,
    /// What the scenes shall have in common.
    pub scene: SceneOptions,
}

/// The `index`-th picture of a set: its own scene at its own time.
pub fn sample(seed: u64, index: usize, width: usize, height: usize, options: &SceneOptions) -> Picture {
    let scene_seed = crate::random::derive(seed, 0x5a11, index as i64);
    let time_s = (scene_seed >> 40) as f64 / (1 << 24) as f64 * 30.0;
    Scene::new(scene_seed, options).render(time_s, width, height)
}

/// The pictures of a set without end, in memory; the n-th is the n-th that [`write_pairs`] writes.
pub fn samples(seed: u64, width: usize, height: usize, options: SceneOptions) -> impl Iterator<Item = Picture> {
    (0..).map(move |index| sample(seed, index, width, height, &options))
}

/// Writes `images/000000.png`, `labels/000000.png` (indexed, pixel value = class id), `classes.toml`, `train.txt` and
/// `val.txt` (file names, one a line) into `dir`, which is made if need be. `progress` hears how many are done.
///
/// # Errors
/// One line: a size or share out of bounds, or the file that could not be written.
pub fn write_pairs(dir: &Path, options: &PairOptions, progress: impl Fn(usize) + Sync) -> Result<Shares> {
    let PairOptions {
        count,
        seed,
        width,
        height,
        val_share,
        ref scene,
    } = *options;
    ensure!(
        (0.0..=1.0).contains(&val_share),
        "the share of validation pictures is {val_share}, wanted 0 to 1"
    );
    for part in ["images", "labels"] {
        let folder = dir.join(part);
        fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
    }
    let done = AtomicUsize::new(0);
    let shares: Vec<Shares> = (0..count)
        .into_par_iter()
        .map(|index| {
            let picture = sample(seed, index, width, height, scene);
            picture.write_image(&dir.join(format!("images/{index:06}.png")))?;
            picture.write_labels(&dir.join(format!("labels/{index:06}.png")))?;
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
            let mut shares = Shares::default();
            shares.add(&picture.labels);
            Ok(shares)
        })
        .collect::<Result<_>>()?;
    let (mut train, mut val) = (String::new(), String::new());
    for index in 0..count {
        // The share is met at every prefix: a set cut short keeps it.
        let taken = |n: usize| (n as f64 * val_share + 1e-9).floor() as usize;
        let list = if taken(index + 1) > taken(index) { &mut val } else { &mut train };
        list.push_str(&format!("{index:06}.png\n"));
    }
    for (name, text) in [("train.txt", train), ("val.txt", val), ("classes.toml", classes_toml())] {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("{}: cannot write the file", path.display()))?;
    }
    let mut sum = Shares::default();
    shares.iter().for_each(|s| sum.merge(s));
    Ok(sum)
}

fn classes_toml() -> String {
    let mut text = String::from("# Classes of the label pictures: pixel value = id.\n");
    for c in maskline_models::classes::driving_classes() {
        let ignore = if c.ignore { "ignore = true\n" } else { "" };
        text.push_str(&format!(
            "\n[[class]]\nid = {}\nname = \"{}\"\ncolor = \"{}\"\n{ignore}",
            c.id, c.name, c.color
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(count: usize, seed: u64) -> PairOptions {
        PairOptions {
            count,
            seed,
            width: 64,
            height: 48,
            val_share: 0.25,
            scene: SceneOptions::default(),
        }
    }

    #[test]
    fn the_files_hold_what_the_iterator_gives() {
        let dir = tempfile::tempdir().unwrap();
        write_pairs(dir.path(), &options(4, 9), |_| ()).unwrap();
        for (index, picture) in samples(9, 64, 48, SceneOptions::default()).take(4).enumerate() {
            let file = fs::File::open(dir.path().join(format!("labels/{index:06}.png"))).unwrap();
            let mut reader = png::Decoder::new(std::io::BufReader::new(file)).read_info().unwrap();
            assert_eq!(reader.info().color_type, png::ColorType::Indexed);
            let mut ids = vec![0; reader.output_buffer_size().unwrap()];
            reader.next_frame(&mut ids).unwrap();
            assert_eq!(ids, picture.labels);
        }
        assert_eq!(
            fs::read_to_string(dir.path().join("train.txt")).unwrap(),
            "000000.png\n000001.png\n000002.png\n"
        );
        assert_eq!(fs::read_to_string(dir.path().join("val.txt")).unwrap(), "000003.png\n");
    }

    #[test]
    fn the_classes_file_reads_back_as_the_driving_classes() {
        assert_eq!(
            maskline_models::classes::parse_classes(&classes_toml()).unwrap(),
            maskline_models::classes::driving_classes()
        );
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let blocked = dir.path().join("file");
        fs::write(&blocked, "x").unwrap();
        let error = write_pairs(&blocked.join("set"), &options(1, 1), |_| ()).unwrap_err();
        assert!(format!("{error:#}").contains("cannot make the folder"), "{error:#}");
    }
}
