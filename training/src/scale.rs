//! Pictures and maps at other sizes.

use anyhow::Result;
use fast_image_resize as resize;
use resize::images::{TypedImage, TypedImageRef};
use resize::pixels::{F32, U8x3};

/// Antialiased bilinear resize of RGB bytes.
///
/// # Errors
/// If a side is 0 or the bytes do not fit the size.
pub fn resize_rgb(rgb: &[u8], from: (usize, usize), to: (usize, usize)) -> Result<Vec<u8>> {
    if from == to {
        return Ok(rgb.to_vec());
    }
    // With the pixel type named, only one of the library's eleven filters is compiled.
    let source = TypedImageRef::<U8x3>::from_buffer(from.0 as u32, from.1 as u32, rgb)?;
    let mut scaled = vec![0; 3 * to.0 * to.1];
    let mut target = TypedImage::<U8x3>::from_buffer(to.0 as u32, to.1 as u32, &mut scaled)?;
    let options = resize::ResizeOptions::new().resize_alg(resize::ResizeAlg::Convolution(resize::FilterType::Bilinear));
    resize::Resizer::new().resize_typed(&source, &mut target, &options)?;
    Ok(scaled)
}

/// Bilinear resize of one plane, antialiased where it shrinks.
///
/// # Errors
/// If a side is 0 or the values do not fit the size.
pub fn resize_plane(plane: &[f32], from: (usize, usize), to: (usize, usize)) -> Result<Vec<f32>> {
    if from == to {
        return Ok(plane.to_vec());
    }
    let pixels = plane.iter().map(|value| F32::new(*value)).collect();
    let source = TypedImage::<F32>::from_pixels(from.0 as u32, from.1 as u32, pixels)?;
    let mut target = TypedImage::<F32>::new(to.0 as u32, to.1 as u32);
    let options = resize::ResizeOptions::new().resize_alg(resize::ResizeAlg::Convolution(resize::FilterType::Bilinear));
    resize::Resizer::new().resize_typed(&source, &mut target, &options)?;
    Ok(target.pixels().iter().map(|pixel| pixel.0).collect())
}

/// A plane of any values at another size: each pixel takes the one that its centre falls on.
pub fn resize_nearest<T: Copy>(plane: &[T], from: (usize, usize), to: (usize, usize)) -> Vec<T> {
    let nearest = |i: usize, from: usize, to: usize| ((2 * i + 1) * from / (2 * to)).min(from - 1);
    let columns: Vec<usize> = (0..to.0).map(|x| nearest(x, from.0, to.0)).collect();
    let rows = (0..to.1).map(|y| nearest(y, from.1, to.1) * from.0);
    rows.flat_map(|row| columns.iter().map(move |x| plane[row + x])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_to_another_size_by_their_centres() {
        let ids = [1, 2, 3, 4];
        assert_eq!(resize_nearest(&ids, (2, 2), (4, 2)), [1, 1, 2, 2, 3, 3, 4, 4]);
        assert_eq!(resize_nearest(&ids, (2, 2), (2, 2)), ids);
        assert_eq!(resize_nearest(&[1, 2, 3], (3, 1), (1, 1)), [2]);
    }
}
