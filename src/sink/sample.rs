//! Class maps at the size of the frame, by nearest neighbour.

use crate::frame::ClassMap;
use maskline_models::Fit;

/// Keeps from frame to frame which column of a class map each column of a frame shows.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    key: Option<(u32, u32, Fit)>,
    columns: Vec<usize>,
    row: Vec<u8>,
}

impl Sampler {
    /// Fills `pixels`, rows of `stride` bytes, with the ids of a frame of that width and height, out of the part of the model's
    /// input that the frame covers.
    pub fn sample(&mut self, pixels: &mut [u8], stride: usize, map: &ClassMap, fit: &Fit, (width, height): (u32, u32)) {
        let key = Some((width, map.width, *fit));
        if self.key != key {
            let content = (fit.content.x, fit.content.width);
            self.columns = (0..width).map(|x| nearest(x, width, content, fit.width, map.width)).collect();
            self.key = key;
        }
        let content = (fit.content.y, fit.content.height);
        let mut last = usize::MAX;
        for (y, row) in pixels.chunks_mut(stride).take(height as usize).enumerate() {
            let from = nearest(y as u32, height, content, fit.height, map.height);
            if from != last {
                let ids = &map.ids[from * map.width as usize..][..map.width as usize];
                self.row.clear();
                self.row.extend(self.columns.iter().map(|&x| ids[x]));
                last = from;
            }
            row[..width as usize].copy_from_slice(&self.row);
        }
    }
}

/// The sample of a map `map` long that lies under the middle of pixel `at` of a frame `frame` long, which covers
/// `content` (begin, length) of a model input `input` long.
fn nearest(at: u32, frame: u32, content: (u32, u32), input: u32, map: u32) -> usize {
    let [at, frame, begin, length, input, map] = [at, frame, content.0, content.1, input, map].map(u64::from);
    // (begin + (at + 1/2) * length / frame) * map / input, in whole numbers
    let position = (2 * begin * frame + (2 * at + 1) * length) * map / (2 * frame * input);
    position.min(map - 1) as usize
}
