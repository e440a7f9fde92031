//! `xlb run`: the agent.

use std::io::{IsTerminal, stderr};
use std::path::{Path, PathBuf};

use super::Error;
use crate::agent;
use crate::config::model::OnStop;
use crate::dataplane::pins::Pins;

/// Start forwarding, or take over what an earlier agent has left, and keep it right until SIGTERM or
/// Ctrl-C. SIGHUP reads the configuration again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "/etc/xlb/xlb.toml")]
    config: PathBuf,

    /// What becomes of the data plane at the end, whatever the configuration says
    #[arg(long, value_name = "remove|keep", value_parser = on_stop)]
    on_stop: Option<OnStop>,

    /// Take down a data plane that is there first; its connections end
    #[arg(long)]
    fresh: bool,
}

/// Checks everything before it changes anything, and runs the agent.
pub fn run(args: &Args, pins: &Pins, socket: &Path, object: &'static [u8]) -> Result<(), Error> {
    log_to_stderr();
    let options = agent::Options {
        config: args.config.clone(),
        pins: pins.clone(),
        socket: socket.to_owned(),
        on_stop: args.on_stop,
        fresh: args.fresh,
        object,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(agent::run(options))?)
}

fn on_stop(text: &str) -> Result<OnStop, &'static str> {
    match text {
        "remove" => Ok(OnStop::Remove),
        "keep" => Ok(OnStop::Keep),
        _ => Err("expected remove or keep"),
    }
}

fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .compact()
        .init();
}
