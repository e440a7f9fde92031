//! `xlb server`: changes what the operator wants of a server, until the next change.

use std::path::Path;

use super::Error;
use crate::dataplane::status::Admin;
use crate::socket::{Command, NotACommand, ServerChange, ask};

/// Take a server out of use or back, or give it another weight. Kept across restarts of the agent.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server, as `xlb stats` shows it
    #[arg(value_name = "BACKEND/NAME")]
    server: String,

    /// What is to become of it
    #[arg(value_enum)]
    change: Change,

    /// Its weight, from 0 to 256 or in percent of the configuration's, until that gives it another one
    #[arg(value_name = "N", allow_negative_numbers = true, required_if_eq("change", "weight"))]
    weight: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Change {
    /// No new connections; open ones and health checks go on
    Drain,
    /// Back to normal
    Ready,
    /// No new connections and no health checks; open ones are reset, as `on_marked_down` says
    Maint,
    /// Another share of new connections
    Weight,
}

/// Asks the agent; what it does not like is the error.
pub fn run(args: &Args, socket: &Path) -> Result<(), Error> {
    let change = match (args.change, &args.weight) {
        (Change::Weight, weight) => ServerChange::weight(weight.as_deref().unwrap_or_default())?,
        (_, Some(surplus)) => return Err(NotACommand::Surplus(surplus.clone()).into()),
        (Change::Drain, None) => ServerChange::State(Admin::Drain),
        (Change::Ready, None) => ServerChange::State(Admin::Ready),
        (Change::Maint, None) => ServerChange::State(Admin::Maint),
    };
    Ok(ask(socket, &Command::server(&args.server, change)?)??)
}
