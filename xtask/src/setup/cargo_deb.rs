//! cargo-deb, built into the workspace's own tools.

use std::path::PathBuf;

use anyhow::Result;
use lb_toolchain::Workspace;

use super::tools;
use crate::process;

/// The one version that is known to pack what we want.
const VERSION: &str = "3.8.0";

/// Installs it if it is not there, and returns its path.
pub fn ensure(workspace: &Workspace) -> Result<PathBuf> {
    let program = workspace.tools().join("bin/cargo-deb");
    let version = program.to_str().and_then(|program| process::output(program, &["--version"]));
    if version != Some(format!("cargo-deb {VERSION}")) {
        tools::install(workspace, ("cargo-deb", VERSION), "packs for Debian", |_| ())?;
    }
    Ok(program)
}
