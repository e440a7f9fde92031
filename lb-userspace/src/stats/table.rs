//! The snapshot as tables, in the order of HAProxy's page: what comes in, then each backend.

use std::fmt::Write;

use comfy_table::{Cell, Color};

use super::style::{coloured, number, render};
use super::{Agent, Frontend, Local, Reason, Server, ServerState, Snapshot, Style, human};

/// Everything for a person, in a few tables below each other.
#[must_use]
pub fn table(snapshot: &Snapshot, style: Style) -> String {
    let mut parts = vec![summary(snapshot), frontends(&snapshot.frontends, style)];
    let backends = snapshot.servers.chunk_by(|a, b| a.backend == b.backend);
    parts.extend(backends.map(|servers| backend(servers, style)));
    parts.extend(reasons(&snapshot.reasons, style));
    parts.join("\n")
}

fn summary(snapshot: &Snapshot) -> String {
    let agent = match snapshot.agent {
        Agent::Running { pid } => format!("running (pid {pid})"),
        Agent::NotRunning => "not running".to_owned(),
    };
    let memory = human::bytes(snapshot.memory_bytes());
    let Snapshot { interface, mode, mode_reason, .. } = snapshot;
    let (mode, reason) = match (mode.as_str(), snapshot.is_abandoned()) {
        (_, true) => ("not attached", Snapshot::ABANDONED),
        ("", _) => ("not attached", "the interface is gone"),
        (mode, _) => (mode, mode_reason.as_str()),
    };
    format!(
        "interface {interface} ({mode}), agent {agent}, memory of maps {memory}\n\
         mode {mode}: {reason}\n{}",
        trial(snapshot).unwrap_or_default()
    )
}

/// That all may be taken down again soon.
fn trial(snapshot: &Snapshot) -> Option<String> {
    let left = human::duration(snapshot.confirm_within.filter(|_| !snapshot.is_abandoned())?);
    Some(format!("on trial: taken down again in {left} unless `xlb confirm` comes\n"))
}

fn frontends(frontends: &[Frontend], style: Style) -> String {
    let mut table =
        style.table(&["FRONTEND", "BIND", "BACKEND", "TOTAL", "CURRENT", "BYTES IN", "BYTES OUT", "LOCAL"]);
    for frontend in frontends {
        table.add_row([
            Cell::new(&frontend.name),
            Cell::new(frontend.bind),
            Cell::new(&frontend.backend),
            number(frontend.connections),
            number(frontend.current),
            number(human::bytes(frontend.traffic.bytes_in)),
            number(human::bytes(frontend.traffic.bytes_out)),
            number(local(frontend.local)),
        ]);
    }
    render(&mut table)
}

fn backend(servers: &[Server], style: Style) -> String {
    let mut table = style.table(&[
        "SERVER",
        "ADDRESS",
        "STATUS",
        "SINCE",
        "LAST CHECK",
        "NEXT HOP",
        "WEIGHT",
        "TOTAL",
        "ESTAB",
        "REFUSED",
        "CURRENT",
        "BYTES IN",
        "BYTES OUT",
        "LOCAL",
    ]);
    for server in servers {
        table.add_row([
            Cell::new(&server.name),
            Cell::new(server.address),
            coloured(&server.status, color(server)),
            Cell::new(server.since.map_or_else(none, human::duration)),
            Cell::new(last_check(server)),
            Cell::new(server.next_hop.as_deref().unwrap_or("unknown")),
            number(server.weight),
            number(server.connections),
            number(server.established),
            number(server.refused),
            number(current(server)),
            number(human::bytes(server.traffic.bytes_in)),
            number(human::bytes(server.traffic.bytes_out)),
            number(local(server.local)),
        ]);
    }
    let name = servers.first().map_or("", |server| &server.backend);
    format!("backend {name}\n{}", render(&mut table))
}

