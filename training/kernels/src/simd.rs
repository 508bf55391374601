//! One vector interface over AVX-512, AVX2 and plain arrays, chosen at run time.
//!
//! A kernel is written once, generic over [`Simd`], as a type that implements [`Kernel`]. [`Isa::launch`] calls it inside a function that
//! has the instruction set switched on; everything between there and the intrinsics is `inline(always)`, so it
//! compiles to that set. (A closure is a function of its own and breaks this: loops in kernels are plain loops.)

use crate::number::Number;
use std::fmt;

/// An instruction set that this CPU is known to have: the only ways to make one look first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Bf16,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// The fastest set of this CPU that multiplies floats.
    pub fn best() -> Self {
        Self::avx512().or_else(Self::avx2).unwrap_or_else(Self::portable)
    }

    /// AVX-512 (F, VL, BW and DQ), 16 floats a register; `None` where the CPU lacks it.
    pub fn avx512() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && Self::avx2().is_some()
        {
            return Some(Self(Kind::Avx512));
        }
        None
    }

    /// AVX-512 with convolutions that round what they multiply to bf16 (8 bits of precision; the least, denormal numbers count as 0)
    /// and add up in floats, twice as many products at a time; all else, the depthwise convolution too, is as in [`Isa::avx512`]. `None` where the CPU lacks it.
    pub fn bf16() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bf16") && Self::avx512().is_some() {
            return Some(Self(Kind::Bf16));
        }
        None
    }

    /// AVX2 with fused multiply-add, 8 floats a register; `None` where the CPU lacks it.
    pub fn avx2() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return Some(Self(Kind::Avx2));
        }
        None
    }

    /// Arrays of four floats, for any CPU.
    pub fn portable() -> Self {
        Self(Kind::Portable)
    }

    /// Every set of this CPU that multiplies floats, fastest first.
    pub fn available() -> Vec<Self> {
        [Self::avx512(), Self::avx2(), Some(Self::portable())]
            .into_iter()
            .flatten()
            .collect()
    }

    /// True if the vector unit makes these kernels worth more than a general tensor library's own.
    pub fn is_fast(self) -> bool {
        self.0 != Kind::Portable
    }

    /// True if convolutions multiply bf16.
    pub(crate) fn multiplies_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Kind::Bf16;
        #[cfg(not(target_arch = "x86_64"))]
        return false;
    }

    /// Output channels that one register tile of the convolutions covers.
    pub(crate) fn tile_channels(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Bf16 | Kind::Avx512 => Avx512::TILE,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Avx2::TILE,
            Kind::Portable => Portable::TILE,
        }
    }

    /// Runs `kernel` compiled for this set.
    pub(crate) fn launch<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            // SAFETY: a value of this kind exists only if the CPU was seen to have the features.
            #[cfg(target_arch = "x86_64")]
            Kind::Bf16 => unsafe { with_bf16(kernel) },
            // SAFETY: a value of this kind exists only if the CPU was seen to have the features.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => unsafe { with_avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => unsafe { with_avx2(kernel) },
            Kind::Portable => kernel.run::<Portable>(),
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Bf16 => "avx512 with bf16",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            Kind::Portable => "portable",
        })
    }
}

/// Work that is compiled once per instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx512bf16,avx2,fma")]
fn with_bf16<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512Bf16>()
}

// Without VL the compiler keeps sums that are reduced later out of the upper 16 registers, and spills.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
fn with_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx512>()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run::<Avx2>()
}

/// A register of floats.
///
/// # Safety
/// Every method needs the CPU features of its type; `load` and `store` touch `LANES` floats at any alignment.
pub(crate) trait Simd: Copy + 'static {
    type V: Copy;
    /// What [`Simd::dot`] multiplies.
    type Number: Number;
    /// Floats a register.
    const LANES: usize;
    /// Output channels a tile: `TILE * 3` accumulators, 3 inputs and one weight fit the register file.
    const TILE: usize;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    /// `a * b + c`
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// Adds the products of the numbers in the lanes of `a` and `b` to the floats of `c`.
    unsafe fn dot(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// The sum of all lanes.
    unsafe fn sum(v: Self::V) -> f32;
}

/// Arrays of four floats.
#[derive(Clone, Copy)]
pub(crate) struct Portable;

impl Simd for Portable {
    type V = [f32; 4];
    type Number = f32;
    const LANES: usize = 4;
    const TILE: usize = 4;
    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe { p.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe { p.cast::<[f32; 4]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        [a[0] * b[0] + c[0], a[1] * b[1] + c[1], a[2] * b[2] + c[2], a[3] * b[3] + c[3]]
    }
    #[inline(always)]
    unsafe fn dot(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        unsafe { Self::fma(a, b, c) }
    }
    #[inline(always)]
    unsafe fn sum(v: Self::V) -> f32 {
        (v[0] + v[2]) + (v[1] + v[3])
    }
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512, Avx512Bf16};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use crate::number::Bf16;
    use std::arch::x86_64::*;

    /// 256-bit registers, 16 of them.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    impl Simd for Avx2 {
        type V = __m256;
        type Number = f32;
        const LANES: usize = 8;
        const TILE: usize = 4;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { _mm256_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { _mm256_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe { _mm256_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm256_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn dot(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { Self::fma(a, b, c) }
        }
        #[inline(always)]
        unsafe fn sum(v: Self::V) -> f32 {
            unsafe {
                let four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v));
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
            }
        }
    }

    /// 512-bit registers, 32 of them.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    impl Simd for Avx512 {
        type V = __m512;
        type Number = f32;
        const LANES: usize = 16;
        const TILE: usize = 8;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { _mm512_set1_ps(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { _mm512_loadu_ps(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe { _mm512_storeu_ps(p, v) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }
        #[inline(always)]
        unsafe fn dot(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { Self::fma(a, b, c) }
        }
        #[inline(always)]
        unsafe fn sum(v: Self::V) -> f32 {
            unsafe { _mm512_reduce_add_ps(v) }
        }
    }

    /// The same, multiplying pairs of bf16.
    #[derive(Clone, Copy)]
    pub(crate) struct Avx512Bf16;

    impl Simd for Avx512Bf16 {
        type V = __m512;
        type Number = Bf16;
        const LANES: usize = Avx512::LANES;
        const TILE: usize = Avx512::TILE;
        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { Avx512::splat(x) }
        }
        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { Avx512::load(p) }
        }
        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe { Avx512::store(p, v) }
        }
        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { Avx512::fma(a, b, c) }
        }
        #[inline(always)]
        unsafe fn dot(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            // SAFETY: both types are 512 bits.
            unsafe {
                _mm512_dpbf16_ps(
                    c,
                    std::mem::transmute::<__m512, __m512bh>(a),
                    std::mem::transmute::<__m512, __m512bh>(b),
                )
            }
        }
        #[inline(always)]
        unsafe fn sum(v: Self::V) -> f32 {
            unsafe { Avx512::sum(v) }
        }
    }
}
