//! Many short connections: ports of ours come round again while the servers still remember them.

use std::thread::available_parallelism;

use lb_lab::host::INTERFACE;
use lb_lab::load::{Closes, Load, Plan, Tally};
use lb_lab::{Host, Result, Topology, size};

use crate::stage::{EQUAL, Stage, config, lab, xlb};

/// So many addresses that no client comes near the end of its own ports: of those that it looks at first, half of
/// some 28,000, most would be in TIME_WAIT, and each connection would take it a thousand looks.
const TOPOLOGY: Topology = Topology { lan_clients: 32, ..Topology::DEFAULT };

/// New connections a second.
fn rate() -> u32 {
    size::choose(600, 5_000)
}

/// The seconds that this goes on for.
fn seconds() -> u32 {
    size::choose(10, 120)
}

/// Ports of ours: fewer for a short test, so that they come round again several times.
fn nat_ports() -> &'static str {
    size::choose("10240-10739", "10240-32767")
}

#[test]
fn ports_are_used_again_when_servers_close_first() -> Result<()> {
    all_connect_at_once("native", Closes::Server, |_, _| Ok(()))
}

#[test]
fn ports_are_used_again_when_clients_close_first() -> Result<()> {
    all_connect_at_once("native", Closes::Client, |_, _| Ok(()))
}

#[test]
fn ports_are_used_again_in_tc() -> Result<()> {
    all_connect_at_once("tc", Closes::Server, |_, _| Ok(()))
}

#[test]
fn ports_are_used_again_with_the_agent_killed_in_between() -> Result<()> {
    all_connect_at_once("native", Closes::Server, Stage::restart)
}

/// No connection waits for its SYN to be sent again, whatever happens to the agent when some are made.
fn all_connect_at_once(
    mode: &str,
    closes: Closes,
    in_between: impl FnOnce(&mut Stage, &str) -> Result<()>,
) -> Result<()> {
    let lab = lab(TOPOLOGY);
    let config = config(&lab, mode).with(|config| config.nat_ports = Some(nat_ports().to_owned()));
    let mut stage = Stage::set_in(lab, &config)?;
    let cpus = available_parallelism().map_or(1, usize::from);
    for (number, server) in stage.lab.servers.iter().enumerate() {
        // Without this, a server has reset a few of a million connections (seen on 6.18). Presumably two CPUs
        // handled a client's first two segments at once, and one found no socket while the other made it.
        server.handle_on(INTERFACE, number % cpus)?;
    }
    let connections = rate() * seconds();
    let plan = Plan::new(stage.web(), rate()).connections(connections).closes(closes);
    let load = Load::start(stage.lab.clients(), plan)?;
    load.wait_for(u64::from(connections / 4))?;
    in_between(&mut stage, &config.to_toml())?;
    let tally = Tally::of(&load.finish());
    let remembered = in_time_wait(&stage.lab.servers)?;
    let reasons = xlb(&stage.lab).stats()?.reasons;
    let stale = reasons["stale_port"];
    println!("{} a second, {closes:?} closes first: {tally}", rate());
    println!("{stale} offered to another server, {remembered} in TIME_WAIT at servers");
    assert_eq!((tally.failed(), tally.retransmitted(1)), (0, 0), "{tally}; {reasons:?}");
    assert!(stale * 1000 <= tally.made, "{stale} stale ports");
    // Health checks leave a few.
    assert_eq!(remembered > tally.made / 100, closes == Closes::Server, "{remembered} in TIME_WAIT");
    for (name, share) in &tally.served {
        // A connection that was offered to the next server is one more there, and one less here.
        let difference = (*share as u64 * EQUAL.len() as u64).abs_diff(tally.made);
        assert!(difference <= (1 + stale) * EQUAL.len() as u64, "{name} has {share} of {}", tally.made);
    }
    Ok(())
}

/// How many connections the servers hold in TIME_WAIT.
fn in_time_wait(servers: &[Host]) -> Result<u64> {
    let listed = servers.iter().map(|server| server.run("ss", &["-Htan", "state", "time-wait"]));
    listed.map(|list| Ok(list?.lines().count() as u64)).sum()
}
