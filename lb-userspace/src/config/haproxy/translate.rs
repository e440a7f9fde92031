//! From sections to an outline of `xlb.toml`, with a note on everything that does not fit.

use std::net::{Ipv4Addr, SocketAddr};

use super::backend::backend;
use super::bind::TlsBind;
use super::log::{self, Target};
use super::note::Note;
use super::outline::{Backend, Frontend, Outline, Stats};
use super::proxy::{Proxy, Said};
use super::section::{Kind, Section};
use super::socket::Socket;
use super::source;
use super::stats::Page;
use super::uncarried;

/// The interface of most hosts, for want of a better guess.
const USUAL_INTERFACE: &str = "eth0";

/// `HAProxy`'s own `stats uri`.
const HAPROXY_STATS_URI: &str = "/haproxy?stats";

/// `HAProxy`'s own `log-tag`, which rules of syslog daemons ask for.
const HAPROXY_TAG: &str = "haproxy";

/// What is gathered while the sections are gone through.
#[derive(Default)]
struct Translation {
    max_connections: Option<Said<String>>,
    targets: Vec<Target>,
    tag: Option<String>,
    socket: Option<Socket>,
    defaults: Vec<Proxy>,
    proxies: Vec<Proxy>,
    notes: Vec<Note>,
}

/// Translates the sections of a file; for `interface_of` see [`super::import`].
pub(super) fn translate(
    source: &str,
    sections: &[Section],
    interface_of: impl Fn(Option<Ipv4Addr>) -> Option<String>,
) -> (Outline, Vec<Note>) {
    let mut translation = Translation::default();
    for section in sections {
        translation.section(section);
    }
    let outline = translation.outline(source, interface_of);
    (outline, translation.notes)
}

impl Translation {
    fn section(&mut self, section: &Section) {
        match section.kind {
            Kind::Global => self.global(section),
            Kind::Defaults => {
                let mut defaults = Proxy::read(section, &self.defaults_of(section));
                self.notes.append(&mut defaults.notes);
                self.defaults.push(defaults);
            }
            Kind::Frontend | Kind::Backend | Kind::Listen => {
                self.proxies.push(Proxy::read(section, &self.defaults_of(section)));
            }
            Kind::Other => {
                self.notes.push(section.head.note("the section is not carried: xlb has no counterpart"));
            }
        }
    }

    /// The section that a section names with `from`; else the last one, but each `defaults` section
    /// begins anew.
    fn defaults_of(&self, section: &Section) -> Proxy {
        let words = &section.head.words;
        let from = words.iter().position(|word| word == "from").and_then(|at| words.get(at + 1));
        let found = match from {
            Some(name) => self.defaults.iter().find(|defaults| defaults.name == *name),
            None if section.kind == Kind::Defaults => None,
            None => self.defaults.last(),
        };
        found.cloned().unwrap_or_else(Proxy::builtin)
    }

    fn global(&mut self, section: &Section) {
        for setting in &section.settings {
            match setting.words[0].as_str() {
                "maxconn" => {
                    let value = setting.words.get(1).cloned();
                    self.max_connections = value.map(|value| Said { line: setting.line, value });
                }
                "log-tag" => self.tag = setting.words.get(1).cloned(),
                "stats" => self.socket.get_or_insert_default().apply(setting, &mut self.notes),
                "log" => self.targets.extend(log::target(setting, &mut self.notes)),
                _ => self.notes.push(setting.note(uncarried::reason(&setting.words))),
            }
        }
    }

