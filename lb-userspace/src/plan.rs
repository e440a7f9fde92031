//! From the configuration to what the data plane is to do.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::sync::Arc;
use std::time::Duration;

use lb_common::admission::{Limits, SourceRate};
use lb_common::frontend::Timeouts;
use lb_common::nat::NatAddrs;

use crate::clock;
use crate::config::model;
use crate::config::model::{Backend, Check, CheckKind, Config, Observe, OnMarkedDown, Trust};
use crate::control::{Portion, Wanted, WantedFrontend, WantedServer};
use crate::dataplane::attach::{Mode, WantedMode};
use crate::dataplane::object::Sizes;
use crate::dataplane::status::{Admin, HealthStatus, History, ServerStatus, Status};
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
        nat_addrs: NatAddrs::new(config.nat_addresses.iter().map(|address| (*address).into())),
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
    /// Whether the operator has turned its health checks off.
    pub checks_off: bool,
    /// The weight that the operator gave it, unless the configuration has another one than before.
    pub runtime_weight: Option<u32>,
    /// Its health, if it is and was checked.
    pub health: Option<&'s HealthStatus>,
    /// When it came back, if it did, in ms of `CLOCK_MONOTONIC`.
    pub came_back_at: Option<u64>,
    /// What its checks have come to.
    pub history: History,
}

impl<'s> Inherited<'s> {
    /// The state of the server with the same address.
    #[must_use]
    pub fn of(backend: &Backend, server: &model::Server, before: &'s Status) -> Self {
        let Some(was) = before.server_at(server.address) else { return Self::default() };
        Self {
            admin: was.admin,
            checks_off: was.checks_off,
            runtime_weight: was.runtime_weight.filter(|_| was.weight == server.weight),
            health: was.health.as_ref().filter(|_| backend.check.is_some()),
            came_back_at: was.came_back_at,
            history: was.history,
        }
    }
}

/// How long a connection is remembered after both FINs: as long as Linux' own TIME_WAIT, a minute and, by the
/// steps of its timers, up to 5.12 s (512 jiffies where a second has 100).
const TIME_WAIT: Duration = Duration::from_secs(66);

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

/// How a server is watched.
#[derive(Clone, Debug)]
pub struct Watch {
    /// How it is checked, if it is.
    pub check: Option<health::Check>,
    /// What becomes of its connections when it goes DOWN or into maintenance.
    pub on_marked_down: OnMarkedDown,
}

/// How all servers are watched, by address.
pub type Watches = BTreeMap<SocketAddrV4, Watch>;

/// How servers are watched from now on, where `before` is how they were until now.
///
/// One that has left the configuration goes on being watched as it was: its backend's new settings
/// need not fit it. Only where nobody knows any more how that was, because another agent did it, are
/// they the best there is.
#[must_use]
pub fn watches(config: &Config, checks: &Checks, status: &Status, before: &Watches) -> Watches {
    let configured = |server: &ServerStatus| {
        let mut backends = config.backends.iter().zip(checks);
        let (backend, check) = backends.find(|(backend, _)| backend.name == server.backend)?;
        Some(Watch { check: check.clone(), on_marked_down: backend.on_marked_down })
    };
    let watch = |server: &ServerStatus| {
        let former = before.get(&server.address).filter(|_| server.leaving);
        Some((server.address, former.cloned().or_else(|| configured(server))?))
    };
    status.servers.iter().filter_map(watch).collect()
}

/// The health checks of all servers that have one and are to be checked. Each carries its
/// server's number, and what is known of the server.
#[must_use]
pub fn targets(watches: &Watches, status: &Status) -> Vec<health::Target> {
    let target = |server: &ServerStatus| {
        let check = watches.get(&server.address)?.check.clone()?;
        let health = server.health.as_ref().and_then(|known| restored(&check, known));
        Some(health::Target { server: server.number.into(), address: server.address, check, health })
    };
    status.servers.iter().filter(|server| server.is_checked()).filter_map(target).collect()
}

