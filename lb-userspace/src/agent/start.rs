//! The start: a fresh data plane, or the one that a former agent has left.

use std::collections::BTreeSet;
use std::time::Duration;

use aya::Ebpf;
use lb_common::setup::Setup;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::resets::Resets;
use super::slow_start::SlowStarts;
use super::{Agent, Error, Inputs, Options, Outputs, complain};
use crate::compatibility::{self, Running};
use crate::config::Config;
use crate::control::Control;
use crate::dataplane::attach::{self, Attached, Mode, Stay, WantedMode};
use crate::dataplane::maps::Maps;
use crate::dataplane::object::{self, Sizes};
use crate::dataplane::pins::{Claim, Found, Pins};
use crate::dataplane::status::{Status, StatusBoard};
use crate::dataplane::ticker::Ticker;
use crate::dataplane::{table, ticker};
use crate::health::ExpiryWatch;
use crate::local::HostClients;
use crate::log::Log;
use crate::neighbours::{self, Interface, Resolver};
use crate::plan;
use crate::preflight::Fit;
use crate::pulse::Pulse;
use crate::roster::{Roster, Usable};
use crate::service_manager::ServiceManager;
use crate::stats::Ledger;

/// How long the start waits for the servers' next hops. One that does not answer ARP by then gets
/// its connections later.
const NEXT_HOP_PATIENCE: Duration = Duration::from_secs(1);

/// All that an agent is made of, before it is one.
struct Parts {
    control: Control,
    roster: Roster,
    board: StatusBoard,
    resolver: Resolver,
    host_clients: HostClients,
    ticker: Ticker,
    resets: Resets,
    has_carrier: bool,
}

impl Agent {
    /// Adopts the data plane that is there, or makes one.
    pub(super) async fn start(
        options: Options,
        config: Config,
        fit: Fit,
        outputs: Outputs,
        inputs: &mut Inputs,
    ) -> Result<Self, Error> {
        let Fit { interface, claim } = fit;
        match options.pins.find()? {
            Found::DataPlane if !options.fresh && options.confirm.is_some() => {
                Err(Error::NothingToTakeBack(options.pins.directory().to_owned()))
            }
            Found::DataPlane if !options.fresh => {
                Self::adopt(options, config, &interface, claim, outputs).await
            }
            found => {
                // Before anything is taken down for it.
                let routes = config.servers().map(|(_, server)| *server.address.ip());
                neighbours::check_routes(&interface, routes).await?;
                clear_away(&options.pins, found, &interface).await?;
                Self::begin(options, config, &interface, claim, outputs, inputs).await
            }
        }
    }

    /// Makes a data plane, and leaves nothing behind if it cannot.
    async fn begin(
        options: Options,
        config: Config,
        interface: &Interface,
        claim: Claim,
        outputs: Outputs,
        inputs: &mut Inputs,
    ) -> Result<Self, Error> {
        let pins = options.pins.clone();
        let begun = Self::try_begin(options, config, interface, claim, outputs, inputs).await;
        if begun.is_err() {
            let programs = pins.programs();
            complain(pins.clear().map(drop).map_err(Error::from));
            attach::until_detached(&programs, &interface.name).await;
            complain(neighbours::release(&interface.name).await.map_err(Error::from));
        }
        begun
    }

    async fn try_begin(
        options: Options,
        config: Config,
        interface: &Interface,
        claim: Claim,
        outputs: Outputs,
        inputs: &mut Inputs,
    ) -> Result<Self, Error> {
        let wanted = plan::wanted(&config, interface, &Status::default());
        let resets = Resets::new()?;
        let mut ebpf = object::load(options.object, wanted.sizes)?;
        let board = options.pins.pin_maps(&ebpf)?;
        attach::load(&mut ebpf, interface, plan::mode(&config))?;
        object::load_program(&mut ebpf, ticker::PROGRAM)?;
        options.pins.pin_program(&mut ebpf, ticker::PROGRAM)?;
        let host_clients = HostClients::prepare(&config, &mut ebpf);
        let control = Control::new(Maps::gather(|name| table::take(&mut ebpf, name))?, wanted)?;
        let numbers = (control.servers(), control.frontends());
        let roster = Roster::new(&config, interface, numbers, &Status::default());
        let resolver = resolver(interface, &control, outputs.neighbours).await?;
        let ticker = options.pins.open_ticker()?;
        let has_carrier = interface.has_carrier;
        let parts = Parts { control, roster, board, resolver, host_clients, ticker, resets, has_carrier };
        let mut agent = Self::assemble(options, config, claim, outputs.health, parts);
        // From now on `xlb detach` knows whose this is.
        agent.publish()?;
        agent.await_next_hops(&mut inputs.neighbours).await?;
        let stay = agent.begin_trial();
        agent.host_clients.start(&mut ebpf, &agent.options.pins, stay);
        let attached = agent.attach(&mut ebpf, interface, stay)?;
        agent.hold(attached);
        Ok(agent)
    }

