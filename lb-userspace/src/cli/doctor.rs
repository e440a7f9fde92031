//! `xlb doctor`: what of this host keeps xlb from working, and what to do about it.

use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

use super::Error;
use crate::config::DEFAULT_FILE;
use crate::dataplane::pins::Pins;
use crate::doctor::{self, Severity};
use crate::stats::Style;

/// Look at kernel, host, interface, network, ports and firewall, and say what is in the way of xlb and what
/// to do about it. Changes nothing, and works with xlb running or not.
///
/// Ends with exit code 0 if all is well, 1 if there are warnings, 2 if `xlb run` would refuse or fail.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration, by default /etc/xlb/xlb.toml if it is there; without one, only what is the same for
    /// each is looked at
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the findings; warnings and worse are an error.
pub fn run(args: &Args, pins: &Pins, object: &[u8]) -> Result<(), Error> {
    let default = Some(Path::new(DEFAULT_FILE)).filter(|path| path.exists());
    let config = args.config.as_deref().or(default);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(doctor::examine(config, pins, object));
    let text = if args.json { doctor::json(&findings) } else { doctor::table(&findings, Style::of_stdout()) };
    writeln!(stdout(), "{}", text.trim_end())?;
    match doctor::worst(&findings) {
        Severity::Ok | Severity::Note => Ok(()),
        worst => Err(Error::Doctor(worst)),
    }
}
