//! A server dies that very many idle clients hang on, and nobody knows where they are any more: all are
//! told.

use lb_lab::failure::Silence;
use lb_lab::idle::{EndKind, Idle};
use lb_lab::{Result, Topology};

use crate::stage::{Stage, config, lab};

/// Far more than what may wait for one neighbour, a few hundred. One size for CI and in full: it takes seconds.
const IDLE: usize = 1000;
/// Nearly all of them are on the first server.
const WEIGHTS: [u16; 3] = [98, 1, 1];
const DEAD: &str = "bettley";

#[test]
fn a_thousand_idle_clients_without_a_neighbour_entry_are_all_reset() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native").weights(&WEIGHTS);
    let stage = Stage::set_in(lab, &config)?;
    let (client, balancer) = (&stage.lab.lan_clients[0], &stage.lab.balancer);
    let idle = Idle::open_many(client, stage.web(), IDLE)?;
    let (on_dead, on_others): (Vec<_>, _) = idle.iter().partition(|idle| idle.server() == DEAD);
    assert_eq!(on_dead.len(), IDLE * 98 / 100);

    // The client answers nobody who asks for it, and the balancer does not give up asking.
    client.sysctl("net/ipv4/conf/all/arp_ignore", "8")?;
    balancer.sysctl("net/ipv4/neigh/eth0/mcast_solicit", "60")?;
    balancer.run("ip", &["neighbour", "flush", "to", &client.address().to_string()])?;
    let _silence = Silence::begin(&stage.lab, &stage.lab.servers[0])?;
    stage.balancer().log().wait_for(&format!("{} connections reset", on_dead.len()))?;
    assert!(on_dead.iter().all(|idle| idle.end().is_none()), "the client can be found");

    client.sysctl("net/ipv4/conf/all/arp_ignore", "0")?;
    for idle in on_dead {
        assert_eq!(idle.wait_for_end()?.kind, EndKind::Reset, "{idle:?}");
    }
    for idle in on_others {
        assert_eq!(idle.end(), None, "{idle:?}");
    }
    Ok(())
}
