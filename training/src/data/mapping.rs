//! From the ids of a foreign data set to our classes: a TOML of two tables. `[ids]` says what pixel values mean in the words of
//! the data set, `[map]` which of our classes that is; what is not in `[map]` is ignored.

use super::picture::ClassTable;
use crate::config::DataConfig;
use crate::error::{Kind, fault};
use anyhow::Result;
use maskline_models::Class;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What pixel values mean, and to which of our classes they go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    ids: BTreeMap<String, u8>,
    map: BTreeMap<String, String>,
}

impl Mapping {
    /// That of an entry: the file that it names, else that of its layout, if it has one.
    ///
    /// # Errors
    /// Kind 78 in one line for a file that cannot be read or is none.
    pub fn of(config: &DataConfig) -> Result<Option<Self>> {
        match (&config.map, config.kind.shipped_map(config.ids)) {
            (Some(path), _) => Self::read(path).map(Some),
            (None, Some((name, text))) => Self::parse(text)
                .map(Some)
                .map_err(|e| fault(Kind::Internal, format!("the map {name}: {e}"))),
            (None, None) => Ok(None),
        }
    }

    fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).map_err(|e| fault(Kind::Config, format!("cannot read the map {}: {e}", path.display())))?;
        Self::parse(&text).map_err(|e| fault(Kind::Config, format!("the map {}: {e}", path.display())))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mapping: Self = toml::from_str(text).map_err(|e| e.to_string().trim_end().replace('\n', " "))?;
        match mapping.map.keys().find(|name| !mapping.ids.contains_key(*name)) {
            Some(name) => Err(format!("[map] names {name:?}, which is not in [ids]")),
            None => Ok(mapping),
        }
    }

    /// The table for our classes.
    ///
    /// # Errors
    /// Kind 78 in one line for a target that is none of the classes.
    pub fn table(&self, classes: &[Class]) -> Result<ClassTable> {
        let ours = ClassTable::new(classes);
        let mut numbers = [None; 256];
        for (name, id) in &self.ids {
            let number = match self.map.get(name) {
                None => crate::metrics::IGNORE,
                Some(target) => {
                    let class = classes.iter().find(|class| class.name == *target);
                    let number = class.and_then(|class| ours.number(class.id));
                    number.ok_or_else(|| {
                        let names: Vec<_> = classes.iter().map(|class| class.name.as_str()).collect();
                        let text = format!(
                            "{name:?} is mapped to {target:?}, wanted one of {}; name a map = \"FILE.toml\" of your own",
                            names.join(", ")
                        );
                        fault(Kind::Config, text)
                    })?
                }
            };
            numbers[usize::from(*id)] = Some(number);
        }
        Ok(ours.reading(numbers))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DataKind, Ids};
    use crate::metrics::IGNORE;
    use maskline_models::classes::driving_classes;

    fn shipped(kind: DataKind, ids: Ids) -> ClassTable {
        let config = DataConfig {
            ids,
            ..DataConfig::new(kind)
        };
        Mapping::of(&config).unwrap().unwrap().table(&driving_classes()).unwrap()
    }

    #[test]
    fn the_shipped_maps_lead_to_the_driving_classes() {
        let ours = |name: &str| driving_classes().iter().position(|c| c.name == name).map(|n| n as u8);
        for (kind, ids, known, unknown) in [
            (
                DataKind::Cityscapes,
                Ids::Label,
                &[(7, "road"), (26, "car"), (33, "bicyclist")][..],
                34,
            ),
            (DataKind::Cityscapes, Ids::Train, &[(0, "road"), (13, "car"), (18, "bicyclist")], 19),
            (DataKind::Kitti, Ids::Label, &[(24, "pedestrian"), (23, "sky")], 100),
            (DataKind::Bdd100k, Ids::Label, &[(8, "tree"), (5, "pole")], 200),
            (DataKind::Idd, Ids::Label, &[(8, "car"), (22, "building")], 26),
            (DataKind::Mapillary, Ids::Label, &[(13, "road"), (55, "car"), (30, "tree")], 66),
            (
                DataKind::CocoStuff,
                Ids::Label,
                &[(148, "road"), (156, "sky"), (0, "pedestrian")],
                182,
            ),
        ] {
            let table = shipped(kind, ids);
            for (id, name) in known {
                assert_eq!(table.number(*id), ours(name), "{kind:?} {id}");
            }
            assert_eq!(table.number(unknown), None, "{kind:?}");
            // What is written is in our ids, whatever was read.
            assert_eq!(table.len(), 11);
            assert_eq!(table.id(0), Some(0));
        }
        assert_eq!(shipped(DataKind::Cityscapes, Ids::Label).number(0), Some(IGNORE));
    }

    #[test]
    fn what_is_wrong_with_a_map_is_said() {
        assert!(
            Mapping::parse("[ids]\nroad = 1\n[map]\ncar = \"car\"")
                .unwrap_err()
                .contains("\"car\"")
        );
        assert!(Mapping::parse("[ids]\nroad = 300\n[map]\n").unwrap_err().contains("300"));
        let mapping = Mapping::parse("[ids]\nroad = 1\n[map]\nroad = \"street\"").unwrap();
        let error = mapping.table(&driving_classes()).unwrap_err().to_string();
        assert!(error.contains("\"street\"") && error.contains("pavement"), "{error}");
    }
}
