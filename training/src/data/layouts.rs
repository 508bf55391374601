//! Where the well-known data sets of driving scenes keep pictures and labels.

use super::listing::{Listing, Pair};
use super::{bad, some_of};
use crate::config::{DataConfig, DataKind, Ids};
use anyhow::Result;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pictures and labels of one data set. `SPLIT` stands for the split; what a name has more than its partner's is in `*_end`.
struct Layout {
    pictures: &'static str,
    picture_end: &'static str,
    labels: &'static str,
    label_end: &'static str,
}

const fn layout(pictures: &'static str, picture_end: &'static str, labels: &'static str, label_end: &'static str) -> Layout {
    Layout {
        pictures,
        picture_end,
        labels,
        label_end,
    }
}

/// The layouts that a kind comes in; the first whose folder of pictures is there counts.
fn layouts(kind: DataKind, ids: Ids) -> Vec<Layout> {
    let cityscapes = match ids {
        Ids::Label => "_gtFine_labelIds",
        Ids::Train => "_gtFine_labelTrainIds",
    };
    match kind {
        DataKind::Cityscapes => vec![layout("leftImg8bit/SPLIT", "_leftImg8bit", "gtFine/SPLIT", cityscapes)],
        DataKind::Idd => vec![layout(
            "leftImg8bit/SPLIT",
            "_leftImg8bit",
            "gtFine/SPLIT",
            "_gtFine_labellevel3Ids",
        )],
        DataKind::Bdd100k => vec![
            layout("images/10k/SPLIT", "", "labels/sem_seg/masks/SPLIT", ""),
            layout("seg/images/SPLIT", "", "seg/labels/SPLIT", "_train_id"),
        ],
        DataKind::Kitti => vec![layout("training/image_2", "", "training/semantic", "")],
        DataKind::Mapillary => vec![
            layout("SPLIT/images", "", "SPLIT/v1.2/labels", ""),
            layout("SPLIT/images", "", "SPLIT/labels", ""),
        ],
        DataKind::CocoStuff => vec![
            layout("images/SPLIT2017", "", "annotations/SPLIT2017", ""),
            layout("SPLIT2017", "", "stuffthingmaps/SPLIT2017", ""),
        ],
        DataKind::Camvid | DataKind::Folders | DataKind::Synth => Vec::new(),
    }
}

/// The pairs of a data set in its own layout under `root`.
///
/// # Errors
/// Kind 65 for folders that are not there or empty.
pub(super) fn pairs(config: &DataConfig, root: &Path) -> Result<Listing> {
    let split = config.split.as_deref().unwrap_or_default();
    let place = |folder: &str| root.join(folder.replace("SPLIT", split));
    let all = layouts(config.kind, config.ids);
    let is_there = |layout: &&Layout| place(layout.pictures).is_dir() && place(layout.labels).is_dir();
    let Some(found) = all.iter().find(is_there) else {
        let wanted: Vec<_> = all
            .iter()
            .map(|l| format!("{} with {}", place(l.pictures).display(), place(l.labels).display()))
            .collect();
        return Err(bad(format!("found neither pictures nor labels: wanted {}", wanted.join(", or "))));
    };
    let pictures = files(&place(found.pictures), found.picture_end, &["png", "jpg", "jpeg"])?;
    let labels = files(&place(found.labels), found.label_end, &["png"])?;
    paired(pictures, labels, &place(found.pictures), &place(found.labels))
}

