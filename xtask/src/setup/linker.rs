//! bpf-linker, built from source into the workspace's own tools.

use anyhow::Result;
use lb_toolchain::{Linker, Workspace};

use super::{need::LLVM_PREFIX, tools};

/// Builds and installs the pinned version.
pub fn install(workspace: &Workspace) -> Result<()> {
    tools::install(workspace, ("bpf-linker", Linker::VERSION), "links the eBPF programs", |cargo| {
        cargo.args(["--no-default-features", "--features", "llvm-22"]).env("LLVM_PREFIX", LLVM_PREFIX);
        // The work is LLVM's, which is optimized as it is.
        cargo.arg("--debug");
    })?;
    Linker::find(workspace)?;
    Ok(())
}
