//! What the convolutions of training multiply.

use crate::error::{Kind, fault};
use anyhow::Result;
use burn::backend::DispatchDevice;
use burn::tensor::Device;
use maskline_kernels::Isa;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

/// `[train] precision`: of the net's convolutions, and of those of its teacher and discriminator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// Numbers rounded to bf16, which have the range of 32-bit floats and 8 bits of precision, added up in 32-bit floats.
    Bf16,
}

thread_local! {
    static HELD: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// The precision of this thread's convolutions is another one while this lives.
#[derive(Debug)]
#[must_use = "the precision ends with it"]
pub struct Held {
    before: Precision,
    of_this_thread: PhantomData<*const ()>,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

impl Precision {
    /// Refuses what the device has not.
    ///
    /// # Errors
    /// One line (exit code 69).
    pub fn check(self, device: &Device) -> Result<()> {
        let device = device.clone().without_autodiff();
        let missing = match self {
            Self::F32 => return Ok(()),
            Self::Bf16 if !matches!(device.as_dispatch(), DispatchDevice::Flex(_)) => "is of the CPU alone",
            Self::Bf16 if Isa::bf16().is_none() => "needs a CPU with AVX512_BF16, as AMD has since Zen 4 and Intel since Cooper Lake",
            Self::Bf16 => return Ok(()),
        };
        Err(fault(
            Kind::Unavailable,
            format!("precision bf16 {missing}: take f32 (--precision f32, or no train.precision)"),
        ))
    }

    /// Lets this thread's convolutions and their gradients multiply in it until the value is dropped; checked before, by [`Self::check`].
    pub fn hold(self) -> Held {
        Held {
            before: HELD.replace(self),
            of_this_thread: PhantomData,
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(self.before);
    }
}

/// The instruction set of convolutions on this thread.
pub(super) fn isa() -> Isa {
    match HELD.get() {
        Precision::F32 => Isa::best(),
        Precision::Bf16 => Isa::bf16().unwrap_or_else(Isa::best),
    }
}
