//! The agent: brings the data plane up or takes it over, keeps it right, and leaves it as it is told.

mod command;
mod confirmation;
mod error;
mod logging;
mod notes;
mod reload;
mod resets;
mod serve;
mod slow_start;
mod start;
mod stop;

use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{error, warn};

use crate::config::model::OnStop;
use crate::config::{self, Config, HostFacts, Loaded};
use crate::control::Control;
use crate::dataplane::pins::{Claim, Pins};
use crate::dataplane::status::StatusBoard;
use crate::dataplane::ticker::Ticker;
use crate::health::{self, Checker, ExpiryWatch};
use crate::local::HostClients;
use crate::log::Log;
use crate::monitor::Monitor;
use crate::neighbours::{self, Interface, Resolver};
use crate::plan;
use crate::preflight;
use crate::privileges;
use crate::pulse::Pulse;
use crate::roster::{Roster, Usable};
use crate::service_manager::ServiceManager;
use crate::socket::{Listener, Request, Service};
use crate::stats::Ledger;
use crate::web::{Bound, Proof, Sources, Web};

use self::confirmation::Trial;
use self::resets::Resets;
use self::serve::End;
use self::slow_start::SlowStarts;

pub use error::Error;

/// Events under way between the tasks; nobody has to keep up with a burst of more.
const QUEUE: usize = 64;

/// How the agent is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration's file.
    pub config: PathBuf,
    /// Where the data plane is pinned.
    pub pins: Pins,
    /// Where the control socket is, if not where the configuration says.
    pub socket: Option<PathBuf>,
    /// What becomes of the data plane at the end, if not what the configuration says.
    pub on_stop: Option<OnStop>,
    /// Whether a data plane that is there is taken down first.
    pub fresh: bool,
    /// How long a start waits to be confirmed before it takes back what it has done; none if it need not be.
    pub confirm: Option<Duration>,
    /// The data plane's eBPF object.
    pub object: &'static [u8],
}

/// A running agent.
struct Agent {
    options: Options,
    config: Config,
    control: Control,
    roster: Roster,
    board: StatusBoard,
    ticker: Ticker,
    resolver: Resolver,
    host_clients: HostClients,
    /// None once the start needs no confirmation any more.
    trial: Option<Trial>,
    checks: plan::Checks,
    watches: plan::Watches,
    checker: Option<Checker>,
    expiry: ExpiryWatch,
    resets: Resets,
    /// How many servers each backend had after the last event.
    usable: Usable,
    /// Whether our own link is there; without it nothing that a check finds says anything.
    has_carrier: bool,
    slow_starts: SlowStarts,
    /// What was done and seen, for those who look.
    ledger: Ledger,
    log: Log,
    pulse: Pulse,
    manager: ServiceManager,
    /// None until the data plane is there.
    web: Option<Web>,
    health_sender: mpsc::Sender<health::Event>,
    /// Held as long as the agent lives, so that nobody else changes what is pinned.
    claim: Claim,
}

/// What reports to the main task.
struct Inputs {
    signals: Signals,
    health: mpsc::Receiver<health::Event>,
    neighbours: mpsc::Receiver<neighbours::Event>,
    requests: mpsc::Receiver<Request>,
}

/// The main task's ends of the channels that the others report by.
struct Outputs {
    health: mpsc::Sender<health::Event>,
    neighbours: mpsc::Sender<neighbours::Event>,
}

/// Runs until it is told to stop.
pub async fn run(options: Options) -> Result<(), Error> {
    let loaded = Loaded::load(&options.config)?;
    warn_of(&options, &loaded);
    let fit = preflight::check(&loaded.config, &options.pins, options.object).await?;
    check_host(&loaded, &fit.interface)?;
    let checks = plan::checks(&loaded.config)?;
    let proof = Proof::read(&loaded.config)?;
    // From here on a signal waits for its turn.
    let signals = Signals::new().map_err(Error::Signals)?;
    let (request_sender, requests) = mpsc::channel(QUEUE);
    let mut listener = Listener::bind(&socket(&options, &loaded.config))?;
    let timeout = loaded.config.socket.timeout;
    let bound = Bound::new(&loaded.config).await?;
    let (health_sender, health) = mpsc::channel(QUEUE);
    let (neighbour_sender, neighbours) = mpsc::channel(QUEUE);
    let mut inputs = Inputs { signals, health, neighbours, requests };
    let outputs = Outputs { health: health_sender, neighbours: neighbour_sender };
    let mut agent = Box::pin(Agent::start(options, loaded.config, fit, outputs, &mut inputs)).await?;
    agent.checks = checks;
    let monitor = match Monitor::open(&agent.options.pins, agent.ledger.clone()) {
        Ok(monitor) => monitor,
        Err(error) => {
            complain(Box::pin(agent.stop("no look at the data plane")).await);
            return Err(error.into());
        }
    };
    let _watch = JoinSet::from_iter([monitor.clone().watch()]);
    agent.start_log(monitor.clone());
    let sources =
        Sources { watched: monitor.clone(), pulse: agent.pulse.clone(), requests: request_sender.clone() };
    listener.serve(Service { requests: request_sender, watched: monitor, timeout });
    agent.web = Some(Web::serve(sources, bound, &agent.config, proof));
    complain(privileges::keep_needed().map_err(Error::from));
    agent.manager.ready(agent.roster.status());
    let end = agent.serve(&mut inputs).await;
    drop(listener);
    match end {
        End::Signal(name) => Box::pin(agent.stop(name)).await,
        End::Unconfirmed(window) => {
            Box::pin(agent.stop("no confirmation")).await?;
            Err(Error::Unconfirmed(window))
        }
        End::NotKept => {
            Box::pin(agent.stop("what is on trial cannot be kept")).await?;
            Err(Error::NotKept)
        }
    }
}

/// The control socket, by the command line and the configuration.
fn socket(options: &Options, config: &Config) -> config::model::Socket {
    let path = options.socket.clone().unwrap_or_else(|| config.socket.path.clone());
    config::model::Socket { path, ..config.socket.clone() }
}

/// Says what works, but is probably not meant.
fn warn_of(options: &Options, loaded: &Loaded) {
    for warning in &loaded.warnings {
        warn!("{}:{warning}", options.config.display());
    }
}

/// Compares a configuration with the host as it is now.
fn check_host(loaded: &Loaded, interface: &Interface) -> Result<(), Error> {
    let facts = HostFacts::read(&interface.name).map_err(preflight::Error::Facts)?;
    loaded.check_host(&facts).map_err(config::Error::from)?;
    Ok(loaded.check_files().map_err(config::Error::from)?)
}

/// Says what went wrong where it is no reason to stop.
fn complain(outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        error!("{error}");
    }
}

/// The signals that the agent follows.
struct Signals {
    terminate: unix::Signal,
    interrupt: unix::Signal,
    hang_up: unix::Signal,
}

/// A signal that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signal {
    /// To end: SIGTERM or SIGINT.
    End(&'static str),
    /// To read the configuration again: SIGHUP.
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::End("SIGTERM"),
            _ = self.interrupt.recv() => Signal::End("SIGINT"),
            _ = self.hang_up.recv() => Signal::Reload,
        }
    }
}
