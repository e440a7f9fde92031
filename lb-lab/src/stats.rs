//! What `xlb stats --json` and `xlb connections --json` tell, as far as the lab looks at it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

/// The answer of `xlb stats --json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Stats {
    /// How the program is attached; empty while it is not.
    pub mode: String,
    /// Why so.
    pub mode_reason: String,
    /// What clients connect to.
    pub frontends: Vec<Frontend>,
    /// Who serves them.
    pub servers: Vec<Server>,
    /// How many packets had each outcome.
    pub reasons: BTreeMap<String, u64>,
    /// What all maps together take.
    pub memory_bytes: u64,
}

/// A frontend's counters.
#[derive(Debug, Clone, Deserialize)]
pub struct Frontend {
    /// Its name.
    pub name: String,
    /// Connections so far.
    pub connections: u64,
    /// Packets from clients that went on to a server.
    pub packets_in: u64,
    /// Those of the balancer's own clients, which are counted apart.
    pub local: Local,
}

/// Connections of clients on the balancer's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Local {
    /// Connections so far.
    pub connections: u64,
    /// Connections now.
    pub current: u64,
}

/// A server's state and counters.
#[derive(Debug, Clone, Deserialize)]
pub struct Server {
    /// The backend that it belongs to.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// Its share of new connections.
    pub weight: u32,
    /// `UP` or `DOWN`, `DRAIN`, `MAINT`, or `removed`.
    pub state: String,
    /// The latest check; none before the first.
    pub check: Option<Check>,
    /// When its certificate expires, if a check has seen one.
    pub certificate_expires: Option<String>,
    /// Connections so far.
    pub connections: u64,
    /// Those of them that were established.
    pub established: u64,
    /// Connections now.
    pub current: u64,
    /// Those of the balancer's own clients, which are counted apart.
    pub local: Local,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

/// A health check that has ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Check {
    /// The short name of the result: `L4OK`.
    pub status: String,
    /// The status of the server's answer, if it gave one.
    pub code: Option<u16>,
    /// What the system or the server said.
    pub info: Option<String>,
}

/// A connection, from the answer of `xlb connections --json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Connection {
    /// Who opened it.
    pub client: SocketAddr,
    /// What it was opened to.
    pub frontend: String,
    /// Who serves it.
    pub server: String,
    /// The balancer's address towards the server.
    pub nat_address: Ipv4Addr,
    /// And its port.
    pub nat_port: u16,
    /// Whether its client is on the balancer's own host.
    pub local: bool,
    /// Its TCP state.
    pub state: String,
}

impl Stats {
    /// The servers of a backend.
    pub fn servers_of(&self, backend: &str) -> impl Iterator<Item = &Server> {
        self.servers.iter().filter(move |server| server.backend == backend)
    }
}
