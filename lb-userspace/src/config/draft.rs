//! The settings as the file gives them: each one valid by itself, and any of them possibly absent.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use lb_common::ring::MAX_WEIGHT;
use lb_common::server::MAX_SERVERS;

use super::account::Account;
use super::address;
use super::duration::duration;
use super::keyword::{keyword, listed};
use super::logging::LogAddress;
use super::model::{self, Balance, Config, LogFormat, Mode, OnMarkedDown, OnStop};
use super::ports::PortRange;
use super::prefix::{self, Prefix};
use super::problem::{Field, Located};
use super::rate::{self, Rate};
use super::reader::Table;
use super::value;

/// The most checks in a row that `fall` and `rise` can ask for.
const MAX_STREAK: u32 = 255;

/// The most failed connects in a row that `error_limit` can ask for.
const MAX_ERRORS: u32 = 1_000_000;

/// syslog's facilities.
pub(super) const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

/// syslog's levels, from the most to the least important.
pub(super) const LEVELS: &[&str] = &["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// The whole file.
#[derive(Debug)]
pub(super) struct Draft {
    pub interface: Field<String>,
    pub mode: Field<Mode>,
    pub nat_ports: Field<PortRange>,
    pub nat_addresses: Field<Vec<Located<Ipv4Addr>>>,
    pub max_servers: Field<u32>,
    pub max_connections: Field<u32>,
    pub on_stop: Field<OnStop>,
    pub host_clients: Field<bool>,
    pub cgroup: Field<PathBuf>,
    pub frontends: Vec<Located<Frontend>>,
    pub backends: Vec<Located<Backend>>,
    pub socket: Field<Socket>,
    pub stats: Field<Stats>,
    pub metrics: Field<Metrics>,
    pub log: Field<Log>,
}

#[derive(Debug)]
pub(super) struct Frontend {
    pub name: Field<String>,
    pub bind: Field<SocketAddrV4>,
    pub backend: Field<String>,
    pub max_connections: Field<u32>,
    pub allow: Field<Vec<Located<Prefix>>>,
    pub source_rate: Field<Rate>,
}

#[derive(Debug)]
pub(super) struct Backend {
    pub name: Field<String>,
    pub balance: Field<Balance>,
    pub timeouts: Field<Timeouts>,
    pub check: Field<Check>,
    pub on_marked_down: Field<OnMarkedDown>,
    pub panic: Field<bool>,
    pub servers: Vec<Located<Server>>,
}

#[derive(Debug)]
pub(super) struct Timeouts {
    pub connect: Field<Duration>,
    pub idle: Field<Duration>,
}

#[derive(Debug)]
pub(super) struct Check {
    pub kind: Field<CheckType>,
    pub interval: Field<Duration>,
    pub timeout: Field<Duration>,
    pub fall: Field<u32>,
    pub rise: Field<u32>,
    pub https: Https,
    pub observe: Field<ObserveType>,
    pub error_limit: Field<u32>,
}

/// The words for what a check does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum CheckType {
    #[default]
    Tcp,
    Https,
}

/// What only a check over HTTPS needs.
#[derive(Debug)]
pub(super) struct Https {
    pub path: Field<String>,
    pub status: Field<u32>,
    pub ca_file: Field<PathBuf>,
    pub verify: Field<bool>,
    pub server_name: Field<String>,
}

/// The words for what failed connects count for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ObserveType {
    #[default]
    Off,
    Connect,
}

#[derive(Debug)]
pub(super) struct Server {
    pub name: Field<String>,
    pub address: Field<SocketAddrV4>,
    pub weight: Field<u32>,
    pub backup: Field<bool>,
    pub slow_start: Field<Duration>,
}

#[derive(Debug)]
pub(super) struct Socket {
    pub path: Field<PathBuf>,
    pub mode: Field<u32>,
    pub group: Field<String>,
    pub timeout: Field<Duration>,
}

#[derive(Debug)]
pub(super) struct Stats {
    pub bind: Field<SocketAddr>,
    pub uri: Field<String>,
    pub refresh: Field<Duration>,
    pub realm: Field<String>,
    pub auth: Field<Account>,
    pub hide_version: Field<bool>,
    pub admin: Field<bool>,
    pub tls_certificate: Field<PathBuf>,
    pub tls_key: Field<PathBuf>,
}

#[derive(Debug)]
pub(super) struct Metrics {
    pub bind: Field<SocketAddr>,
}

#[derive(Debug)]
pub(super) struct Log {
    pub format: Field<LogFormat>,
    pub tag: Field<String>,
    pub targets: Vec<Located<LogTarget>>,
}

#[derive(Debug)]
pub(super) struct LogTarget {
    pub address: Field<LogAddress>,
    pub facility: Field<String>,
    pub level: Field<String>,
}

