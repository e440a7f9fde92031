//! What is not for a frontend passes the balancer's host untouched.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::thread;

use lb_lab::echo::{self, Echo};
use lb_lab::http::Session;
use lb_lab::wait::PATIENCE;
use lb_lab::{Host, Lab, Nginx, Result, Topology, curl};

use crate::stage::{EQUAL, Stage, WEB_PORT, assert_shares, config, lab, web, xlb};

/// A port of the host's that is no frontend's.
const SSH_PORT: u16 = 22;
/// Bytes over a TCP connection to the host.
const TRANSFER: usize = 1_000_000;
/// A datagram that is sent in fragments.
const FRAGMENTED: usize = 3_000;
/// Connections from the host to each server.
const CONNECTIONS: usize = 100;

#[test]
fn other_traffic_is_untouched_in_native_mode() -> Result<()> {
    other_traffic_is_untouched("native")
}

#[test]
fn other_traffic_is_untouched_in_generic_mode() -> Result<()> {
    other_traffic_is_untouched("generic")
}

#[test]
fn other_traffic_is_untouched_in_tc() -> Result<()> {
    other_traffic_is_untouched("tc")
}

fn other_traffic_is_untouched(mode: &str) -> Result<()> {
    let lab = lab(Topology::default());
    // A proxy that served the address before, and goes on with the connections that it has.
    let _predecessor = Nginx::start(&lab.balancer, WEB_PORT)?;
    let mut old = lab.lan_clients[0].inside(|| Session::open(web(&lab))).expect("a connection is made");
    let config = config(&lab, mode);
    let stage = Stage::set_in(lab, &config)?;
    let lab = &stage.lab;

    assert_eq!(old.ask().expect("an old connection goes on"), "allyrion");
    tcp_reaches_the_host(lab)?;
    for client in lab.clients() {
        datagrams_reach_the_host(client, &lab.balancer);
        pings_are_answered(client, &lab.balancer.address().to_string(), "-4")?;
    }
    addresses_are_resolved(&lab.lan_clients[0], &lab.balancer)?;
    addresses_are_resolved(&lab.balancer, &lab.lan_clients[1])?;
    ipv6_reaches_the_host(&lab.lan_clients[0], &lab.balancer)?;
    the_host_reaches_the_servers(&stage)?;
    assert_eq!(old.ask().expect("an old connection goes on"), "allyrion");
    Ok(())
}

/// TCP to a port that is no frontend's, as to the host's sshd.
fn tcp_reaches_the_host(lab: &Lab) -> Result<()> {
    let _sshd = Echo::start(&lab.balancer, SSH_PORT)?;
    let address = SocketAddr::new(lab.balancer.address().into(), SSH_PORT);
    for client in lab.clients() {
        client.inside(|| echo::transfer(address, TRANSFER, 1)).expect("the bytes come back");
    }
    Ok(())
}

/// UDP to the number of a frontend's port, whole and in fragments, there and back.
fn datagrams_reach_the_host(client: &Host, host: &Host) {
    let bind = |host: &Host, port: u16| {
        let socket =
            host.inside(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))).expect("a socket is made");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        socket
    };
    let (asking, answering) = (bind(client, 0), bind(host, WEB_PORT));
    for length in [1, FRAGMENTED] {
        let (sent, mut received) = (vec![7; length], vec![0; FRAGMENTED + 1]);
        asking.send_to(&sent, (host.address(), WEB_PORT)).expect("a datagram is sent");
        let (there, from) = answering.recv_from(&mut received).expect("a datagram arrives");
        answering.send_to(&received[..there], from).expect("a datagram is sent");
        let back = asking.recv(&mut received).expect("a datagram comes back");
        assert_eq!(received[..back], sent);
    }
}

/// ICMP echo, in fragments.
fn pings_are_answered(client: &Host, address: &str, family: &str) -> Result<()> {
    let size = FRAGMENTED.to_string();
    let output = client.run("ping", &[family, "-c", "3", "-i", "0.1", "-s", &size, address])?;
    assert!(output.contains("3 received"), "{client}: {output}");
    Ok(())
}

/// ARP, after forgetting what is known.
fn addresses_are_resolved(from: &Host, to: &Host) -> Result<()> {
    let address = to.address().to_string();
    from.run("ip", &["neighbour", "flush", "to", &address])?;
    pings_are_answered(from, &address, "-4")?;
    let known = from.run("ip", &["neighbour", "show", "to", &address])?;
    assert!(known.contains(&to.mac().to_string()), "{known}");
    Ok(())
}

/// ICMP and TCP over IPv6, also to the number of a frontend's port.
fn ipv6_reaches_the_host(client: &Host, host: &Host) -> Result<()> {
    pings_are_answered(client, &host.address6().to_string(), "-6")?;
    let names = curl::fetch(client, SocketAddr::new(host.address6().into(), WEB_PORT), 10)?;
    assert_eq!(names, ["allyrion"; 10]);
    Ok(())
}

/// Connections from the host itself to the servers' ports, while clients connect through it.
fn the_host_reaches_the_servers(stage: &Stage) -> Result<()> {
    let counted = frontend_connections(stage)?;
    thread::scope(|scope| {
        let clients = scope.spawn(|| curl::fetch(&stage.lab.routed_clients[0], stage.web(), CONNECTIONS));
        for server in &stage.lab.servers {
            let address = SocketAddr::new(server.address().into(), WEB_PORT);
            assert_eq!(curl::fetch(&stage.lab.balancer, address, CONNECTIONS)?, [server.name(); CONNECTIONS]);
        }
        let answers = clients.join().expect("curl's caller does not panic")?;
        assert_shares(&curl::tally(answers), &EQUAL);
        assert_eq!(frontend_connections(stage)?, counted + CONNECTIONS as u64);
        Ok(())
    })
}

fn frontend_connections(stage: &Stage) -> Result<u64> {
    Ok(xlb(&stage.lab).stats()?.frontends.iter().map(|frontend| frontend.connections).sum())
}
