//! `xlb detach`: takes a data plane down, without cutting connections if they end in time.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Error;
use super::interrupts::Interrupts;
use crate::control::Closed;
use crate::dataplane::attach;
use crate::dataplane::pins::{Found, Pins};
use crate::dataplane::status::Status;
use crate::neighbours;
use crate::observe::Observer;
use crate::process;

/// Take everything down: program, maps and neighbour entries, and the agent if one runs.
///
/// New connections go to the host itself at once, where another program may listen on the
/// address. Connections that are open have some time to end.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long open connections may take to end
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = humantime::parse_duration)]
    drain: Duration,

    /// Cut open connections at once
    #[arg(long, conflicts_with = "drain")]
    now: bool,
}

/// How often open connections are counted.
const PAUSE: Duration = Duration::from_millis(100);

/// How long an agent may take to end.
const AGENT_PATIENCE: Duration = Duration::from_secs(30);

/// Removes the pins, and with them everything that they held.
pub fn run(args: &Args, pins: &Pins) -> Result<(), Error> {
    if pins.find()? == Found::Nothing {
        writeln!(stdout(), "nothing to detach at {}", pins.directory().display())?;
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(detach(args, pins))
}

async fn detach(args: &Args, pins: &Pins) -> Result<(), Error> {
    // Of another version, or half made: it comes down all the same, but without its names.
    let status = pins.open_board().and_then(|board| board.read()).unwrap_or_default();
    // From here on whatever fails opens the frontends again, and no signal ends the process before that.
    let mut interrupts = Interrupts::new()?;
    let closed = pins.open().ok().map(|(maps, _)| Closed::close(maps.setup));
    let patience = if args.now { Duration::ZERO } else { args.drain };
    let left = match &closed {
        Some(_) => Some(drain(patience, pins, &mut interrupts).await?),
        None => None,
    };
    end_agent(&status).await?;
    // An agent that takes its data plane down itself has left nothing.
    let claim = pins.claim()?;
    let programs = pins.programs();
    pins.clear()?;
    if let Some(closed) = closed {
        closed.for_good();
    }
    attach::until_detached(&programs, &status.interface).await;
    neighbours::release(&status.interface).await?;
    drop(claim);
    match left {
        Some(0) => writeln!(stdout(), "detached {}", pins.directory().display())?,
        Some(cut) => {
            writeln!(stdout(), "detached {}; {cut} open connections were cut", pins.directory().display())?;
        }
        None => writeln!(
            stdout(),
            "detached {}, of another version of xlb; open connections were cut",
            pins.directory().display()
        )?,
    }
    Ok(())
}

/// Waits until the open connections have ended, as long as they may take, or until a signal comes.
/// Returns how many are left.
async fn drain(patience: Duration, pins: &Pins, interrupts: &mut Interrupts) -> Result<u64, Error> {
    tokio::select! {
        left = wait_for_end(patience, pins) => left,
        name = interrupts.next() => Err(Error::Interrupted(format!(
            "{name}: nothing was taken down; new connections are accepted again"
        ))),
    }
}

async fn wait_for_end(patience: Duration, pins: &Pins) -> Result<u64, Error> {
    let deadline = Instant::now() + patience;
    let is_watched = stderr().is_terminal();
    loop {
        let open = Observer::open(pins)?.open_connections()?;
        if is_watched {
            let left = deadline.saturating_duration_since(Instant::now()).as_secs();
            write!(stderr(), "\r\x1b[K{open} open connections; waiting for {left} s at most")?;
        }
        if open == 0 || Instant::now() >= deadline {
            if is_watched {
                writeln!(stderr())?;
            }
            return Ok(open);
        }
        sleep(PAUSE).await;
    }
}

/// Ends the agent, if there is one, and waits until it is gone.
async fn end_agent(status: &Status) -> Result<(), Error> {
    let Some(agent) = process::Handle::open(status.pid, status.started)? else { return Ok(()) };
    agent.terminate()?;
    match tokio::time::timeout(AGENT_PATIENCE, agent.ended()).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Err(Error::AgentStays(status.pid)),
    }
}
