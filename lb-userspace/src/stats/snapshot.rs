//! The state of the balancer at one moment.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::json;
use crate::dataplane::status::{Admin, History, Standing};

/// Everything that `xlb stats` shows.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The interface that the program is attached to.
    pub interface: String,
    /// How: `native`, `generic` or `tc`; empty while it is not.
    pub mode: String,
    /// Why so.
    pub mode_reason: String,
    /// How long `xlb confirm` may take to come before the agent takes all down again; none where it need not.
    pub confirm_within: Option<Duration>,
    /// Whether an agent looks after the maps.
    pub agent: Agent,
    /// The frontends, in the order of the configuration.
    pub frontends: Vec<Frontend>,
    /// The servers, in the order of the configuration; those of a backend stand together.
    pub servers: Vec<Server>,
    /// All outcomes other than plain forwarding, in the order of their counters.
    pub reasons: Vec<Reason>,
    /// Bytes of kernel memory, by map.
    pub memory: BTreeMap<String, u64>,
}

/// The agent process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Agent {
    /// It runs.
    Running {
        /// Its process id.
        pid: u32,
    },
    /// It does not; the program goes on forwarding without it.
    NotRunning,
}

/// Forwarded traffic; `in` is towards the servers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// TCP payload bytes to the servers.
    pub bytes_in: u64,
    /// TCP payload bytes to the clients.
    pub bytes_out: u64,
    /// Packets to the servers.
    pub packets_in: u64,
    /// Packets to the clients.
    pub packets_out: u64,
}

/// Connections of clients on the balancer's own host. Their packets never cross the interface, so
/// they have no slot, and nothing else is counted of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Local {
    /// How many were given to a server since the maps were made.
    pub connections: u64,
    /// How many sockets of them have not been closed.
    pub current: u64,
}

/// A frontend and what has come to it.
#[derive(Clone, Debug, Serialize)]
pub struct Frontend {
    /// Its name.
    pub name: String,
    /// Where clients connect to.
    pub bind: SocketAddrV4,
    /// The backend whose servers it uses.
    pub backend: String,
    /// Connections that were given to a server since the maps were made.
    pub connections: u64,
    /// Connections that servers refused.
    pub refused: u64,
    /// How often a connection was given to another server than before.
    pub redispatched: u64,
    /// Connections that hold a slot now.
    pub current: u64,
    /// Those of them that have begun and not ended.
    pub open: u64,
    /// The most that may be established at once; none without a limit.
    pub max_connections: Option<u32>,
    /// Connections of clients on the balancer's own host, which are not among the others.
    pub local: Local,
    /// What was forwarded.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Whether it has left the configuration; its connections go on.
    pub removed: bool,
}

/// A server and what has gone to it.
#[derive(Clone, Debug, Serialize)]
pub struct Server {
    /// The backend that it belongs to.
    pub backend: String,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddrV4,
    /// Its share of new connections, relative to the other servers'.
    pub weight: u32,
    /// The weight that the configuration gives it.
    pub configured_weight: u32,
    /// Whether it is used only when no other can be.
    pub backup: bool,
    /// Whether it is used.
    pub state: ServerState,
    /// What the operator wants of it.
    #[serde(skip)]
    pub admin: Admin,
    /// Whether the operator has turned its health checks off.
    #[serde(skip)]
    pub checks_off: bool,
    /// The state in full, as HAProxy shows it: `UP 2/3`.
    pub status: String,
    /// How long it has been in this state, in milliseconds in JSON; none without a check.
    #[serde(rename = "since_ms", serialize_with = "json::optional_millis")]
    pub since: Option<Duration>,
    /// The latest check; none before the first and without checks.
    pub check: Option<Check>,
    /// The most connections that it can have at once: the ports that they come from.
    pub slots: u32,
    /// Where it stands between DOWN and UP; none without a check.
    pub standing: Option<Standing>,
    /// What its checks have come to over time.
    pub history: History,
    /// When its certificate expires, as RFC 3339 has it in JSON; none if no check saw one.
    #[serde(serialize_with = "json::optional_time")]
    pub certificate_expires: Option<SystemTime>,
    /// The MAC address that its packets are sent to; none while unknown.
    pub next_hop: Option<String>,
    /// Connections that were given to it.
    pub connections: u64,
    /// Connections whose handshake was completed.
    pub established: u64,
    /// Connections that it refused.
    pub refused: u64,
    /// Connections that it did not take and that were given to another server.
    pub redispatched: u64,
    /// Connections that hold a slot now.
    pub current: u64,
    /// Those of them that have begun and not ended.
    pub open: u64,
    /// The same by state, under the names that `ss` uses; states without any are left out.
    pub states: BTreeMap<String, u64>,
    /// Connections of clients on the balancer's own host, which are not among the others.
    pub local: Local,
    /// What was forwarded.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// Whether a server is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Its checks pass.
    Up,
    /// Its checks fail; it gets no new connections.
    Down,
    /// Nobody checks it, so it is used.
    NoCheck,
    /// The operator wants it to get no new connections.
    Drain,
    /// The operator wants it left alone.
    Maint,
    /// It has left the configuration; its connections go on.
    Removed,
}

/// A health check that has ended.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// The short name of the result: `L4OK`.
    pub status: String,
    /// The status of the server's answer, if it gave one.
    pub code: Option<u16>,
    /// The result in words.
    pub description: String,
    /// What the system said about a failure.
    pub info: Option<String>,
    /// How long the check took, in milliseconds in JSON.
    #[serde(rename = "duration_ms", serialize_with = "json::millis")]
    pub duration: Duration,
    /// How long ago it ended, in milliseconds in JSON.
    #[serde(rename = "age_ms", serialize_with = "json::millis")]
    pub age: Duration,
}

/// How many packets were not forwarded for one reason.
#[derive(Clone, Debug)]
pub struct Reason {
    /// Its name.
    pub name: String,
    /// One sentence about it.
    pub description: String,
    /// How many packets.
    pub count: u64,
}

impl Snapshot {
    /// Why nothing is attached once a start [is abandoned](Self::is_abandoned).
    pub(crate) const ABANDONED: &str = "the start was not confirmed, and its agent is gone";

    /// Whether the agent has gone before its start was confirmed, and with it all that was attached.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        self.confirm_within.is_some() && self.agent == Agent::NotRunning
    }

    /// Bytes of kernel memory in all maps together.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory.values().sum()
    }
}

/// Those that count the connections of the host's own clients apart from all others.
macro_rules! counts_in_two_parts {
    ($($kind:ident),+) => {$(
        impl $kind {
            /// Connections that were given to a server, those of the host itself too.
            #[must_use]
            pub const fn all_connections(&self) -> u64 {
                self.connections + self.local.connections
            }

            /// Those that have begun and not ended, the host's too.
            #[must_use]
            pub const fn all_open(&self) -> u64 {
                self.open + self.local.current
            }
        }
    )+};
}

counts_in_two_parts!(Frontend, Server);

impl Server {
    /// Whether it may get new connections.
    #[must_use]
    pub const fn takes_connections(&self) -> bool {
        matches!(self.state, ServerState::Up | ServerState::NoCheck) && self.weight > 0
    }
}

impl ServerState {
    /// The state in a word or two.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Up => "UP",
            Self::Down => "DOWN",
            Self::NoCheck => "no check",
            Self::Drain => "DRAIN",
            Self::Maint => "MAINT",
            Self::Removed => "removed",
        }
    }
}

impl Serialize for ServerState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
