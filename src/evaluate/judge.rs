//! Counts how far class maps agree with others and with labels.

use crate::frame::ClassMap;
use crate::postprocess::scale_nearest;
use maskline_models::Class;
use maskline_models::metrics::{Confusion, IGNORE, Scores, scored_names};
use std::borrow::Cow;

/// What was found out about the class maps of a run.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    agreed: u64,
    compared: u64,
    truth: Option<(Confusion, Vec<String>)>,
}

impl Judge {
    /// Counts the pixels of one frame that have the class of the reference, at the reference's size.
    pub fn agree(&mut self, map: &ClassMap, reference: &ClassMap) {
        let map = at_size_of(map, reference);
        self.agreed += map.ids.iter().zip(&reference.ids).filter(|(a, b)| a == b).count() as u64;
        self.compared += reference.ids.len() as u64;
    }

    /// Counts one frame against its label, at the label's size. Ids that stand for no class are not counted.
    pub fn check(&mut self, map: &ClassMap, classes: &[Class], label: &ClassMap) {
        let mut number = [IGNORE; 256];
        for (i, class) in classes.iter().filter(|c| !c.ignore).enumerate() {
            number[usize::from(class.id)] = i as u8;
        }
        let numbers = |ids: &[u8]| -> Vec<u8> { ids.iter().map(|id| number[usize::from(*id)]).collect() };
        let names = scored_names(classes);
        let (confusion, _) = self.truth.get_or_insert_with(|| (Confusion::new(names.len()), names));
        let map = at_size_of(map, label);
        confusion.add(&numbers(&label.ids), &numbers(&map.ids));
    }

    /// Share (0-1) of the pixels that agree with the reference.
    pub fn agreement(&self) -> f64 {
        self.agreed as f64 / self.compared.max(1) as f64
    }

    /// Against the labels, where there were any.
    pub fn truth(&self) -> Option<Scores> {
        self.truth.as_ref().map(|(confusion, names)| confusion.scores(names))
    }
}

fn at_size_of<'a>(map: &'a ClassMap, other: &ClassMap) -> Cow<'a, ClassMap> {
    if (map.width, map.height) == (other.width, other.height) {
        return Cow::Borrowed(map);
    }
    Cow::Owned(scale_nearest(map, other.width, other.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_of_another_size_are_compared_at_the_references_size() {
        let map = |width, height, ids: &[u8]| ClassMap {
            width,
            height,
            ids: ids.to_vec(),
        };
        let mut judge = Judge::default();
        judge.agree(&map(2, 1, &[1, 2]), &map(4, 1, &[1, 1, 2, 1]));
        assert_eq!(judge.agreement(), 0.75);
        judge.agree(&map(1, 1, &[5]), &map(2, 2, &[5; 4]));
        assert_eq!(judge.agreement(), 7.0 / 8.0);
        assert_eq!(judge.truth(), None);
    }
}
