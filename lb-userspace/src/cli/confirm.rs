//! `xlb confirm`: a running agent keeps what it has started on trial.

use std::path::Path;

use super::Error;
use crate::socket::{Command, ask};

/// Keep what `xlb run --confirm` has attached. Without this it is taken down again.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Asks the agent; that nothing waits to be confirmed is an error.
pub fn run(_: &Args, socket: &Path) -> Result<(), Error> {
    Ok(ask(socket, &Command::Confirm)??)
}
