//! The metrics: HAProxy's families, and those that only this program has.

use std::fmt::Write;

use super::haproxy::{self, escaped};
use super::{Agent, ServerState, View};

/// One page for Prometheus, in its text format.
#[must_use]
pub fn metrics(view: &View) -> String {
    let mut text = haproxy::metrics(&haproxy::info(view), &haproxy::rows(view));
    text.push_str(&own(view));
    text
}

/// A family of ours.
struct Family<'t> {
    text: &'t mut String,
    name: &'static str,
}

impl<'t> Family<'t> {
    fn new(text: &'t mut String, name: &'static str, nature: &str, help: &str) -> Self {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {nature}");
        Self { text, name }
    }

    fn sample(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.text, "{}{{{}}} {value}", self.name, labels.join(","));
    }
}

/// What HAProxy has no family for.
fn own(view: &View) -> String {
    let mut text = String::new();
    let snapshot = &view.snapshot;
    let mut info = Family::new(&mut text, "xlb_info", "gauge", "Version, interface, and mode of attachment");
    let labels = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("interface", &snapshot.interface),
        ("mode", &snapshot.mode),
    ];
    info.sample(&labels, u8::from(matches!(snapshot.agent, Agent::Running { .. })));
    let help = "Packets that were not simply forwarded, by what became of them";
    let mut packets = Family::new(&mut text, "xlb_packets_total", "counter", help);
    for reason in &snapshot.reasons {
        packets.sample(&[("reason", &reason.name)], reason.count);
    }
    let mut maps =
        Family::new(&mut text, "xlb_map_memory_bytes", "gauge", "Memory of the maps in the kernel");
    for (map, bytes) in &snapshot.memory {
        maps.sample(&[("map", map)], bytes);
    }
    forwarded(&mut text, view);
    servers(&mut text, view);
    text
}

fn forwarded(text: &mut String, view: &View) {
    let frontends = || view.snapshot.frontends.iter().filter(|frontend| !frontend.removed);
    let help = "Packets that were forwarded to servers (in) and to clients (out)";
    let mut packets = Family::new(text, "xlb_frontend_packets_total", "counter", help);
    for frontend in frontends() {
        packets.sample(&[("proxy", &frontend.name), ("direction", "in")], frontend.traffic.packets_in);
        packets.sample(&[("proxy", &frontend.name), ("direction", "out")], frontend.traffic.packets_out);
    }
    let help = "Connections of clients on the balancer's own host";
    let mut local = Family::new(text, "xlb_frontend_local_connections_total", "counter", help);
    for frontend in frontends() {
        local.sample(&[("proxy", &frontend.name)], frontend.local.connections);
    }
}

fn servers(text: &mut String, view: &View) {
    let servers = || view.snapshot.servers.iter().filter(|server| server.state != ServerState::Removed);
    let help = "Connections that a server can have at once: its slots, each a port";
    let mut slots = Family::new(text, "xlb_server_slots", "gauge", help);
    for server in servers() {
        slots.sample(&[("proxy", &server.backend), ("server", &server.name)], server.slots);
    }
    let help = "Slots by the state of the connection that holds them";
    let mut used = Family::new(text, "xlb_server_slots_used", "gauge", help);
    for server in servers() {
        for (state, count) in &server.states {
            let labels = [("proxy", server.backend.as_str()), ("server", &server.name), ("state", state)];
            used.sample(&labels, count);
        }
    }
    let help = "Whether the MAC address is known that a server's packets go to";
    let mut hop = Family::new(text, "xlb_server_next_hop_known", "gauge", help);
    for server in servers() {
        let labels = [("proxy", server.backend.as_str()), ("server", &server.name)];
        hop.sample(&labels, u8::from(server.next_hop.is_some()));
    }
    let help = "When a server's certificate expires, in seconds since 1970";
    let mut expiry = Family::new(text, "xlb_server_certificate_expiry_seconds", "gauge", help);
    for server in servers() {
        if let Some(expires) = server.certificate_expires {
            let labels = [("proxy", server.backend.as_str()), ("server", &server.name)];
            expiry.sample(&labels, crate::clock::unix_seconds(expires));
        }
    }
}
