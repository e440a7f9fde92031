//! `build`: the product, for this machine or for arm64.

use std::{fs, ops::Range};

use anyhow::{Context, Result, ensure};
use lb_toolchain::{Build, Workspace};

use crate::{
    cargo,
    setup::{self, Need},
};

/// `e_machine` of an ELF file for arm64, and where it stands.
const EM_AARCH64: [u8; 2] = 183_u16.to_le_bytes();
const E_MACHINE: Range<usize> = 18..20;

#[derive(clap::Args)]
pub struct Args {
    /// For arm64, such as a Raspberry Pi
    #[arg(long)]
    arm64: bool,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let build = release(workspace, args.arm64)?;
    let xlb = cargo::program(&build, "xlb")?;
    println!("{} ({} KiB)", xlb.display(), fs::metadata(xlb)?.len() / 1024);
    Ok(())
}

/// Builds the product for release, for this machine or for arm64.
pub fn release(workspace: &Workspace, arm64: bool) -> Result<Build> {
    setup::ensure(workspace, &[Need::Ebpf])?;
    if !arm64 {
        return cargo::build_release(&mut cargo::command(workspace), &["lb-userspace"]);
    }
    let build = build_arm64(workspace)?;
    let xlb = cargo::program(&build, "xlb")?;
    ensure!(fs::read(xlb)?.get(E_MACHINE) == Some(&EM_AARCH64), "{} is not for arm64", xlb.display());
    Ok(build)
}

fn build_arm64(workspace: &Workspace) -> Result<Build> {
    setup::ensure(workspace, &[Need::Arm64])?;
    let installation = setup::arm64_installation().context("no Rust installation compiles for arm64")?;
    let mut cargo = cargo::arm64(&installation, workspace);
    cargo::build_release(&mut cargo, &["lb-userspace"])
}
