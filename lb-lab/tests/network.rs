//! The lab's network carries real traffic between its hosts, as a real one would.

mod support;

use std::net::SocketAddr;

use lb_lab::capture::Capture;
use lb_lab::curl;
use lb_lab::echo::{self, Echo};
use lb_lab::traffic::{Plan, Traffic};
use lb_lab::{Lab, Nginx, Result, Topology};
use support::lab;

const PORT: u16 = 6443;
const TRANSFER: usize = 50_000_000;

fn server(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.servers[0].address().into(), PORT)
}

#[test]
fn clients_of_both_networks_reach_a_server() -> Result<()> {
    let lab = lab(Topology { lan_clients: 2, routed_clients: 2, ..Topology::DEFAULT });
    let _nginx = Nginx::start(&lab.servers[0], PORT)?;
    for client in lab.clients() {
        assert_eq!(curl::fetch(client, server(&lab), 20)?, ["bettley"; 20]);
    }
    Ok(())
}

#[test]
fn ipv6_connects_the_hosts_of_the_lan() -> Result<()> {
    let lab = lab(Topology::default());
    let _nginx = Nginx::start(&lab.servers[0], PORT)?;
    let address = SocketAddr::new(lab.servers[0].address6().into(), PORT);
    assert_eq!(curl::fetch(&lab.balancer, address, 1)?, ["bettley"]);
    Ok(())
}

#[test]
fn frames_arrive_whole_and_with_valid_checksums() -> Result<()> {
    let lab = lab(Topology::default());
    let _echo = Echo::start(&lab.balancer, PORT)?;
    let address = SocketAddr::new(lab.balancer.address().into(), PORT);
    let capture = Capture::start(&lab.switch, &lab.balancer, "port 6443")?;
    for client in lab.clients() {
        client.inside(|| echo::transfer(address, 1_000_000, 1)).expect("the bytes come back");
    }
    let frames = capture.stop()?;
    assert!(frames.len() > 3 * 2 * 1_000_000 / 1460, "only {} frames", frames.len());
    assert!(frames.iter().all(|frame| frame.checksums_valid));

    let routed = lab.routed_clients[0].address();
    let mut to_routed = frames.iter().filter(|frame| *frame.destination.ip() == routed).peekable();
    assert!(to_routed.peek().is_some());
    assert!(to_routed.all(|frame| frame.destination_mac == lab.router.mac()));
    Ok(())
}

#[test]
fn a_narrow_link_tells_both_sides_its_mtu() -> Result<()> {
    let lab = lab(Topology { narrow_link: Some(1400), ..Topology::DEFAULT });
    let _echo = Echo::start(&lab.servers[0], PORT)?;
    let client = &lab.routed_clients[0];
    client.inside(|| echo::transfer(server(&lab), 1_000_000, 1)).expect("the bytes come back");
    for (host, peer) in [(client, &lab.servers[0]), (&lab.servers[0], client)] {
        let route = host.run("ip", &["route", "get", &peer.address().to_string()])?;
        assert!(route.contains("mtu 1400"), "{host}: {route}");
    }
    Ok(())
}

#[test]
fn hosts_of_the_lan_may_exchange_large_frames() -> Result<()> {
    let lab = lab(Topology { lan_mtu: 9000, ..Topology::DEFAULT });
    let address = lab.servers[0].address().to_string();
    let ping = ["-c", "1", "-M", "do", "-s", "8972", &address];
    assert!(lab.lan_clients[0].run("ping", &ping)?.contains("1 received"));
    assert!(lab.balancer.run("ping", &ping).is_err(), "the balancer's MTU is that of Ethernet");
    Ok(())
}

#[test]
fn large_transfers_come_back_byte_for_byte() -> Result<()> {
    let lab = lab(Topology::default());
    let _echo = Echo::start(&lab.servers[0], PORT)?;
    let client = &lab.routed_clients[0];
    client.inside(|| echo::transfer(server(&lab), TRANSFER, 7)).expect("the bytes come back");
    Ok(())
}

#[test]
fn traffic_counts_answers_and_failures() -> Result<()> {
    let lab = lab(Topology::default());
    let nginx = Nginx::start(&lab.servers[0], PORT)?;
    let plan = Plan { target: server(&lab), interval: std::time::Duration::from_millis(5), held: 1 };
    let traffic = Traffic::start(lab.clients(), plan);
    lb_lab::wait::until("a hundred answers", || {
        (*traffic.tally().served.get("bettley")? > 100).then_some(())
    })?;
    assert_eq!(traffic.tally().failures, 0);
    nginx.stop()?;
    lb_lab::wait::until("failures", || (traffic.tally().failures > 0).then_some(()))?;
    assert_eq!(traffic.stop().served.len(), 1);
    Ok(())
}
