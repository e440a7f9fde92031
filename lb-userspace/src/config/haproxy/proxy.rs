//! Frontends, backends and `listen` sections, with what they inherit from `defaults`.

use super::bind::{self, TlsBind};
use super::httpchk::HttpCheck;
use super::log::{self, Target};
use super::note::Note;
use super::section::{Kind, Section, Setting};
use super::server::{Options, Server};
use super::source;
use super::stats::Page;
use super::time::{Time, noted};
use super::uncarried;

/// A value and the line that it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said<T> {
    pub line: usize,
    pub value: T,
}

/// A frontend, a backend, or both in one.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
    pub kind: Kind,
    pub name: String,
    pub line: usize,
    pub mode: Option<Said<String>>,
    pub binds: Vec<Said<String>>,
    pub tls_binds: Vec<TlsBind>,
    pub default_backend: Option<String>,
    pub maxconn: Option<Said<String>>,
    pub connect: Option<Said<Time>>,
    pub client: Option<Said<Time>>,
    pub server: Option<Said<Time>>,
    /// Replaces the timeouts of both sides.
    pub tunnel: Option<Said<Time>>,
    /// The address that connections to its servers come from.
    pub source: Option<Said<String>>,
    pub tcplog: Option<usize>,
    pub httpchk: HttpCheck,
    pub page: Option<Page>,
    /// Whether it has HAProxy's own exporter of metrics.
    pub exports: bool,
    pub targets: Vec<Target>,
    pub servers: Vec<Server>,
    /// Worth saying if the proxy is carried.
    pub notes: Vec<Note>,
    server_defaults: Options,
}

/// Which half of a proxy a setting is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Clients,
    Servers,
    Both,
}

impl Proxy {
    /// What holds before the first `defaults` section.
    pub fn builtin() -> Self {
        Self {
            kind: Kind::Defaults,
            name: String::new(),
            line: 0,
            mode: None,
            binds: Vec::new(),
            tls_binds: Vec::new(),
            default_backend: None,
            maxconn: None,
            connect: None,
            client: None,
            server: None,
            tunnel: None,
            source: None,
            tcplog: None,
            httpchk: HttpCheck::default(),
            exports: false,
            page: None,
            targets: Vec::new(),
            servers: Vec::new(),
            notes: Vec::new(),
            server_defaults: Options::default(),
        }
    }

    /// A section on top of its defaults.
    pub fn read(section: &Section, defaults: &Self) -> Self {
        let mut proxy = Self {
            kind: section.kind,
            name: section.name().to_owned(),
            line: section.head.line,
            notes: Vec::new(),
            ..defaults.clone()
        };
        for setting in &section.settings {
            proxy.apply(setting);
        }
        proxy
    }

    /// Whether it forwards TCP; `HAProxy`'s own default.
    pub fn is_tcp(&self) -> bool {
        self.mode.as_ref().is_none_or(|mode| mode.value == "tcp")
    }

    /// Whether clients connect to it.
    pub fn has_clients(&self) -> bool {
        matches!(self.kind, Kind::Frontend | Kind::Listen)
    }

    /// Whether it has servers.
    pub fn has_servers(&self) -> bool {
        matches!(self.kind, Kind::Backend | Kind::Listen)
    }

    /// The backend of its clients: the one that it names, or its own servers.
    pub fn backend_name(&self) -> Option<String> {
        let own = (self.kind == Kind::Listen && !self.servers.is_empty()).then(|| self.name.clone());
        self.default_backend.clone().or(own)
    }

    /// Notes on all addresses but the one that its page or its metrics are carried at: its first one without TLS, or else
    /// its first.
    pub fn further_binds(&self) -> Vec<Note> {
        let plain = self.binds.iter().map(|bind| (bind.line, bind.value.as_str()));
        let tls = self.tls_binds.iter().map(|bind| (bind.line(), bind.address.as_str()));
        let mut binds = plain.chain(tls);
        let Some((_, carried)) = binds.next() else { return Vec::new() };
        let note = |(line, address): (usize, &str)| {
            Note::at(line, format!("bind {address}: not carried: one address is, {carried}"))
        };
        binds.map(note).collect()
    }

    /// A note on all of it.
    pub fn note(&self, text: &str) -> Note {
        let kind = match self.kind {
            Kind::Frontend => "frontend",
            Kind::Listen => "listen",
            _ => "backend",
        };
        Note::at(self.line, format!("{kind} {}: {text}", self.name))
    }

    /// A note on why it cannot be carried, if it does not forward TCP.
    pub fn no_tcp(&self) -> Note {
        let mode = self.mode.as_ref().map_or("tcp", |mode| mode.value.as_str());
        self.note(&format!("not carried: it is in mode {mode}, and xlb forwards TCP only"))
    }

