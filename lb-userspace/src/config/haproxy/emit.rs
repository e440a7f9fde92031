//! Writes an outline as TOML that people like to read.

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use super::log::Target;
use super::outline::{Backend, Check, Frontend, Outline, Stats, Timeouts};
use super::server::Server;
use super::socket::Socket;

/// The text of `xlb.toml`.
pub(super) fn toml(outline: &Outline) -> String {
    let mut document = DocumentMut::new();
    let root = document.as_table_mut();
    text(root, "interface", &outline.interface);
    let head = format!(
        "# Made by `xlb import` from {}.\n\n# The network interface that has the frontends' addresses.\n",
        outline.source.escape_debug()
    );
    comment(root, "interface", &head);
    texts(root, "nat_addresses", &outline.nat_addresses);
    comment(root, "nat_addresses", "# The addresses that connections to servers come from.\n");
    number(root, "max_connections", outline.max_connections.as_ref());
    comment(root, "max_connections", "# The limit of a frontend that has none of its own.\n");
    root["frontend"] = tables(&outline.frontends, frontend);
    root["backend"] = tables(&outline.backends, backend);
    if let Some(settings) = &outline.socket {
        let head = "# The control socket, for HAProxy's commands.";
        root["socket"] = Item::Table(headed(head, socket(settings)));
    }
    if let Some(page) = &outline.stats {
        root["stats"] = Item::Table(headed("# The statistics page.", stats(page)));
    }
    if let Some(bind) = &outline.metrics {
        let mut table = Table::new();
        text(&mut table, "bind", bind);
        root["metrics"] = Item::Table(headed("# Metrics for Prometheus.", table));
    }
    if outline.tcplog || !outline.log_targets.is_empty() {
        root["log"] = Item::Table(headed("# What is logged, and where to.", log(outline)));
    }
    document.to_string()
}

fn frontend(frontend: &Frontend) -> Table {
    let mut table = headed("# Where clients connect to.", Table::new());
    text(&mut table, "name", &frontend.name);
    text(&mut table, "bind", &frontend.bind);
    optional(&mut table, "backend", frontend.backend.as_ref());
    number(&mut table, "max_connections", frontend.max_connections.as_ref());
    table
}

fn backend(backend: &Backend) -> Table {
    let mut table = headed("# The servers that share a frontend's connections.", Table::new());
    text(&mut table, "name", &backend.name);
    text(&mut table, "balance", "roundrobin");
    optional(&mut table, "on_marked_down", backend.on_marked_down.as_ref());
    if backend.timeouts.connect.is_some() || backend.timeouts.idle.is_some() {
        let head = "# How long to wait for a server to accept, and how long both sides may be silent.";
        table["timeouts"] = Item::Table(headed(head, timeouts(&backend.timeouts)));
    }
    if let Some(settings) = &backend.check {
        let head = "# So many failures in a row take a server down, so many successes bring it back.";
        table["check"] = Item::Table(headed(head, check(settings)));
    }
    table["server"] = tables(&backend.servers, server);
    table
}

fn timeouts(timeouts: &Timeouts) -> Table {
    let mut table = Table::new();
    optional(&mut table, "connect", timeouts.connect.as_ref());
    optional(&mut table, "idle", timeouts.idle.as_ref());
    table
}

fn check(check: &Check) -> Table {
    let mut table = Table::new();
    text(&mut table, "type", if check.https.is_some() { "https" } else { "tcp" });
    text(&mut table, "interval", &check.interval);
    optional(&mut table, "timeout", check.timeout.as_ref());
    number(&mut table, "fall", Some(&check.fall));
    number(&mut table, "rise", Some(&check.rise));
    if let Some(https) = &check.https {
        text(&mut table, "path", &https.path);
        number(&mut table, "status", Some(&https.status));
        optional(&mut table, "ca_file", https.ca_file.as_ref());
        optional(&mut table, "server_name", https.server_name.as_ref());
        if !https.verify {
            table["verify"] = value(false);
        }
    }
    if let Some(observe) = &check.observe {
        text(&mut table, "observe", "connect");
        number(&mut table, "error_limit", observe.error_limit.as_ref());
    }
    table
}

fn server(server: &Server) -> Table {
    let mut table = Table::new();
    text(&mut table, "name", &server.name);
    text(&mut table, "address", &server.address);
    let disabled = server.options.disabled.then(|| "0".to_owned());
    number(&mut table, "weight", disabled.or_else(|| server.options.weight.clone()).as_ref());
    flag(&mut table, "backup", server.options.backup);
    optional(&mut table, "slow_start", server.options.slowstart.as_ref().map(|time| &time.text));
    table
}

fn socket(socket: &Socket) -> Table {
    let mut table = Table::new();
    optional(&mut table, "path", socket.path.as_ref());
    optional(&mut table, "mode", socket.mode.as_ref());
    optional(&mut table, "group", socket.group.as_ref());
    optional(&mut table, "timeout", socket.timeout.as_ref().map(|time| &time.text));
    table
}

fn stats(stats: &Stats) -> Table {
    let mut table = Table::new();
    text(&mut table, "bind", &stats.bind);
    optional(&mut table, "uri", stats.page.uri.as_ref());
    optional(&mut table, "refresh", stats.page.refresh.as_ref().map(|time| &time.text));
    optional(&mut table, "realm", stats.page.realm.as_ref());
    optional(&mut table, "auth", stats.page.auth.as_ref());
    flag(&mut table, "hide_version", stats.page.hide_version);
    flag(&mut table, "admin", stats.page.admin);
    optional(&mut table, "tls_certificate", stats.certificate.as_ref());
    table
}

fn log(outline: &Outline) -> Table {
    let mut table = Table::new();
    if outline.tcplog {
        text(&mut table, "format", "tcplog");
    }
    text(&mut table, "tag", &outline.log_tag);
    if !outline.log_targets.is_empty() {
        table["target"] = tables(&outline.log_targets, target);
    }
    table
}

fn target(target: &Target) -> Table {
    let mut table = Table::new();
    text(&mut table, "address", &target.address);
    optional(&mut table, "facility", target.facility.as_ref());
    optional(&mut table, "level", target.level.as_ref());
    table
}

fn tables<T>(items: &[T], table: impl Fn(&T) -> Table) -> Item {
    Item::ArrayOfTables(items.iter().map(table).collect::<ArrayOfTables>())
}

/// A table with a comment above its header.
fn headed(head: &str, mut table: Table) -> Table {
    table.decor_mut().set_prefix(format!("\n{head}\n"));
    table
}

/// A comment above a setting, if that is there.
fn comment(table: &mut Table, key: &str, comment: &str) {
    if let Some(mut key) = table.key_mut(key) {
        key.leaf_decor_mut().set_prefix(comment);
    }
}

fn text(table: &mut Table, key: &str, text: &str) {
    table[key] = value(text);
}

/// A list, if there is anything in it.
fn texts(table: &mut Table, key: &str, texts: &[String]) {
    if !texts.is_empty() {
        table[key] = value(texts.iter().collect::<Array>());
    }
}

fn optional(table: &mut Table, key: &str, text: Option<&String>) {
    if let Some(text) = text {
        self::text(table, key, text);
    }
}

/// A number; what is none stays text, so that whoever reads the result finds it wrong.
fn number(table: &mut Table, key: &str, text: Option<&String>) {
    if let Some(text) = text {
        table[key] = text.parse::<i64>().map_or_else(|_| value(text), value);
    }
}

fn flag(table: &mut Table, key: &str, flag: bool) {
    if flag {
        table[key] = value(true);
    }
}
