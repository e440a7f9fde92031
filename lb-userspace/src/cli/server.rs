//! `xlb server`: changes what the operator wants of a server, until the next change.

use std::path::Path;

use super::Error;
use crate::dataplane::status::Admin;
use crate::socket::{Command, ServerChange, ask};

/// Take a server out of use or back, or give it another weight. Kept across restarts of the agent.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server, as `xlb stats` shows it
    #[arg(value_name = "BACKEND/NAME")]
    server: String,

    #[command(subcommand)]
    change: Change,
}

#[derive(Debug, clap::Subcommand)]
enum Change {
    /// No new connections; health checks go on
    Drain,
    /// Back to normal
    Ready,
    /// No new connections and no health checks
    Maint,
    /// Its share of new connections, until the configuration gives it another one
    Weight {
        /// From 0 to 256
        #[arg(allow_negative_numbers = true)]
        weight: String,
    },
}

/// Asks the agent; what it does not like is the error.
pub fn run(args: &Args, socket: &Path) -> Result<(), Error> {
    let change = match &args.change {
        Change::Drain => ServerChange::State(Admin::Drain),
        Change::Ready => ServerChange::State(Admin::Ready),
        Change::Maint => ServerChange::State(Admin::Maint),
        Change::Weight { weight } => ServerChange::weight(weight)?,
    };
    match ask(socket, &Command::server(&args.server, change)?)? {
        complaint if complaint.is_empty() => Ok(()),
        complaint => Err(Error::Refused(complaint)),
    }
}
