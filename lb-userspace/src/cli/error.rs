//! Why a command fails, and with which exit code.

use std::io;

use crate::socket::NoAnswer;
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
    /// The agent has refused what it was asked for.
    #[error("{0}")]
    Refused(String),
    /// The agent cannot use its configuration.
    #[error("{0}")]
    NotReloaded(String),
    /// The command was ended before it had come to its end.
    #[error("{0}")]
    Interrupted(String),
    /// Only root can look into a data plane.
    #[error("xlb {0} looks into the running data plane; use sudo")]
    NotRoot(&'static str),
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
    /// What kind of error it is, for scripts: see the README.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        /// Anything else.
        const OTHER: u8 = 1;
        /// The configuration is wrong.
        const CONFIGURATION: u8 = 2;
        /// The environment is wrong; nothing was changed.
        const ENVIRONMENT: u8 = 3;
        match self {
            Self::Config(_) | Self::NotReloaded(_) | Self::Agent(agent::Error::Config(_)) => CONFIGURATION,
            Self::Agent(
                agent::Error::Preflight(_)
                | agent::Error::Incompatible(_)
                | agent::Error::Refused(_)
                | agent::Error::Neighbours(_)
                | agent::Error::Attach(_)
                | agent::Error::Authorities(_)
                | agent::Error::Socket(_),
            )
            | Self::Neighbours(_)
            | Self::NoAnswer(_) => ENVIRONMENT,
            Self::Agent(agent::Error::Dataplane(error)) | Self::Dataplane(error) => match error {
                dataplane::Error::Taken { .. }
                | dataplane::Error::Layout { .. }
                | dataplane::Error::OtherMap { .. } => ENVIRONMENT,
                _ => OTHER,
            },
            Self::Agent(agent::Error::Signals(_))
            | Self::NotACommand(_)
            | Self::Refused(_)
            | Self::Interrupted(_)
            | Self::NotRoot(_)
            | Self::Selftest { .. }
            | Self::Io(_) => OTHER,
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
