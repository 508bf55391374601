//! Classes and their colours.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An sRGB colour; `"#rrggbb"` in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Color {
    /// Red, 0-255.
    pub r: u8,
    /// Green, 0-255.
    pub g: u8,
    /// Blue, 0-255.
    pub b: u8,
}

impl Color {
    /// The colour as `[r, g, b]`.
    pub const fn rgb(self) -> [u8; 3] {
        [self.r, self.g, self.b]
    }
}

impl FromStr for Color {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("colour is {text:?}, wanted \"#rrggbb\"");
        let hex = text.strip_prefix('#').filter(|h| h.len() == 6).ok_or_else(wrong)?;
        if !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let value = u32::from_str_radix(hex, 16).map_err(|_| wrong())?;
        let [_, r, g, b] = value.to_be_bytes();
        Ok(Self { r, g, b })
    }
}

impl TryFrom<String> for Color {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Color> for String {
    fn from(color: Color) -> Self {
        color.to_string()
    }
}

impl fmt::Display for Color {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{:02x}{:02x}{:02x}", self.r, self.g, self.b)
    }
}

/// One class of a class map.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    /// The value of its pixels in a class map.
    pub id: u8,
    /// What people call it; unique within its list.
    pub name: String,
    /// Its colour in overlays and indexed pictures.
    pub color: Color,
    /// True for pixels without a label: never a loss, never counted in a measure, never drawn.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore: bool,
    /// True for what lies behind everything that matters (a "background"): counted, but not drawn over the picture.
    #[serde(default, skip_serializing_if = "is_false")]
    pub background: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Class {
    /// Whether an overlay draws it when nobody asked for particular classes.
    pub fn is_drawn(&self) -> bool {
        !self.ignore && !self.background
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassFile {
    class: Vec<Class>,
}

/// Reads a classes TOML: `[[class]]` tables with `id`, `name`, `color` and optionally `ignore`, `background`.
///
/// # Errors
/// One line that says what was found and what was wanted.
pub fn parse_classes(text: &str) -> Result<Vec<Class>, String> {
    let file: ClassFile = toml::from_str(text).map_err(|e| e.to_string().trim_end().replace('\n', " "))?;
    check_classes(&file.class)?;
    Ok(file.class)
}

/// The 11 driving classes and void, with the ids of CamVid's label pictures; also what the scene renderer draws.
pub fn driving_classes() -> Vec<Class> {
    parse_classes(include_str!("../classes/driving.toml")).expect("the embedded list is covered by a test")
}

/// Checks a class list: at least two that count, ids and names unique.
///
/// # Errors
/// One line naming the first offender.
pub fn check_classes(classes: &[Class]) -> Result<(), String> {
    if classes.iter().filter(|c| !c.ignore).count() < 2 {
        return Err(format!(
            "found {} classes that count, wanted at least 2",
            classes.iter().filter(|c| !c.ignore).count()
        ));
    }
    for (i, class) in classes.iter().enumerate() {
        if class.name.is_empty() {
            return Err(format!("class {} has an empty name", class.id));
        }
        for earlier in &classes[..i] {
            if earlier.id == class.id {
                return Err(format!("classes {:?} and {:?} share the id {}", earlier.name, class.name, class.id));
            }
            if earlier.name == class.name {
                return Err(format!("two classes are named {:?}", class.name));
            }
        }
    }
    Ok(())
}

/// A 256-entry RGB palette by class id; ids without a class are black.
pub fn palette(classes: &[Class]) -> [[u8; 3]; 256] {
    let mut table = [[0; 3]; 256];
    for class in classes {
        table[usize::from(class.id)] = class.color.rgb();
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driving_classes_have_camvids_ids() {
        let classes = driving_classes();
        assert_eq!(classes.len(), 12);
        assert!(classes.iter().enumerate().all(|(i, c)| usize::from(c.id) == i));
        assert_eq!(classes[3].name, "road");
        assert!(classes[11].ignore);
    }

    #[test]
    fn a_colour_reads_back_as_written_and_a_bad_one_is_named() {
        let color: Color = "#804080".parse().unwrap();
        assert_eq!(color.rgb(), [128, 64, 128]);
        assert_eq!(color.to_string(), "#804080");
        for bad in ["804080", "#80408", "#80408g", "#8040800", "red", "#+12345"] {
            assert!(bad.parse::<Color>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shared_ids_and_names_are_refused() {
        let list =
            |a: &str, b: &str| format!("[[class]]\nid={a}\nname='x'\ncolor='#000000'\n[[class]]\nid={b}\nname='y'\ncolor='#ffffff'\n");
        assert!(parse_classes(&list("0", "1")).is_ok());
        assert!(parse_classes(&list("1", "1")).unwrap_err().contains("share the id 1"));
        assert!(parse_classes(&list("0", "300")).is_err());
    }
}
