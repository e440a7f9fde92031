//! The commands of `xlb`, one in a module.

pub mod check;
pub mod confirm;
pub mod connections;
pub mod detach;
pub mod doctor;
mod error;
pub mod hash_password;
pub mod import;
mod interrupts;
pub mod reload;
pub mod run;
pub mod selftest;
pub mod server;
pub mod stats;
pub mod top;
pub mod trace;
pub mod why;

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::model::Socket;
use crate::dataplane::pins::{DEFAULT_DIRECTORY, Pins};

pub use error::Error;

/// A layer-4 TCP load balancer that forwards in the Linux kernel.
#[derive(Debug, Parser)]
#[command(version, name = "xlb", disable_help_subcommand = true)]
pub struct Cli {
    /// Where the data plane's maps and link are pinned
    #[arg(long, global = true, env = "XLB_PINS", value_name = "DIR", default_value = DEFAULT_DIRECTORY)]
    pins: PathBuf,

    /// The agent's control socket, by default /run/xlb/admin.sock, or for `xlb run` what the configuration says
    #[arg(long, global = true, env = "XLB_SOCKET", value_name = "FILE")]
    socket: Option<PathBuf>,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Confirm(confirm::Args),
    Check(check::Args),
    Doctor(doctor::Args),
    Stats(stats::Args),
    Connections(connections::Args),
    Top(top::Args),
    Why(why::Args),
    Trace(trace::Args),
    Import(import::Args),
    Selftest(selftest::Args),
    Detach(detach::Args),
    Reload(reload::Args),
    Server(server::Args),
    HashPassword(hash_password::Args),
}

impl Cli {
    /// Carries out the command, with this eBPF object as the data plane's; errors go to stderr.
    #[must_use]
    pub fn run(&self, object: &'static [u8]) -> ExitCode {
        let pins = Pins::new(&self.pins);
        let socket = self.socket.as_deref();
        let socket_to_ask = socket.unwrap_or(Path::new(Socket::DEFAULT_PATH));
        let outcome = match &self.command {
            Command::Run(args) => run::run(args, &pins, socket, object),
            Command::Confirm(args) => confirm::run(args, socket_to_ask),
            Command::Check(args) => check::run(args),
            Command::Doctor(args) => doctor::run(args, &pins, object),
            Command::Stats(args) => stats::run(args, &pins),
            Command::Connections(args) => connections::run(args, &pins),
            Command::Top(args) => top::run(args, &pins, socket_to_ask),
            Command::Why(args) => why::run(args, &pins),
            Command::Trace(args) => trace::run(args, &pins),
            Command::Import(args) => import::run(args),
            Command::Selftest(args) => selftest::run(args, &pins, object),
            Command::Detach(args) => detach::run(args, &pins),
            Command::Reload(args) => reload::run(args, socket_to_ask),
            Command::Server(args) => server::run(args, socket_to_ask),
            Command::HashPassword(args) => hash_password::run(args),
        };
        match outcome {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
            // The findings have said it.
            Err(error @ Error::Doctor(_)) => ExitCode::from(error.kind().exit_code()),
            Err(error) => {
                // Whoever would read it may be gone, as a terminal that has hung up.
                let _ = writeln!(stderr(), "{}", describe(&error));
                ExitCode::from(error.kind().exit_code())
            }
        }
    }
}

/// The error and its causes, as far as it does not name them itself.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}
