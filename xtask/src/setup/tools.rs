//! Programs that cargo builds from source into the workspace's own tools.

use std::process::Command;

use anyhow::Result;
use lb_toolchain::{Compiler, Workspace};

use crate::process;

/// Builds and installs one version of a program, with what else cargo has to be told; `why` is the rest of a
/// sentence that the program's name begins.
pub fn install(
    workspace: &Workspace,
    (name, version): (&str, &str),
    why: &str,
    tell: impl FnOnce(&mut Command),
) -> Result<()> {
    let tools = workspace.tools();
    eprintln!("xtask: building {name} {version}, which {why}, into {} (some minutes)", tools.display());
    let mut cargo = Compiler::find()?.installation().cargo();
    // A forced installation replaces one that no longer starts, say because its library has gone.
    cargo.args(["install", "--force", "--locked", "--version", version, "--root"]).arg(tools).arg(name);
    tell(&mut cargo);
    process::run(&mut cargo)
}
