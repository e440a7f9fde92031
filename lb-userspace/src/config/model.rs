//! A valid configuration as the rest of the program sees it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use lb_common::nat::MAX_NAT_ADDRS;

use super::account::Account;
use super::keyword::Keyword;
use super::logging::{Facility, Level, LogAddress};
use super::ports::PortRange;
use super::prefix::Prefix;
use super::rate::Rate;

/// Everything that `xlb.toml` says, with the defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The network interface that the program is attached to.
    pub interface: String,
    /// How it is attached.
    pub mode: Mode,
    /// The ports of ours that connections to servers come from.
    pub nat_ports: PortRange,
    /// The addresses of ours that connections to servers come from, at least one.
    pub nat_addresses: Vec<Ipv4Addr>,
    /// How many servers the maps have room for.
    pub max_servers: u32,
    /// What becomes of the data plane when the agent ends in order.
    pub on_stop: OnStop,
    /// Whether clients on the balancer's own host are balanced.
    pub host_clients: bool,
    /// The cgroup whose processes are such clients; without it the root of the host's cgroup2.
    pub cgroup: Option<PathBuf>,
    /// At least one.
    pub frontends: Vec<Frontend>,
    /// At least one.
    pub backends: Vec<Backend>,
    /// The control socket.
    pub socket: Socket,
    /// The statistics.
    pub stats: Option<Stats>,
    /// The metrics' own address.
    pub metrics: Option<Metrics>,
    /// The log.
    pub log: Option<Log>,
}

impl Config {
    /// How many servers the maps have room for unless the file says otherwise.
    pub const DEFAULT_MAX_SERVERS: u32 = 16;

    /// How many NAT addresses there can be.
    pub const MAX_NAT_ADDRESSES: usize = MAX_NAT_ADDRS as usize;

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
    /// The best that the interface allows.
    #[default]
    Auto,
    /// In the driver.
    Native,
    /// In the kernel's generic receive path.
    Generic,
    /// In traffic control.
    Tc,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What becomes of the data plane when the agent ends in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnStop {
    /// It is taken down, and nothing stays behind.
    #[default]
    Remove,
    /// It goes on forwarding until an agent adopts it or `xlb detach` takes it down.
    Keep,
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
    /// The most connections at once; no limit without.
    pub max_connections: Option<u32>,
    /// Where clients may come from, at most [`Frontend::MAX_PREFIXES`]; from anywhere if empty.
    pub allow: Vec<Prefix>,
    /// How many new connections one source address may open; any number without.
    pub source_rate: Option<Rate>,
}

impl Frontend {
    /// The most prefixes in a frontend's `allow`.
    pub const MAX_PREFIXES: usize = 256;
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
    /// What becomes of the connections of a server that goes DOWN or into maintenance.
    pub on_marked_down: OnMarkedDown,
    /// Whether all servers are used when all are DOWN.
    pub panic: bool,
    /// At least one.
    pub servers: Vec<Server>,
}

/// What becomes of the connections of a server that goes DOWN or into maintenance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMarkedDown {
    /// They are reset, so that clients connect again to another server, once there is one.
    #[default]
    Reset,
    /// They stay, and end by their timeout unless the server comes back.
    Keep,
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
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// What failed connects of clients count for.
    pub observe: Observe,
}

impl Default for Check {
    /// `HAProxy`'s defaults.
    fn default() -> Self {
        let interval = Duration::from_secs(2);
        let (kind, observe) = (CheckKind::default(), Observe::default());
        Self { kind, interval, timeout: interval, fall: 3, rise: 2, observe }
    }
}

/// What a check does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CheckKind {
    /// Opens a TCP connection and closes it.
    #[default]
    Tcp,
    /// Asks for a page over TLS.
    Https(Https),
}

/// A page that a server in good health answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Https {
    /// The page.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// Whose certificates are good.
    pub trust: Trust,
    /// The name that the server's certificate is for, and that TLS and HTTP ask for; without it the
    /// server's address.
    pub server_name: Option<String>,
}

impl Default for Https {
    /// The API server's page, and its status when all is well.
    fn default() -> Self {
        Self { path: "/readyz".to_owned(), status: 200, trust: Trust::default(), server_name: None }
    }
}

/// Whose certificates are good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Those of the authorities that this host trusts.
    #[default]
    System,
    /// Those of the authorities in a file of PEM certificates.
    CaFile(PathBuf),
    /// All.
    Anybody,
}

/// What failed connects of clients count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Observe {
    /// Nothing.
    #[default]
    Off,
    /// They take a server down before its next check does.
    Connect {
        /// So many in a row.
        error_limit: u32,
    },
}

impl Observe {
    /// How many failed connects in a row, unless the file names a number; `HAProxy`'s default.
    pub const DEFAULT_ERROR_LIMIT: u32 = 10;
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
    /// Whether it is used only when no other can be.
    pub backup: bool,
    /// How long its share grows once it is UP again; at once all of it without.
    pub slow_start: Option<Duration>,
}

impl Server {
    /// The weight of a server for which the file names none.
    pub const DEFAULT_WEIGHT: u32 = 1;
}

/// The control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Where it is.
    pub path: PathBuf,
    /// Who may connect, as the mode of its file.
    pub mode: u32,
    /// The name of the group that it belongs to; the agent's own without.
    pub group: Option<String>,
    /// How long a client may take for a command, and for the reading of an answer.
    pub timeout: Duration,
}

impl Socket {
    /// The path unless the file names one.
    pub const DEFAULT_PATH: &str = "/run/xlb/admin.sock";
}

impl Default for Socket {
    /// Nobody but the owner may connect, and `HAProxy`'s own timeout.
    fn default() -> Self {
        Self { path: Self::DEFAULT_PATH.into(), mode: 0o600, group: None, timeout: Duration::from_secs(10) }
    }
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
    /// Who may see it; everybody without.
    pub auth: Option<Account>,
    /// Whether it keeps the version to itself.
    pub hide_version: bool,
    /// Whether it can change the state of servers.
    pub admin: bool,
    /// What it is served over TLS with; without TLS where there is none.
    pub identity: Option<Identity>,
}

/// The files of PEM that a server proves with who it is. They may be one and the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its certificate, and those that lead to an authority's.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Stats {
    /// The path unless the file names one.
    pub const DEFAULT_URI: &str = "/stats";
}

/// Where metrics are served beside the statistics, to everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Where they are served.
    pub bind: SocketAddr,
}

/// What is logged, and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// The form of the line that each connection gets at its end; none without.
    pub format: Option<LogFormat>,
    /// The name of the program in each line.
    pub tag: String,
    /// Where lines go to.
    pub targets: Vec<LogTarget>,
}

impl Log {
    /// The program's name unless the file has another.
    pub const DEFAULT_TAG: &str = "xlb";
}

/// The form of a connection's log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `HAProxy`'s `option tcplog`.
    Tcplog,
    /// An object of JSON.
    Json,
}

/// A receiver of lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogTarget {
    /// Who or where it is.
    pub address: LogAddress,
    /// The syslog facility.
    pub facility: Facility,
    /// The least important level that is sent.
    pub level: Level,
}
