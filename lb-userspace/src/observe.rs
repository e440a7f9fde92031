//! Reads a pinned data plane: what `xlb stats` and `xlb connections` show.

mod flows;
mod prospects;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lb_common::counters::PathCounters;
use lb_common::frontend::{self, MAX_FRONTENDS};
use lb_common::local::LocalSocket;
use lb_common::net::{Mac, MacWord, socket_addr};
use lb_common::reason::Reason;
use lb_common::server::{self, MAX_SERVERS, Servers};
use lb_common::slot::{Details, Slot};
use lb_common::tcp::{Direction, State};
use lb_common::time::Tick;

use crate::census::Census;
use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::{Found, Pins};
use crate::dataplane::status::{Admin, CheckStatus, FrontendStatus, ServerStatus, Status, StatusBoard};
use crate::dataplane::ticker::Ticker;
use crate::local;
use crate::process;
use crate::stats::{self, Agent, Connection, Filter, Local, ServerState, Snapshot, Traffic};

/// An opened data plane, as it was at one moment.
pub struct Observer {
    pins: Pins,
    maps: Maps,
    board: StatusBoard,
    ticker: Ticker,
    status: Status,
    now: Duration,
    now_tick: Tick,
}

/// Which connections there are.
struct Present {
    /// How many hold a slot.
    held: Census,
    /// Those of clients on this host.
    local: Vec<LocalSocket>,
}

impl Observer {
    /// Opens the pinned maps.
    pub fn open(pins: &Pins) -> Result<Self, Error> {
        let (maps, board) = pins.open()?;
        let ticker = pins.open_ticker()?;
        let (status, now_tick) = (board.read()?, ticker.now()?);
        Ok(Self { pins: pins.clone(), maps, board, ticker, status, now: clock::monotonic(), now_tick })
    }

    /// A number that changes whenever the agent publishes something.
    pub fn sequence(&self) -> Result<u64, Error> {
        self.board.sequence()
    }

    /// What the agent has published last, whatever this has seen of it.
    pub fn published(&self) -> Result<Status, Error> {
        self.board.read()
    }

    /// Looks again, now.
    pub fn refresh(&mut self) -> Result<(), Error> {
        self.status = self.board.read()?;
        self.now_tick = self.ticker.now()?;
        self.now = clock::monotonic();
        Ok(())
    }

    /// The connections that hold a slot now, and those of clients on this host, as far as a filter wants
    /// them.
    pub fn connections(&self, filter: &Filter) -> Result<Vec<Connection>, Error> {
        let mut connections = Vec::new();
        let is_wanted = self.selection(filter);
        for view in self.maps.slots.detailed_windows(self.maps.slots.numbers()) {
            let view = view?;
            let wanted = |(_, slot): &(u32, Slot)| self.is_live(slot) && is_wanted(slot);
            let connection = |(number, slot)| self.connection(number, &slot, &view.details(number)?);
            connections.extend(view.used().filter(wanted).filter_map(connection));
        }
        let local = local::connections(&self.maps)?.into_iter();
        let local = local.filter_map(|connection| self.local_connection(&connection));
        connections.extend(local.filter(|connection| filter.matches(connection)));
        Ok(connections)
    }

