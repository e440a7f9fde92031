//! Reads a pinned data plane: what `xlb stats` and `xlb connections` show.

use std::collections::BTreeMap;
use std::time::Duration;

use lb_common::counters::PathCounters;
use lb_common::frontend::{self, MAX_FRONTENDS};
use lb_common::local::LocalSocket;
use lb_common::net::{Mac, MacWord, socket_addr};
use lb_common::reason::Reason;
use lb_common::server::{self, MAX_SERVERS};
use lb_common::slot::{Details, Slot};
use lb_common::tcp::{Direction, State};
use lb_common::time::Tick;

use crate::clock;
use crate::dataplane::Error;
use crate::dataplane::maps::Maps;
use crate::dataplane::pins::Pins;
use crate::dataplane::status::{Admin, CheckStatus, FrontendStatus, ServerStatus, Status};
use crate::local;
use crate::process;
use crate::stats::{self, Agent, Connection, Local, ServerState, Snapshot, Traffic};

/// An opened data plane.
pub struct Observer {
    maps: Maps,
    status: Status,
    memory: Vec<(&'static str, u64)>,
    now: Duration,
    now_tick: Tick,
}

/// How many connections there are.
struct Census {
    /// By server, frontend and state.
    slots: BTreeMap<(u16, u16, &'static str), u64>,
    /// Those of clients on this host.
    local: Vec<LocalSocket>,
}

impl Observer {
    /// Opens the pinned maps.
    pub fn open(pins: &Pins) -> Result<Self, Error> {
        let (maps, board) = pins.open()?;
        let status = board.read()?;
        let now_tick = pins.open_ticker()?.now()?;
        let memory = maps.memory().iter().copied().chain([board.memory()]).collect();
        Ok(Self { maps, status, memory, now: clock::monotonic(), now_tick })
    }

    /// The connections that hold a slot now.
    pub fn connections(&self) -> Result<Vec<Connection>, Error> {
        let view = self.maps.slots.view()?;
        let connection = |(number, slot)| self.connection(number, &slot, &view.details(number)?);
        let local = local::connections(&self.maps)?.into_iter();
        let local = local.filter_map(|connection| self.local_connection(&connection));
        Ok(view.used().filter_map(connection).chain(local).collect())
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
        let is_open = |slot: &Slot| {
            matches!(slot.word().state(), State::SynSent | State::SynReceived | State::Established)
        };
        let view = self.maps.slots.view()?;
        Ok(view.used().filter(|(_, slot)| is_open(slot) && self.is_live(slot)).count() as u64)
    }

    /// Everything else.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        let census = self.census()?;
        let (frontends, servers) = (self.status.frontends.iter(), self.status.servers.iter());
        Ok(Snapshot {
            interface: self.status.interface.clone(),
            mode: self.status.mode.clone(),
            mode_reason: self.status.mode_reason.clone(),
            agent: self.agent(),
            frontends: frontends.map(|status| self.frontend(status, &census)).collect::<Result<_, _>>()?,
            servers: servers.map(|status| self.server(status, &census)).collect::<Result<_, _>>()?,
            reasons: Reason::ALL.iter().map(|reason| self.reason(*reason)).collect::<Result<_, _>>()?,
            memory: self.memory.iter().map(|(name, bytes)| ((*name).to_owned(), *bytes)).collect(),
        })
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

    fn census(&self) -> Result<Census, Error> {
        let local = self.maps.local_sockets.all()?.into_iter().map(|(_, socket)| socket).collect();
        let mut census = Census { slots: BTreeMap::new(), local };
        for (_, slot) in self.maps.slots.view()?.used().filter(|(_, slot)| self.is_live(slot)) {
            let key = (slot.server(), slot.tuple.frontend(), slot.word().state().name());
            *census.slots.entry(key).or_default() += 1;
        }
        Ok(census)
    }

    fn connection(&self, number: u32, slot: &Slot, details: &Details) -> Option<Connection> {
        if !self.is_live(slot) {
            return None;
        }
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

    fn frontend(&self, status: &FrontendStatus, census: &Census) -> Result<stats::Frontend, Error> {
        let number = status.number;
        let mut total = PathCounters::default();
        let mut local = Local::default();
        // Also of servers that have been removed since, whose connections were counted all the same.
        for server in 0..MAX_SERVERS as u16 {
            total.add(&self.maps.path(number, server)?);
            local.connections += self.maps.local_connections(number, server)?;
        }
        let asked = |socket: &&LocalSocket| socket_addr(socket.asked_addr, socket.asked_port) == status.bind;
        local.current = census.local.iter().filter(asked).count() as u64;
        let of_frontend = census.slots.iter().filter(|((_, frontend, _), _)| *frontend == number);
        Ok(stats::Frontend {
            name: status.name.clone(),
            bind: status.bind,
            backend: status.backend.clone(),
            connections: total.connections - total.redispatched,
            current: of_frontend.map(|(_, n)| n).sum(),
            local,
            traffic: traffic(&total),
        })
    }

    fn server(&self, status: &ServerStatus, census: &Census) -> Result<stats::Server, Error> {
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
        local.current = census.local.iter().filter(is_to).count() as u64;
        let mut states = BTreeMap::new();
        for ((_, _, state), n) in census.slots.iter().filter(|((server, ..), _)| *server == number) {
            *states.entry((*state).to_owned()).or_default() += n;
        }
        let health = status.health.as_ref();
        Ok(stats::Server {
            backend: status.backend.clone(),
            name: status.name.clone(),
            address: status.address,
            weight: status.effective_weight(),
            state: state(status),
            status: status_text(status),
            since: health.map(|health| clock::since_millis(health.changed_at)),
            check: health.and_then(|health| health.check.as_ref()).map(check),
            certificate_expires: health
                .and_then(|health| health.certificate_expires)
                .map(clock::from_unix_seconds),
            next_hop: Some(setup.next_hop).filter(MacWord::is_unicast).map(|mac| Mac::from(mac).to_string()),
            connections: total.connections,
            established: total.established,
            refused: total.refused,
            redispatched: total.redispatched,
            current: states.values().sum(),
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
