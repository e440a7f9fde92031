//! `xlb detach`: takes a data plane down, without cutting connections if they end in time.

use std::io::{IsTerminal, Write, stderr, stdout};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::Error;
use crate::control::{allow_new_connections, stop_new_connections};
use crate::dataplane::attach;
use crate::dataplane::pins::{Found, Pins};
use crate::dataplane::status::Status;
use crate::neighbours::{self, Interface};
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
    let left = drain(if args.now { Duration::ZERO } else { args.drain }, pins).await?;
    end_agent(&status).await?;
    // An agent that takes its data plane down itself has left nothing.
    let claim = pins.claim()?;
    let program = pins.linked_program();
    pins.clear()?;
    attach::until_detached(program, &status.interface).await;
    release(&status.interface).await?;
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

/// Lets no new connections in and waits until the open ones have ended, as long as they may take.
/// Returns how many are left; none where the maps are not known.
async fn drain(patience: Duration, pins: &Pins) -> Result<Option<u64>, Error> {
    let Ok((mut maps, _)) = pins.open() else { return Ok(None) };
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let stopped = stop_new_connections(&mut maps.setup);
    let name = tokio::select! {
        left = wait_for_end(patience, pins) => return left.map(Some),
        _ = interrupted.recv() => "SIGINT",
        _ = terminated.recv() => "SIGTERM",
    };
    allow_new_connections(&mut maps.setup, &stopped);
    Err(Error::Interrupted(format!("{name}: nothing was taken down; new connections are accepted again")))
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
        Err(_) => Err(Error::Refused(format!(
            "the agent (process {}) does not end; end it (`kill -9 {}`) and try again",
            status.pid, status.pid
        ))),
    }
}

/// Removes the neighbour entries, if the interface is still there.
async fn release(interface: &str) -> Result<(), Error> {
    match Interface::lookup(interface).await {
        Ok(interface) => Ok(neighbours::release(interface.index).await?),
        Err(neighbours::Error::NoInterface(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