impl Draft {
    pub fn read(table: &mut Table<'_, '_>) -> Self {
        let draft = Self {
            interface: table.required("interface", "eth0", value::interface),
            mode: table.optional("mode", keyword),
            nat_ports: table.optional("nat_ports", value::nat_ports),
            nat_addresses: table.list("nat_addresses", "10.4.0.10", Config::MAX_NAT_ADDRESSES, address::ipv4),
            max_servers: table.optional("max_servers", value::whole(1..=MAX_SERVERS)),
            max_connections: table.optional("max_connections", value::whole(1..=u32::MAX)),
            on_stop: table.optional("on_stop", keyword),
            host_clients: table.optional("host_clients", value::flag),
            cgroup: table.optional("cgroup", value::path),
            frontends: table.tables("frontend", Frontend::read),
            backends: table.tables("backend", Backend::read),
            socket: table.table("socket", Socket::read),
            stats: table.table("stats", Stats::read),
            metrics: table.table("metrics", Metrics::read),
            log: table.table("log", Log::read),
        };
        if !table.has("frontend") {
            table.missing("frontend", "add [[frontend]] with name, bind and backend");
        }
        draft
    }
}

impl Frontend {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            name: table.required("name", "k8s-api-server", value::name),
            bind: table.required("bind", "10.4.0.10:6443", address::endpoint),
            backend: table.required("backend", "k8s-api-server", value::name),
            max_connections: table.optional("max_connections", value::whole(1..=u32::MAX)),
            allow: table.list("allow", "10.4.0.0/20", model::Frontend::MAX_PREFIXES, prefix::read),
            source_rate: table.optional("source_rate", rate::read),
        }
    }
}

impl Backend {
    fn read(table: &mut Table<'_, '_>) -> Self {
        let backend = Self {
            name: table.required("name", "k8s-api-server", value::name),
            balance: table.optional("balance", keyword),
            timeouts: table.table("timeouts", Timeouts::read),
            check: table.table("check", Check::read),
            on_marked_down: table.optional("on_marked_down", keyword),
            panic: table.optional("panic", value::flag),
            servers: table.tables("server", Server::read),
        };
        if !table.has("server") {
            table.missing("server", "add [[backend.server]] with name and address");
        }
        backend
    }
}

impl Timeouts {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self { connect: table.optional("connect", duration), idle: table.optional("idle", duration) }
    }
}

impl Check {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            kind: table.optional("type", keyword),
            interval: table.optional("interval", duration),
            timeout: table.optional("timeout", duration),
            fall: table.optional("fall", value::whole(1..=MAX_STREAK)),
            rise: table.optional("rise", value::whole(1..=MAX_STREAK)),
            https: Https::read(table),
            observe: table.optional("observe", keyword),
            error_limit: table.optional("error_limit", value::whole(1..=MAX_ERRORS)),
        }
    }
}

impl Https {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            path: table.optional("path", value::request_path),
            status: table.optional("status", value::whole(100..=599)),
            ca_file: table.optional("ca_file", value::path),
            verify: table.optional("verify", value::flag),
            server_name: table.optional("server_name", value::server_name),
        }
    }
}

impl Server {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            name: table.required("name", "bettley", value::name),
            address: table.required("address", "10.4.0.11:6443", address::endpoint),
            weight: table.optional("weight", value::whole(0..=MAX_WEIGHT)),
            backup: table.optional("backup", value::flag),
            slow_start: table.optional("slow_start", duration),
        }
    }
}

impl Socket {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            path: table.optional("path", value::path),
            mode: table.optional("mode", value::mode),
            group: table.optional("group", value::text),
            timeout: table.optional("timeout", duration),
        }
    }
}

impl Stats {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            bind: table.required("bind", "0.0.0.0:8404", address::listen),
            uri: table.optional("uri", value::uri),
            refresh: table.optional("refresh", duration),
            realm: table.optional("realm", value::text),
            auth: table.secret("auth", value::account),
            hide_version: table.optional("hide_version", value::flag),
            admin: table.optional("admin", value::flag),
            tls_certificate: table.optional("tls_certificate", value::path),
            tls_key: table.optional("tls_key", value::path),
        }
    }
}

impl Metrics {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self { bind: table.required("bind", "0.0.0.0:8405", address::listen) }
    }
}

impl Log {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            format: table.optional("format", keyword),
            tag: table.optional("tag", value::tag),
            targets: table.tables("target", LogTarget::read),
        }
    }
}

impl LogTarget {
    fn read(table: &mut Table<'_, '_>) -> Self {
        Self {
            address: table.required("address", "/dev/log", value::log_address),
            facility: table.optional("facility", listed(FACILITIES)),
            level: table.optional("level", listed(LEVELS)),
        }
    }
}