/// Puts pictures and labels of the same key together.
///
/// # Errors
/// Kind 65 where there is neither.
pub(super) fn paired(
    pictures: BTreeMap<String, PathBuf>,
    mut labels: BTreeMap<String, PathBuf>,
    pictures_in: &Path,
    labels_in: &Path,
) -> Result<Listing> {
    let (mut pairs, mut lonely) = (Vec::new(), Vec::new());
    for (key, picture) in pictures {
        match labels.remove(&key) {
            Some(label) => pairs.push(Pair { picture, label }),
            None => lonely.push(picture),
        }
    }
    let rest: Vec<PathBuf> = labels.into_values().collect();
    let alone = |list: &[PathBuf], what: String| {
        let line = |path: &PathBuf| format!("{} has no {what} of the same name; add it or take the file away", path.display());
        some_of(&list.iter().map(line).collect::<Vec<_>>())
    };
    let mut unpaired = alone(&lonely, format!("label in {}", labels_in.display()));
    unpaired.extend(alone(&rest, format!("picture in {}", pictures_in.display())));
    if unpaired.is_empty() && pairs.is_empty() {
        return Err(bad(format!("{} holds no PNG or JPEG picture", pictures_in.display())));
    }
    Ok(Listing { pairs, unpaired })
}

/// Files below a folder whose stem ends so, by their path in it without that end.
fn files(folder: &Path, end: &str, endings: &[&str]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    collect(folder, folder, end, endings, &mut found)?;
    Ok(found)
}

