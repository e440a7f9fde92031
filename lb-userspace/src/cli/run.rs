//! `xlb run`: the agent.

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;

use anyhow::Result;
use tracing::warn;

use crate::config::{HostFacts, Loaded};
use crate::dataplane::pins::Pins;
use crate::{agent, preflight};

/// Start forwarding, and keep it right until SIGTERM or Ctrl-C.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/xlb/xlb.toml")]
    config: PathBuf,
}

/// Checks everything before it changes anything, and runs the agent.
pub fn run(args: &Args, pins: &Pins, object: &[u8]) -> Result<()> {
    log_to_stderr();
    let loaded = Loaded::load(&args.config)?;
    for warning in &loaded.warnings {
        warn!("{}:{warning}", args.config.display());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let interface = preflight::check(&loaded.config.interface, pins).await?;
        let facts = HostFacts::read(&interface.name).map_err(preflight::Error::Facts)?;
        loaded.check_host(&facts)?;
        agent::run(&loaded.config, &interface, pins, object).await
    })
}

fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .compact()
        .init();
}
