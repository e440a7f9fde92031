//! One server's death behind one balancer.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use lb_lab::idle::Idle;
use lb_lab::load::{Load, Plan, Tally};
use lb_lab::{Lab, Nginx, Topology, size, wait};

use crate::failure::Failure;
use crate::peer::{NAME, PORT, Peer, frontend};
use crate::row::Row;

const TOPOLOGY: Topology = Topology { lan_clients: 4, routed_clients: 2, ..Topology::DEFAULT };
/// The server that dies.
const DEAD: &str = "bettley";
/// Clients that wait in `read`: ten on each server.
const IDLE: usize = 30;
/// Seconds of load before the failure.
const BEFORE: u32 = 2;

/// How big the run is.
struct Sizes {
    /// Connections a second.
    rate: u32,
    /// How long the load goes on, and idle clients are waited for, after the server is known to be dead.
    after: Duration,
    /// How long a client waits for its answer.
    patience: Duration,
}

impl Sizes {
    fn choose() -> Self {
        size::choose(
            Self { rate: 100, after: Duration::from_secs(5), patience: Duration::from_secs(15) },
            Self { rate: 500, after: Duration::from_secs(30), patience: Duration::from_secs(60) },
        )
    }
}

/// Lets a server die behind a balancer, and tells what its clients noticed.
pub fn run(failure: Failure, peer: Peer) -> Result<Row> {
    let sizes = Sizes::choose();
    let lab = Lab::build(TOPOLOGY)?;
    let start = |host| Nginx::start(host, PORT);
    let mut servers = lab.servers.iter().map(start).collect::<lb_lab::Result<Vec<_>>>()?;
    let balancer = peer.start(&lab)?;
    let target = frontend(&lab);
    let mut idle = Idle::open_many(&lab.lan_clients[0], target, IDLE)?;
    idle.retain(|idle| idle.server() == DEAD);
    ensure!(!idle.is_empty(), "{DEAD} serves nobody");
    let load = Load::start(lab.clients(), Plan::new(target, sizes.rate).patience(sizes.patience))?;
    load.wait_for((sizes.rate * BEFORE).into())?;

    let failed = Instant::now();
    let _dead = failure.begin(&lab, servers.swap_remove(0))?;
    let down = balancer.log().wait_for_line(&[&format!("{NAME}/{DEAD}"), "is DOWN"])?.at;
    let end = down + sizes.after;
    wait::until("the end of the run", || (Instant::now() >= end).then_some(()))?;
    // Nothing, where one of them knows of nothing yet.
    let times: Option<Vec<_>> = idle.iter().map(|idle| Some(idle.end()?.at - failed)).collect();
    let noticed = times.and_then(|times| times.into_iter().max()).ok_or(end - failed);
    let tally = Tally::of(&load.stop());
    ensure!(tally.answered() > 0, "nobody was served: {tally}");
    Ok(Row { failure, peer, tally, down: down - failed, noticed })
}
