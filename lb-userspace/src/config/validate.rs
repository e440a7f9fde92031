//! What settings must be together.

use std::net::SocketAddrV4;
use std::path::PathBuf;

use lb_common::frontend::MAX_FRONTENDS;
use lb_common::server::MAX_SERVERS;

use super::draft::{Backend, Check, CheckType, Draft, Frontend, ObserveType, Server, Stats};
use super::model;
use super::ports::PortRange;
use super::problem::{Located, Place, Problem};
use super::suggest;

/// Everything that is wrong with a draft as a whole.
pub(super) fn problems(draft: &Draft) -> Vec<Problem> {
    let mut problems = names(draft);
    problems.extend(binds(draft));
    problems.extend(backends_exist(draft));
    problems.extend(server_addresses(draft));
    problems.extend(counts(draft));
    problems.extend(nat_ports(draft));
    problems.extend(unreachable_pages(draft));
    problems.extend(nat_addresses(draft));
    problems.extend(page_for_all(draft));
    problems.extend(lone_key(draft));
    for check in checks(draft) {
        problems.extend(check_timeout(check));
        problems.extend(https_only(check));
        problems.extend(unused_ca(check));
    }
    problems
}

/// What works, but is probably not meant.
pub(super) fn warnings(draft: &Draft) -> Vec<Problem> {
    let unused = draft.backends.iter().filter(|backend| !is_used(&backend.value, draft)).map(|backend| {
        backend.place.problem("no frontend uses it", "name it as a frontend's backend, or remove it")
    });
    let weightless = draft.backends.iter().filter(|backend| is_weightless(&backend.value)).map(|backend| {
        backend.place.problem(
            "all its servers have weight 0, so none gets a connection",
            "give one a weight of 1 or more",
        )
    });
    let limits = checks(draft).filter_map(unused_limit);
    unused.chain(weightless).chain(limits).chain(readable_password(draft)).collect()
}

/// Whoever can read the file can read the password.
fn readable_password(draft: &Draft) -> Option<Problem> {
    let auth = draft.stats.as_ref()?.value.auth.as_ref()?;
    auth.value.is_plain().then(|| {
        auth.place.problem(
            "the password stands in the file as it is",
            "replace it by what `xlb hash-password` prints for it",
        )
    })
}

fn checks(draft: &Draft) -> impl Iterator<Item = &Located<Check>> {
    draft.backends.iter().filter_map(|backend| backend.value.check.as_ref())
}

/// All servers of the file.
pub(super) fn servers(draft: &Draft) -> impl Iterator<Item = &Located<Server>> {
    draft.backends.iter().flat_map(|backend| &backend.value.servers)
}

/// All files of authorities' certificates.
pub(super) fn ca_files(draft: &Draft) -> impl Iterator<Item = &Located<PathBuf>> {
    checks(draft).filter_map(|check| check.value.https.ca_file.as_ref())
}

/// The files of the page's certificate and of its key, which is in the same one unless another is named.
pub(super) fn identity(stats: &Stats) -> Option<(Located<PathBuf>, Located<PathBuf>)> {
    let certificate = stats.tls_certificate.clone()?;
    let key = stats.tls_key.clone().unwrap_or_else(|| certificate.clone());
    Some((certificate, key))
}

/// All frontends' addresses.
pub(super) fn frontend_binds(draft: &Draft) -> impl Iterator<Item = &Located<SocketAddrV4>> {
    draft.frontends.iter().filter_map(|frontend| frontend.value.bind.as_ref())
}

/// Each frontend, each backend, and each server of a backend has a name of its own.
fn names(draft: &Draft) -> Vec<Problem> {
    let taken = |again: &Located<String>, first: &Located<String>| {
        again.place.problem(format!("already used in line {}", first.place.line), "choose a name of its own")
    };
    let frontends = draft.frontends.iter().filter_map(|frontend| frontend.value.name.as_ref());
    let backends = draft.backends.iter().filter_map(|backend| backend.value.name.as_ref());
    let mut problems = repeated(frontends, taken);
    problems.extend(repeated(backends, taken));
    for backend in &draft.backends {
        let servers = backend.value.servers.iter().filter_map(|server| server.value.name.as_ref());
        problems.extend(repeated(servers, taken));
    }
    problems
}

fn binds(draft: &Draft) -> Vec<Problem> {
    repeated(frontend_binds(draft), |again, first| {
        again.place.problem(
            format!("{} in line {} listens there already", first.place.key, first.place.line),
            "choose another address or port",
        )
    })
}

/// A problem for each value that stood earlier in the sequence.
fn repeated<'d, T: PartialEq + 'd>(
    values: impl Iterator<Item = &'d Located<T>>,
    problem: impl Fn(&Located<T>, &Located<T>) -> Problem,
) -> Vec<Problem> {
    let mut seen: Vec<&Located<T>> = Vec::new();
    let mut problems = Vec::new();
    for value in values {
        match seen.iter().find(|first| first.value == value.value) {
            Some(first) => problems.push(problem(value, first)),
            None => seen.push(value),
        }
    }
    problems
}