    /// Takes over the data plane that is there. Until the maps are changed, nothing is, and what fails by
    /// then leaves it as it was; what fails later leaves it with the new configuration and the old program.
    async fn adopt(
        options: Options,
        config: Config,
        interface: &Interface,
        claim: Claim,
        outputs: Outputs,
    ) -> Result<Self, Error> {
        let (maps, board) = options.pins.open()?;
        let before = board.read()?;
        let attached = attach::find(&options.pins, interface)?;
        compatibility::check(&running(&before, maps.setup.get(), attached), &config)?;
        let mut ebpf = options.pins.load(options.object, plan::sizes(&config))?;
        let wanted = attached.map_or(plan::mode(&config), WantedMode::Only);
        attach::load(&mut ebpf, interface, wanted)?;
        object::load_program(&mut ebpf, ticker::PROGRAM)?;
        let host_clients = HostClients::prepare(&config, &mut ebpf);
        let now = Instant::now().into_std();
        let slow_starts = SlowStarts::resumed(&config, &before, now);
        let mut wanted = plan::wanted(&config, interface, &before);
        slow_starts.portion_out(&mut wanted.servers, now);
        let mut control = Control::adopt(maps, wanted.clone());
        let change = control.change(wanted)?;
        let routes = config.servers().map(|(_, server)| *server.address.ip());
        neighbours::check_routes(interface, routes).await?;
        let (ticker, resets, has_carrier) =
            (options.pins.open_ticker()?, Resets::new()?, interface.has_carrier);

        let roster = Roster::new(&config, interface, (change.servers(), change.frontends()), &before);
        control.apply(change)?;
        let resolver = resolver(interface, &control, outputs.neighbours).await?;
        let parts = Parts { control, roster, board, resolver, host_clients, ticker, resets, has_carrier };
        let mut agent = Self::assemble(options, config, claim, outputs.health, parts);
        agent.slow_starts = slow_starts;
        // What is pinned was confirmed, even if its agent was killed before it could say so.
        agent.roster.set_confirm_by(None);
        agent.publish()?;
        agent.host_clients.start(&mut ebpf, &agent.options.pins, Stay::Pinned);
        if let Some(mode) = attached {
            attach::swap(&mut ebpf, interface, mode, &agent.options.pins)?;
            agent.options.pins.pin_program(&mut ebpf, mode.program())?;
            agent.attached(interface, &Attached { mode, reason: before.mode_reason.clone() })?;
        } else {
            agent.attach_again(&mut ebpf, interface)?;
        }
        agent.options.pins.pin_program(&mut ebpf, ticker::PROGRAM)?;
        agent.say_adopted(&before);
        Ok(agent)
    }

    fn assemble(
        options: Options,
        config: Config,
        claim: Claim,
        health_sender: mpsc::Sender<crate::health::Event>,
        parts: Parts,
    ) -> Self {
        let Parts { control, roster, board, resolver, host_clients, ticker, resets, has_carrier } = parts;
        let log = Log::new(config.log.as_ref());
        let mut agent = Self {
            options,
            config,
            control,
            roster,
            board,
            ticker,
            resolver,
            host_clients,
            trial: None,
            checks: Vec::new(),
            watches: plan::Watches::new(),
            checker: None,
            expiry: ExpiryWatch::default(),
            resets,
            usable: Usable::default(),
            has_carrier,
            slow_starts: SlowStarts::default(),
            ledger: Ledger::default(),
            log,
            pulse: Pulse::default(),
            manager: ServiceManager::new(),
            web: None,
            health_sender,
            claim,
        };
        // Before the program is attached: what ends meanwhile waits in the buffer.
        agent.follow_log();
        agent
    }

    /// Attaches a program again if the interface has lost its own.
    pub(super) fn attach_if_lost(&mut self, interface: &Interface) -> Result<(), Error> {
        let pins = &self.options.pins;
        // While the start waits for next hops nothing is attached yet, and it attaches last. What is on trial
        // is attached again once it is confirmed.
        if pins.find()? != Found::DataPlane {
            return Ok(());
        }
        if let Some(mode) = attach::find(pins, interface)? {
            return self.is_attached(mode);
        }
        let mut ebpf = pins.load(self.options.object, plan::sizes(&self.config))?;
        attach::load(&mut ebpf, interface, plan::mode(&self.config))?;
        self.attach_again(&mut ebpf, interface)
    }

    /// The program is where it should be; the status may have said otherwise while nobody knew the
    /// interface by its name.
    fn is_attached(&mut self, mode: Mode) -> Result<(), Error> {
        if self.roster.mode() == Some(mode) {
            return Ok(());
        }
        self.roster.set_mode(mode);
        self.publish()
    }

