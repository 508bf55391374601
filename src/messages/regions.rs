//! Connected regions of a class map, each with its size, its box and its outline.

use super::{count, share, written};
use crate::frame::ClassMap;
use anyhow::{Context, Result};
use maskline_models::Class;
use opencv::core::{CMP_EQ, Mat, Point, Rect, ToInputArray, Vec4i, Vector, compare};
use opencv::imgproc::{CHAIN_APPROX_NONE, RETR_CCOMP, approx_poly_dp, bounding_rect, contour_area, find_contours_with_hierarchy};
use serde::Serialize;

/// The most regions that are listed of a frame, the largest first.
pub const MOST_REGIONS: usize = 100;

/// How far a simplified outline may lie from the exact one, in pixels of the class map.
const TOLERANCE: f64 = 2.0;

/// One connected region of one class. Pixels are those of the frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Region {
    /// Id of its class.
    pub class: u8,
    /// Name of its class.
    pub name: String,
    /// Pixels in it.
    pub area: u64,
    /// Its share (0-1) of the frame.
    pub share: f64,
    /// x and y of the upper left corner, width and height, in pixels.
    #[serde(rename = "box")]
    pub bounds: [u32; 4],
    /// Corners `[x, y]` of its outer border in pixels, at least three; holes are not told.
    pub polygon: Vec<[u32; 2]>,
}

/// The regions of a frame.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Regions {
    /// The largest first.
    pub regions: Vec<Region>,
    /// How many more there are that are large enough.
    pub regions_left_out: usize,
}

/// A region in pixels of the class map.
struct Found<'a> {
    class: &'a Class,
    area: u64,
    bounds: Rect,
    /// Every pixel of its outer border, in order.
    border: Vector<Point>,
}

/// The connected regions (pixels that touch by an edge or a corner) of all classes that count, of at least `min_area` (0-1) of
/// the frame, scaled to a frame of `width` x `height` pixels.
///
/// # Errors
/// If OpenCV fails.
pub fn regions(map: &ClassMap, classes: &[Class], width: u32, height: u32, min_area: f64) -> Result<Regions> {
    find(map, classes, width, height, min_area).context("cannot find the regions")
}

fn find(map: &ClassMap, classes: &[Class], width: u32, height: u32, min_area: f64) -> Result<Regions> {
    let least = (min_area * map.ids.len() as f64).max(1.0);
    let mut counts = [0; 256];
    count(&map.ids, &mut counts);
    let ids = Mat::new_rows_cols_with_data(map.height as i32, map.width as i32, &map.ids)?;
    let (mut found, mut mask) = (Vec::new(), Mat::default());
    for class in classes.iter().filter(|c| !c.ignore && counts[usize::from(c.id)] as f64 >= least) {
        compare(&ids, &f64::from(class.id), &mut mask, CMP_EQ)?;
        for (area, border) in components(&mask)? {
            if area as f64 >= least {
                let bounds = bounding_rect(&border)?;
                found.push(Found {
                    class,
                    area,
                    bounds,
                    border,
                });
            }
        }
    }
    // The rest of the order only makes it the same in every run.
    found.sort_by_key(|f| (std::cmp::Reverse(f.area), f.class.id, f.bounds.y, f.bounds.x));
    let regions_left_out = found.len().saturating_sub(MOST_REGIONS);
    found.truncate(MOST_REGIONS);
    let scale = Scale {
        from: [map.width, map.height],
        to: [width, height],
    };
    let pixels = u64::from(width) * u64::from(height);
    let region = |found: Found<'_>| {
        let part = share(found.area, map.ids.len());
        let mut polygon = Vector::<Point>::new();
        approx_poly_dp(&found.border, &mut polygon, TOLERANCE, true)?;
        let (left, top) = (scale.edge(0, found.bounds.x), scale.edge(1, found.bounds.y));
        let right = scale.edge(0, found.bounds.x + found.bounds.width);
        let bottom = scale.edge(1, found.bounds.y + found.bounds.height);
        let corners = [[left, top], [right, top], [right, bottom], [left, bottom]];
        Ok(Region {
            class: found.class.id,
            name: found.class.name.clone(),
            area: (part * pixels as f64).round() as u64,
            share: written(part),
            bounds: [left, top, right - left, bottom - top],
            polygon: match polygon.len() {
                // What is as thin as a line has no polygon but that of its box.
                0..3 => corners.to_vec(),
                _ => polygon.iter().map(|p| [scale.centre(0, p.x), scale.centre(1, p.y)]).collect(),
            },
        })
    };
    Ok(Regions {
        regions: found.into_iter().map(region).collect::<Result<_>>()?,
        regions_left_out,
    })
}

