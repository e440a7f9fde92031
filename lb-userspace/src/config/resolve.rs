//! From a draft to the configuration, with the defaults filled in.

use super::draft::{self, CheckType, Draft, ObserveType};
use super::logging::{Facility, Level};
use super::model::{
    Backend, Check, CheckKind, Config, Frontend, Https, Identity, Log, LogTarget, Metrics, Observe, Server,
    Socket, Stats, Timeouts, Trust,
};
use super::problem::{Field, Located};
use super::validate;

/// What a field holds.
trait Given<T> {
    fn given(&self) -> Option<T>;
}

impl<T: Clone> Given<T> for Field<T> {
    fn given(&self) -> Option<T> {
        self.as_ref().map(|field| field.value.clone())
    }
}

/// The configuration; none if the draft lacks something that it must have, which whoever read the
/// draft has reported as a problem.
pub(super) fn config(draft: &Draft) -> Option<Config> {
    let frontends = all(&draft.frontends, |each| frontend(each, draft))?;
    let nat_addresses = match draft.nat_addresses.given() {
        Some(addresses) => values(addresses),
        None => vec![*frontends.first()?.bind.ip()],
    };
    Some(Config {
        interface: draft.interface.given()?,
        mode: draft.mode.given().unwrap_or_default(),
        nat_ports: validate::nat_range(draft),
        nat_addresses,
        max_servers: draft.max_servers.given().unwrap_or(Config::DEFAULT_MAX_SERVERS),
        on_stop: draft.on_stop.given().unwrap_or_default(),
        host_clients: draft.host_clients.given().unwrap_or(true),
        cgroup: draft.cgroup.given(),
        frontends,
        backends: all(&draft.backends, backend)?,
        socket: draft.socket.as_ref().map_or_else(Socket::default, |field| socket(&field.value)),
        stats: match &draft.stats {
            Some(found) => Some(stats(&found.value)?),
            None => None,
        },
        metrics: match &draft.metrics {
            Some(found) => Some(Metrics { bind: found.value.bind.given()? }),
            None => None,
        },
        log: match &draft.log {
            Some(found) => Some(log(&found.value)?),
            None => None,
        },
    })
}

fn frontend(draft: &draft::Frontend, file: &Draft) -> Option<Frontend> {
    let wanted = draft.backend.given()?;
    let is_wanted = |name: &Field<String>| name.as_ref().is_some_and(|name| name.value == wanted);
    Some(Frontend {
        name: draft.name.given()?,
        bind: draft.bind.given()?,
        backend: file.backends.iter().position(|backend| is_wanted(&backend.value.name))?,
        max_connections: draft.max_connections.given().or_else(|| file.max_connections.given()),
        allow: values(draft.allow.given().unwrap_or_default()),
        source_rate: draft.source_rate.given(),
    })
}

fn backend(draft: &draft::Backend) -> Option<Backend> {
    Some(Backend {
        name: draft.name.given()?,
        balance: draft.balance.given().unwrap_or_default(),
        timeouts: draft.timeouts.as_ref().map_or_else(Timeouts::default, |field| timeouts(&field.value)),
        check: draft.check.as_ref().map(|field| check(&field.value)),
        on_marked_down: draft.on_marked_down.given().unwrap_or_default(),
        panic: draft.panic.given().unwrap_or_default(),
        servers: all(&draft.servers, server)?,
    })
}

fn timeouts(draft: &draft::Timeouts) -> Timeouts {
    let default = Timeouts::default();
    Timeouts {
        connect: draft.connect.given().unwrap_or(default.connect),
        idle: draft.idle.given().unwrap_or(default.idle),
    }
}

fn check(draft: &draft::Check) -> Check {
    let default = Check::default();
    let interval = draft.interval.given().unwrap_or(default.interval);
    Check {
        kind: match draft.kind.given().unwrap_or_default() {
            CheckType::Tcp => CheckKind::Tcp,
            CheckType::Https => CheckKind::Https(https(&draft.https)),
        },
        interval,
        timeout: draft.timeout.given().unwrap_or(interval),
        fall: draft.fall.given().unwrap_or(default.fall),
        rise: draft.rise.given().unwrap_or(default.rise),
        observe: match draft.observe.given().unwrap_or_default() {
            ObserveType::Off => Observe::Off,
            ObserveType::Connect => Observe::Connect {
                error_limit: draft.error_limit.given().unwrap_or(Observe::DEFAULT_ERROR_LIMIT),
            },
        },
    }
}

fn https(draft: &draft::Https) -> Https {
    let default = Https::default();
    Https {
        path: draft.path.given().unwrap_or(default.path),
        status: draft.status.given().map_or(default.status, |status| status as u16),
        trust: match (draft.verify.given(), draft.ca_file.given()) {
            (Some(false), _) => Trust::Anybody,
            (_, Some(file)) => Trust::CaFile(file),
            (_, None) => Trust::System,
        },
        server_name: draft.server_name.given(),
    }
}

fn server(draft: &draft::Server) -> Option<Server> {
    Some(Server {
        name: draft.name.given()?,
        address: draft.address.given()?,
        weight: draft.weight.given().unwrap_or(Server::DEFAULT_WEIGHT),
        backup: draft.backup.given().unwrap_or_default(),
        slow_start: draft.slow_start.given(),
    })
}

fn socket(draft: &draft::Socket) -> Socket {
    let default = Socket::default();
    Socket {
        path: draft.path.given().unwrap_or(default.path),
        mode: draft.mode.given().unwrap_or(default.mode),
        group: draft.group.given(),
        timeout: draft.timeout.given().unwrap_or(default.timeout),
    }
}

fn stats(draft: &draft::Stats) -> Option<Stats> {
    Some(Stats {
        bind: draft.bind.given()?,
        uri: draft.uri.given().unwrap_or_else(|| Stats::DEFAULT_URI.to_owned()),
        refresh: draft.refresh.given(),
        realm: draft.realm.given(),
        auth: draft.auth.given(),
        hide_version: draft.hide_version.given().unwrap_or_default(),
        admin: draft.admin.given().unwrap_or_default(),
        identity: validate::identity(draft)
            .map(|(certificate, key)| Identity { certificate: certificate.value, key: key.value }),
    })
}

fn log(draft: &draft::Log) -> Option<Log> {
    Some(Log {
        format: draft.format.given(),
        tag: draft.tag.given().unwrap_or_else(|| Log::DEFAULT_TAG.to_owned()),
        targets: all(&draft.targets, log_target)?,
    })
}

fn log_target(draft: &draft::LogTarget) -> Option<LogTarget> {
    Some(LogTarget {
        address: draft.address.given()?,
        facility: draft.facility.given().and_then(|name| Facility::named(&name)).unwrap_or(Facility::LOCAL0),
        level: draft.level.given().and_then(|name| Level::named(&name)).unwrap_or(Level::DEBUG),
    })
}

/// The values of a list.
fn values<T>(list: Vec<Located<T>>) -> Vec<T> {
    list.into_iter().map(|item| item.value).collect()
}

/// Resolves every table of a list.
fn all<D, T>(drafts: &[Located<D>], resolve: impl Fn(&D) -> Option<T>) -> Option<Vec<T>> {
    drafts.iter().map(|draft| resolve(&draft.value)).collect()
}
