//! `xlb reload`: a running agent reads its configuration again.

use std::path::Path;

use super::Error;
use crate::socket::{Command, ask};

/// Have the running agent read its configuration again. A wrong one changes nothing.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Asks the agent; its problems with the file are the error.
pub fn run(_: &Args, socket: &Path) -> Result<(), Error> {
    Ok(ask(socket, &Command::Reload)??)
}
