//! What was seen inside a forward pass: its layers, and where attention looks.

use super::Grid;
use crate::nets::Watch;
use anyhow::{Result, anyhow};
use burn::tensor::Tensor;

/// A layer and the size of what it gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its name, e.g. `encoder.2`.
    pub name: String,
    /// Rows and columns.
    pub grid: [usize; 2],
}

/// One map of attention.
#[derive(Debug, Clone, PartialEq)]
pub enum Map {
    /// What a gate lets through.
    Gate(Grid),
    /// Where every place looks.
    Own(SelfAttention),
}

/// How much each place looks at each other one, in every head.
#[derive(Debug, Clone, PartialEq)]
pub struct SelfAttention {
    /// Rows and columns of the places that look.
    pub queries: [usize; 2],
    /// Rows and columns of the places that are looked at.
    pub keys: [usize; 2],
    /// `[heads, queries, keys]`; the keys of a query sum to 1.
    pub share: Vec<f32>,
}

impl SelfAttention {
    /// What is looked at, as a mean over the heads: from one place (row and column), or as a mean over all.
    pub fn seen(&self, from: Option<(usize, usize)>) -> Grid {
        let [queries, keys] = [self.queries, self.keys].map(|[rows, columns]| rows * columns);
        let wanted = from.map(|(row, column)| row * self.queries[1] + column);
        let mut values = vec![0.0; keys];
        let mut count = 0.0;
        for (number, row) in self.share.chunks_exact(keys).enumerate() {
            if wanted.is_none_or(|query| number % queries == query) {
                values.iter_mut().zip(row).for_each(|(sum, share)| *sum += share);
                count += 1.0;
            }
        }
        values.iter_mut().for_each(|sum| *sum /= count);
        let [rows, columns] = self.keys;
        Grid { rows, columns, values }
    }
}

/// What was seen of one forward pass of one picture.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Look {
    /// Its layers, in order.
    pub layers: Vec<Layer>,
    /// Its maps of attention, each with its layer.
    pub attention: Vec<(String, Map)>,
}

impl Watch for Look {
    fn features(&mut self, layer: &str, x: Tensor<4>) -> Tensor<4> {
        let [_, _, rows, columns] = x.dims();
        self.layers.push(Layer {
            name: layer.into(),
            grid: [rows, columns],
        });
        x
    }

    fn gate(&mut self, layer: &str, share: &Tensor<4>) {
        let [_, _, rows, columns] = share.dims();
        let values = super::floats(share.clone()).unwrap_or_default();
        self.attention.push((layer.into(), Map::Gate(Grid { rows, columns, values })));
    }

    fn self_attention(&mut self, layer: &str, share: &Tensor<4>, [queries, keys]: [[usize; 2]; 2]) {
        let share = super::floats(share.clone()).unwrap_or_default();
        self.attention
            .push((layer.into(), Map::Own(SelfAttention { queries, keys, share })));
    }
}

impl Look {
    /// Whether there is self-attention.
    pub fn has_self_attention(&self) -> bool {
        self.attention.iter().any(|(_, map)| matches!(map, Map::Own(_)))
    }

    /// The layer of that name.
    ///
    /// # Errors
    /// One line with all names.
    pub fn layer(&self, name: &str) -> Result<&Layer, String> {
        let names: Vec<_> = self.layers.iter().map(|layer| layer.name.as_str()).collect();
        let found = self.layers.iter().find(|layer| layer.name == name);
        found.ok_or_else(|| format!("there is no layer {name:?}: wanted one of {}", names.join(", ")))
    }

    /// The layer with the fewest places; of several the last.
    ///
    /// # Errors
    /// If nothing was seen.
    pub fn coarsest(&self) -> Result<&Layer> {
        let places = |layer: &&Layer| layer.grid[0] * layer.grid[1];
        let found = self.layers.iter().rev().min_by_key(places);
        found.ok_or_else(|| anyhow!("the net named no layers"))
    }

