//! Failures that carry their exit code. Every text is one line: what was found, what was wanted, what to do.

use std::fmt;
use std::path::Path;

/// What kind of failure it is; the value is the exit code (those of `sysexits.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The command line is wrong.
    Usage = 64,
    /// Training or evaluation data is missing, damaged or does not fit together.
    BadInput = 65,
    /// A defect of this program.
    Internal = 70,
    /// Reading or writing failed.
    Io = 74,
    /// A configuration, checkpoint, model or device cannot be used.
    Config = 78,
    /// Ended by Ctrl-C after saving.
    Interrupted = 130,
}

/// A failure with its kind.
#[derive(Debug)]
pub struct Fault {
    /// Decides the exit code.
    pub kind: Kind,
    /// The line.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// A failure of that kind as an `anyhow::Error`.
pub fn fault(kind: Kind, message: impl fmt::Display) -> anyhow::Error {
    anyhow::Error::new(Fault {
        kind,
        message: message.to_string(),
    })
}

/// A failed read or write of `path`.
pub fn io_fault(doing: &str, path: &Path, error: impl fmt::Display) -> anyhow::Error {
    fault(Kind::Io, format!("cannot {doing} {}: {error}", path.display()))
}

/// The exit code of a failure: that of the outermost [`Fault`] in its chain, 74 for a bare I/O error, else 70.
pub fn code_of(error: &anyhow::Error) -> u8 {
    let kind = error.chain().find_map(|cause| {
        let fault = cause.downcast_ref::<Fault>().map(|f| f.kind);
        fault.or_else(|| cause.is::<std::io::Error>().then_some(Kind::Io))
    });
    kind.unwrap_or(Kind::Internal) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_around_a_fault_keeps_its_code() {
        let error = Err::<(), _>(fault(Kind::BadInput, "no pictures"))
            .context("cannot train")
            .unwrap_err();
        assert_eq!(code_of(&error), 65);
        assert_eq!(format!("{error:#}"), "cannot train: no pictures");
        assert_eq!(code_of(&anyhow::anyhow!("odd")), 70);
        assert_eq!(code_of(&std::io::Error::other("full").into()), 74);
    }
}
