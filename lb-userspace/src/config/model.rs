//! A valid configuration as the rest of the program sees it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use super::keyword::Keyword;
use super::ports::PortRange;

/// Everything that `xlb.toml` says, with the defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The network interface that the program is attached to.
    pub interface: String,
    /// How it is attached.
    pub mode: Mode,
    /// The ports of ours that connections to servers come from.
    pub nat_ports: PortRange,
    /// The address of ours that connections to servers come from.
    pub nat_address: Ipv4Addr,
    /// How many servers the maps have room for.
    pub max_servers: u32,
    /// The most connections at once over all frontends; carried, not enforced yet.
    pub max_connections: Option<u32>,
    /// At least one.
    pub frontends: Vec<Frontend>,
    /// At least one.
    pub backends: Vec<Backend>,
    /// The statistics page; carried, not served yet.
    pub stats: Option<Stats>,
    /// The log; carried, not written yet.
    pub log: Option<Log>,
}

impl Config {
    /// How many servers the maps have room for unless the file says otherwise.
    pub const DEFAULT_MAX_SERVERS: u32 = 16;

    /// The backend of one of this configuration's frontends.
    ///
    /// # Panics
    ///
    /// With a frontend of another configuration.
    #[must_use]
    pub fn backend_of(&self, frontend: &Frontend) -> &Backend {
        &self.backends[frontend.backend]
    }

    /// The servers of all backends, each with its backend, in the order of the file.
    pub fn servers(&self) -> impl Iterator<Item = (&Backend, &Server)> {
        self.backends.iter().flat_map(|backend| backend.servers.iter().map(move |server| (backend, server)))
    }
}

/// How the program is attached to the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Native where the driver offers it, else generic.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the kernel's generic receive path.
    Generic,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An address that clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frontend {
    /// Its name, unique among frontends.
    pub name: String,
    /// Where it listens.
    pub bind: SocketAddrV4,
    /// Its backend, as an index into [`Config::backends`].
    pub backend: usize,
    /// The most connections at once; carried, not enforced yet.
    pub max_connections: Option<u32>,
}

/// Servers that share the connections of a frontend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// Its name, unique among backends.
    pub name: String,
    /// How a server is chosen.
    pub balance: Balance,
    /// How long connections live without a packet.
    pub timeouts: Timeouts,
    /// How the servers are checked; without it they always count as up.
    pub check: Option<Check>,
    /// At least one.
    pub servers: Vec<Server>,
}

/// How a server is chosen for a new connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// In turns, according to weight.
    #[default]
    RoundRobin,
}

/// How long a connection lives without a packet, by its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the server has accepted it.
    pub connect: Duration,
    /// Once it is established.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(10), idle: Duration::from_secs(86_400) }
    }
}

/// How the servers of a backend are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// What a check does.
    pub kind: CheckKind,
    /// From the start of one check to the start of the next.
    pub interval: Duration,
    /// How long one check may take; never longer than the interval.
    pub timeout: Duration,
    /// So many failures in a row take a server down.
    pub fall: u32,
    /// So many successes in a row bring it up again.
    pub rise: u32,
}

impl Default for Check {
    /// `HAProxy`'s defaults.
    fn default() -> Self {
        let interval = Duration::from_secs(2);
        Self { kind: CheckKind::default(), interval, timeout: interval, fall: 3, rise: 2 }
    }
}

/// What a check does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CheckKind {
    /// Opens a TCP connection and closes it.
    #[default]
    Tcp,
}

/// A server of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Its name, unique in its backend.
    pub name: String,
    /// Where it listens; unique among all servers.
    pub address: SocketAddrV4,
    /// Its share of the connections, from 0 to [`lb_common::ring::MAX_WEIGHT`].
    pub weight: u32,
    /// Whether it is used only when no other is up; carried, not obeyed yet.
    pub backup: bool,
}

impl Server {
    /// The weight of a server for which the file names none.
    pub const DEFAULT_WEIGHT: u32 = 1;
}

/// The statistics page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Where it is served.
    pub bind: SocketAddr,
    /// Its path.
    pub uri: String,
    /// How often browsers load it again.
    pub refresh: Option<Duration>,
    /// The name under which browsers ask for the password.
    pub realm: Option<String>,
    /// Who may see it, as `user:password`; everybody without.
    pub auth: Option<String>,
    /// Whether it keeps the version to itself.
    pub hide_version: bool,
    /// Whether it can change the state of servers.
    pub admin: bool,
}

impl Stats {
    /// The path unless the file names one.
    pub const DEFAULT_URI: &str = "/stats";
}

/// What is logged, and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The form of the line that each connection gets at its end; none without.
    pub format: Option<LogFormat>,
    /// Where lines go to.
    pub targets: Vec<LogTarget>,
}

/// The form of a connection's log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `HAProxy`'s `option tcplog`.
    Tcplog,
}

/// A syslog receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// A socket's path, or `address:port`.
    pub address: String,
    /// The syslog facility.
    pub facility: Option<String>,
    /// The least important level that is sent; everything without.
    pub level: Option<String>,
}
