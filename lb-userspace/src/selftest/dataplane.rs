//! Whether programs, agent and servers are as they should be.

use aya::programs::ProgramInfo;

use super::{Area, Check, Outcome, Scene};
use crate::dataplane::Error;
use crate::dataplane::attach::{self, Mode};
use crate::dataplane::object::{self, Sizes};
use crate::local;
use crate::stats::{Agent, Server, ServerState, Snapshot};

pub(super) fn checks(scene: &Scene) -> Vec<Check> {
    let mut checks = vec![attached(scene), version(scene), agent(&scene.snapshot), host_clients(scene)];
    checks.extend(scene.snapshot.servers.iter().map(server));
    checks
}

/// Whether the pinned program is the one on the interface.
fn attached(scene: &Scene) -> Check {
    let check = |outcome, detail| Check::new(Area::DataPlane, "attached", outcome, detail);
    let failed = |detail: String| check(Outcome::Failed, detail);
    let interface = match &scene.interface {
        Ok(interface) => interface,
        Err(error) => {
            return failed(format!("{error}; the interface has gone since `xlb run`: start it again"));
        }
    };
    let name = &interface.name;
    if scene.snapshot.is_abandoned() {
        // A filter stays at the interface, and does nothing.
        return failed(format!("{}; start `xlb run` again", Snapshot::ABANDONED));
    }
    let until =
        if scene.snapshot.confirm_within.is_some() { ", on trial until `xlb confirm` comes" } else { "" };
    match (attach::find(scene.pins, interface), interface.xdp) {
        (Err(error), _) => failed(format!("{error}; take it down with `xlb detach` and start `xlb run`")),
        (Ok(Some(mode)), _) => check(Outcome::Ok, format!("on {name}, {}{until}", mode.description())),
        (Ok(None), Some(_)) => {
            failed(format!("{name} has another program, not this data plane's (`ip link show dev {name}`)"))
        }
        (Ok(None), None) => failed(format!("no program on {name} any more; start `xlb run` again")),
    }
}

/// Whether the program is the one that this `xlb` brings along: the kernel's hash over its
/// instructions tells.
fn version(scene: &Scene) -> Check {
    let check = |outcome, detail: String| Check::new(Area::DataPlane, "program", outcome, detail);
    let ours = env!("CARGO_PKG_VERSION");
    let Some(mode) = mode(&scene.snapshot.mode) else {
        return check(Outcome::Failed, "not attached yet".to_owned());
    };
    match (scene.pins.program_info(mode.program()), embedded(scene.object, mode)) {
        (Ok(pinned), Ok(embedded)) if pinned.tag() == embedded.tag() => {
            check(Outcome::Ok, format!("the one of this version ({ours})"))
        }
        (Ok(_), Ok(_)) => check(
            Outcome::Failed,
            format!("not the one of this version ({ours}); restart the agent, which replaces it"),
        ),
        (Err(error), _) | (_, Err(error)) => check(Outcome::Failed, error.to_string()),
    }
}

/// What the kernel makes of the program of this version; it is attached to nothing, and gone at once.
fn embedded(object: &[u8], mode: Mode) -> Result<ProgramInfo, Error> {
    let mut ebpf = object::load(object, Sizes::SMALLEST)?;
    object::load_program(&mut ebpf, mode.program())?;
    let info = object::program(&mut ebpf, mode.program())?.info();
    info.map_err(|source| Error::Program { name: mode.program(), source })
}

fn agent(snapshot: &Snapshot) -> Check {
    let check = |outcome, detail: String| Check::new(Area::DataPlane, "agent", outcome, detail);
    match snapshot.agent {
        Agent::Running { pid } => check(Outcome::Ok, format!("running (pid {pid})")),
        Agent::NotRunning if snapshot.is_abandoned() => {
            check(Outcome::Failed, "not running: nothing is forwarded; start `xlb run`".to_owned())
        }
        Agent::NotRunning => check(
            Outcome::Failed,
            "not running: connections are forwarded, but no server is checked; start `xlb run`".to_owned(),
        ),
    }
}

fn host_clients(scene: &Scene) -> Check {
    let check = |outcome, detail: &str| Check::new(Area::DataPlane, "local clients", outcome, detail);
    if local::is_attached(scene.pins) {
        check(Outcome::Ok, "programs attached to a cgroup")
    } else if scene.snapshot.is_abandoned() {
        check(Outcome::Note, "not balanced any more: their programs have left with the agent")
    } else if scene.snapshot.confirm_within.is_some() {
        check(Outcome::Note, "on trial, where no pin tells; the connections below do")
    } else {
        check(Outcome::Note, "not balanced: `host_clients = false`, or the agent's log says why not")
    }
}

/// Whether a server gets connections.
fn server(server: &Server) -> Check {
    let (outcome, detail) = match (&server.next_hop, server.state) {
        (_, ServerState::Down) => (Outcome::Failed, down(server)),
        (_, ServerState::Drain | ServerState::Maint | ServerState::Removed) => {
            (Outcome::Note, format!("{}: no new connections, as the operator wants it", server.status))
        }
        (None, _) => (
            Outcome::Failed,
            "its next hop is not known, so it gets no connections; does it answer ARP?".to_owned(),
        ),
        (Some(_), _) if server.weight == 0 => {
            (Outcome::Note, format!("{}, weight 0: no new connections", server.status))
        }
        (Some(next_hop), _) => (Outcome::Ok, format!("{}, next hop {next_hop}", server.status)),
    };
    Check::new(Area::Server, name(server), outcome, detail)
}

fn down(server: &Server) -> String {
    let reason = server.check.as_ref().map(|check| check.info.as_ref().unwrap_or(&check.description));
    match reason {
        Some(reason) => format!("{}: {reason}", server.status),
        None => server.status.clone(),
    }
}

/// A server in a report.
pub(super) fn name(server: &Server) -> String {
    format!("{}/{} {}", server.backend, server.name, server.address)
}

/// The mode that the agent has chosen.
pub(super) fn mode(name: &str) -> Option<Mode> {
    Mode::named(name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stats::table_tests::snapshot;

    #[test]
    fn servers_that_get_connections_are_ok() {
        let servers = snapshot().servers;
        let outcomes: Vec<_> = servers.iter().map(|entry| server(entry).outcome).collect();
        assert_eq!(outcomes, [Outcome::Ok, Outcome::Failed, Outcome::Ok]);
        assert_eq!(server(&servers[1]).detail, "DOWN 1/2: Connection refused");
        let without = |change: fn(&mut Server)| {
            let mut changed = servers[0].clone();
            change(&mut changed);
            server(&changed).outcome
        };
        assert_eq!(without(|server| server.next_hop = None), Outcome::Failed);
        assert_eq!(without(|server| server.weight = 0), Outcome::Note);
    }

    #[test]
    fn a_dead_agent_is_a_failure_and_forwards_unless_it_was_on_trial() {
        let mut snapshot = snapshot();
        snapshot.agent = Agent::NotRunning;
        assert_eq!(agent(&snapshot).outcome, Outcome::Failed);
        assert!(agent(&snapshot).detail.contains("connections are forwarded"));
        snapshot.confirm_within = Some(Duration::ZERO);
        assert_eq!(agent(&snapshot).outcome, Outcome::Failed);
        assert!(agent(&snapshot).detail.contains("nothing is forwarded"));
    }
}