fn collect(root: &Path, folder: &Path, end: &str, endings: &[&str], found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let unreadable = |e: std::io::Error| bad(format!("cannot read the folder {}: {e}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_dir() {
            collect(root, &path, end, endings, found)?;
            continue;
        }
        let ending = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
        let is_wanted = ending.is_some_and(|e| endings.contains(&e.as_str()));
        let inside = path.strip_prefix(root).unwrap_or(&path).with_extension("");
        if let Some(key) = inside.to_string_lossy().strip_suffix(end).filter(|_| is_wanted) {
            found.insert(key.to_owned(), path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::metrics::IGNORE;
    use maskline_models::classes::driving_classes;
    use std::fs;

    /// A picture of 4x2 and a label of these ids.
    fn put(root: &Path, picture: &str, label: &str, ids: [u8; 8]) {
        for file in [picture, label] {
            fs::create_dir_all(root.join(file).parent().unwrap()).unwrap();
        }
        image::RgbImage::from_raw(4, 2, vec![90; 24])
            .unwrap()
            .save(root.join(picture))
            .unwrap();
        image::GrayImage::from_raw(4, 2, ids.to_vec())
            .unwrap()
            .save(root.join(label))
            .unwrap();
    }

    fn load(kind: &str, more: &str, root: &Path) -> Result<Vec<crate::data::Sample>> {
        let text = format!("kind = {kind:?}\npath = {:?}\n{more}", root.display().to_string());
        let config: DataConfig = toml::from_str(&text).unwrap();
        assert_eq!(config.problems(), Vec::<String>::new());
        Source::load(&config, &driving_classes(), (8, 8)).map(|source| source.samples)
    }

    #[test]
    fn every_layout_is_read_with_its_own_ids() {
        let train = "split = \"train\"";
        let city = [
            "leftImg8bit/train/aachen/a_1_leftImg8bit.png",
            "gtFine/train/aachen/a_1_gtFine_labelIds.png",
        ];
        for (kind, more, [picture, label], (road, car, ignored)) in [
            ("cityscapes", train, city, (7, 26, 0)),
            (
                "cityscapes",
                "split = \"train\"\nids = \"train\"",
                [city[0], "gtFine/train/aachen/a_1_gtFine_labelTrainIds.png"],
                (0, 13, 255),
            ),
            (
                "idd",
                train,
                [
                    "leftImg8bit/train/7/a_leftImg8bit.jpg",
                    "gtFine/train/7/a_gtFine_labellevel3Ids.png",
                ],
                (0, 9, 255),
            ),
            (
                "bdd100k",
                train,
                ["images/10k/train/a.jpg", "labels/sem_seg/masks/train/a.png"],
                (0, 13, 255),
            ),
            (
                "bdd100k",
                train,
                ["seg/images/train/a.jpg", "seg/labels/train/a_train_id.png"],
                (0, 13, 255),
            ),
            ("kitti", "", ["training/image_2/a.png", "training/semantic/a.png"], (7, 26, 0)),
            (
                "mapillary",
                "split = \"training\"",
                ["training/images/a.jpg", "training/v1.2/labels/a.png"],
                (13, 55, 65),
            ),
            (
                "mapillary",
                "split = \"training\"",
                ["training/images/a.jpg", "training/labels/a.png"],
                (13, 55, 65),
            ),
            (
                "coco-stuff",
                train,
                ["images/train2017/1.jpg", "annotations/train2017/1.png"],
                (148, 2, 255),
            ),
            (
                "coco-stuff",
                train,
                ["train2017/1.jpg", "stuffthingmaps/train2017/1.png"],
                (148, 2, 255),
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            put(root.path(), picture, label, [road, road, car, ignored, road, road, car, ignored]);
            let samples = load(kind, more, root.path()).unwrap_or_else(|e| panic!("{kind}: {e:#}"));
            assert_eq!(samples.len(), 1, "{kind}");
            assert_eq!(samples[0].labels, [3, 3, 8, IGNORE, 3, 3, 8, IGNORE], "{kind} {label}");
            let smaller = load(kind, &format!("{more}\nsize = [2, 1]"), root.path()).unwrap();
            assert_eq!((smaller[0].width, smaller[0].height, smaller[0].labels.len()), (2, 1, 2));
            assert_eq!(smaller[0].rgb.len(), 6);
        }
    }

    #[test]
    fn a_map_of_ones_own_leads_to_other_classes() {
        let root = tempfile::tempdir().unwrap();
        put(
            root.path(),
            "training/image_2/a.png",
            "training/semantic/a.png",
            [7, 7, 7, 7, 26, 26, 26, 26],
        );
        let map = root.path().join("map.toml");
        fs::write(&map, "[ids]\nground = 7\nthing = 26\n[map]\nground = \"pavement\"\n").unwrap();
        let samples = load("kitti", &format!("map = {:?}", map.display().to_string()), root.path()).unwrap();
        assert_eq!(samples[0].labels[..5], [4, 4, 4, 4, IGNORE]);
        fs::write(&map, "[ids]\nground = 7\n[map]\nground = \"pavement\"\n").unwrap();
        let error = load("kitti", &format!("map = {:?}", map.display().to_string()), root.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("the id 26"), "{error}");
    }

    #[test]
    fn what_is_missing_is_said_for_both_sides() {
        let root = tempfile::tempdir().unwrap();
        let error = |more: &str| load("bdd100k", more, root.path()).unwrap_err().to_string();
        let nothing = error("split = \"val\"");
        assert!(
            nothing.contains("images/10k/val") && nothing.contains("seg/labels/val"),
            "{nothing}"
        );
        put(root.path(), "images/10k/val/a.jpg", "labels/sem_seg/masks/val/b.png", [0; 8]);
        let lonely = error("split = \"val\"");
        assert!(
            lonely.contains("a.jpg has no label") && lonely.contains("b.png has no picture"),
            "{lonely}"
        );
        put(
            root.path(),
            "images/10k/val/e.jpg",
            "labels/sem_seg/masks/val/e.png",
            [0, 0, 0, 77, 0, 0, 0, 0],
        );
        let both = error("split = \"val\"");
        assert!(
            both.contains("a.jpg has no label") && both.contains("e.png") && both.contains("77"),
            "{both}"
        );
        for i in 0..11 {
            let (picture, label) = (format!("images/10k/val/c{i}.jpg"), format!("labels/sem_seg/masks/val/d{i}.png"));
            put(root.path(), &picture, &label, [0; 8]);
        }
        let many = error("split = \"val\"");
        let counted = |what: &str| many.lines().filter(|line| line.contains(what)).count();
        let of_each = (counted("has no label"), counted("has no picture"), counted("and 2 more"));
        assert_eq!(of_each, (10, 10, 2), "{many}");
    }
}