/// The connected parts of a mask: how many pixels each has, and its outer border. Labelling all pixels takes twenty times as long
/// as following the borders, which tell the number as well.
fn components(mask: &impl ToInputArray) -> Result<Vec<(u64, Vector<Point>)>> {
    let (mut borders, mut hierarchy) = (Vector::<Vector<Point>>::new(), Vector::<Vec4i>::new());
    find_contours_with_hierarchy(mask, &mut borders, &mut hierarchy, RETR_CCOMP, CHAIN_APPROX_NONE, Point::default())?;
    let mut components = Vec::new();
    for (number, links) in hierarchy.iter().enumerate() {
        let [_, _, first_hole, parent] = links.0;
        if parent >= 0 {
            continue; // a hole
        }
        let border = borders.get(number)?;
        let (area, steps) = enclosed(&border)?;
        let mut pixels = area + steps / 2.0 + 1.0;
        let mut hole = first_hole;
        while let Ok(index) = usize::try_from(hole) {
            let (area, steps) = enclosed(&borders.get(index)?)?;
            pixels -= area - steps / 2.0 + 1.0;
            hole = hierarchy.get(index)?.0[0];
        }
        components.push((pixels as u64, border));
    }
    Ok(components)
}

/// The area between the centres of a border's pixels, and the steps around it. By Pick's theorem, `area - steps / 2 + 1` centres
/// lie inside, and with those of the border itself it is `area + steps / 2 + 1`.
fn enclosed(border: &Vector<Point>) -> Result<(f64, f64)> {
    let steps = if border.len() == 1 { 0 } else { border.len() };
    Ok((contour_area(border, false)?, steps as f64))
}

/// From places in the class map to places in the frame, by axis.
struct Scale {
    from: [u32; 2],
    to: [u32; 2],
}

impl Scale {
    /// Where a pixel begins; the number of pixels gives the end of the axis.
    fn edge(&self, axis: usize, pixel: i32) -> u32 {
        let (from, to) = (f64::from(self.from[axis]), f64::from(self.to[axis]));
        (f64::from(pixel) * to / from).round() as u32
    }

    /// The pixel of the frame in which the centre of a pixel lies.
    fn centre(&self, axis: usize, pixel: i32) -> u32 {
        let (from, to) = (f64::from(self.from[axis]), f64::from(self.to[axis]));
        ((f64::from(pixel) + 0.5) * to / from) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use maskline_models::classes::driving_classes;

    fn map(width: u32, height: u32, id: impl Fn(u32, u32) -> u8) -> ClassMap {
        let ids = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).map(|(x, y)| id(x, y));
        ClassMap {
            width,
            height,
            ids: ids.collect(),
        }
    }

    /// Sky, with a road of 20 x 10 pixels at (10, 30), and of that a car of 5 x 4 at (12, 32).
    fn scene() -> ClassMap {
        map(100, 50, |x, y| match (x, y) {
            (12..17, 32..36) => 8,
            (10..30, 30..40) => 3,
            _ => 0,
        })
    }

