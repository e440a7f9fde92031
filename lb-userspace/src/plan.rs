//! From the configuration to what the data plane is to do.

use std::time::Duration;

use lb_common::admission::Limits;
use lb_common::frontend::Timeouts;

use crate::clock;
use crate::config::model;
use crate::config::model::{Backend, Check, Config};
use crate::control::{Wanted, WantedFrontend, WantedServer};
use crate::dataplane::attach::{Mode, WantedMode};
use crate::dataplane::object::Sizes;
use crate::health;
use crate::neighbours::Interface;

/// What is wanted at the start: every server up, as HAProxy has it, and no next hop known.
#[must_use]
pub fn wanted(config: &Config, interface: &Interface) -> Wanted {
    let servers = config.servers().map(|(_, server)| WantedServer {
        address: server.address,
        nat_address: config.nat_address,
        weight: server.weight,
        up: true,
        next_hop: None,
    });
    let frontends = config.frontends.iter().map(|frontend| WantedFrontend {
        bind: frontend.bind,
        timeouts: timeouts(config.backend_of(frontend)),
        limits: Limits::default(),
        servers: server_numbers(config, frontend.backend),
    });
    Wanted {
        sizes: Sizes {
            max_servers: config.max_servers,
            nat_first: config.nat_ports.first(),
            nat_ports: config.nat_ports.count() as u16,
        },
        mac: interface.mac,
        mtu: interface.mtu,
        frontends: frontends.collect(),
        servers: servers.collect(),
    }
}

/// The numbers of a backend's servers. Servers are numbered in the order of the file.
fn server_numbers(config: &Config, backend: usize) -> Vec<u16> {
    let first: usize = config.backends[..backend].iter().map(|backend| backend.servers.len()).sum();
    let count = config.backends[backend].servers.len();
    (first..first + count).map(|number| number as u16).collect()
}

/// How long a connection is remembered after both FINs, as Linux' own TIME_WAIT.
const TIME_WAIT: Duration = Duration::from_secs(60);

/// How long a connection is remembered after a RST.
const CLOSED: Duration = Duration::from_secs(5);

fn timeouts(backend: &Backend) -> Timeouts {
    let jiffy = clock::jiffy();
    Timeouts {
        connect: jiffy.ticks(backend.timeouts.connect),
        idle: jiffy.ticks(backend.timeouts.idle),
        time_wait: jiffy.ticks(TIME_WAIT),
        closed: jiffy.ticks(CLOSED),
    }
}

/// The health checks of all servers that have one.
#[must_use]
pub fn checks(config: &Config) -> Vec<health::Target> {
    let target = |(number, (backend, server)): (usize, (&Backend, &model::Server))| {
        backend.check.as_ref().map(|check| health::Target {
            server: number,
            address: server.address,
            check: map(check),
        })
    };
    config.servers().enumerate().filter_map(target).collect()
}

fn map(check: &Check) -> health::Check {
    let Check { interval, timeout, fall, rise, .. } = *check;
    health::Check { interval, timeout, fall, rise }
}

/// The mode of attachment.
#[must_use]
pub const fn mode(config: &Config) -> WantedMode {
    match config.mode {
        model::Mode::Auto => WantedMode::Auto,
        model::Mode::Native => WantedMode::Only(Mode::Native),
        model::Mode::Generic => WantedMode::Only(Mode::Generic),
    }
}
