//! `lint`: format, lints, warnings of the eBPF target, and dependencies.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use lb_toolchain::{Toolchain, Workspace};

use crate::{
    cargo, process,
    setup::{self, Need},
    test::{Layer, TEST_BUILDS},
};

pub fn run(workspace: &Workspace) -> Result<()> {
    setup::ensure(workspace, &[Need::Ebpf, Need::Lint])?;
    process::run(cargo::command(workspace).args(["fmt", "--all", "--check"]))?;
    clippy(workspace, &["--workspace", "--all-targets"])?;
    clippy(workspace, &["--package", "lb-ebpf", "--all-features"])?;
    // Tests that need root are no part of a plain `cargo test`, nor therefore of "all targets".
    let root_targets = Layer::value_variants().iter().filter_map(|layer| layer.root_target());
    let selection: Vec<_> = root_targets.flat_map(|target| ["--test", target]).collect();
    clippy(workspace, &[&["--workspace", "--bins"], &TEST_BUILDS[..], selection.as_slice()].concat())?;
    ebpf_warnings(workspace)?;
    dependencies(workspace)
}

fn clippy(workspace: &Workspace, targets: &[&str]) -> Result<()> {
    let mut cargo = cargo::command(workspace);
    process::run(cargo.arg("clippy").args(targets).args(["--", "--deny", "warnings"]))
}

/// Clippy sees the eBPF programs as they compile for the host; their own target may differ.
fn ebpf_warnings(workspace: &Workspace) -> Result<()> {
    let warnings = Toolchain::find(workspace)?.build(workspace)?.warnings;
    ensure!(warnings.is_empty(), "the eBPF programs have warnings:\n{}", warnings.concat());
    Ok(())
}

fn dependencies(workspace: &Workspace) -> Result<()> {
    if process::output("cargo-deny", &["--version"]).is_none() {
        eprintln!(
            "xtask: licences and sources are unchecked: there is no cargo-deny (cargo install cargo-deny)"
        );
        return Ok(());
    }
    process::run(cargo::command(workspace).args(["deny", "check", "bans", "licenses", "sources"]))
}
