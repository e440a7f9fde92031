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
use crate::dataplane::status::{Admin, HealthStatus, Status};
use crate::health;
use crate::neighbours::Interface;

/// What is wanted, with the servers' state as it was left.
///
/// A server of which nothing is known is up, as HAProxy has it, and no next hop is known.
#[must_use]
pub fn wanted(config: &Config, interface: &Interface, before: &Status) -> Wanted {
    let servers = config.servers().map(|(backend, server)| {
        let state = Inherited::of(backend, server, before);
        WantedServer {
            address: server.address,
            nat_address: config.nat_address,
            weight: state.runtime_weight.unwrap_or(server.weight),
            backup: server.backup,
            up: state.health.is_none_or(|health| health.up),
            ready: state.admin == Admin::Ready,
            next_hop: None,
        }
    });
    let frontends = config.frontends.iter().map(|frontend| WantedFrontend {
        bind: frontend.bind,
        timeouts: timeouts(config.backend_of(frontend)),
        limits: Limits::default(),
        servers: places(config, frontend.backend),
        panic: config.backend_of(frontend).panic,
    });
    Wanted {
        sizes: sizes(config),
        mac: interface.mac,
        mtu: interface.mtu,
        frontends: frontends.collect(),
        servers: servers.collect(),
    }
}

/// The sizes of the maps.
#[must_use]
pub fn sizes(config: &Config) -> Sizes {
    Sizes {
        max_servers: config.max_servers,
        nat_first: config.nat_ports.first(),
        nat_ports: config.nat_ports.count() as u16,
    }
}

/// The places of a backend's servers among all servers, in the order of the file.
fn places(config: &Config, backend: usize) -> Vec<u16> {
    let first: usize = config.backends[..backend].iter().map(|backend| backend.servers.len()).sum();
    let count = config.backends[backend].servers.len();
    (first..first + count).map(|place| place as u16).collect()
}

/// What a configured server keeps of the state that it had before a restart or a reload.
#[derive(Clone, Debug, Default)]
pub struct Inherited<'s> {
    /// What the operator wants of it.
    pub admin: Admin,
    /// The weight that the operator gave it, unless the configuration has another one than before.
    pub runtime_weight: Option<u32>,
    /// Its health, if it is and was checked.
    pub health: Option<&'s HealthStatus>,
}

impl<'s> Inherited<'s> {
    /// The state of the server with the same address.
    #[must_use]
    pub fn of(backend: &Backend, server: &model::Server, before: &'s Status) -> Self {
        let Some(was) = before.server_at(server.address) else { return Self::default() };
        Self {
            admin: was.admin,
            runtime_weight: was.runtime_weight.filter(|_| was.weight == server.weight),
            health: was.health.as_ref().filter(|_| backend.check.is_some()),
        }
    }
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

/// The health checks of all servers that have one and are not in maintenance. Each carries its
/// server's number.
#[must_use]
pub fn checks(config: &Config, status: &Status) -> Vec<health::Target> {
    let target = |(backend, server): (&Backend, &model::Server)| {
        let status = status.server_at(server.address).filter(|status| status.admin != Admin::Maint)?;
        let check = map(backend.check.as_ref()?);
        Some(health::Target { server: status.number.into(), address: server.address, check })
    };
    config.servers().filter_map(target).collect()
}

/// Whether results of checks of a server count: it is configured, and not in maintenance.
#[must_use]
pub fn is_checked(status: &Status, number: u16) -> bool {
    status.server(number).is_some_and(|server| !server.leaving && server.admin != Admin::Maint)
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
