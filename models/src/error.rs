//! Exit codes of the runtime and the trainer: every failure that a script may want to tell apart carries its [`Kind`].

use std::fmt;
use std::path::Path;
use std::process::ExitCode;

/// What kind of failure it is; the value is the exit code (those of `sysexits.h`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The command line is wrong.
    Usage = 64,
    /// An input file is missing, damaged or of the wrong kind.
    BadInput = 65,
    /// What was wanted cannot be had here.
    Unavailable = 69,
    /// A defect of this program.
    Internal = 70,
    /// Reading or writing failed.
    Io = 74,
    /// It may work later.
    Temporary = 75,
    /// Configuration, model or provider cannot be used.
    Config = 78,
    /// Ended by SIGINT after finishing the output.
    Interrupted = 130,
    /// Ended by SIGTERM after finishing the output.
    Terminated = 143,
}

/// A failure with its kind. The text is one line: what was found, what was wanted, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// Decides the exit code.
    pub kind: Kind,
    /// The line.
    pub message: String,
}

/// A failure of that kind as an `anyhow::Error`.
pub fn fault(kind: Kind, message: impl fmt::Display) -> anyhow::Error {
    Fault {
        kind,
        message: message.to_string(),
    }
    .into()
}

/// A failed read or write of `path`; `doing` is what was tried, such as "write".
pub fn io_fault(doing: &str, path: &Path, error: impl fmt::Display) -> anyhow::Error {
    fault(Kind::Io, format!("cannot {doing} {}: {error}", path.display()))
}

/// Gives an error a kind: `file.read().kind(Kind::Io)?`.
pub trait WithKind<T> {
    /// Wraps the error in a [`Fault`], keeping its whole text.
    ///
    /// # Errors
    /// The same failure, with its kind.
    fn kind(self, kind: Kind) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithKind<T> for Result<T, E> {
    fn kind(self, kind: Kind) -> anyhow::Result<T> {
        self.map_err(|e| fault(kind, format!("{:#}", e.into())))
    }
}

/// The kind of a failure: that of the outermost [`Fault`] in its chain, I/O for a bare I/O error, else internal.
pub fn kind_of(error: &anyhow::Error) -> Kind {
    let kind = error.chain().find_map(|cause| {
        let fault = cause.downcast_ref::<Fault>().map(|f| f.kind);
        fault.or_else(|| cause.is::<std::io::Error>().then_some(Kind::Io))
    });
    kind.unwrap_or(Kind::Internal)
}

/// The exit code of a failure.
pub fn code_of(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(kind_of(error) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn context_around_a_fault_keeps_its_code_and_its_text() {
        let error = Err::<(), _>(fault(Kind::BadInput, "no video in it"))
            .context("cannot read a.mp4")
            .unwrap_err();
        assert_eq!(format!("{error:#}"), "cannot read a.mp4: no video in it");
        assert_eq!(format!("{:?}", code_of(&error)), format!("{:?}", ExitCode::from(65)));
    }

    #[test]
    fn a_bare_io_error_is_74_and_anything_else_70() {
        let io = anyhow::Error::from(std::io::Error::other("gone"));
        assert_eq!(format!("{:?}", code_of(&io)), format!("{:?}", ExitCode::from(74)));
        assert_eq!(format!("{:?}", code_of(&anyhow::anyhow!("?"))), format!("{:?}", ExitCode::from(70)));
    }
}