fn backends_exist(draft: &Draft) -> Vec<Problem> {
    let names: Vec<&str> = draft
        .backends
        .iter()
        .filter_map(|backend| Some(backend.value.name.as_ref()?.value.as_str()))
        .collect();
    let wanted = draft.frontends.iter().filter_map(|frontend| frontend.value.backend.as_ref());
    let unknown = wanted.filter(|wanted| !names.contains(&wanted.value.as_str()));
    let remedy = |wanted: &str| {
        if names.is_empty() {
            "add [[backend]] with this name".to_owned()
        } else {
            suggest::remedy(wanted, &names, format!("add one, or use one of these: {}", names.join(", ")))
        }
    };
    unknown.map(|wanted| wanted.place.problem("there is no such backend", remedy(&wanted.value))).collect()
}

fn server_addresses(draft: &Draft) -> Vec<Problem> {
    let addresses = || servers(draft).filter_map(|server| server.value.address.as_ref());
    let mut problems = repeated(addresses(), |again, first| {
        again.place.problem(
            format!(
                "{} in line {} is the same, and a server's NAT ports belong to its address",
                first.place.key, first.place.line
            ),
            "remove one of the two (several frontends can use one backend)",
        )
    });
    problems.extend(addresses().filter_map(|address| own_address(address, draft)));
    problems
}

/// A server on one of the balancer's own addresses.
fn own_address(server: &Located<SocketAddrV4>, draft: &Draft) -> Option<Problem> {
    if let Some(bind) = frontend_binds(draft).find(|bind| bind.value == server.value) {
        let finding = format!("is the frontend's own address of line {}", bind.place.line);
        return Some(server.place.problem(finding, "use the address that the server itself listens on"));
    }
    let nat = draft.nat_addresses.iter().flat_map(|list| &list.value).map(|address| address.value);
    let mut own = frontend_binds(draft).map(|bind| *bind.value.ip()).chain(nat);
    own.any(|ip| ip == *server.value.ip()).then(|| on_this_host(&server.place))
}

/// The problem of a server that runs where the balancer runs.
pub(super) fn on_this_host(server: &Place) -> Problem {
    server.problem(
        "is on the balancer's own host, and packets that never leave it cannot be forwarded",
        "use a server on another host",
    )
}

fn counts(draft: &Draft) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(frontend) = draft.frontends.get(MAX_FRONTENDS as usize) {
        let count = draft.frontends.len();
        let finding = format!("one of {count} frontends, of which there can be {MAX_FRONTENDS}");
        problems.push(frontend.place.problem(finding, "remove frontends"));
    }
    problems.extend(too_many_servers(draft));
    problems
}

fn too_many_servers(draft: &Draft) -> Option<Problem> {
    let count = servers(draft).count();
    let room = draft.max_servers.as_ref().map_or(model::Config::DEFAULT_MAX_SERVERS, |field| field.value);
    if count <= room as usize {
        return None;
    }
    let remedy = if count <= MAX_SERVERS as usize {
        format!("set max_servers = {count}")
    } else {
        format!("remove servers: {MAX_SERVERS} is the most")
    };
    let place = match &draft.max_servers {
        Some(field) => field.place.clone(),
        None => Place::default_of("max_servers", room),
    };
    Some(place.problem(format!("too few for the {count} servers of this file"), remedy))
}

/// A port is a frontend's or a NAT port, never both: the packet path decides by it alone.
fn nat_ports(draft: &Draft) -> Vec<Problem> {
    let range = nat_range(draft);
    let inside = frontend_binds(draft).filter(|bind| range.contains(bind.value.port()));
    inside
        .map(|bind| {
            bind.place.problem(
                format!("its port is one of the NAT ports {range}"),
                "use a port outside, or set nat_ports to another range",
            )
        })
        .collect()
}

/// What is served to people and programs must not be where the packet path takes the packets.
fn unreachable_pages(draft: &Draft) -> Vec<Problem> {
    let stats = draft.stats.as_ref().and_then(|stats| stats.value.bind.as_ref());
    let metrics = draft.metrics.as_ref().and_then(|metrics| metrics.value.bind.as_ref());
    let range = nat_range(draft);
    let mut problems = Vec::new();
    for page in [stats, metrics].into_iter().flatten() {
        let is_taken = |bind: &&Located<SocketAddrV4>| {
            let ip = page.value.ip();
            bind.value.port() == page.value.port() && (ip.is_unspecified() || ip == *bind.value.ip())
        };
        if let Some(bind) = frontend_binds(draft).find(is_taken) {
            let taken = format!("{} in line {} takes these connections", bind.place.key, bind.place.line);
            problems.push(page.place.problem(taken, "choose another port"));
        }
        if range.contains(page.value.port()) {
            let taken = format!("its port is one of the NAT ports {range}");
            problems.push(page.place.problem(taken, "use a port outside, or set nat_ports to another range"));
        }
    }
    if let (Some(stats), Some(metrics)) = (stats, metrics)
        && stats.value == metrics.value
    {
        let taken = format!("{} in line {} listens there already", stats.place.key, stats.place.line);
        problems.push(metrics.place.problem(taken, "choose another port, or use /metrics of [stats]"));
    }
    problems
}