/// The colours of HAProxy's page: red when down, yellow when on the way there or back.
fn color(server: &Server) -> Option<Color> {
    match server.state {
        ServerState::NoCheck | ServerState::Removed => None,
        ServerState::Drain | ServerState::Maint => Some(Color::Blue),
        _ if server.status.contains('/') => Some(Color::Yellow),
        ServerState::Up => Some(Color::Green),
        ServerState::Down => Some(Color::Red),
    }
}

/// The result, why it was no better, and how long the certificate is good: `L4CON in 0ms (Connection
/// refused)`, `L7OK/200 in 3ms, certificate until 2027-05-01`.
pub(crate) fn last_check(server: &Server) -> String {
    let Some(check) = &server.check else { return none() };
    let code = check.code.map(|code| format!("/{code}")).unwrap_or_default();
    let mut text = format!("{}{code} in {}ms", check.status, check.duration.as_millis());
    // Writing to a string cannot fail.
    if let Some(info) = &check.info {
        let _ = write!(text, " ({info})");
    }
    if let Some(expires) = server.certificate_expires {
        let _ = write!(text, ", certificate until {}", human::date(expires));
    }
    text
}

/// How many connections there are, and in which states: `4 (3 ESTAB, 1 TIME-WAIT)`.
fn current(server: &Server) -> String {
    let states: Vec<_> = server.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
    if states.is_empty() {
        return server.current.to_string();
    }
    format!("{} ({})", server.current, states.join(", "))
}

/// How many connections clients on this host have made, and how many are open: `120 (3 open)`.
fn local(local: Local) -> String {
    match local {
        Local { connections, current: 0 } => connections.to_string(),
        Local { connections, current } => format!("{connections} ({current} open)"),
    }
}

/// The outcomes other than plain forwarding that have occurred, if any has.
fn reasons(reasons: &[Reason], style: Style) -> Option<String> {
    let mut table = style.table(&["OUTCOME", "PACKETS", "MEANING"]);
    for reason in reasons.iter().filter(|reason| reason.count > 0) {
        table.add_row([Cell::new(&reason.name), number(reason.count), Cell::new(&reason.description)]);
    }
    (!table.is_empty()).then(|| render(&mut table))
}

