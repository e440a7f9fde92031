//! What goes into `xlb.toml`, in `HAProxy`'s own words where xlb has the same.

use super::log::Target;
use super::server::Server;
use super::socket::Socket;
use super::stats::Page;

/// The whole file.
#[derive(Debug)]
pub(super) struct Outline {
    /// The name of the file that it comes from.
    pub source: String,
    pub interface: String,
    /// The addresses that connections to servers come from; none if the kernel chooses.
    pub nat_addresses: Vec<String>,
    pub max_connections: Option<String>,
    pub frontends: Vec<Frontend>,
    pub backends: Vec<Backend>,
    pub socket: Option<Socket>,
    pub stats: Option<Stats>,
    /// The address that only metrics are served at.
    pub metrics: Option<String>,
    pub tcplog: bool,
    /// The program's name in the log.
    pub log_tag: String,
    pub log_targets: Vec<Target>,
}

#[derive(Debug)]
pub(super) struct Frontend {
    pub name: String,
    pub bind: String,
    pub backend: Option<String>,
    pub max_connections: Option<String>,
}

#[derive(Debug)]
pub(super) struct Backend {
    pub name: String,
    pub timeouts: Timeouts,
    pub check: Option<Check>,
    pub on_marked_down: Option<String>,
    pub servers: Vec<Server>,
}

#[derive(Debug)]
pub(super) struct Timeouts {
    pub connect: Option<String>,
    pub idle: Option<String>,
}

#[derive(Debug)]
pub(super) struct Check {
    pub interval: String,
    pub timeout: Option<String>,
    pub fall: String,
    pub rise: String,
    /// None for a check over TCP.
    pub https: Option<Https>,
    pub observe: Option<Observe>,
}

#[derive(Debug)]
pub(super) struct Https {
    pub path: String,
    pub status: String,
    pub verify: bool,
    pub ca_file: Option<String>,
    pub server_name: Option<String>,
}

#[derive(Debug)]
pub(super) struct Observe {
    pub error_limit: Option<String>,
}

#[derive(Debug)]
pub(super) struct Stats {
    pub bind: String,
    /// The file with certificate and key; none without TLS.
    pub certificate: Option<String>,
    pub page: Page,
}
