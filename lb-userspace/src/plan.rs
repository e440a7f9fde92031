//! From the configuration to what the data plane is to do.

use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lb_common::admission::{Limits, SourceRate};
use lb_common::frontend::Timeouts;

use crate::clock;
use crate::config::model;
use crate::config::model::{Backend, Check, CheckKind, Config, Observe, Trust};
use crate::control::{Portion, Wanted, WantedFrontend, WantedServer};
use crate::dataplane::attach::{Mode, WantedMode};
use crate::dataplane::object::Sizes;
use crate::dataplane::status::{Admin, HealthStatus, Status};
use crate::health::tls::AuthoritiesError;
use crate::health::{self, Health, Page, Probe, Tls};
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
            portion: Portion::WHOLE,
            backup: server.backup,
            up: state.health.is_none_or(|health| health.up),
            ready: state.admin == Admin::Ready,
            next_hop: None,
        }
    });
    let frontends = config.frontends.iter().map(|frontend| WantedFrontend {
        bind: frontend.bind,
        timeouts: timeouts(config.backend_of(frontend)),
        limits: limits(frontend),
        allow: frontend.allow.iter().map(|prefix| (prefix.address(), prefix.length())).collect(),
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

/// What a frontend lets in. Its allow list gets its number when it is entered.
fn limits(frontend: &model::Frontend) -> Limits {
    let rate =
        frontend.source_rate.map(|rate| SourceRate::new(rate.count(), rate.period().as_nanos() as u64));
    Limits {
        max_connections: frontend.max_connections.unwrap_or(0),
        source_rate: rate.unwrap_or_default(),
        ..Limits::default()
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

/// How the servers of each backend are checked, by the backend's place in the configuration.
pub type Checks = Vec<Option<health::Check>>;

/// Prepares the checks of a configuration; reads the certificates of the authorities that they need.
pub fn checks(config: &Config) -> Result<Checks, AuthoritiesError> {
    config.backends.iter().map(|backend| backend.check.as_ref().map(map).transpose()).collect()
}

/// The health checks of all servers that have one and are not in maintenance. Each carries its
/// server's number, and what is known of the server.
#[must_use]
pub fn targets(config: &Config, checks: &Checks, status: &Status) -> Vec<health::Target> {
    let target = |(server, check): (&model::Server, &Option<health::Check>)| {
        let status = status.server_at(server.address).filter(|status| status.admin != Admin::Maint)?;
        let check = check.clone()?;
        let health = status.health.as_ref().and_then(|known| restored(&check, known));
        Some(health::Target { server: status.number.into(), address: server.address, check, health })
    };
    let backends = config.backends.iter().zip(checks);
    let servers =
        backends.flat_map(|(backend, check)| backend.servers.iter().map(move |server| (server, check)));
    servers.filter_map(target).collect()
}

/// A server's health as another agent, or this one before its maintenance, has left it; none if it
/// was never checked.
fn restored(check: &health::Check, known: &HealthStatus) -> Option<Health> {
    known.check.as_ref()?;
    let now = Instant::now();
    let changed_at = now.checked_sub(clock::since_millis(known.changed_at)).unwrap_or(now);
    Some(Health::restored(check, known.up, changed_at))
}

/// Whether results of checks of a server count: it is the one with this number, configured, and not in
/// maintenance.
#[must_use]
pub fn is_checked(status: &Status, number: u16, address: SocketAddrV4) -> bool {
    let server = status.server(number).filter(|server| server.address == address);
    server.is_some_and(|server| !server.leaving && server.admin != Admin::Maint)
}

fn map(check: &Check) -> Result<health::Check, AuthoritiesError> {
    let Check { interval, timeout, fall, rise, .. } = *check;
    let probe = match &check.kind {
        CheckKind::Tcp => Probe::Tcp,
        CheckKind::Https(https) => Probe::Https(Arc::new(Page {
            path: https.path.clone(),
            status: https.status,
            server_name: https.server_name.clone(),
            tls: match &https.trust {
                Trust::System => Tls::with_system_authorities()?,
                Trust::CaFile(path) => Tls::with_authorities(path)?,
                Trust::Anybody => Tls::with_anybody(),
            },
        })),
    };
    let error_limit = match check.observe {
        Observe::Off => None,
        Observe::Connect { error_limit } => Some(error_limit),
    };
    Ok(health::Check { probe, interval, timeout, fall, rise, error_limit })
}

/// The mode of attachment.
#[must_use]
pub const fn mode(config: &Config) -> WantedMode {
    match config.mode {
        model::Mode::Auto => WantedMode::Auto,
        model::Mode::Native => WantedMode::Only(Mode::Native),
        model::Mode::Generic => WantedMode::Only(Mode::Generic),
        model::Mode::Tc => WantedMode::Only(Mode::Tc),
    }
}