/// A page on which everybody could take servers out of use. On this host's own loopback address, where HAProxy's users
/// have it without a password too, only this host's users can.
fn page_for_all(draft: &Draft) -> Option<Problem> {
    let stats = &draft.stats.as_ref()?.value;
    let admin = stats.admin.as_ref().filter(|admin| admin.value)?;
    let bind = stats.bind.as_ref().filter(|bind| !bind.value.ip().is_loopback())?;
    let finding = format!("without auth, everybody who reaches {} could change servers", bind.value);
    let remedy = "set auth (`xlb hash-password --user NAME` prints one), or bind to 127.0.0.1";
    stats.auth.is_none().then(|| admin.place.problem(finding, remedy))
}

/// A key that is of no certificate.
fn lone_key(draft: &Draft) -> Option<Problem> {
    let stats = &draft.stats.as_ref()?.value;
    let key = stats.tls_key.as_ref().filter(|_| stats.tls_certificate.is_none())?;
    Some(key.place.problem("there is no certificate for it", "set tls_certificate, or remove the line"))
}

/// Each address is named once: its ports would be used twice.
fn nat_addresses(draft: &Draft) -> Vec<Problem> {
    let addresses = draft.nat_addresses.iter().flat_map(|list| &list.value);
    repeated(addresses, |again, first| {
        again.place.problem(format!("named already, as {}", first.place.key), "name each address once")
    })
}

/// The NAT range in force.
pub(super) fn nat_range(draft: &Draft) -> PortRange {
    draft.nat_ports.as_ref().map_or(PortRange::DEFAULT_NAT, |field| field.value)
}

fn check_timeout(check: &Located<Check>) -> Option<Problem> {
    let timeout = check.value.timeout.as_ref()?;
    let interval = check.value.interval.as_ref();
    let interval = interval.map_or_else(|| model::Check::default().interval, |field| field.value);
    (timeout.value > interval).then(|| {
        let finding = format!("longer than the interval of {}", humantime::format_duration(interval));
        timeout.place.problem(finding, "shorten it, or lengthen the interval")
    })
}

/// The settings of a check over HTTPS where another is made.
fn https_only(check: &Located<Check>) -> Vec<Problem> {
    let kind = check.value.kind.as_ref();
    if kind.is_some_and(|kind| kind.value == CheckType::Https) {
        return Vec::new();
    }
    let https = &check.value.https;
    let places = [
        https.path.as_ref().map(|field| &field.place),
        https.status.as_ref().map(|field| &field.place),
        https.ca_file.as_ref().map(|field| &field.place),
        https.verify.as_ref().map(|field| &field.place),
        https.server_name.as_ref().map(|field| &field.place),
    ];
    let problem = |place: &Place| {
        place.problem("means nothing in a check of type \"tcp\"", "set type = \"https\", or remove the line")
    };
    places.into_iter().flatten().map(problem).collect()
}

/// Authorities where every certificate is good.
fn unused_ca(check: &Located<Check>) -> Option<Problem> {
    let https = &check.value.https;
    let verify = https.verify.as_ref().filter(|verify| !verify.value)?;
    let finding = format!("not used, because verify = false in line {} trusts anybody", verify.place.line);
    Some(https.ca_file.as_ref()?.place.problem(finding, "remove one of the two lines"))
}

/// A limit on what is not counted.
fn unused_limit(check: &Located<Check>) -> Option<Problem> {
    let observe = check.value.observe.as_ref();
    if observe.is_some_and(|observe| observe.value == ObserveType::Connect) {
        return None;
    }
    let limit = check.value.error_limit.as_ref()?;
    Some(limit.place.problem("has no effect while nothing is observed", "set observe = \"connect\""))
}

fn is_used(backend: &Backend, draft: &Draft) -> bool {
    let uses = |frontend: &Located<Frontend>| match (&frontend.value.backend, &backend.name) {
        (Some(wanted), Some(name)) => wanted.value == name.value,
        _ => false,
    };
    draft.frontends.iter().any(uses)
}

fn is_weightless(backend: &Backend) -> bool {
    let weight_of = |server: &Located<Server>| {
        server.value.weight.as_ref().map_or(model::Server::DEFAULT_WEIGHT, |weight| weight.value)
    };
    backend.servers.iter().all(|server| weight_of(server) == 0)
}