    fn apply(&mut self, setting: &Setting) {
        if let Some(reason) = self.ignores(setting) {
            self.notes.push(setting.note(reason));
            return;
        }
        let words: Vec<&str> = setting.words.iter().map(String::as_str).collect();
        let said = |value: &str| Said { line: setting.line, value: value.to_owned() };
        match words[..] {
            ["mode", mode] => self.mode = Some(said(mode)),
            ["bind", addresses, ..] => self.bind(addresses, setting),
            ["default_backend", name] => self.default_backend = Some(name.to_owned()),
            ["maxconn", number] => self.maxconn = Some(said(number)),
            ["timeout", which, time] => self.timeout(which, time, setting),
            ["source", address, ref options @ ..] => {
                self.source = source::read(address, options, setting, &mut self.notes);
            }
            ["balance", algorithm, ..] => self.balance(algorithm, setting),
            ["option", "tcplog"] => self.tcplog = Some(setting.line),
            ["default-server", ..] => self.server_defaults.read_defaults(setting, &mut self.notes),
            ["server", ..] => {
                self.servers.extend(Server::read(setting, &self.server_defaults, &mut self.notes));
            }
            ["stats", ..] => {
                self.page.get_or_insert_default().apply(setting, &mut self.notes);
            }
            ["http-request", "use-service", "prometheus-exporter", ref condition @ ..] => {
                self.exports = true;
                if !matches!(condition, [] | ["if", "{", "path", "/metrics", "}"]) {
                    self.notes.push(
                        setting.note("its condition is not carried: metrics are at /metrics, for everybody"),
                    );
                }
            }
            ["log", ..] => self.targets.extend(log::target(setting, &mut self.notes)),
            // Of two kinds of checks the later one holds; xlb's own check over TCP does just that.
            ["option", "tcp-check"] => self.httpchk.line = None,
            ["option", "httpchk", ..] => self.httpchk.turn_on(setting),
            ["http-check", ..] => self.httpchk.apply(setting, &mut self.notes),
            _ => self.notes.push(setting.note(uncarried::reason(&setting.words))),
        }
    }

    /// Why `HAProxy` itself takes no notice of a setting here.
    fn ignores(&self, setting: &Setting) -> Option<&'static str> {
        match (self.kind, side(setting)) {
            (Kind::Backend, Side::Clients) if setting.words[0] == "timeout" => {
                Some("HAProxy ignores this in a backend; xlb's idle timeout holds for both sides")
            }
            (Kind::Backend, Side::Clients) => Some("HAProxy ignores this in a backend, which has no clients"),
            (Kind::Frontend, Side::Servers) => {
                Some("HAProxy ignores this in a frontend, which has no servers")
            }
            _ => None,
        }
    }

    fn bind(&mut self, addresses: &str, setting: &Setting) {
        let options = &setting.words[2..];
        let has = |wanted: &str| options.iter().any(|option| option == wanted);
        if has("accept-proxy") {
            self.notes.push(
                setting.note("not carried: xlb cannot do `accept-proxy`, it leaves the bytes as they are"),
            );
            return;
        }
        let addresses = addresses.split(',').map(|address| address.trim_start_matches("ipv4@"));
        if has(bind::TLS) {
            self.tls_binds.extend(addresses.map(|address| TlsBind::read(address, setting)));
            return;
        }
        if !options.is_empty() {
            let text = format!("`{}` is not carried: xlb has no counterpart", options.join(" "));
            self.notes.push(setting.note(&text));
        }
        let said = |address: &str| Said { line: setting.line, value: address.to_owned() };
        self.binds.extend(addresses.map(said));
    }

    fn timeout(&mut self, which: &str, text: &str, setting: &Setting) {
        let place = match which {
            "connect" => &mut self.connect,
            "client" => &mut self.client,
            "server" => &mut self.server,
            "tunnel" => &mut self.tunnel,
            _ => return self.notes.push(setting.note(uncarried::reason(&setting.words))),
        };
        let time = noted(text, "ms", setting, &mut self.notes);
        *place = time.map(|value| Said { line: setting.line, value });
    }

    fn balance(&mut self, algorithm: &str, setting: &Setting) {
        if !["roundrobin", "static-rr"].contains(&algorithm) {
            self.notes.push(setting.note("carried as roundrobin, the only way so far"));
        }
    }
}

/// The half of a proxy that `HAProxy` knows a setting for.
fn side(setting: &Setting) -> Side {
    let second = setting.words.get(1).map_or("", String::as_str);
    match (setting.words[0].as_str(), second) {
        ("bind" | "default_backend" | "maxconn", _) | ("timeout", "client") | ("option", "tcplog") => {
            Side::Clients
        }
        ("server" | "default-server" | "source" | "balance" | "tcp-check" | "http-check", _)
        | ("timeout", "connect" | "server" | "check" | "queue" | "tunnel")
        | ("option", "tcp-check" | "httpchk" | "redispatch" | "allbackups") => Side::Servers,
        _ => Side::Both,
    }
}