    /// Every map with a title: what gates let through as it is, where self-attention looks scaled to 1. `point` is a pixel of a
    /// picture of that size.
    pub fn maps(&self, point: Option<(usize, usize)>, (width, height): (usize, usize)) -> Vec<(String, Grid)> {
        let map = |(layer, map): &(String, Map)| match map {
            Map::Gate(grid) => (format!("let through, {layer}"), grid.clone()),
            Map::Own(own) => {
                let [rows, columns] = own.queries;
                let from = point.map(|(x, y)| (y * rows / height, x * columns / width));
                let by = if point.is_some() { "the marked pixel" } else { "all, mean" };
                (format!("looked at by {by}, {layer}"), own.seen(from).scaled())
            }
        };
        self.attention.iter().map(map).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{Kind, NetConfig};
    use burn::tensor::{Device, Distribution};

    fn look(config: &NetConfig, h: usize, w: usize) -> Look {
        let device = Device::flex();
        let net = config.init(3, &device);
        let mut look = Look::default();
        let images = Tensor::<4>::random([1, 3, h, w], Distribution::Default, &device);
        let plain = net.forward(images.clone());
        let watched = net.forward_watched(images, &mut look);
        assert_eq!(super::super::floats(plain).unwrap(), super::super::floats(watched).unwrap());
        look
    }

    #[test]
    fn every_place_shares_out_all_of_its_attention() {
        let segformer = NetConfig {
            widths: vec![8, 16, 16],
            depths: vec![1, 1, 2],
            heads: 2,
            attention_levels: 2,
            ..NetConfig::new(Kind::Segformer)
        };
        let unet = NetConfig {
            widths: vec![4, 8, 8],
            heads: 2,
            ..NetConfig::new(Kind::AttentionUnet)
        };
        for (config, names) in [
            (segformer, vec!["encoder.1.0", "encoder.2.0", "encoder.2.1"]),
            (unet, vec!["attention", "decoder.0.gate", "decoder.1.gate"]),
        ] {
            let look = look(&config, 16, 24);
            assert_eq!(look.attention.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), names);
            assert_eq!(look.coarsest().unwrap().grid, [4, 6]);
            for (name, map) in &look.attention {
                match map {
                    Map::Gate(grid) => {
                        assert_eq!(grid.values.len(), grid.rows * grid.columns);
                        assert!(grid.values.iter().all(|v| (0.0..=1.0).contains(v)), "{name}");
                    }
                    Map::Own(own) => {
                        assert_eq!(own.keys, [4, 6], "{name}");
                        let keys = 24;
                        assert_eq!(own.share.len(), 2 * own.queries[0] * own.queries[1] * keys);
                        for row in own.share.chunks_exact(keys) {
                            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{name}: {row:?}");
                        }
                        for from in [None, Some((3, 5))] {
                            assert!((own.seen(from).values.iter().sum::<f32>() - 1.0).abs() < 1e-5);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_one_place_looks_at_is_its_own_row_and_a_mean_over_the_heads() {
        let own = SelfAttention {
            queries: [2, 1],
            keys: [1, 2],
            share: vec![1.0, 0.0, 0.5, 0.5, 0.0, 1.0, 0.5, 0.5], // two heads, two queries, two keys
        };
        assert_eq!(own.seen(Some((0, 0))).values, [0.5, 0.5]);
        let other = SelfAttention {
            share: vec![1.0, 0.0, 0.2, 0.8, 1.0, 0.0, 0.0, 1.0],
            ..own
        };
        let close = |grid: Grid, wanted: [f32; 2]| grid.values.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(close(other.seen(Some((0, 0))), [1.0, 0.0]));
        assert!(close(other.seen(Some((1, 0))), [0.1, 0.9]));
        assert!(close(other.seen(None), [0.55, 0.45]));
        let look = Look {
            layers: Vec::new(),
            attention: vec![("a".into(), Map::Own(other))],
        };
        let (title, grid) = look.maps(Some((0, 7)), (4, 8)).remove(0);
        assert_eq!(title, "looked at by the marked pixel, a");
        assert!(close(grid, [1.0 / 9.0, 1.0]), "the lower half is the second row of places");
    }
}
