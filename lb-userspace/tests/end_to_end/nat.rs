//! Several NAT addresses carry more connections to one server than one address has ports.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use lb_lab::config::Config;
use lb_lab::idle::{EndKind, Idle};
use lb_lab::{Host, Lab, Result, Topology, wait};

use crate::stage::{Stage, WEB, WEB_PORT, lab, xlb};

/// Ports of each address.
const PORTS: u16 = 4;
const FIRST: u16 = 10_240;
/// The host number of the balancer's other address.
const OTHER: u8 = 20;

#[test]
fn two_addresses_carry_what_one_has_no_ports_for_in_native_mode() -> Result<()> {
    two_addresses_carry_what_one_has_no_ports_for("native")
}

#[test]
fn two_addresses_carry_what_one_has_no_ports_for_in_tc() -> Result<()> {
    two_addresses_carry_what_one_has_no_ports_for("tc")
}

fn two_addresses_carry_what_one_has_no_ports_for(mode: &str) -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, mode)?;
    let stage = Stage::set_in(lab, &config)?;
    let [server, others @ ..] = &stage.lab.servers;
    for other in others {
        stage.balancer().xlb.output(["server", &format!("{WEB}/{other}"), "drain"])?;
    }
    // All are served at once, by one server, and each was by the time it is here.
    let idle = Idle::open_many(&stage.lab.lan_clients[0], stage.web(), usize::from(2 * PORTS))?;
    assert!(idle.iter().all(|idle| idle.server() == server.name()), "{idle:?}");

    let all: BTreeSet<_> = nat_addresses(&stage.lab)
        .into_iter()
        .flat_map(|address| (FIRST..FIRST + PORTS).map(move |port| SocketAddr::new(address, port)))
        .collect();
    assert_eq!(peers(server)?, all, "as the server sees them");
    let listed = xlb(&stage.lab).connections()?;
    let listed: BTreeSet<_> =
        listed.iter().map(|listed| SocketAddr::new(listed.nat_address.into(), listed.nat_port)).collect();
    assert_eq!(listed, all, "as `xlb connections` shows them");
    assert!(idle.iter().all(|idle| idle.end().is_none()), "{idle:?}");

    // Both ends of each hear of the reset, the server by the address that it knows.
    stage.balancer().xlb.output(["server", &format!("{WEB}/{}", others[0]), "ready"])?;
    stage.balancer().xlb.output(["server", &format!("{WEB}/{server}"), "maint"])?;
    for idle in &idle {
        assert_eq!(idle.wait_for_end()?.kind, EndKind::Reset);
    }
    wait::until("the server to have heard of the resets", || {
        peers(server).map(|peers| peers.is_empty().then_some(())).transpose()
    })?
}

/// A configuration for all HTTP servers, with a few ports of two addresses.
fn config(lab: &Lab, mode: &str) -> Result<Config> {
    lab.balancer.add_address(OTHER)?;
    Ok(Config::new(mode).serve(WEB, WEB_PORT, lab).with(|config| {
        config.nat_ports = Some(format!("{FIRST}-{}", FIRST + PORTS - 1));
        config.nat_addresses = nat_addresses(lab).map(|address| address.to_string()).to_vec();
    }))
}

/// The balancer's own address and its other one.
fn nat_addresses(lab: &Lab) -> [IpAddr; 2] {
    let own = lab.balancer.address();
    let [a, b, c, _] = own.octets();
    [own.into(), Ipv4Addr::new(a, b, c, OTHER).into()]
}

/// Who a server's established connections from NAT ports are with; health checks come from other ports.
fn peers(server: &Host) -> Result<BTreeSet<SocketAddr>> {
    let listening = format!(":{WEB_PORT}");
    let sockets = server.run("ss", &["-Htn", "state", "established", "sport", "=", &listening])?;
    let peers = sockets.lines().filter_map(|line| line.split_whitespace().nth(3)?.parse().ok());
    // The server listens on an IPv6 socket for both.
    let peers = peers.map(|peer: SocketAddr| SocketAddr::new(peer.ip().to_canonical(), peer.port()));
    Ok(peers.filter(|peer| (FIRST..FIRST + PORTS).contains(&peer.port())).collect())
}
