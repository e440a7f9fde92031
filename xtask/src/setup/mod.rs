//! `setup`: installs what is missing, says what and why, and does nothing when nothing is.

pub mod cargo_deb;
mod linker;
mod need;
mod packages;
mod service;
mod tools;

use anyhow::Result;
use lb_toolchain::{Linker, Workspace};

pub use need::{ARM64_TARGET, Need, arm64_installation};

/// Installs what building, running and testing need; other verbs add their own when they need it.
pub fn run(workspace: &Workspace) -> Result<()> {
    if !ensure(workspace, &[Need::Ebpf, Need::Lab])? {
        println!("Nothing to do: the eBPF toolchain and the lab's programs are installed.");
    }
    Ok(())
}

/// Installs what is missing of `needs`, and says whether anything was.
pub fn ensure(workspace: &Workspace, needs: &[Need]) -> Result<bool> {
    let missing: Vec<_> = needs.iter().flat_map(|need| need.missing_packages(workspace)).collect();
    packages::install(&missing)?;
    let linker_is_missing = needs.contains(&Need::Ebpf) && Linker::find(workspace).is_err();
    if linker_is_missing {
        linker::install(workspace)?;
    }
    Ok(linker_is_missing || !missing.is_empty())
}