/// A server's health as another agent has left it; none if it was never checked, or not since its
/// maintenance.
fn restored(check: &health::Check, known: &HealthStatus) -> Option<Health> {
    known.check.as_ref()?;
    let changed_at = clock::instant(known.changed_at);
    let certificate_expires = known.certificate_expires.map(clock::from_unix_seconds);
    Some(Health::restored(check, known.up, changed_at, certificate_expires))
}

/// Whether results of checks of a server count: it is the one with this number, and to be checked.
#[must_use]
pub fn is_checked(status: &Status, number: u16, address: SocketAddrV4) -> bool {
    let server = status.server(number).filter(|server| server.address == address);
    server.is_some_and(ServerStatus::is_checked)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    /// A configuration in which only the clients of the first backend are observed, and a server of each
    /// backend; `fenn` of the first may be missing.
    fn config(interval: &str, fenn: &str) -> Config {
        let text = format!(
            r#"
interface = "eth0"
[[frontend]]
name = "k8s"
bind = "198.18.0.10:6443"
backend = "k8s"
[[frontend]]
name = "web"
bind = "198.18.0.10:443"
backend = "web"
[[backend]]
name = "k8s"
[backend.check]
interval = "{interval}"
observe = "connect"
[[backend.server]]
name = "bettley"
address = "198.18.0.11:6443"
{fenn}
[[backend]]
name = "web"
on_marked_down = "keep"
[backend.check]
[[backend.server]]
name = "bettley"
address = "198.18.0.11:443"
"#
        );
        Loaded::parse("xlb.toml", &text).expect("is valid").config
    }

    const FENN: &str = "[[backend.server]]\nname = \"fenn\"\naddress = \"198.18.0.15:6443\"";

    fn address(text: &str) -> SocketAddrV4 {
        text.parse().expect("an address")
    }

    fn server(at: &str, backend: &str, leaving: bool) -> ServerStatus {
        ServerStatus {
            number: 0,
            address: address(at),
            backend: backend.to_owned(),
            name: String::new(),
            weight: 1,
            runtime_weight: None,
            admin: Admin::Ready,
            checks_off: false,
            backup: false,
            leaving,
            came_back_at: None,
            history: History::default(),
            health: None,
        }
    }

    fn watched(config: &Config, servers: Vec<ServerStatus>, before: &Watches) -> Watches {
        let checks = checks(config).expect("no certificates are needed");
        watches(config, &checks, &Status { servers, ..Status::default() }, before)
    }

    fn interval(watches: &Watches, at: &str) -> Option<Duration> {
        Some(watches.get(&address(at))?.check.as_ref()?.interval)
    }

    #[test]
    fn a_server_is_watched_as_its_own_backend_wants_it() {
        let servers = vec![server("198.18.0.11:6443", "k8s", false), server("198.18.0.11:443", "web", false)];
        let watches = watched(&config("5s", FENN), servers, &Watches::new());
        let limit = |at| watches[&address(at)].check.as_ref().and_then(|check| check.error_limit);
        assert_eq!(limit("198.18.0.11:6443"), Some(10));
        assert_eq!(limit("198.18.0.11:443"), None);
        assert_eq!(watches[&address("198.18.0.11:443")].on_marked_down, OnMarkedDown::Keep);
    }

    #[test]
    fn who_has_left_is_watched_as_before() {
        let (bettley, fenn) = ("198.18.0.11:6443", "198.18.0.15:6443");
        let servers = |leaving| vec![server(bettley, "k8s", false), server(fenn, "k8s", leaving)];
        let before = watched(&config("5s", FENN), servers(false), &Watches::new());
        let after = watched(&config("9s", ""), servers(true), &before);
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!((interval(&after, bettley), interval(&after, fenn)), (seconds(9), seconds(5)));
        // A new agent has its backend to go by; without one there is nobody to reset clients to.
        let adopted = watched(&config("9s", ""), servers(true), &Watches::new());
        assert_eq!(interval(&adopted, fenn), seconds(9));
        let gone = watched(&config("9s", ""), vec![server(fenn, "gone", true)], &Watches::new());
        assert!(gone.is_empty());
    }
}