    fn attach_again(&mut self, ebpf: &mut Ebpf, interface: &Interface) -> Result<(), Error> {
        let name = &interface.name;
        warn!("{name} has lost its program (was the interface made anew?); attaching it again");
        self.attach(ebpf, interface, Stay::Pinned).map(drop)
    }

    /// Attaches the program as the configuration wants it.
    fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        interface: &Interface,
        stay: Stay,
    ) -> Result<Option<attach::Trial>, Error> {
        let wanted = plan::mode(&self.config);
        let (attached, trial) = attach::attach(ebpf, interface, wanted, &self.options.pins, stay)?;
        self.options.pins.pin_program(ebpf, attached.mode.program())?;
        self.attached(interface, &attached)?;
        Ok(trial)
    }

    /// Says how the program is attached.
    fn attached(&mut self, interface: &Interface, attached: &Attached) -> Result<(), Error> {
        self.roster.set_attached(attached);
        self.publish()?;
        let Attached { mode, reason } = attached;
        info!("mode {mode}: {reason}");
        if mode.leaves_checksums() && interface.leaves_checksums() {
            warn!(
                "checksums that peers on this machine leave to be filled in stay wrong in mode {mode}; \
                 set `mode = \"tc\"`, or have them filled in (`ethtool -K DEV tx off` at the peer)"
            );
        }
        self.say_ready(interface, *mode);
        Ok(())
    }

    /// Waits until every next hop is known, but not for long.
    async fn await_next_hops(&mut self, events: &mut mpsc::Receiver<neighbours::Event>) -> Result<(), Error> {
        let deadline = Instant::now() + NEXT_HOP_PATIENCE;
        while self.control.wanted().servers.iter().any(|server| server.next_hop.is_none()) {
            let Ok(Some(event)) = timeout_at(deadline, events.recv()).await else { break };
            self.on_neighbour(event)?;
        }
        Ok(())
    }

    fn say_ready(&self, interface: &Interface, mode: Mode) {
        let (name, driver) = (&interface.name, interface.driver.as_deref().unwrap_or("unknown driver"));
        if !interface.has_carrier {
            warn!("{name} has no carrier; is its cable connected?");
        }
        for frontend in &self.config.frontends {
            let backend = self.config.backend_of(frontend);
            let servers = backend.servers.len();
            info!(
                "forwarding {} ({}) to {servers} servers of {} on {name} ({driver}), {}",
                frontend.name,
                frontend.bind,
                backend.name,
                mode.description()
            );
        }
    }

    fn say_adopted(&self, before: &Status) {
        let path = self.options.pins.directory().display();
        info!("adopted the data plane at {path}, which process {} has left; connections go on", before.pid);
    }
}

/// Follows the next hops of all servers that connections go to. Those that have left the
/// configuration must not keep the others from starting, whatever became of the way to them.
async fn resolver(
    interface: &Interface,
    control: &Control,
    events: mpsc::Sender<neighbours::Event>,
) -> Result<Resolver, Error> {
    let configured = |address| control.wanted().servers.iter().any(|server| server.address == address);
    let wanted = control.servers().iter().filter(|(_, address)| configured(*address));
    let resolver = Resolver::start(interface, wanted.map(|(n, address)| (n, *address.ip())), events).await?;
    if control.has_leaving() {
        resolver.set_servers(control.servers().iter().map(|(number, address)| (number, *address.ip())));
    }
    Ok(resolver)
}

/// Makes room for a fresh data plane.
async fn clear_away(pins: &Pins, found: Found, interface: &Interface) -> Result<(), Error> {
    match found {
        Found::Nothing => return Ok(()),
        Found::Ruins => info!("clearing away what a start has left that did not come to its end"),
        Found::DataPlane => warn!("taking down the data plane that is there; its connections end"),
    }
    let before = pins.open_board().and_then(|board| board.read()).unwrap_or_default();
    let programs = pins.programs();
    pins.clear()?;
    let names = BTreeSet::from([interface.name.as_str(), before.interface.as_str()]);
    for name in names.into_iter().filter(|name| !name.is_empty()) {
        attach::until_detached(&programs, name).await;
        neighbours::release(name).await?;
    }
    Ok(())
}

/// What cannot be changed in a data plane that runs.
pub(super) fn running(status: &Status, setup: &Setup, mode: Option<Mode>) -> Running {
    let settings = &setup.settings;
    Running {
        interface: status.interface.clone(),
        mode,
        sizes: Sizes {
            max_servers: settings.max_servers,
            nat_first: settings.nat_first,
            nat_ports: settings.nat_ports,
            nat_addrs: settings.nat_addrs,
        },
    }
}
