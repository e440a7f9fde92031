//! What can go wrong in the lab.

use std::io;

/// Shorthand for the results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in the lab.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may make namespaces.
    #[error(
        "the lab makes network namespaces, which needs root: use `cargo xtask test` or `cargo xtask run`"
    )]
    NotRoot,

    /// A system call or a file operation failed.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was being done, as it reads after "cannot".
        doing: String,
        /// Why it failed.
        source: io::Error,
    },

    /// A program that the lab uses is not on this machine.
    #[error("`{0}` is not installed; `cargo xtask setup` installs it")]
    Missing(String),

    /// A program ended with a failure.
    #[error("`{command}` ended with {status}:\n{output}")]
    Command {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it wrote to stderr.
        output: String,
    },

    /// Something that was waited for did not happen.
    #[error("waited in vain for {what}\n{context}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// What was seen instead.
        context: String,
    },

    /// A program's output could not be understood.
    #[error("cannot understand {what}: {reason}")]
    Malformed {
        /// Whose output it was.
        what: String,
        /// What was wrong with it.
        reason: String,
    },
}

impl Error {
    /// Wraps an I/O error with what was being done: `.map_err(Error::io("open the door"))`.
    pub fn io<S: Into<io::Error>>(doing: impl Into<String>) -> impl FnOnce(S) -> Self {
        move |source| Self::Io { doing: doing.into(), source: source.into() }
    }

    /// Says that `what` could not be understood, and why.
    pub fn malformed(what: impl Into<String>, reason: &impl ToString) -> Self {
        Self::Malformed { what: what.into(), reason: reason.to_string() }
    }
}
