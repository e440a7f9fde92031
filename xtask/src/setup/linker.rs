//! bpf-linker, built from source into the workspace's own tools.

use anyhow::Result;
use lb_toolchain::{Compiler, Linker, Workspace};

use super::need::LLVM_PREFIX;
use crate::process;

/// Builds and installs the pinned version.
pub fn install(workspace: &Workspace) -> Result<()> {
    let version = Linker::VERSION;
    let tools = workspace.tools();
    eprintln!(
        "xtask: building bpf-linker {version}, which links the eBPF programs, into {} (some minutes)",
        tools.display()
    );
    let compiler = Compiler::find()?;
    let mut cargo = compiler.installation().cargo();
    // A forced installation replaces one that no longer starts, say because its library has gone.
    cargo.args(["install", "--force", "--locked", "--version", version, "--root"]).arg(tools);
    cargo.args(["--no-default-features", "--features", "llvm-22", "bpf-linker"]);
    cargo.env("LLVM_PREFIX", LLVM_PREFIX);
    process::run(&mut cargo)?;
    Linker::find(workspace)?;
    Ok(())
}
