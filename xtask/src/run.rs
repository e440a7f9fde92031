//! `run`: xlb in the lab, or on this host.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;
use lb_toolchain::Workspace;

use crate::{
    cargo, privilege, process,
    setup::{self, Need},
};

/// Without a configuration, a lab of network namespaces is made: clients, a router, the balancer
/// and three servers that really answer. Traffic flows, a table shows where it goes, and nothing
/// of it is left behind.
#[derive(clap::Args)]
pub struct Args {
    /// Balance on this host, as this configuration says, instead of in the lab
    #[arg(long, value_name = "FILE", conflicts_with_all = ["duration", "mode"])]
    config: Option<PathBuf>,
    /// End the lab after this time, such as 20s, and not at Ctrl-C
    #[arg(long = "for", value_name = "TIME")]
    duration: Option<String>,
    /// How the lab attaches the program: auto, native, generic or tc
    #[arg(long)]
    mode: Option<String>,
    /// Build it for the lab as tests are built, which is soon done where they are
    #[arg(long, conflicts_with = "config")]
    debug: bool,
}

pub fn run(workspace: &Workspace, args: &Args) -> Result<()> {
    let mut command = match &args.config {
        Some(config) => on_this_host(workspace, config)?,
        None => in_the_lab(workspace, args)?,
    };
    process::become_command(&mut command)
}

fn on_this_host(workspace: &Workspace, config: &Path) -> Result<Command> {
    setup::ensure(workspace, &[Need::Ebpf])?;
    privilege::acquire("loading an eBPF program")?;
    let build = cargo::build_release(&mut cargo::command(workspace), &["lb-userspace"])?;
    let mut xlb = privilege::root_command(cargo::program(&build, "xlb")?);
    xlb.args(["run", "--config"]).arg(config);
    Ok(xlb)
}

fn in_the_lab(workspace: &Workspace, args: &Args) -> Result<Command> {
    setup::ensure(workspace, &[Need::Ebpf, Need::Lab])?;
    privilege::acquire("making network namespaces")?;
    let build = if args.debug { cargo::build_debug } else { cargo::build_release };
    let build = build(&mut cargo::command(workspace), &["lb-userspace", "lb-lab"])?;
    let mut lab = privilege::root_command(cargo::program(&build, "xlb-lab")?);
    lab.arg("run").arg("--xlb").arg(cargo::program(&build, "xlb")?);
    lab.args(args.duration.iter().flat_map(|duration| ["--for", duration]));
    lab.args(args.mode.iter().flat_map(|mode| ["--mode", mode]));
    Ok(lab)
}