fn none() -> String {
    "-".to_owned()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, SocketAddrV4};
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::dataplane::status::{Admin, History, Standing};
    use crate::stats::{Check, Traffic};

    const TRAFFIC: Traffic = Traffic { bytes_in: 1536, bytes_out: 3 << 20, packets_in: 12, packets_out: 34 };

    fn address(host: u8) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::new(198, 18, 0, host), 6443)
    }

    fn server(name: &str, host: u8, state: ServerState, status: &str) -> Server {
        Server {
            backend: "k8s-api-server".into(),
            name: name.into(),
            address: address(host),
            weight: 2,
            configured_weight: 1,
            backup: false,
            state,
            admin: Admin::Ready,
            checks_off: false,
            status: status.into(),
            since: Some(Duration::from_secs(61)),
            check: None,
            slots: 22_528,
            standing: None,
            history: History::default(),
            certificate_expires: None,
            next_hop: Some("02:00:00:00:00:0b".into()),
            connections: 300,
            established: 290,
            refused: 10,
            redispatched: 4,
            current: 0,
            open: 0,
            states: BTreeMap::new(),
            local: Local::default(),
            traffic: TRAFFIC,
        }
    }

    fn reason(name: &str, count: u64, description: &str) -> Reason {
        Reason { name: name.into(), description: description.into(), count }
    }

    fn check(status: &str, info: Option<&str>) -> Check {
        let description = if info.is_some() { "Layer4 connection problem" } else { "Layer4 check passed" };
        Check {
            status: status.into(),
            code: None,
            description: description.into(),
            info: info.map(Into::into),
            duration: Duration::ZERO,
            age: Duration::from_millis(1500),
        }
    }

    /// One frontend, and a server in each state.
    pub fn snapshot() -> Snapshot {
        let mut up = server("bettley", 11, ServerState::Up, "UP");
        up.check = Some(check("L4OK", None));
        let mut down = server("fenn", 15, ServerState::Down, "DOWN 1/2");
        down.check = Some(check("L4CON", Some("Connection refused")));
        down.next_hop = None;
        down.standing = Some(Standing { counter: 1, rise: 2, fall: 3 });
        down.history = History { failures: 3, downs: 1, down_for: 0 };
        down.current = 4;
        down.open = 3;
        down.local = Local { connections: 40, current: 2 };
        down.states = BTreeMap::from([("ESTAB".into(), 3), ("TIME-WAIT".into(), 1)]);
        let mut unchecked = server("backup", 16, ServerState::NoCheck, "no check");
        unchecked.backend = "other".into();
        unchecked.since = None;
        let frontend = Frontend {
            name: "k8s-api-server".into(),
            bind: address(10),
            backend: "k8s-api-server".into(),
            connections: 900,
            refused: 10,
            redispatched: 4,
            current: 7,
            open: 3,
            max_connections: Some(4096),
            local: Local { connections: 120, current: 2 },
            traffic: TRAFFIC,
            removed: false,
        };
        Snapshot {
            interface: "eth0".into(),
            mode: "native".into(),
            mode_reason: "the driver of eth0 (igb) takes it, and checksums come filled in".into(),
            confirm_within: None,
            agent: Agent::Running { pid: 4711 },
            frontends: vec![frontend],
            servers: vec![up, down, unchecked],
            reasons: vec![reason("no_slot", 0, "All in use."), reason("not_tcp", 5, "Not TCP.")],
            memory: BTreeMap::from([("SLOTS".into(), 3 << 20), ("INDEX".into(), 1024)]),
        }
    }

    #[test]
    fn shows_everything_grouped_by_backend() {
        let shown = table(&snapshot(), Style::Plain);
        let expected = include_str!("table.txt");
        assert_eq!(shown, expected, "shown:\n{shown}");
    }

    #[test]
    fn a_certificate_is_part_of_the_last_check() {
        let mut server = server("a", 1, ServerState::Up, "UP");
        assert_eq!(last_check(&server), "-");
        server.check = Some(Check { code: Some(200), ..check("L7OK", None) });
        server.certificate_expires = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        assert_eq!(last_check(&server), "L7OK/200 in 0ms, certificate until 2027-01-15");
        server.check = Some(Check { code: Some(500), ..check("L7STS", Some("Internal Server Error")) });
        let wrong = "L7STS/500 in 0ms (Internal Server Error), certificate until 2027-01-15";
        assert_eq!(last_check(&server), wrong);
    }

    #[test]
    fn colours_are_for_terminals() {
        assert!(!table(&snapshot(), Style::Plain).contains('\x1b'));
        assert!(table(&snapshot(), Style::Coloured).contains('\x1b'));
        let color_of = |state, status| color(&server("a", 1, state, status));
        assert_eq!(color_of(ServerState::Up, "UP"), Some(Color::Green));
        assert_eq!(color_of(ServerState::Up, "UP 1/3"), Some(Color::Yellow));
        assert_eq!(color_of(ServerState::Down, "DOWN"), Some(Color::Red));
        assert_eq!(color_of(ServerState::NoCheck, "no check"), None);
    }

    #[test]
    fn a_trial_is_named_and_ends_with_its_agent() {
        let mut snapshot = snapshot();
        snapshot.confirm_within = Some(Duration::from_secs(42));
        let shown = table(&snapshot, Style::Plain);
        assert!(
            shown.contains("\non trial: taken down again in 42s unless `xlb confirm` comes\n"),
            "{shown}"
        );
        snapshot.agent = Agent::NotRunning;
        let shown = table(&snapshot, Style::Plain);
        assert!(shown.contains("interface eth0 (not attached), agent not running"), "{shown}");
        assert!(!shown.contains("on trial"), "{shown}");
    }

    #[test]
    fn an_absent_agent_is_named() {
        let mut snapshot = snapshot();
        snapshot.agent = Agent::NotRunning;
        assert!(table(&snapshot, Style::Plain).contains("agent not running"));
    }
}
