//! `xlb detach`: takes a data plane down that has no agent.

use std::io::{Write, stdout};

use anyhow::{Result, bail};

use crate::dataplane::pins::Pins;
use crate::neighbours::{self, Interface};
use crate::process;

/// Take down what an agent that was killed has left: program, maps and neighbour entries.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Removes the pins, and with them everything that they held.
pub fn run(_: &Args, pins: &Pins) -> Result<()> {
    // Of another version, or half made: it comes down all the same, but without its names.
    let status = pins.open().and_then(|(_, board)| board.read()).unwrap_or_default();
    if process::is_running(status.pid, status.started) {
        bail!("the agent still runs (process {}); stop it instead: it cleans up itself", status.pid);
    }
    if !pins.remove()? {
        writeln!(stdout(), "nothing to detach at {}", pins.directory().display())?;
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(release(&status.interface))?;
    Ok(writeln!(stdout(), "detached {}", pins.directory().display())?)
}

/// Sees the program off the interface and removes the neighbour entries, if it is still there.
async fn release(interface: &str) -> Result<()> {
    neighbours::until_detached(interface).await;
    match Interface::lookup(interface).await {
        Ok(interface) => Ok(neighbours::release(interface.index).await?),
        Err(neighbours::Error::NoInterface(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
