//! The balancer's own link goes down, as when a switch reboots: not the servers' fault, so nobody is
//! reset for it.

use std::thread;
use std::time::Duration;

use lb_lab::config::Check;
use lb_lab::idle::Idle;
use lb_lab::load::{Load, Plan};
use lb_lab::transfers::{self, Transfers};
use lb_lab::{Result, Topology, failure, size, wait};

use crate::stage::{EQUAL, Stage, assert_shares, config, lab, xlb};

const TOPOLOGY: Topology = Topology { lan_clients: 2, routed_clients: 1, ..Topology::DEFAULT };
/// Checks, in seconds, until a server would be DOWN.
const FALL: u8 = 3;
/// How much longer than that the link is down.
const LONGER: Duration = Duration::from_secs(5);
/// Clients that wait in `read`: ten on each server.
const IDLE: usize = 30;
/// New connections once the link is back, and their pace.
const CONNECTIONS: u32 = 300;
const RATE: u32 = 100;

#[test]
fn nobody_is_reset_when_the_balancers_own_link_was_down() -> Result<()> {
    let interval = Duration::from_millis(size::choose(500, 2000));
    let lab = lab(TOPOLOGY);
    let config = config(&lab, "native").with(|config| {
        for backend in &mut config.backend {
            let time = format!("{}ms", interval.as_millis());
            let check = Check { interval: time.clone(), timeout: time, fall: FALL, ..backend.check.clone() };
            backend.check = check;
        }
    });
    let stage = Stage::set_in(lab, &config)?;
    let lab = &stage.lab;
    let idle = Idle::open_many(&lab.lan_clients[0], stage.web(), IDLE)?;
    let plan = transfers::Plan::new(stage.echo(), size::choose(30, 100));
    let transfers = Transfers::start(lab.clients(), plan)?;

    failure::unplug(lab, &lab.balancer)?;
    // The length of the outage is what is tested; nothing announces it.
    thread::sleep(interval * FALL.into() + LONGER);
    failure::plug_in(lab, &lab.balancer)?;

    // The last of them goes on when its timer allows it to send again.
    transfers.wait_for_progress()?;
    wait::until("all servers to be UP", || {
        let stats = xlb(lab).stats();
        stats.map(|stats| stats.servers.iter().all(|server| server.state == "UP").then_some(())).transpose()
    })??;
    let tally = Load::run(lab.clients(), Plan::new(stage.web(), RATE).connections(CONNECTIONS))?;
    println!("after the outage: {tally}");

    let broken = transfers.stop();
    assert!(broken.is_empty(), "{} transfers broke: {}", broken.len(), broken[0]);
    for idle in &idle {
        assert_eq!(idle.end(), None, "{idle:?}");
    }
    assert_eq!(tally.failed(), 0, "{tally}");
    assert_shares(&tally.served, &EQUAL);
    let log = stage.balancer().log().text();
    assert!(!log.contains("is DOWN"), "checks are suspended while the link is down:\n{log}");
    Ok(())
}
