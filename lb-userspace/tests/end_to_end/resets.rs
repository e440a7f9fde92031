//! Whose connections are reset when a server is DOWN, in maintenance or removed, and whose are not.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

use aya::maps::MapData;
use lb_lab::config::Config;
use lb_lab::failure::Silence;
use lb_lab::idle::{EndKind, Idle};
use lb_lab::{Lab, Result, Topology, wait};

use crate::stage::{Stage, WEB, WEB_PORT, lab};

/// Clients that wait in `read`: two on each server.
const IDLE: usize = 6;
/// The server that something happens to, the first of the lab's.
const FIRST: &str = "bettley";

/// A stage with clients that wait in `read`.
struct Waiting {
    /// Those that the first server serves, and the others.
    on_first: Vec<Idle>,
    on_others: Vec<Idle>,
    stage: Stage,
}

impl Waiting {
    fn set(change: impl FnOnce(&mut Config)) -> Result<Self> {
        let lab = lab(Topology::default());
        let config = config(&lab).with(change);
        let stage = Stage::set_in(lab, &config)?;
        let idle = Idle::open_many(&stage.lab.lan_clients[0], stage.web(), IDLE)?;
        let (on_first, on_others) = idle.into_iter().partition(|idle| idle.server() == FIRST);
        Ok(Self { on_first, on_others, stage })
    }

    /// Changes a server's state or weight. What the command before this one has led to is done by then.
    fn server(&self, name: &str, change: &str) -> Result<()> {
        let server = format!("{WEB}/{name}");
        let arguments = ["server", &server].into_iter().chain(change.split(' '));
        self.stage.balancer().xlb.output(arguments).map(drop)
    }

    fn await_line(&self, line: &str) -> Result<()> {
        self.stage.balancer().log().wait_for(line).map(drop)
    }

    /// Waits until all servers are in this state.
    fn await_all(&self, state: &str) -> Result<()> {
        wait::until(&format!("all servers to be {state}"), || {
            let stats = self.stage.balancer().xlb.stats();
            let all = stats.map(|stats| stats.servers_of(WEB).all(|server| server.state == state));
            all.map(|all| all.then_some(())).transpose()
        })?
    }

    fn assert_first_are_reset(&self) -> Result<()> {
        for idle in &self.on_first {
            assert_eq!(idle.wait_for_end()?.kind, EndKind::Reset, "{idle:?}");
        }
        assert_none_has_ended(&self.on_others);
        Ok(())
    }

    fn assert_nobody_is_reset(&self) {
        assert_none_has_ended(&self.on_first);
        assert_none_has_ended(&self.on_others);
    }
}

fn assert_none_has_ended(idle: &[Idle]) {
    assert!(!idle.is_empty());
    for idle in idle {
        assert_eq!(idle.end(), None, "{idle:?}");
    }
}

fn config(lab: &Lab) -> Config {
    Config::new("native").serve(WEB, WEB_PORT, lab)
}

fn keep(config: &mut Config) {
    config.backend[0].on_marked_down = Some("keep".into());
}

#[test]
fn connections_stay_where_they_are_to_be_kept() -> Result<()> {
    let waiting = Waiting::set(keep)?;
    let silence = Silence::begin(&waiting.stage.lab, &waiting.stage.lab.servers[0])?;
    waiting.await_line("k8s-api-server/bettley is DOWN")?;
    drop(silence);
    waiting.await_line("k8s-api-server/bettley is UP")?;
    waiting.server(FIRST, "maint")?;
    waiting.server(FIRST, "ready")?;
    waiting.assert_nobody_is_reset();
    Ok(())
}

#[test]
fn nobody_is_reset_while_there_is_no_other_server() -> Result<()> {
    let waiting = Waiting::set(|_| ())?;
    waiting.server("fenn", "drain")?;
    waiting.server("gardener", "drain")?;
    let _silence = Silence::begin(&waiting.stage.lab, &waiting.stage.lab.servers[0])?;
    waiting.await_line("k8s-api-server/bettley is DOWN")?;
    waiting.await_line("backend k8s-api-server has no server available!")?;
    waiting.server("fenn", "weight 2")?;
    waiting.assert_nobody_is_reset();
    waiting.server("fenn", "ready")?;
    waiting.assert_first_are_reset()
}