    #[test]
    fn regions_come_with_size_box_and_outline_in_pixels_of_the_frame_the_largest_first() {
        let found = regions(&scene(), &driving_classes(), 200, 100, 0.0).unwrap();
        let all: Vec<_> = found.regions.iter().map(|r| (r.class, r.area, r.share)).collect();
        assert_eq!(all, [(0, 19200, 0.96), (3, 720, 0.036), (8, 80, 0.004)]);
        let [sky, road, car] = &found.regions[..] else {
            panic!("{found:?}")
        };
        assert_eq!(
            (sky.bounds, road.bounds, car.bounds),
            ([0, 0, 200, 100], [20, 60, 40, 20], [24, 64, 10, 8])
        );
        assert_eq!((road.name.as_str(), car.polygon.len()), ("road", 4));
        let mut corners = road.polygon.clone();
        corners.sort_unstable();
        assert_eq!(
            corners,
            [[21, 61], [21, 79], [59, 61], [59, 79]],
            "through the centres of its outermost pixels"
        );
        assert_eq!(found.regions_left_out, 0);
    }

    #[test]
    fn what_is_too_small_or_does_not_count_is_no_region() {
        let names = |classes: &[Class], min_area| {
            let found = regions(&scene(), classes, 100, 50, min_area).unwrap();
            found.regions.into_iter().map(|r| r.class).collect::<Vec<_>>()
        };
        let mut classes = driving_classes();
        assert_eq!(names(&classes, 0.01), [0, 3]);
        assert_eq!(names(&classes, 0.004), [0, 3, 8], "just as large as wanted");
        assert_eq!(names(&classes, 0.97), [0; 0]);
        classes[3].ignore = true;
        assert_eq!(names(&classes, 0.0), [0, 8]);
    }

    #[test]
    fn only_so_many_are_listed_and_the_rest_is_counted() {
        let dots = map(60, 60, |x, y| if x % 3 == 0 && y % 4 == 0 { 8 } else { 0 });
        let found = regions(&dots, &driving_classes(), 60, 60, 0.0).unwrap();
        assert_eq!(
            (found.regions.len(), found.regions_left_out),
            (MOST_REGIONS, 1 + 20 * 15 - MOST_REGIONS)
        );
    }

    #[test]
    fn a_line_has_the_corners_of_its_box() {
        let line = map(40, 20, |x, y| if y == 5 && (10..20).contains(&x) { 8 } else { 0 });
        let found = regions(&line, &driving_classes(), 80, 40, 0.0).unwrap();
        assert_eq!(found.regions[1].polygon, [[20, 10], [40, 10], [40, 12], [20, 12]]);
    }

    #[test]
    fn the_pixels_of_every_component_are_those_that_labelling_counts() {
        use opencv::core::{CV_32S, MatTraitConst};
        use opencv::imgproc::{CC_STAT_AREA, connected_components_with_stats};
        let mut seed = 7_u32;
        for size in 1..60 {
            let (width, height) = (size, 61 - size);
            let mut noise = || {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 16) % 100
            };
            let ids: Vec<u8> = (0..width * height)
                .map(|_| if noise() < 30 + size as u32 { 255 } else { 0 })
                .collect();
            let mask = Mat::new_rows_cols_with_data(height, width, &ids).unwrap();
            let (mut labels, mut stats, mut centroids) = (Mat::default(), Mat::default(), Mat::default());
            let count = connected_components_with_stats(&mask, &mut labels, &mut stats, &mut centroids, 8, CV_32S).unwrap();
            let area = |label| *stats.at_2d::<i32>(label, CC_STAT_AREA).unwrap() as u64;
            let mut wanted: Vec<_> = (1..count).map(area).collect();
            let mut found: Vec<_> = components(&mask).unwrap().into_iter().map(|(pixels, _)| pixels).collect();
            wanted.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, wanted, "{width}x{height}");
        }
    }

    #[test]
    fn pixels_that_touch_by_a_corner_are_one_region() {
        let steps = map(8, 8, |x, y| if x == y { 8 } else { 0 });
        let found = regions(&steps, &driving_classes(), 8, 8, 0.0).unwrap();
        assert_eq!(found.regions.iter().filter(|r| r.class == 8).count(), 1);
    }
}