    /// Tells whether a filter wants the connection that holds a slot, before it gets names of its own:
    /// there may be a million others.
    fn selection<'f>(&self, filter: &'f Filter) -> impl Fn(&Slot) -> bool + use<'f> {
        let named =
            |wanted: &Option<String>, name: &String| wanted.as_ref().is_none_or(|wanted| wanted == name);
        let servers = self.status.servers.iter().filter(|server| named(&filter.server, &server.name));
        let servers = servers.fold(Servers::NONE, |servers, server| servers.and(server.number));
        let frontends = self.status.frontends.iter();
        let frontends = frontends.filter(|frontend| named(&filter.frontend, &frontend.name));
        let frontends: BTreeSet<u16> = frontends.map(|frontend| frontend.number).collect();
        move |slot| {
            filter.is_of(socket_addr(slot.tuple.addr(), slot.tuple.port()), slot.word().state())
                && servers.contains(slot.server())
                && frontends.contains(&slot.tuple.frontend())
        }
    }

    /// A connection of a client on this host, by what its socket says.
    fn local_connection(&self, connection: &local::Connection) -> Option<Connection> {
        let local::Connection { socket, turned } = connection;
        let client = socket.local()?;
        let asked = socket_addr(turned.asked_addr, turned.asked_port);
        let frontend = self.status.frontends.iter().find(|frontend| frontend.bind == asked)?;
        let server = self.status.servers.iter().find(|server| {
            let setup = self.server_setup(server.number);
            (setup.addr, setup.port) == (turned.server_addr, turned.server_port)
        })?;
        let [packets_to_server, packets_to_client] = socket.usage.packets;
        let [bytes_to_server, bytes_to_client] = socket.usage.bytes;
        Some(Connection {
            client,
            frontend: frontend.name.clone(),
            backend: server.backend.clone(),
            server: server.name.clone(),
            nat: client,
            local: true,
            state: socket.state(),
            age: self.now.saturating_sub(Duration::from_nanos(turned.opened_at)),
            idle: socket.usage.idle,
            packets_to_server,
            packets_to_client,
            bytes_to_server,
            bytes_to_client,
        })
    }

    /// How many connections have begun and not ended.
    pub fn open_connections(&self) -> Result<u64, Error> {
        let is_open = |slot: &Slot| slot.word().state().is_open() && self.is_live(slot);
        let mut open = 0;
        for view in self.maps.slots.windows(self.maps.slots.numbers()) {
            open += view?.used().filter(|(_, slot)| is_open(slot)).count() as u64;
        }
        Ok(open)
    }

    /// Everything else.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let present = self.present()?;
        let (frontends, servers) = (self.status.frontends.iter(), self.status.servers.iter());
        let mut snapshot = Snapshot {
            interface: self.status.interface.clone(),
            mode: self.status.mode.clone(),
            mode_reason: self.status.mode_reason.clone(),
            confirm_within: self.confirm_within(),
            agent: self.agent(),
            frontends: frontends.map(|status| self.frontend(status, &present)).collect::<Result<_, _>>()?,
            servers: servers.map(|status| self.server(status, &present)).collect::<Result<_, _>>()?,
            reasons: Reason::ALL.iter().map(|reason| self.reason(*reason)).collect::<Result<_, _>>()?,
            memory: self.memory(),
        };
        if snapshot.is_abandoned() {
            // The agent cannot have said so.
            snapshot.mode.clear();
            Snapshot::ABANDONED.clone_into(&mut snapshot.mode_reason);
        }
        Ok(snapshot)
    }

    /// How long a start may still wait for `xlb confirm`. The pins know best whether it does: an agent may have
    /// been killed between them and the word about them.
    fn confirm_within(&self) -> Option<Duration> {
        let left = clock::until_millis(self.status.confirm_by?);
        (!matches!(self.pins.find(), Ok(Found::DataPlane))).then_some(left)
    }

    fn memory(&self) -> BTreeMap<String, u64> {
        let memory = self.maps.memory().iter().copied().chain([self.board.memory()]);
        memory.map(|(name, bytes)| (name.to_owned(), bytes)).collect()
    }

    fn agent(&self) -> Agent {
        let Status { pid, started, .. } = self.status;
        if process::is_running(pid, started) { Agent::Running { pid } } else { Agent::NotRunning }
    }

    fn is_live(&self, slot: &Slot) -> bool {
        let timeouts = &self.setup(slot.tuple.frontend()).timeouts;
        slot.word().state() != State::Claimed && slot.word().is_live(slot.last_seen, self.now_tick, timeouts)
    }

    fn setup(&self, frontend: u16) -> &frontend::Frontend {
        self.maps.setup.get().frontend(frontend)
    }

    fn server_setup(&self, server: u16) -> &server::Server {
        self.maps.setup.get().server(server)
    }

    fn present(&self) -> Result<Present, Error> {
        let local = self.maps.local_sockets.all()?.into_iter().map(|(_, socket)| socket).collect();
        let mut held = Census::default();
        for view in self.maps.slots.windows(self.maps.slots.numbers()) {
            view?.used().filter(|(_, slot)| self.is_live(slot)).for_each(|(_, slot)| held.add(&slot));
        }
        Ok(Present { held, local })
    }

    fn connection(&self, number: u32, slot: &Slot, details: &Details) -> Option<Connection> {
        let frontend = self.status.frontend(slot.tuple.frontend())?;
        let server = self.status.server(slot.server())?;
        let (nat_addr, nat_port) = self.maps.setup.get().nat_endpoint(number, slot.ends);
        let [to_server, to_client] = [Direction::ToServer as usize, Direction::ToClient as usize];
        Some(Connection {
            client: socket_addr(slot.tuple.addr(), slot.tuple.port()),
            frontend: frontend.name.clone(),
            backend: server.backend.clone(),
            server: server.name.clone(),
            nat: socket_addr(nat_addr, nat_port),
            local: false,
            state: slot.word().state(),
            age: self.now.saturating_sub(Duration::from_nanos(details.opened_at)),
            idle: clock::jiffy().duration(slot.last_seen.age(self.now_tick)),
            packets_to_server: slot.packets(details, to_server),
            packets_to_client: slot.packets(details, to_client),
            bytes_to_server: slot.bytes[to_server],
            bytes_to_client: slot.bytes[to_client],
        })
    }

    fn frontend(&self, status: &FrontendStatus, present: &Present) -> Result<stats::Frontend, Error> {
        let number = status.number;
        let mut total = PathCounters::default();
        let mut local = Local::default();
        // Also of servers that have been removed since, whose connections were counted all the same.
        for server in 0..MAX_SERVERS as u16 {
            total.add(&self.maps.path(number, server)?);
            local.connections += self.maps.local_connections(number, server)?;
        }
        let asked = |socket: &&LocalSocket| socket_addr(socket.asked_addr, socket.asked_port) == status.bind;
        local.current = present.local.iter().filter(asked).count() as u64;
        let limit = self.setup(number).limits.max_connections;
        Ok(stats::Frontend {
            name: status.name.clone(),
            bind: status.bind,
            backend: status.backend.clone(),
            connections: total.connections - total.redispatched,
            refused: total.refused,
            redispatched: total.redispatched,
            current: present.held.of_frontend(number),
            open: present.held.open_of_frontend(number),
            max_connections: (limit > 0).then_some(limit),
            local,
            traffic: traffic(&total),
            removed: status.leaving,
        })
    }

    fn server(&self, status: &ServerStatus, present: &Present) -> Result<stats::Server, Error> {
        let number = status.number;
        let setup = self.server_setup(number);
        let mut total = PathCounters::default();
        let mut local = Local::default();
        for frontend in 0..MAX_FRONTENDS as u16 {
            total.add(&self.maps.path(frontend, number)?);
            local.connections += self.maps.local_connections(frontend, number)?;
        }
        let is_to =
            |socket: &&LocalSocket| socket.server_addr == setup.addr && socket.server_port == setup.port;
        local.current = present.local.iter().filter(is_to).count() as u64;
        let states = present.held.of_server(number);
        let health = status.health.as_ref();
        Ok(stats::Server {
            backend: status.backend.clone(),
            name: status.name.clone(),
            address: status.address,
            weight: status.effective_weight(),
            configured_weight: status.weight,
            backup: status.backup,
            state: state(status),
            admin: status.admin,
            checks_off: status.checks_off,
            status: status_text(status),
            since: health.map(|health| clock::since_millis(health.changed_at)),
            check: health.and_then(|health| health.check.as_ref()).map(check),
            slots: self.maps.setup.get().settings.slots_of_server(),
            standing: health.map(|health| health.standing),
            history: status.history,
            certificate_expires: health
                .and_then(|health| health.certificate_expires)
                .map(clock::from_unix_seconds),
            next_hop: Some(setup.next_hop).filter(MacWord::is_unicast).map(|mac| Mac::from(mac).to_string()),
            connections: total.connections,
            established: total.established,
            refused: total.refused,
            redispatched: total.redispatched,
            current: states.values().sum(),
            open: present.held.open_of_server(number),
            states,
            local,
            traffic: traffic(&total),
        })
    }

    fn reason(&self, reason: Reason) -> Result<stats::Reason, Error> {
        Ok(stats::Reason {
            name: reason.name().to_owned(),
            description: reason.description().trim().to_owned(),
            count: self.maps.reason(reason)?,
        })
    }
}

