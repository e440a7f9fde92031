//! The metrics: HAProxy's families, and those that only this program has.

use std::fmt::{Display, Write};

use super::haproxy::{self, escaped};
use super::{Agent, Histogram, Server, ServerActivity, ServerState, View};

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

    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    /// The samples that a histogram consists of.
    fn histogram(&mut self, labels: &[(&str, &str)], histogram: &Histogram) {
        let mut bucket = |limit: &str, count| {
            self.line("_bucket", &[labels, &[("le", limit)]].concat(), count);
        };
        for (limit, count) in histogram.limits() {
            bucket(&limit.as_secs_f64().to_string(), count);
        }
        bucket("+Inf", histogram.count());
        self.line("_sum", labels, histogram.sum().as_secs_f64());
        self.line("_count", labels, histogram.count());
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.text, "{}{suffix}{{{}}} {value}", self.name, labels.join(","));
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
    let help = "How often the agent has replaced the ring that new connections take their servers from";
    let mut switches = Family::new(text, "xlb_frontend_ring_switches_total", "counter", help);
    for frontend in frontends() {
        switches.sample(&[("proxy", &frontend.name)], view.activity.ring_switches(&frontend.name));
    }
}

/// Servers that have not left the configuration, with what the agent knows of them.
type Servers<'v> = Vec<(&'v Server, ServerActivity)>;

fn servers(text: &mut String, view: &View) {
    let servers = view.snapshot.servers.iter().filter(|server| server.state != ServerState::Removed);
    let servers: Servers<'_> =
        servers.map(|server| (server, view.activity.server(&server.backend, &server.name))).collect();
    slots(text, &servers);
    attempts(text, &servers);
    next_hops(text, &servers);
    checks(text, &servers);
}

/// What all samples of a server have.
fn labels(server: &Server) -> [(&str, &str); 2] {
    [("proxy", &server.backend), ("server", &server.name)]
}

fn slots(text: &mut String, servers: &Servers<'_>) {
    let help = "Connections that a server can have at once: its slots, each a port";
    let mut slots = Family::new(text, "xlb_server_slots", "gauge", help);
    for (server, _) in servers {
        slots.sample(&labels(server), server.slots);
    }
    let help = "Slots by the state of the connection that holds them";
    let mut used = Family::new(text, "xlb_server_slots_used", "gauge", help);
    for (server, _) in servers {
        for (state, count) in &server.states {
            used.sample(&[&labels(server)[..], &[("state", state.as_str())]].concat(), count);
        }
    }
}

/// What becomes of connections that a server does not take or cannot keep.
fn attempts(text: &mut String, servers: &Servers<'_>) {
    let help = "Connections that a server did not take and that were given to another";
    let mut redispatched = Family::new(text, "xlb_server_redispatched_total", "counter", help);
    for (server, _) in servers {
        redispatched.sample(&labels(server), server.redispatched);
    }
    let help = "Connections that were reset because their server went DOWN, or by the operator's word";
    let mut resets = Family::new(text, "xlb_server_resets_total", "counter", help);
    for (server, activity) in servers {
        let causes = [("down", activity.reset_for_health), ("operator", activity.reset_by_operator)];
        for (cause, count) in causes {
            resets.sample(&[&labels(server)[..], &[("cause", cause)]].concat(), count);
        }
    }
}

fn next_hops(text: &mut String, servers: &Servers<'_>) {
    let help = "Whether the MAC address is known that a server's packets go to";
    let mut known = Family::new(text, "xlb_server_next_hop_known", "gauge", help);
    for (server, _) in servers {
        known.sample(&labels(server), u8::from(server.next_hop.is_some()));
    }
    let help = "Whether the neighbour answers that a server's packets go to";
    let mut answers = Family::new(text, "xlb_server_next_hop_answers", "gauge", help);
    for (server, activity) in servers {
        if let Some(answering) = activity.next_hop_answers {
            answers.sample(&labels(server), u8::from(answering));
        }
    }
}

fn checks(text: &mut String, servers: &Servers<'_>) {
    let help = "How long health checks took, whatever they found";
    let mut durations = Family::new(text, "xlb_server_check_duration_seconds", "histogram", help);
    for (server, activity) in servers.iter().filter(|(server, _)| server.standing.is_some()) {
        durations.histogram(&labels(server), &activity.checks);
    }
    let help = "When a server's certificate expires, in seconds since 1970";
    let mut expiry = Family::new(text, "xlb_server_certificate_expiry_seconds", "gauge", help);
    for (server, _) in servers {
        if let Some(expires) = server.certificate_expires {
            expiry.sample(&labels(server), crate::clock::unix_seconds(expires));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::haproxy::tests::view;

    #[test]
    fn what_the_agent_has_done_and_seen_is_told() {
        let text = metrics(&view());
        let fenn = r#"proxy="k8s-api-server",server="fenn""#;
        for line in [
            r#"xlb_frontend_ring_switches_total{proxy="k8s-api-server"} 3"#.to_owned(),
            format!("xlb_server_redispatched_total{{{fenn}}} 4"),
            format!("xlb_server_resets_total{{{fenn},cause=\"down\"}} 7"),
            format!("xlb_server_resets_total{{{fenn},cause=\"operator\"}} 0"),
            format!("xlb_server_next_hop_known{{{fenn}}} 0"),
            format!("xlb_server_next_hop_answers{{{fenn}}} 0"),
            format!("xlb_server_check_duration_seconds_bucket{{{fenn},le=\"0.001\"}} 0"),
            format!("xlb_server_check_duration_seconds_bucket{{{fenn},le=\"0.002\"}} 1"),
            format!("xlb_server_check_duration_seconds_bucket{{{fenn},le=\"10\"}} 1"),
            format!("xlb_server_check_duration_seconds_bucket{{{fenn},le=\"+Inf\"}} 1"),
            format!("xlb_server_check_duration_seconds_sum{{{fenn}}} 0.0015"),
            format!("xlb_server_check_duration_seconds_count{{{fenn}}} 1"),
        ] {
            assert!(text.lines().any(|had| had == line), "{text}has no {line}");
        }
        // Nobody checks the other.
        assert!(!text.contains(r#"xlb_server_check_duration_seconds_count{proxy="other""#), "{text}");
    }

    #[test]
    fn the_documents_have_each_family() {
        const DOCUMENTS: &str = include_str!("../../../docs/haproxy.md");
        let mut view = view();
        view.snapshot.servers[0].certificate_expires = Some(std::time::SystemTime::UNIX_EPOCH);
        let text = metrics(&view);
        let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE xlb_")?.split(' ').next());
        for family in families {
            assert!(DOCUMENTS.contains(&format!("`xlb_{family}`")), "xlb_{family}");
        }
    }
}
