//! The agent: brings the data plane up, keeps it right, and takes it down.

use std::time::Duration;

use anyhow::{Context, Result};
use lb_common::tcp::State;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

use crate::config::Config;
use crate::control::Control;
use crate::dataplane::attach::{self, Mode};
use crate::dataplane::maps::Maps;
use crate::dataplane::object::{self, PROGRAM};
use crate::dataplane::pins::Pins;
use crate::dataplane::status::StatusBoard;
use crate::dataplane::{table, ticker};
use crate::health::report::{NoServer, StateChange};
use crate::health::{Checker, Event, Transition};
use crate::neighbours::{self, Interface, NextHop, Resolver};
use crate::plan;
use crate::roster::Roster;

/// How long the start waits for the servers' next hops. One that does not answer ARP by then gets
/// its connections later.
const NEXT_HOP_PATIENCE: Duration = Duration::from_secs(1);

/// Events under way between the tasks; nobody has to keep up with a burst of more.
const QUEUE: usize = 64;

/// A running agent.
struct Agent<'c> {
    config: &'c Config,
    control: Control,
    roster: Roster,
    board: StatusBoard,
}

/// Runs until it is told to stop, and leaves nothing behind.
pub async fn run(config: &Config, interface: &Interface, pins: &Pins, object: &[u8]) -> Result<()> {
    // From here on a signal waits for its turn.
    let mut signals = Signals::new()?;
    let (next_hop_sender, mut next_hops) = mpsc::channel(QUEUE);
    let addresses: Vec<_> = config.servers().map(|(_, server)| *server.address.ip()).collect();
    pins.claim()?;
    let resolver = match Resolver::start(interface, &addresses, next_hop_sender).await {
        Ok(resolver) => resolver,
        Err(error) => {
            complain(pins.remove().map(drop).map_err(Into::into));
            return Err(error.into());
        }
    };
    let outcome = match Agent::start(config, interface, pins, object, &mut next_hops).await {
        Ok(mut agent) => {
            agent.serve(&mut signals, &mut next_hops).await;
            Ok(())
        }
        Err(error) => Err(error),
    };
    let removed = pins.remove().context("cannot take the data plane down");
    neighbours::until_detached(&interface.name).await;
    let released = resolver.release().await.context("cannot remove the neighbour entries");
    let mut outcomes = [outcome, removed.map(drop), released].into_iter();
    let first = outcomes.find(Result::is_err).unwrap_or(Ok(()));
    outcomes.for_each(complain);
    first
}

/// Says what went wrong where it is no reason to stop.
fn complain(outcome: Result<()>) {
    if let Err(error) = outcome {
        error!("{error:#}");
    }
}

impl<'c> Agent<'c> {
    async fn start(
        config: &'c Config,
        interface: &Interface,
        pins: &Pins,
        object: &[u8],
        next_hops: &mut mpsc::Receiver<NextHop>,
    ) -> Result<Self> {
        let wanted = plan::wanted(config, interface);
        let mut ebpf = object::load(object, wanted.sizes)?;
        let board = pins.pin_maps(&ebpf)?;
        for name in [PROGRAM, ticker::PROGRAM] {
            object::load_program(&mut ebpf, name)?;
            pins.pin_program(&mut ebpf, name)?;
        }
        let control = Control::new(Maps::gather(|name| table::take(&mut ebpf, name))?, wanted)?;
        let roster = Roster::new(config, interface);
        let mut agent = Self { config, control, roster, board };
        // From now on `xlb detach` knows whose this is.
        agent.publish()?;
        agent.await_next_hops(next_hops).await?;
        let program = object::program(&mut ebpf, PROGRAM)?;
        let attached = attach::attach(program, &interface.name, plan::mode(config))?;
        pins.pin_link(attached.link)?;
        agent.roster.set_mode(attached.mode);
        agent.publish()?;
        if let Some(reason) = attached.why_not_native {
            info!("generic XDP: {reason}");
        }
        agent.say_ready(interface, attached.mode);
        Ok(agent)
    }

    /// Waits until every next hop is known, but not for long.
    async fn await_next_hops(&mut self, next_hops: &mut mpsc::Receiver<NextHop>) -> Result<()> {
        let deadline = Instant::now() + NEXT_HOP_PATIENCE;
        while self.control.wanted().servers.iter().any(|server| server.next_hop.is_none()) {
            let Ok(Some(next_hop)) = timeout_at(deadline, next_hops.recv()).await else { break };
            self.on_next_hop(&next_hop)?;
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
                "forwarding {} ({}) to {servers} servers of {} on {name} ({driver}), {mode} XDP",
                frontend.name, frontend.bind, backend.name
            );
        }
    }

    /// Follows events until a signal comes. Nothing else ends it: a balancer that forwards is worth
    /// more than one that has taken in every event.
    async fn serve(&mut self, signals: &mut Signals, next_hops: &mut mpsc::Receiver<NextHop>) {
        let (sender, mut events) = mpsc::channel(QUEUE);
        let _checker = Checker::start(&plan::checks(self.config), &sender);
        loop {
            tokio::select! {
                name = signals.next() => {
                    info!("{name}: taking the data plane down");
                    return;
                }
                Some(event) = events.recv() => complain(self.on_health(&event)),
                Some(next_hop) = next_hops.recv() => complain(self.on_next_hop(&next_hop)),
            }
        }
    }

    fn on_next_hop(&mut self, NextHop { server, mac }: &NextHop) -> Result<()> {
        let number = *server as u16;
        if self.control.wanted().servers[*server].next_hop != *mac {
            info!("next hop of {}: {}", self.roster.server_name(*server), mac_text(*mac));
        }
        Ok(self.control.set_next_hop(number, *mac)?)
    }

    fn on_health(&mut self, event: &Event) -> Result<()> {
        self.roster.set_health(event.server, &event.health);
        if let Some(transition) = event.transition {
            self.control.set_up(event.server as u16, transition == Transition::Up)?;
            self.report(event, transition);
        }
        self.publish()
    }

    fn report(&self, event: &Event, transition: Transition) {
        let Some(check) = event.health.last_check() else { return };
        let server = &self.roster.status().servers[event.server];
        let active = self.roster.usable_in(&server.backend);
        let change = StateChange {
            backend: &server.backend,
            server: &server.name,
            transition,
            check,
            active,
            backup: 0,
            sessions: self.sessions(event.server),
        };
        match transition {
            Transition::Up => info!("{change}"),
            Transition::Down => warn!("{change}"),
        }
        if active == 0 {
            error!("{}", NoServer { backend: &server.backend });
        }
    }

    /// Established connections of a server.
    fn sessions(&self, server: usize) -> u64 {
        let Ok(view) = self.control.maps().slots.view() else { return 0 };
        let ports = u32::from(self.control.wanted().sizes.nat_ports);
        let first = self.control.maps().setup.get().server(server as u16).first_slot;
        let slots = (first..first + ports).filter_map(|number| view.get(number));
        slots.filter(|slot| slot.word().state() == State::Established).count() as u64
    }

    fn publish(&mut self) -> Result<()> {
        Ok(self.board.write(self.roster.status())?)
    }
}

fn mac_text(mac: Option<lb_common::net::Mac>) -> String {
    mac.map_or("not known".to_owned(), |mac| mac.to_string())
}

/// The signals that end the agent.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let on = |kind| signal(kind).context("cannot handle signals");
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    /// The name of the next one.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