fn state(status: &ServerStatus) -> ServerState {
    match (&status.health, status.admin) {
        _ if status.leaving => ServerState::Removed,
        (_, Admin::Maint) => ServerState::Maint,
        (Some(health), _) if !health.up => ServerState::Down,
        (_, Admin::Drain) => ServerState::Drain,
        (Some(_), Admin::Ready) if status.checks_off => ServerState::NoCheck,
        (Some(_), Admin::Ready) => ServerState::Up,
        (None, Admin::Ready) => ServerState::NoCheck,
    }
}

/// The state in full: `UP 2/3`, and `DRAIN 2/3` as HAProxy has it.
fn status_text(status: &ServerStatus) -> String {
    let state = state(status);
    match (&status.health, state) {
        (Some(health), ServerState::Up | ServerState::Down) => health.text.clone(),
        (Some(health), ServerState::Drain) => health.text.replacen(ServerState::Up.name(), state.name(), 1),
        _ => state.name().to_owned(),
    }
}

fn check(check: &CheckStatus) -> stats::Check {
    stats::Check {
        status: check.code.clone(),
        code: check.answer,
        description: check.description.clone(),
        info: check.info.clone(),
        duration: Duration::from_millis(check.duration),
        age: clock::since_millis(check.at),
    }
}

fn traffic(counters: &PathCounters) -> Traffic {
    let [bytes_in, bytes_out] = counters.bytes;
    let [packets_in, packets_out] = counters.packets;
    Traffic { bytes_in, bytes_out, packets_in, packets_out }
}
