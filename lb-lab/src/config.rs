//! Configurations of `xlb`, as its users write them.

use std::path::PathBuf;

use serde::Serialize;

use crate::host::INTERFACE;
use crate::{Cgroup, Host, Lab, size};

/// A whole configuration, with one backend of its own for each frontend.
#[derive(Debug, Clone, Serialize)]
pub struct Config {
    /// The interface that frames arrive at.
    pub interface: String,
    /// `auto`, `native`, `generic` or `tc`.
    pub mode: String,
    /// Whether programs on the balancer's host are balanced. Not by default: the program for them
    /// serves a cgroup, and no namespace keeps that apart from the machine that the lab runs on.
    pub host_clients: bool,
    /// The ports towards servers, "first-last".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat_ports: Option<String>,
    /// The balancer's addresses that those ports are at; the first frontend's where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nat_addresses: Vec<String>,
    /// How many servers the maps have room for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_servers: Option<u32>,
    /// The cgroup whose processes these clients are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
    /// What clients connect to.
    pub frontend: Vec<Frontend>,
    /// Who serves them.
    pub backend: Vec<Backend>,
}

/// An address that clients connect to.
#[derive(Debug, Clone, Serialize)]
pub struct Frontend {
    /// Its name.
    pub name: String,
    /// Address and port.
    pub bind: String,
    /// The name of its backend.
    pub backend: String,
    /// The most connections at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Prefixes of the clients that may connect; everybody where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// The most new connections of one client, such as `100/s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_rate: Option<String>,
}

/// A group of servers.
#[derive(Debug, Clone, Serialize)]
pub struct Backend {
    /// Its name.
    pub name: String,
    /// `reset` or `keep`: what becomes of the connections of a server that goes DOWN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_marked_down: Option<String>,
    /// Whether all servers are used when all are DOWN.
    pub panic: bool,
    /// How its servers are checked.
    pub check: Check,
    /// Its servers.
    pub server: Vec<Server>,
}

/// How servers are checked.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// `tcp`: a server is well when it accepts a connection.
    #[serde(rename = "type")]
    pub kind: String,
    /// Time between two checks.
    pub interval: String,
    /// How long a check may take.
    pub timeout: String,
    /// Failures in a row until a server is down.
    pub fall: u8,
    /// Successes in a row until it is up again.
    pub rise: u8,
    /// `connect`: clients' failed connects count, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe: Option<String>,
    /// So many of them in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_limit: Option<u32>,
    /// Other settings, as TOML has them.
    #[serde(flatten)]
    pub more: toml::Table,
}

/// A server.
#[derive(Debug, Clone, Serialize)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Address and port.
    pub address: String,
    /// Its share of the connections, in proportion to the others'.
    pub weight: u16,
    /// Whether it is used only when no other can be.
    pub backup: bool,
    /// How long its share grows once it is back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slow_start: Option<String>,
}

impl Config {
    /// A configuration without any frontend.
    #[must_use]
    pub fn new(mode: &str) -> Self {
        Self {
            interface: INTERFACE.to_owned(),
            mode: mode.to_owned(),
            host_clients: false,
            nat_ports: None,
            nat_addresses: Vec::new(),
            max_servers: None,
            cgroup: None,
            frontend: Vec::new(),
            backend: Vec::new(),
        }
    }

    /// Adds a frontend on a port of the balancer's, served by the same port of each server, all
    /// with equal weights and checked often.
    #[must_use]
    pub fn serve(mut self, name: &str, port: u16, lab: &Lab) -> Self {
        // On an emulated processor a server that is well may take longer than that.
        let (interval, timeout) = if size::is_small() { ("2s", "1900ms") } else { ("500ms", "400ms") };
        self.frontend.push(Frontend {
            name: name.to_owned(),
            bind: format!("{}:{port}", lab.balancer.address()),
            backend: name.to_owned(),
            max_connections: None,
            allow: Vec::new(),
            source_rate: None,
        });
        self.backend.push(Backend {
            name: name.to_owned(),
            on_marked_down: None,
            panic: false,
            check: Check {
                kind: "tcp".to_owned(),
                interval: interval.to_owned(),
                timeout: timeout.to_owned(),
                fall: 3,
                rise: 2,
                observe: None,
                error_limit: None,
                more: toml::Table::new(),
            },
            server: lab.servers.iter().map(|host| Server::new(host, port)).collect(),
        });
        self
    }

    /// Serves the balancer's own clients too, which are the processes in a cgroup.
    #[must_use]
    pub fn host_clients(mut self, cgroup: &Cgroup) -> Self {
        self.host_clients = true;
        self.cgroup = Some(cgroup.path().to_owned());
        self
    }

    /// Gives the servers of every backend these weights, in order.
    #[must_use]
    pub fn weights(mut self, weights: &[u16]) -> Self {
        for backend in &mut self.backend {
            for (server, weight) in backend.server.iter_mut().zip(weights) {
                server.weight = *weight;
            }
        }
        self
    }

    /// The same configuration with a change in it.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The configuration in TOML.
    ///
    /// # Panics
    ///
    /// Never: the types have nothing that TOML cannot express.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("a configuration fits into TOML")
    }
}

impl Server {
    fn new(host: &Host, port: u16) -> Self {
        Self {
            name: host.name().to_owned(),
            address: format!("{}:{port}", host.address()),
            weight: 1,
            backup: false,
            slow_start: None,
        }
    }
}
