//! The compiler and the linker that make an eBPF object together.

use std::{path::PathBuf, process::Command};

use crate::{Error, Installation, Linker, Workspace, object::TARGET};

/// A Rust compiler for the eBPF target.
#[derive(Debug, Clone)]
pub struct Compiler {
    installation: Installation,
    core: Core,
}

/// Where the eBPF target's `core` comes from.
#[derive(Debug, Clone, Copy)]
enum Core {
    Precompiled,
    Source,
}

impl Compiler {
    /// The Debian packages that give one, with `core` for eBPF precompiled.
    pub const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];

    /// Finds one; Debian's is preferred, because its version moves less than a nightly's.
    pub fn find() -> Result<Self, Error> {
        let system = Installation::system();
        if system.has_target(TARGET) {
            return Ok(Self { installation: system, core: Core::Precompiled });
        }
        let installation = Installation::nightly_with_source().ok_or(Error::NoCompiler)?;
        Ok(Self { installation, core: Core::Source })
    }

    /// The installation that it belongs to.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.installation
    }

    /// `cargo build` for the eBPF target.
    pub(crate) fn cargo_build(&self) -> Command {
        let mut command = self.installation.cargo();
        command.args(["build", "--target", TARGET]);
        // aya-ebpf asks for features of the compiler that are not stable.
        command.env("RUSTC_BOOTSTRAP", "1");
        if matches!(self.core, Core::Source) {
            command.args(["-Z", "build-std=core"]);
        }
        command
    }
}

/// Both halves of what an eBPF object needs.
#[derive(Debug, Clone)]
pub struct Toolchain {
    /// Compiles to LLVM bitcode.
    pub compiler: Compiler,
    /// Makes one eBPF object of it.
    pub linker: Linker,
}

impl Toolchain {
    /// Finds both, or says which one is missing.
    pub fn find(workspace: &Workspace) -> Result<Self, Error> {
        Ok(Self { compiler: Compiler::find()?, linker: Linker::find(workspace)? })
    }

    /// The files whose change means another object: sources and tools.
    #[must_use]
    pub fn inputs(&self, workspace: &Workspace) -> Vec<PathBuf> {
        let tools = [self.compiler.installation.rustc(), self.linker.path().to_owned()];
        workspace.ebpf_sources().into_iter().chain(tools).collect()
    }
}