    fn outline(
        &mut self,
        source: &str,
        interface_of: impl Fn(Option<Ipv4Addr>) -> Option<String>,
    ) -> Outline {
        let proxies = std::mem::take(&mut self.proxies);
        let stats = self.stats(&proxies);
        let metrics = self.metrics(&proxies);
        let carried: Vec<&Proxy> = proxies.iter().filter(|proxy| proxy.is_tcp()).collect();
        let clients: Vec<&Proxy> = carried.iter().copied().filter(|proxy| proxy.has_clients()).collect();
        let frontends: Vec<Frontend> = clients.iter().flat_map(|proxy| self.frontends(proxy)).collect();
        let servers = carried.iter().filter(|proxy| proxy.has_servers());
        let backends: Vec<Backend> =
            servers.map(|proxy| backend(proxy, &users(proxy, &clients), &mut self.notes)).collect();
        let nat_addresses = source::addresses(&carried, &mut self.notes);
        for proxy in carried {
            if proxy.page.is_some() {
                self.notes.push(proxy.note("HAProxy ignores stats settings in mode tcp"));
            }
            self.notes.extend(proxy.notes.iter().cloned());
            self.notes.extend(proxy.tls_binds.iter().map(TlsBind::no_tcp));
            self.targets.extend(proxy.targets.iter().cloned());
        }
        self.log(&clients);
        self.firewall(&frontends);
        self.resets(&backends);
        Outline {
            source: source.to_owned(),
            interface: self.interface(&frontends, interface_of),
            nat_addresses,
            max_connections: self.max_connections(&frontends),
            frontends,
            backends,
            socket: self.socket.take().filter(|socket| *socket != Socket::default()),
            stats,
            metrics,
            tcplog: clients.iter().any(|proxy| proxy.tcplog.is_some()),
            log_tag: self.tag.take().unwrap_or_else(|| HAPROXY_TAG.to_owned()),
            log_targets: std::mem::take(&mut self.targets),
        }
    }

    /// The statistics page; what else does not forward TCP gets a note.
    fn stats(&mut self, proxies: &[Proxy]) -> Option<Stats> {
        let mut stats = None;
        for proxy in proxies.iter().filter(|proxy| !proxy.is_tcp() && !is_exporter(proxy)) {
            match proxy.page.as_ref().zip(place(proxy)) {
                Some((page, place)) if stats.is_none() => stats = Some(self.page(proxy, page.clone(), place)),
                _ => self.notes.push(proxy.no_tcp()),
            }
        }
        stats
    }

    fn page(&mut self, proxy: &Proxy, mut page: Page, (bind, tls): (&str, Option<&TlsBind>)) -> Stats {
        if proxy.exports {
            self.notes.push(
                proxy.note("its metrics are carried: they are at /metrics of [stats], for the same account"),
            );
        }
        self.notes.extend(proxy.notes.iter().cloned());
        if proxy.backend_name().is_some() {
            self.notes.push(proxy.note("nothing but its statistics page is carried: xlb forwards TCP only"));
        }
        page.uri.get_or_insert_with(|| HAPROXY_STATS_URI.to_owned());
        self.notes.extend(tls.map(TlsBind::of_page).unwrap_or_default());
        self.notes.extend(proxy.further_binds());
        let bind = any_address(bind);
        if page.admin && page.auth.is_none() && !is_loopback(&bind) {
            page.admin = false;
            self.notes.push(proxy.note(
                "stats admin is not carried: without stats auth, everybody could change servers; set auth and \
                 admin = true in [stats]",
            ));
        }
        Stats { bind, certificate: tls.and_then(|tls| tls.certificate.clone()), page }
    }

    /// The address of the first proxy that serves nothing but metrics.
    fn metrics(&mut self, proxies: &[Proxy]) -> Option<String> {
        let mut metrics = None;
        for proxy in proxies.iter().filter(|proxy| is_exporter(proxy)) {
            self.notes.extend(proxy.notes.iter().cloned());
            match proxy.binds.first() {
                Some(bind) if metrics.is_none() => {
                    metrics = Some(any_address(&bind.value));
                    self.notes.extend(proxy.further_binds());
                }
                _ => self.notes.push(proxy.no_tcp()),
            }
        }
        metrics
    }

    /// A frontend for each address of a proxy.
    fn frontends(&mut self, proxy: &Proxy) -> Vec<Frontend> {
        if proxy.binds.is_empty() {
            self.notes.push(proxy.note("not carried: it has no address that xlb can use"));
        }
        let binds = proxy.binds.iter().enumerate();
        binds.map(|(i, bind)| self.frontend(proxy, i, bind)).collect()
    }

    fn frontend(&mut self, proxy: &Proxy, index: usize, bind: &Said<String>) -> Frontend {
        let name = match index {
            0 => proxy.name.clone(),
            _ => format!("{}-{}", proxy.name, index + 1),
        };
        if index > 0 {
            let text = format!("bind {}: carried as a frontend of its own, {name}", bind.value);
            self.notes.push(Note::at(bind.line, text));
        }
        if is_wildcard(&bind.value) {
            let text = format!("bind {}: xlb needs one address here; write it into the result", bind.value);
            self.notes.push(Note::at(bind.line, text));
        }
        Frontend {
            name,
            bind: bind.value.clone(),
            backend: proxy.backend_name(),
            max_connections: proxy.maxconn.as_ref().map(|maxconn| maxconn.value.clone()),
        }
    }

