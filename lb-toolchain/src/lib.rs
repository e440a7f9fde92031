//! Finds a compiler and a linker for the eBPF programs, and builds them.
//!
//! Two programs need this: the build script of the agent, which embeds the objects, and the
//! `xtask`, which installs what is missing. It keeps its dependencies few, because every build
//! of the agent starts with it.

mod build;
mod environment;
mod error;
mod installation;
mod linker;
mod object;
mod strip;
mod toolchain;
mod workspace;

pub use build::{Build, Executable};
pub use error::Error;
pub use installation::Installation;
pub use linker::Linker;
pub use object::{Object, Objects};
pub use toolchain::{Compiler, Toolchain};
pub use workspace::Workspace;
