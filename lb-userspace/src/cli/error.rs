//! Why a command fails.

use std::io;

use crate::doctor::Severity;
use crate::kind::Kind;
use crate::socket::{Complaint, NoAnswer};
use crate::{agent, config, dataplane, neighbours, preflight};

/// Anything that makes a command fail.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The agent does not start.
    #[error(transparent)]
    Agent(#[from] agent::Error),
    /// A configuration is wrong.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// A password cannot be taken.
    #[error("not a password: {0}")]
    Password(String),
    /// The data plane cannot be read or changed.
    #[error(transparent)]
    Dataplane(#[from] dataplane::Error),
    /// The network cannot be read or changed.
    #[error(transparent)]
    Neighbours(#[from] neighbours::Error),
    /// The agent cannot be asked.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    /// Words that are no command.
    #[error(transparent)]
    NotACommand(#[from] crate::socket::NotACommand),
    /// Packets cannot be traced.
    #[error(transparent)]
    Trace(#[from] crate::trace::Error),
    /// The agent has refused what it was asked for.
    #[error(transparent)]
    Refused(#[from] Complaint),
    /// The agent was asked to end, and has not.
    #[error("the agent (process {0}) does not end; end it (`kill -9 {0}`) and try again")]
    AgentStays(u32),
    /// The command was ended before it had come to its end.
    #[error("{0}")]
    Interrupted(String),
    /// Only root can look into a data plane.
    #[error("xlb {0} looks into the running data plane; use sudo")]
    NotRoot(&'static str),
    /// There is no terminal to draw on.
    #[error("xlb top needs a terminal; `xlb stats --watch` writes to pipes and files")]
    NotATerminal,
    /// The doctor has warnings, or worse.
    #[error("the worst finding is: {0}")]
    Doctor(Severity),
    /// Something does not work.
    #[error("{failed} of {checks} checks failed")]
    Selftest {
        /// How many checks failed.
        failed: usize,
        /// How many there were.
        checks: usize,
    },
    /// Output cannot be written, or the system has no room for a task.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Config(_) | Self::NotACommand(_) | Self::Password(_) | Self::Doctor(Severity::Fatal) => {
                Kind::Wrong
            }
            Self::NoAnswer(_) | Self::NotRoot(_) | Self::NotATerminal => Kind::Environment,
            Self::Agent(error) => error.kind(),
            Self::Dataplane(error) => error.kind(),
            Self::Neighbours(error) => error.kind(),
            Self::Trace(error) => error.kind(),
            Self::Refused(complaint) => complaint.kind,
            Self::Doctor(_)
            | Self::AgentStays(_)
            | Self::Interrupted(_)
            | Self::Selftest { .. }
            | Self::Io(_) => Kind::Failed,
        }
    }

    /// Whether whoever read our output has seen enough.
    #[must_use]
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<config::Problems> for Error {
    fn from(problems: config::Problems) -> Self {
        config::Error::from(problems).into()
    }
}

impl From<preflight::Error> for Error {
    fn from(error: preflight::Error) -> Self {
        agent::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::socket::NotACommand;

    #[test]
    fn exit_codes_are_what_the_readme_says() {
        let pins = || PathBuf::from("/sys/fs/bpf/xlb");
        let errors: [(Error, u8); 11] = [
            (NotACommand::Weight("257".into()).into(), 2),
            (Complaint::wrong("there is no such server").into(), 2),
            (Error::NotRoot("selftest"), 3),
            (Error::NotATerminal, 3),
            (NoAnswer::NotRunning(pins()).into(), 3),
            (dataplane::Error::NotRunning(pins()).into(), 3),
            (dataplane::Error::NotAllowed(pins()).into(), 3),
            (dataplane::Error::OutOfMemory.into(), 1),
            (Error::Selftest { failed: 1, checks: 9 }, 1),
            (Error::Doctor(Severity::Warning), 1),
            (Error::Doctor(Severity::Fatal), 2),
        ];
        for (error, code) in errors {
            assert_eq!(error.kind().exit_code(), code, "{error}");
        }
    }
}
