//! Kernels for training convolutional nets on CPUs: AVX-512 and AVX2, each beside a plain reference. Tensors are f32; convolutions can
//! multiply in bf16 ([`Isa::bf16`]).
//!
//! Tensors are NCHW slices. Every function takes the instruction set ([`Isa::best`], or [`Isa::bf16`]) and a shape, panics if
//! a slice does not fit the shape, and runs on the current rayon pool. Results do not depend on the number of threads.

pub mod batch_norm;
pub mod conv2d;
pub mod conv_transpose;
pub mod cross_entropy;
pub mod depthwise;
mod engine;
mod number;
pub mod pool;
pub mod reference;
pub mod residual;
mod scratch;
mod simd;
pub mod smooth;
mod strip;
mod tile;

pub use simd::Isa;

/// Panics unless the slice called `name` has `wanted` floats.
#[track_caller]
fn check_len<T>(name: &str, slice: &[T], wanted: usize) {
    assert!(
        slice.len() == wanted,
        "`{name}` has {} elements, its shape wants {wanted}",
        slice.len()
    );
}
