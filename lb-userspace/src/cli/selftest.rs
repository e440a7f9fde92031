//! `xlb selftest`: what works, as far as this host can tell.

use std::io::{Write, stdout};

use nix::unistd::Uid;

use super::Error;
use crate::dataplane::pins::Pins;
use crate::selftest;
use crate::stats::Style;

/// Try each kind of client that this host can be, and say what works.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the report; a check that failed is an error.
pub fn run(args: &Args, pins: &Pins, object: &[u8]) -> Result<(), Error> {
    if !Uid::effective().is_root() {
        return Err(Error::NotRoot("selftest"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let checks = runtime.block_on(selftest::run(pins, object))?;
    let text = if args.json { selftest::json(&checks) } else { selftest::table(&checks, Style::of_stdout()) };
    writeln!(stdout(), "{}", text.trim_end())?;
    match selftest::failures(&checks) {
        0 => Ok(()),
        failed => Err(Error::Selftest { failed, checks: checks.len() }),
    }
}
