//! Why the agent does not start, or does not reload.

use std::path::PathBuf;
use std::time::Duration;

use crate::compatibility::Incompatible;
use crate::config;
use crate::control::{Refusal, StartError};
use crate::dataplane;
use crate::dataplane::attach::AttachError;
use crate::health::tls::AuthoritiesError;
use crate::kind::Kind;
use crate::local;
use crate::neighbours;
use crate::preflight;
use crate::privileges;
use crate::{socket, web};

/// What can go wrong with the agent.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration is wrong, or does not fit the host.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The environment is not fit to run in.
    #[error(transparent)]
    Preflight(#[from] preflight::Error),
    /// The running data plane cannot do what the configuration wants.
    #[error(transparent)]
    Incompatible(#[from] Incompatible),
    /// The maps have no room.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nobody can be trusted in checks over HTTPS.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// A server cannot be reached.
    #[error(transparent)]
    Neighbours(#[from] neighbours::Error),
    /// The program cannot be attached.
    #[error(transparent)]
    Attach(AttachError),
    /// The control socket cannot be made.
    #[error(transparent)]
    Socket(#[from] socket::BindError),
    /// Statistics or metrics cannot be served.
    #[error(transparent)]
    Web(#[from] web::BindError),
    /// Statistics cannot be served over TLS.
    #[error(transparent)]
    Proof(#[from] web::Unusable),
    /// Clients on this host cannot be served.
    #[error(transparent)]
    HostClients(#[from] local::Error),
    /// Something with the kernel.
    #[error(transparent)]
    Dataplane(#[from] dataplane::Error),
    /// A data plane that runs already would be put at risk for nothing.
    #[error(
        "--confirm takes back what a start has attached, and the data plane at {path} was there before; \
         leave --confirm out to take it over, or give `--fresh` too: that ends its connections",
        path = .0.display()
    )]
    NothingToTakeBack(PathBuf),
    /// The start was not confirmed in time.
    #[error(
        "no `xlb confirm` came within {}: the data plane was taken down again, as --confirm has it",
        humantime::format_duration(*.0)
    )]
    Unconfirmed(Duration),
    /// The start was confirmed, and could not be kept; why, whoever confirmed it was told.
    #[error(
        "`xlb confirm` came, but what was on trial could not be kept: the data plane was taken down again, \
         as --confirm has it"
    )]
    NotKept,
    /// The agent keeps more rights than it needs.
    #[error(transparent)]
    Privileges(#[from] privileges::Error),
    /// Signals cannot be handled.
    #[error("cannot handle signals: {0}")]
    Signals(#[source] std::io::Error),
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Config(_) | Self::Proof(_) => Kind::Wrong,
            Self::Preflight(_)
            | Self::Incompatible(_)
            | Self::Refused(_)
            | Self::Authorities(_)
            | Self::Attach(_)
            | Self::Socket(_)
            | Self::Web(_)
            | Self::NothingToTakeBack(_) => Kind::Environment,
            Self::Unconfirmed(_) | Self::NotKept => Kind::Unconfirmed,
            Self::Neighbours(error) => error.kind(),
            Self::Dataplane(error) | Self::HostClients(local::Error::DataPlane(error)) => error.kind(),
            Self::HostClients(_) | Self::Privileges(_) | Self::Signals(_) => Kind::Failed,
        }
    }
}

impl From<AttachError> for Error {
    fn from(error: AttachError) -> Self {
        match error {
            AttachError::Dataplane(error) => error.into(),
            error => Self::Attach(error),
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Refused(refusal) => refusal.into(),
            StartError::Dataplane(error) => error.into(),
        }
    }
}
