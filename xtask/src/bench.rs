//! `bench`: measures, built as the user and run as root.

use anyhow::Result;
use clap::Subcommand;
use lb_toolchain::Workspace;

use crate::{
    cargo, privilege, process,
    setup::{self, Need},
};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Nanoseconds for one packet on each path, by test runs in the kernel
    Packet {
        /// Arguments of the benchmark, such as --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

pub fn run(workspace: &Workspace, args: Args) -> Result<()> {
    let What::Packet { args } = args.what;
    setup::ensure(workspace, &[Need::Ebpf])?;
    privilege::acquire("loading an eBPF program")?;
    let mut cargo = cargo::command(workspace);
    cargo.args(privilege::cargo_runner());
    cargo.args(["bench", "--package", "lb-userspace", "--bench", "packet", "--"]).args(args);
    process::become_command(&mut cargo)
}
