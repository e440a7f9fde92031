//! Clients on the balancer's own host, whose packets never cross its interface.
//!
//! [`programs`] puts the programs that turn their connections to servers on a cgroup, [`cgroup`]
//! finds the one that has all processes, [`list`] finds connections, [`destroy`] ends those to a
//! server that is DOWN, and [`service`] is how the agent uses them.

pub mod cgroup;
pub mod destroy;
mod list;
pub mod programs;
pub mod service;
pub(crate) mod sock_diag;

use std::io;
use std::path::PathBuf;

pub use destroy::Destroyer;
pub(crate) use list::{Connection, connections};
pub use programs::is_attached;
pub use service::HostClients;

use crate::dataplane;

/// Clients on this host cannot be served. No reason not to serve all others.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No cgroup2 file system is mounted.
    #[error(
        "no cgroup2 file system is mounted; mount one (`mount -t cgroup2 none /sys/fs/cgroup`), \
         name another place with `cgroup`, or set `host_clients = false`"
    )]
    NoCgroup,
    /// The directory cannot be opened.
    #[error("cannot open the cgroup {path}: {source}; set `cgroup` to a directory of a cgroup2 file system", path = path.display())]
    Cgroup {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel does not take the program for the cgroup.
    #[error("cannot attach {name} to the cgroup {path}: {source}", path = path.display())]
    Attach {
        /// The program.
        name: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// What the kernel said.
        source: aya::programs::ProgramError,
    },
    /// The kernel gave no link.
    #[error("the kernel gave no link for {0}; xlb needs Linux 6.1 or newer")]
    NoLink(&'static str),
    /// The kernel cannot end connections.
    #[error(
        "the kernel has no CONFIG_INET_DIAG_DESTROY: connections of this host's own clients to a server \
         that is DOWN last until their programs give up"
    )]
    NoDestroy,
    /// The kernel does not tell which sockets there are.
    #[error("cannot look through this host's sockets: {0}")]
    Diag(#[source] io::Error),
    /// Programs, maps or pins.
    #[error(transparent)]
    DataPlane(#[from] dataplane::Error),
}
