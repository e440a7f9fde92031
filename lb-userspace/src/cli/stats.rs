//! `xlb stats`: the counters of a data plane, with or without an agent.

use std::io::{IsTerminal, Write, stdout};
use std::thread;
use std::time::Duration;

use super::Error;
use crate::dataplane::pins::Pins;
use crate::observe::Observer;
use crate::stats::{self, Style};

/// Show frontends, servers, health, counters and memory.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON, with exact numbers
    #[arg(long)]
    json: bool,

    /// Show it again and again, every SECONDS
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = pause)]
    watch: Option<Duration>,
}

/// Clears the screen and goes to its top.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Prints once, or until interrupted.
pub fn run(args: &Args, pins: &Pins) -> Result<(), Error> {
    let Some(pause) = args.watch else { return show(args, pins) };
    loop {
        if stdout().is_terminal() {
            write!(stdout(), "{CLEAR}")?;
        }
        show(args, pins)?;
        stdout().flush()?;
        thread::sleep(pause);
    }
}

/// Seconds, but not so few that it would do nothing else.
pub(super) fn pause(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|pause| *pause >= Duration::from_millis(100))
        .ok_or_else(|| "expected seconds, 0.1 or more".to_owned())
}

fn show(args: &Args, pins: &Pins) -> Result<(), Error> {
    let snapshot = Observer::open(pins)?.snapshot()?;
    let text = if args.json { stats::json(&snapshot) } else { stats::table(&snapshot, Style::of_stdout()) };
    Ok(writeln!(stdout(), "{}", text.trim_end())?)
}
