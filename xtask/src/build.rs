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
    setup::ensure(workspace, &[Need::Ebpf])?;
    let build = if args.arm64 {
        build_arm64(workspace)?
    } else {
        cargo::build_release(&mut cargo::command(workspace), &["lb-userspace"])?
    };
    let xlb = cargo::program(&build, "xlb")?;
    let content = fs::read(xlb)?;
    ensure!(!args.arm64 || content.get(E_MACHINE) == Some(&EM_AARCH64), "{} is not for arm64", xlb.display());
    println!("{} ({} KiB)", xlb.display(), content.len() / 1024);
    Ok(())
}

fn build_arm64(workspace: &Workspace) -> Result<Build> {
    setup::ensure(workspace, &[Need::Arm64])?;
    let installation = setup::arm64_installation().context("no Rust installation compiles for arm64")?;
    let mut cargo = cargo::arm64(&installation, workspace);
    cargo::build_release(&mut cargo, &["lb-userspace"])
}
