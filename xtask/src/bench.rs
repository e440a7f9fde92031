//! `bench`: measures, built as the user and run as root.

use std::process::Command;

use anyhow::Result;
use clap::Subcommand;
use lb_toolchain::Workspace;

use crate::{
    cargo, privilege, process,
    setup::{self, Need},
    test::{FULL_SIZE, TEST_BUILDS},
};

#[derive(clap::Args)]
pub struct Args {
    /// Built as tests are, which is there already after `test`: shows that it runs, and not what it takes
    #[arg(long)]
    debug: bool,
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
    /// What many connections cost: a packet, memory, the agent and the command line, in the lab
    Scale {
        /// Arguments of the benchmark, such as --quick or --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What a balancer costs: xlb beside HAProxy, nginx, nftables and none, in the lab
    Peers {
        /// Arguments of the benchmark, such as --quick, --json or --svg
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What xlb does to the other traffic of its host, in each mode, in the lab
    Neighbours {
        /// Arguments of the benchmark, such as --quick or --json
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What clients notice when a server dies, behind HAProxy and behind xlb, in the lab
    Failover {
        /// At full size: 500 connections a second, for many minutes in all
        #[arg(long)]
        full: bool,
        /// Only the first of the ways to die, to see that it runs
        #[arg(long, conflicts_with = "full")]
        quick: bool,
    },
}

pub fn run(workspace: &Workspace, args: Args) -> Result<()> {
    let bench = |name| bench(workspace, name, args.debug);
    match args.what {
        What::Packet { args } => {
            setup::ensure(workspace, &[Need::Ebpf])?;
            privilege::acquire("loading an eBPF program")?;
            process::become_command(bench("packet").args(args))
        }
        What::Scale { args } => {
            setup::ensure(workspace, &[Need::Ebpf, Need::Lab])?;
            privilege::acquire("making network namespaces")?;
            process::become_command(bench("scale").args(args))
        }
        What::Peers { args } => {
            setup::ensure(workspace, &[Need::Ebpf, Need::Lab, Need::Traffic, Need::Peers])?;
            privilege::acquire("making network namespaces")?;
            process::become_command(bench("peers").args(args))
        }
        What::Neighbours { args } => {
            setup::ensure(workspace, &[Need::Ebpf, Need::Lab, Need::Traffic])?;
            privilege::acquire("making network namespaces")?;
            process::become_command(bench("neighbours").args(args))
        }
        What::Failover { full, quick } => {
            setup::ensure(workspace, &[Need::Ebpf, Need::Lab])?;
            privilege::acquire("making network namespaces")?;
            let mut bench = bench("failover");
            if full {
                bench.envs([FULL_SIZE]);
            }
            if quick {
                bench.arg("--quick");
            }
            process::become_command(&mut bench)
        }
    }
}

/// Runs a benchmark of the agent's as root, with the arguments that follow.
fn bench(workspace: &Workspace, name: &str, debug: bool) -> Command {
    let mut cargo = cargo::command(workspace);
    cargo.args(privilege::cargo_runner());
    cargo.args(["bench", "--bench", name]);
    if debug {
        cargo.args(["--workspace", "--profile", "dev"]).args(TEST_BUILDS);
    } else {
        cargo.args(["--package", "lb-userspace"]);
    }
    cargo.arg("--");
    cargo
}
