//! The commands of `xlb`, one in a module.

pub mod check;
pub mod connections;
pub mod detach;
pub mod import;
pub mod run;
pub mod stats;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::dataplane::pins::{DEFAULT_DIRECTORY, Pins};
use crate::{config, dataplane, preflight};

/// The configuration is wrong.
const EXIT_CONFIGURATION: u8 = 2;
/// The environment is wrong; nothing was changed.
const EXIT_ENVIRONMENT: u8 = 3;

/// A layer-4 TCP load balancer that forwards in the Linux kernel.
#[derive(Debug, Parser)]
#[command(version, name = "xlb", disable_help_subcommand = true)]
pub struct Cli {
    /// Where the data plane's maps and link are pinned
    #[arg(long, global = true, env = "XLB_PINS", value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pins: PathBuf,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Check(check::Args),
    Stats(stats::Args),
    Connections(connections::Args),
    Import(import::Args),
    Detach(detach::Args),
}

impl Cli {
    /// Carries out the command, with this eBPF object as the data plane's; errors go to stderr.
    #[must_use]
    pub fn run(&self, object: &'static [u8]) -> ExitCode {
        let pins = Pins::new(&self.pins);
        let outcome = match &self.command {
            Command::Run(args) => run::run(args, &pins, object),
            Command::Check(args) => check::run(args),
            Command::Stats(args) => stats::run(args, &pins),
            Command::Connections(args) => connections::run(args, &pins),
            Command::Import(args) => import::run(args),
            Command::Detach(args) => detach::run(args, &pins),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{}", describe(&error));
                ExitCode::from(exit_code(&error))
            }
        }
    }
}

/// The error and its causes, as far as it does not name them itself.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// What kind of error it is, for scripts.
fn exit_code(error: &anyhow::Error) -> u8 {
    let is_taken = |error: &dataplane::Error| matches!(error, dataplane::Error::Taken(_));
    if error.is::<config::Error>() || error.is::<config::Problems>() {
        EXIT_CONFIGURATION
    } else if error.is::<preflight::Error>()
        || error.is::<crate::neighbours::Error>()
        || error.is::<dataplane::attach::AttachError>()
        || error.downcast_ref().is_some_and(is_taken)
    {
        EXIT_ENVIRONMENT
    } else {
        1
    }
}

/// Whether whoever read our output has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
