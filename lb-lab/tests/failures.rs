//! Hosts fall silent, cables are pulled, and floods are sent, as they are meant to be.

mod support;

use std::net::{SocketAddr, SocketAddrV4};

use lb_lab::capture::Capture;
use lb_lab::failure::{self, Silence};
use lb_lab::flood::{self, Flood};
use lb_lab::http;
use lb_lab::idle::Idle;
use lb_lab::{Host, Lab, Nginx, Result, Topology, wait};
use support::lab;

const PORT: u16 = 6443;
const SYNS: u32 = 5_000;

fn server(lab: &Lab) -> SocketAddr {
    SocketAddr::new(lab.servers[0].address().into(), PORT)
}

/// What a host knows of another's hardware address, after it has looked for it again.
fn neighbour(from: &Host, to: &Host) -> Result<String> {
    let address = to.address().to_string();
    from.run("ip", &["neighbour", "flush", "to", &address])?;
    // Nobody listens there; the attempt is enough to look for the host.
    let _ = from.inside(|| std::net::UdpSocket::bind("0.0.0.0:0")?.send_to(&[0], (to.address(), 9)));
    wait::until("the neighbour", || {
        let known = from.run("ip", &["neighbour", "show", "to", &address]).ok()?;
        (known.contains("REACHABLE") || known.contains("FAILED")).then_some(known)
    })
}

#[test]
fn a_silent_host_is_still_found_and_recovers() -> Result<()> {
    let lab = lab(Topology::default());
    let (client, host) = (&lab.lan_clients[0], &lab.servers[0]);
    let _nginx = Nginx::start(host, PORT)?;
    let idle = Idle::open(client, server(&lab))?;
    let silence = Silence::begin(&lab, host)?;
    let attempt = client.inside(|| {
        std::net::TcpStream::connect_timeout(&server(&lab), std::time::Duration::from_millis(1500))
    });
    assert_eq!(attempt.map_err(|error| error.kind()).err(), Some(std::io::ErrorKind::TimedOut));
    assert!(neighbour(client, host)?.contains("REACHABLE"));
    drop(silence);
    assert_eq!(client.inside(|| http::fetch(server(&lab))).ok().as_deref(), Some("bettley"));
    assert_eq!(idle.end(), None);
    Ok(())
}

#[test]
fn an_unplugged_host_is_not_found_until_it_is_plugged_in() -> Result<()> {
    let lab = lab(Topology::default());
    let (client, host) = (&lab.lan_clients[0], &lab.servers[0]);
    let _nginx = Nginx::start(host, PORT)?;
    failure::unplug(&lab, host)?;
    assert!(neighbour(client, host)?.contains("FAILED"));
    assert!(host.run("ip", &["link", "show", "eth0"])?.contains("NO-CARRIER"));
    failure::plug_in(&lab, host)?;
    assert_eq!(client.inside(|| http::fetch(server(&lab))).ok().as_deref(), Some("bettley"));
    Ok(())
}

#[test]
fn a_killed_server_refuses() -> Result<()> {
    let lab = lab(Topology::default());
    Nginx::start(&lab.servers[0], PORT)?.kill()?;
    let refused = lab.lan_clients[0].inside(|| http::fetch(server(&lab)));
    assert_eq!(refused.map_err(|error| error.kind()).err(), Some(std::io::ErrorKind::ConnectionRefused));
    Ok(())
}

#[test]
fn a_flood_arrives_whole_and_ends_by_itself() -> Result<()> {
    let lab = lab(Topology::default());
    let targets = [6443, 7000].map(|port| SocketAddrV4::new(lab.balancer.address(), port)).to_vec();
    let capture = Capture::start(&lab.switch, &lab.balancer, "src net 198.19.0.0/16")?;
    let plan = flood::Plan { targets, mac: lab.balancer.mac(), count: SYNS, rate: 20_000 };
    assert_eq!(Flood::start(&lab.lan_clients[0], plan)?.finish()?.sent, SYNS);
    let frames = capture.stop()?;
    assert_eq!(frames.len() as u32, SYNS);
    assert!(frames.iter().all(|frame| frame.opens && frame.checksums_valid));
    assert!(frames.iter().all(|frame| frame.destination_mac == lab.balancer.mac()));
    Ok(())
}
