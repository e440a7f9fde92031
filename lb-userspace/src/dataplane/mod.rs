//! The data plane from the agent's side: the eBPF object, its maps and pins, and its attachment.
//!
//! [`object`] loads, [`maps`] reads and writes, [`pins`] keeps and finds again, [`attach`] puts the
//! program on the interface, [`status`] leaves word for the CLI.

pub mod allow;
pub mod attach;
mod definition;
pub mod endings;
pub mod local_sockets;
pub mod maps;
mod memory;
pub mod need;
pub mod object;
pub mod occupancy;
pub mod pins;
pub mod reports;
pub mod setup;
pub mod slots;
pub mod sources;
pub mod status;
pub mod table;
pub mod ticker;

use std::path::PathBuf;

use crate::kind::Kind;

/// What can go wrong between the agent and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel does not take the object, or one of its maps or programs.
    #[error("cannot load the eBPF program: {0}")]
    Load(#[from] aya::EbpfError),
    /// The verifier or the kernel's limits reject the program.
    #[error("the kernel rejects the eBPF program {name}: {source}")]
    Program {
        /// The program's name.
        name: &'static str,
        /// What the kernel said.
        source: aya::programs::ProgramError,
    },
    /// A map cannot be read or written.
    #[error("cannot access the map {name}: {source}")]
    Map {
        /// The map's name.
        name: &'static str,
        /// What the kernel said.
        source: aya::maps::MapError,
    },
    /// The object lacks a map or a program, or it is of another kind.
    #[error("the eBPF object has no {0}")]
    Missing(&'static str),
    /// A pin cannot be made.
    #[error("cannot pin {path}: {source}; is a bpf file system mounted there?", path = path.display())]
    Pin {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: aya::pin::PinError,
    },
    /// A file operation on the pins or on a map's memory fails.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The pins are root's.
    #[error("{path}: permission denied; use sudo", path = .0.display())]
    NotAllowed(PathBuf),
    /// Nothing is pinned.
    #[error(
        "no data plane at {path}: xlb is not running on this host (or it runs with other --pins)",
        path = .0.display()
    )]
    NotRunning(PathBuf),
    /// The pinned maps are those of another version.
    #[error(
        "the data plane at {path} has layout {found}, this xlb knows layout {known}; use the xlb that \
         started it, or end its connections: `xlb run --fresh` starts anew, `xlb detach` takes it down",
        path = path.display()
    )]
    Layout {
        /// Where.
        path: PathBuf,
        /// Its layout version.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The pinned maps are of this layout, but not what the program needs.
    #[error(
        "the data plane at {path} has another map {name}: {found}; this xlb needs {needed}; use the xlb \
         that started it, or end its connections: `xlb run --fresh` starts anew, `xlb detach` takes it down",
        path = path.display()
    )]
    OtherMap {
        /// Where.
        path: PathBuf,
        /// The map's name.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        needed: String,
    },
    /// The pinned link cannot be used.
    #[error("cannot use the pinned link: {0}")]
    Link(#[from] aya::programs::links::LinkError),
    /// The filters of an interface cannot be listed or changed.
    #[error("cannot list or change the filters of the interface (`tc filter show`): {0}")]
    Filter(#[source] std::io::Error),
    /// Another process works on the pins.
    #[error(
        "the data plane at {path} has an agent already{agent}; stop it first, or give `xlb reload` for a \
         changed configuration",
        path = path.display(), agent = agent.map_or(String::new(), |pid| format!(" (process {pid})"))
    )]
    Taken {
        /// Where.
        path: PathBuf,
        /// The process, as far as it has said so.
        agent: Option<u32>,
    },
    /// The status has grown too long for its map.
    #[error("the names and messages of the servers do not fit the map that the CLI reads them from")]
    StatusTooLong,
    /// The agent ends while it is asked.
    #[error("the agent is ending")]
    Ending,
    /// Connections could not be ended.
    #[error(
        "cannot open a raw socket, to end connections to dead servers with: {0}; xlb needs root, or CAP_NET_RAW"
    )]
    RawSocket(#[source] std::io::Error),
    /// There is no memory to prepare the maps in.
    #[error("out of memory")]
    OutOfMemory,
}

impl Error {
    /// What kind of failure it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::NotAllowed(_)
            | Self::NotRunning(_)
            | Self::Taken { .. }
            | Self::Layout { .. }
            | Self::OtherMap { .. } => Kind::Environment,
            _ => Kind::Failed,
        }
    }
}
