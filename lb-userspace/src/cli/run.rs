//! `xlb run`: the agent.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Error;
use crate::config::model::OnStop;
use crate::config::{DEFAULT_FILE, Loaded};
use crate::dataplane::attach;
use crate::dataplane::pins::Pins;
use crate::{agent, plan, preflight};

/// Start forwarding, or take over what an earlier agent has left, and keep it right until SIGTERM or
/// Ctrl-C. SIGHUP reads the configuration again.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,

    /// What becomes of the data plane at the end, whatever the configuration says
    #[arg(long, value_name = "remove|keep", value_parser = on_stop)]
    on_stop: Option<OnStop>,

    /// Take down a data plane that is there first; its connections end
    #[arg(long)]
    fresh: bool,

    /// Take all down again unless `xlb confirm` comes within this time, from 1s to 1d
    ///
    /// For a host that a mistake could cut off: whatever ends the agent meanwhile, nothing stays attached.
    /// Without a confirmation it ends with exit code 4; so it does if what was confirmed cannot be kept.
    #[arg(long, value_name = "TIME", value_parser = window)]
    confirm: Option<Duration>,

    /// Only say how the program would be attached to the interface, and why
    #[arg(long, conflicts_with_all = ["fresh", "on_stop", "confirm"])]
    explain_mode: bool,
}

/// How long a start may wait to be confirmed.
const WINDOWS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);

/// Threads for what would hold up the agent: looks at the data plane, and passwords. The allocator keeps memory for each.
const HELPERS: usize = 2;

/// Checks everything before it changes anything, and runs the agent.
pub fn run(args: &Args, pins: &Pins, socket: Option<&Path>, object: &'static [u8]) -> Result<(), Error> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(HELPERS).build()?;
    if args.explain_mode {
        return runtime.block_on(explain_mode(args));
    }
    log_to_stderr();
    let options = agent::Options {
        config: args.config.clone(),
        pins: pins.clone(),
        socket: socket.map(ToOwned::to_owned),
        on_stop: args.on_stop,
        fresh: args.fresh,
        confirm: args.confirm,
        object,
    };
    Ok(runtime.block_on(agent::run(options))?)
}

/// Looks at the interface, and attaches nothing.
async fn explain_mode(args: &Args) -> Result<(), Error> {
    let Loaded { config, .. } = Loaded::load(&args.config)?;
    let interface = preflight::interface(&config).await?;
    Ok(writeln!(stdout(), "{}", attach::choose(plan::mode(&config), &interface))?)
}

fn on_stop(text: &str) -> Result<OnStop, &'static str> {
    match text {
        "remove" => Ok(OnStop::Remove),
        "keep" => Ok(OnStop::Keep),
        _ => Err("expected remove or keep"),
    }
}

fn window(text: &str) -> Result<Duration, String> {
    let window = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if WINDOWS.contains(&window) { Ok(window) } else { Err("expected a time from 1s to 1d".to_owned()) }
}

/// A line that cannot be written is lost, and nothing else: the terminal may be gone for long.
fn log_to_stderr() {
    tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        .compact()
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_waits_from_a_second_to_a_day() {
        assert_eq!(window("1s"), Ok(Duration::from_secs(1)));
        assert_eq!(window("1d"), Ok(*WINDOWS.end()));
        for wrong in ["0s", "999ms", "1d 1s", "100000000000y", "60"] {
            assert!(window(wrong).is_err(), "{wrong}");
        }
    }
}
