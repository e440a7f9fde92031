//! cargo-deb, built into the workspace's own tools.

use std::path::PathBuf;

use anyhow::{Context, Result};
use lb_toolchain::{Compiler, Workspace};

use crate::process;

/// The one version that is known to pack what we want.
const VERSION: &str = "3.8.0";

/// Installs it if it is not there, and returns its path.
pub fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let program = workspace.tools().join("bin/cargo-deb");
    let version = program.to_str().and_then(|program| process::output(program, &["--version"]));
    if version != Some(format!("cargo-deb {VERSION}")) {
        install(workspace)?;
    }
    Ok(program)
}

fn install(workspace: &Workspace) -> Result<()> {
    let tools = workspace.tools();
    eprintln!(
        "xtask: building cargo-deb {VERSION}, which packs for Debian, into {} (some minutes)",
        tools.display()
    );
    let compiler = Compiler::find().context("there is nothing to build cargo-deb with")?;
    let mut cargo = compiler.installation().cargo();
    cargo
        .args(["install", "--force", "--locked", "--version", VERSION, "--root"])
        .arg(tools)
        .arg("cargo-deb");
    process::run(&mut cargo)
}
