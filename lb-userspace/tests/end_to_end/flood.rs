//! A flood of SYNs from nowhere takes slots that nobody has yet, and no others: what is established goes
//! on, and who really wants to connect does.

use std::net::{SocketAddr, SocketAddrV4};
use std::ops::RangeInclusive;

use lb_lab::flood::{Flood, Plan};
use lb_lab::load::{self, Load, Tally};
use lb_lab::transfers::{self, Transfers};
use lb_lab::{Result, Topology, size};

use crate::stage::{Stage, config, lab};

const TOPOLOGY: Topology = Topology { lan_clients: 3, routed_clients: 1, ..Topology::DEFAULT };
/// Ports towards each server. At full size they are those that xlb takes by default; a smaller flood
/// fills fewer of them as well.
fn nat_ports() -> RangeInclusive<u16> {
    size::choose(10_240..=18_431, 10_240..=32_767)
}
/// SYNs a second, which takes every slot again and again.
const FLOOD_RATE: u32 = 25_000;
/// Of 1000 new connections, so many may fail.
const LOST_OF_THOUSAND: u64 = 1;

#[test]
fn a_flood_ends_no_connection_and_keeps_hardly_anybody_out_in_native_mode() -> Result<()> {
    a_flood_ends_no_connection_and_keeps_hardly_anybody_out("native")
}

#[test]
fn a_flood_ends_no_connection_and_keeps_hardly_anybody_out_in_tc() -> Result<()> {
    a_flood_ends_no_connection_and_keeps_hardly_anybody_out("tc")
}

fn a_flood_ends_no_connection_and_keeps_hardly_anybody_out(mode: &str) -> Result<()> {
    let lab = lab(TOPOLOGY);
    let ports = nat_ports();
    let range = format!("{}-{}", ports.start(), ports.end());
    let config = config(&lab, mode).with(|config| config.nat_ports = Some(range));
    let slots: usize = config.backend.iter().map(|backend| backend.server.len() * ports.len()).sum();
    let stage = Stage::set_in(lab, &config)?;
    let [flooding, others @ ..] = &stage.lab.lan_clients[..] else { panic!("there are clients") };
    let clients = || others.iter().chain(&stage.lab.routed_clients);

    let transfers = Transfers::start(clients(), transfers::Plan::new(stage.echo(), 100))?;
    let targets = [stage.web(), stage.echo()].map(v4).to_vec();
    let count = size::choose(200_000, 2_000_000);
    let plan = Plan { targets, mac: stage.lab.balancer.mac(), count, rate: FLOOD_RATE };
    let flood = Flood::start(flooding, plan)?;
    // From here on every slot has been taken once.
    flood.wait_for(slots as u32)?;

    let (connections, rate) = (size::choose(300, 2000), size::choose(75, 30));
    let plan = load::Plan::new(stage.web(), rate).connections(connections);
    let attempts = Load::start(clients(), plan)?.finish();
    let tally = Tally::of(&attempts);
    println!("{tally}");
    println!("{} of them needed a retransmission of their SYN", tally.retransmitted(1));
    let end = flood.finish()?;
    transfers.wait_for_progress()?;

    let broken = transfers.stop();
    assert!(broken.is_empty(), "{} transfers broke: {}", broken.len(), broken[0]);
    assert!(tally.failed() * 1000 <= tally.made * LOST_OF_THOUSAND, "{tally}");
    assert_eq!(end.sent, count);
    let late = attempts.iter().filter(|attempt| attempt.began > end.at).count();
    assert_eq!(late, 0, "these connections were made after the flood");
    Ok(())
}

fn v4(address: SocketAddr) -> SocketAddrV4 {
    match address {
        SocketAddr::V4(address) => address,
        SocketAddr::V6(_) => unreachable!("the lab's frontends are IPv4"),
    }
}