#[test]
fn nobody_is_reset_when_all_servers_fail_at_once() -> Result<()> {
    let waiting = Waiting::set(|_| ())?;
    let silence = |host| Silence::begin(&waiting.stage.lab, host);
    let silences = waiting.stage.lab.servers.iter().map(silence).collect::<Result<Vec<_>>>()?;
    waiting.await_all("DOWN")?;
    drop(silences);
    waiting.await_all("UP")?;
    waiting.assert_nobody_is_reset();
    Ok(())
}

#[test]
fn maintenance_resets_at_once() -> Result<()> {
    let waiting = Waiting::set(|_| ())?;
    waiting.server(FIRST, "drain")?;
    waiting.server(FIRST, "weight 2")?;
    waiting.assert_nobody_is_reset();
    waiting.server(FIRST, "maint")?;
    waiting.await_line("Server k8s-api-server/bettley: 2 connections reset")?;
    waiting.assert_first_are_reset()
}

#[test]
fn maintenance_of_the_last_server_waits_for_another() -> Result<()> {
    let waiting = Waiting::set(|_| ())?;
    waiting.server("fenn", "drain")?;
    waiting.server("gardener", "drain")?;
    waiting.server(FIRST, "maint")?;
    waiting.await_line("backend k8s-api-server has no server available!")?;
    waiting.server("fenn", "weight 2")?;
    waiting.assert_nobody_is_reset();
    waiting.server("gardener", "ready")?;
    waiting.assert_first_are_reset()
}

#[test]
fn connections_of_a_removed_server_are_reset_when_it_dies() -> Result<()> {
    a_removed_server_dies(|_, _| Ok(()))
}

#[test]
fn connections_of_a_removed_server_are_reset_after_a_restart() -> Result<()> {
    a_removed_server_dies(|stage, config| stage.restart(&config.to_toml()))
}

fn a_removed_server_dies(between: impl FnOnce(&mut Stage, &Config) -> Result<()>) -> Result<()> {
    let mut waiting = Waiting::set(|_| ())?;
    let smaller = config(&waiting.stage.lab).with(|config| drop(config.backend[0].server.remove(0)));
    let xlb = &waiting.stage.balancer().xlb;
    xlb.configure(&smaller.to_toml())?;
    xlb.output(["reload"])?;
    between(&mut waiting.stage, &smaller)?;
    let _silence = Silence::begin(&waiting.stage.lab, &waiting.stage.lab.servers[0])?;
    waiting.await_line("Server k8s-api-server/bettley: 2 connections reset")?;
    waiting.assert_first_are_reset()?;
    let log = waiting.stage.balancer().log().text();
    assert!(!log.contains("is DOWN"), "nothing that is configured is DOWN:\n{log}");
    assert_eq!(waiting.stage.server(FIRST)?.state, "removed");
    Ok(())
}

#[test]
fn a_status_that_cannot_be_written_holds_up_nothing() -> Result<()> {
    let waiting = Waiting::set(|_| ())?;
    let status = waiting.stage.balancer().xlb.pins().join("STATUS");
    waiting.stage.lab.balancer.inside(|| freeze(&status)).expect("a map can be frozen");
    let _silence = Silence::begin(&waiting.stage.lab, &waiting.stage.lab.servers[0])?;
    waiting.await_line("k8s-api-server/bettley is DOWN")?;
    waiting.assert_first_are_reset()
}

/// Makes a map one that no program can write any more.
fn freeze(map: &Path) -> io::Result<()> {
    const BPF_MAP_FREEZE: libc::c_int = 22;
    let map = MapData::from_pin(map).map_err(io::Error::other)?;
    let descriptor = map.fd().as_fd().as_raw_fd();
    // SAFETY: the attributes of this command are the descriptor alone, of which the size is told.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_FREEZE, &raw const descriptor, size_of_val(&descriptor))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