    fn log(&mut self, clients: &[&Proxy]) {
        self.notes.extend(log::duplicates(&self.targets));
        let tcplog = clients.iter().find_map(|proxy| proxy.tcplog);
        if let Some(line) = tcplog.filter(|_| self.targets.is_empty()) {
            self.notes.push(Note::at(line, "option tcplog: carried as [log], but no `log` says where to"));
        }
    }

    fn interface(
        &mut self,
        frontends: &[Frontend],
        interface_of: impl Fn(Option<Ipv4Addr>) -> Option<String>,
    ) -> String {
        let host = frontends
            .first()
            .and_then(|frontend| frontend.bind.rsplit_once(':'))
            .map_or("", |(host, _)| host);
        interface_of(host.parse().ok()).unwrap_or_else(|| {
            self.notes.push(Note::general(format!(
                "HAProxy names no interface, and none of this host has the address \"{host}\"; \
                 interface = \"{USUAL_INTERFACE}\" is a guess, --interface sets another"
            )));
            USUAL_INTERFACE.to_owned()
        })
    }

    /// `maxconn` of all of `HAProxy`, which is also that of a frontend that names none.
    fn max_connections(&mut self, frontends: &[Frontend]) -> Option<String> {
        let maxconn = self.max_connections.take()?;
        if frontends.len() > 1 {
            let text = format!(
                "maxconn {}: carried as the limit of each frontend that names none; xlb has no limit over all",
                maxconn.value
            );
            self.notes.push(Note::at(maxconn.line, text));
        }
        Some(maxconn.value)
    }

    /// What `HAProxy` does only when it is told to.
    fn resets(&mut self, backends: &[Backend]) {
        let differs = |backend: &&Backend| backend.check.is_some() && backend.on_marked_down.is_none();
        let names: Vec<&str> = backends.iter().filter(differs).map(|backend| backend.name.as_str()).collect();
        if !names.is_empty() {
            self.notes.push(Note::general(format!(
                "when a server of {} goes DOWN, xlb resets its connections, so that clients connect again at once; \
                 HAProxy leaves them as they are, and so does on_marked_down = \"keep\"",
                names.join(", ")
            )));
        }
    }

    fn firewall(&mut self, frontends: &[Frontend]) {
        let binds: Vec<&str> = frontends.iter().map(|frontend| frontend.bind.as_str()).collect();
        if !binds.is_empty() {
            self.notes.push(Note::general(format!(
                "xlb takes packets for {} before this host's firewall sees them: INPUT rules (nftables, iptables, \
                 ufw) no longer apply to them; `allow` in [[frontend]] says which addresses may connect",
                binds.join(", ")
            )));
        }
    }
}

/// The proxies whose clients a backend serves.
fn users<'p>(backend: &Proxy, clients: &[&'p Proxy]) -> Vec<&'p Proxy> {
    let uses = |client: &&Proxy| client.backend_name().as_deref() == Some(&backend.name);
    clients.iter().copied().filter(uses).collect()
}

fn is_wildcard(bind: &str) -> bool {
    bind.starts_with(['*', ':']) || bind.starts_with("0.0.0.0:")
}

/// The address of a page, which an ordinary socket serves.
fn any_address(bind: &str) -> String {
    match bind.trim_start_matches('*') {
        port if port.starts_with(':') => format!("0.0.0.0{port}"),
        address => address.to_owned(),
    }
}

/// Whether only this host's own programs reach an address.
fn is_loopback(bind: &str) -> bool {
    bind.parse().is_ok_and(|bind: SocketAddr| bind.ip().is_loopback())
}

/// The first address of a page, and how TLS is spoken there. Others have no counterpart, see [`Proxy::further_binds`].
fn place(proxy: &Proxy) -> Option<(&str, Option<&TlsBind>)> {
    let plain = proxy.binds.first().map(|bind| (bind.value.as_str(), None));
    let tls = || proxy.tls_binds.first().map(|bind| (bind.address.as_str(), Some(bind)));
    plain.or_else(tls)
}

/// Whether a proxy serves metrics and no page.
fn is_exporter(proxy: &Proxy) -> bool {
    !proxy.is_tcp() && proxy.exports && proxy.page.is_none()
}
