//! What can go wrong, in words that say what to do about it.

use std::{io, path::PathBuf};

/// Why there is no eBPF object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The program was not started by cargo.
    #[error("CARGO_MANIFEST_DIR names no package of the workspace: start this through cargo")]
    NoWorkspace,

    /// No Rust installation can compile for the eBPF target.
    #[error(
        "no Rust compiler for {target}: there are neither Debian's packages {packages} \
         nor a rustup nightly with rust-src; run `cargo xtask setup`",
        target = crate::object::TARGET,
        packages = crate::Compiler::DEBIAN_PACKAGES.join(", ")
    )]
    NoCompiler,

    /// The pinned linker is not installed.
    #[error(
        "bpf-linker {version} is neither in {tools} nor in PATH; run `cargo xtask setup`",
        version = crate::Linker::VERSION,
        tools = tools.display()
    )]
    NoLinker {
        /// The folder in which `cargo xtask setup` puts it.
        tools: PathBuf,
    },

    /// A program did not start, or its output could not be read.
    #[error("cannot run {program}: {reason}")]
    Run {
        /// The program as it was called.
        program: String,
        /// Why.
        reason: io::Error,
    },

    /// A file of a build cannot be made or read.
    #[error("{path}: {reason}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: io::Error,
    },

    /// What was built is no object, or none that can be written again.
    #[error("cannot take the debug information out of {path}: {reason}", path = path.display())]
    Strip {
        /// The object.
        path: PathBuf,
        /// Why.
        reason: object::build::Error,
    },

    /// cargo said no; its compiler errors are in the text.
    #[error("`{program}` failed\n{errors}")]
    Failed {
        /// The program as it was called.
        program: String,
        /// The compiler's errors, as it renders them.
        errors: String,
    },
}
