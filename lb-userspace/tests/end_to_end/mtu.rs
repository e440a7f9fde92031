//! Segments fit all links on their way: errors tell their sender of a narrow one, and nobody is
//! asked for more than the balancer's own interface carries.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::thread;

use lb_lab::config::Config;
use lb_lab::echo::{Client, Echo};
use lb_lab::{Host, Lab, Result, Topology, Xlb, size, wait};

use crate::stage::{ECHO, ECHO_PORT, Stage, config, lab, xlb};

/// A link behind the router that is narrower than either end knows. An MSS of 1,360 fits it.
const NARROW: Topology =
    Topology { lan_clients: 1, routed_clients: 3, narrow_link: Some(1400), ..Topology::DEFAULT };
/// Servers and clients with large frames, on both sides of a balancer without.
const JUMBO: Topology = Topology { lan_mtu: 9000, ..Topology::DEFAULT };

/// How often in a row an end sends the same again, each time after twice as long, until a transfer is
/// given up. It has had no answer in all the time.
const HOPELESS: u32 = 4;

/// What became of a transfer.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Complete,
    Stuck,
}

#[test]
fn a_narrow_link_is_crossed_in_native_mode() -> Result<()> {
    a_narrow_link_is_crossed("native")
}

#[test]
fn a_narrow_link_is_crossed_in_generic_mode() -> Result<()> {
    a_narrow_link_is_crossed("generic")
}

#[test]
fn a_narrow_link_is_crossed_in_tc() -> Result<()> {
    a_narrow_link_is_crossed("tc")
}

fn a_narrow_link_is_crossed(mode: &str) -> Result<()> {
    let lab = lab(NARROW);
    let (config, xlb) = (config(&lab, mode), xlb(&lab));
    let stage = Stage::set_with(lab, &config, &xlb)?;
    // Each server gets one connection. A client's second would announce what its first one has learned
    // of the link, and so keep it from the server.
    for client in &stage.lab.routed_clients {
        assert_eq!(transfer(&stage.lab, client)?, Outcome::Complete, "{client}");
    }
    for server in &stage.lab.servers {
        let route = server.run("ip", &["route", "get", &stage.lab.balancer.address().to_string()])?;
        assert!(route.contains("mtu 1400"), "{server}: {route}");
    }
    let reasons = xlb.stats()?.reasons;
    assert!(reasons["icmp_to_server"] >= 3, "{reasons:?}");
    assert_eq!(reasons["implausible_icmp"], 0, "{reasons:?}");
    Ok(())
}

#[test]
fn a_narrow_link_is_a_black_hole_without_icmp_translation() -> Result<()> {
    let lab = lab(NARROW);
    let config = config(&lab, "native");
    let without_icmp = Xlb::new(env!("CARGO_BIN_EXE_xlb-without-icmp"), &lab.balancer);
    let stage = Stage::set_with(lab, &config, &without_icmp)?;
    // It is the link, and nothing else.
    assert_eq!(transfer(&stage.lab, &stage.lab.lan_clients[0])?, Outcome::Complete);
    assert_eq!(transfer(&stage.lab, &stage.lab.routed_clients[0])?, Outcome::Stuck);
    let reasons = without_icmp.stats()?.reasons;
    assert!(reasons["other_icmp"] > 0 && reasons["icmp_to_server"] == 0, "{reasons:?}");
    Ok(())
}

#[test]
fn a_narrow_link_to_a_server_is_crossed() -> Result<()> {
    let lab = lab(NARROW);
    // The server is where clients are otherwise.
    let server = &lab.routed_clients[0];
    let _echo = Echo::start(server, ECHO_PORT)?;
    let mut config = Config::new("native").serve(ECHO, ECHO_PORT, &lab);
    let servers = &mut config.backend[0].server;
    servers.truncate(1);
    servers[0].address = format!("{}:{ECHO_PORT}", server.address());
    let xlb = xlb(&lab);
    let _balancer = xlb.start(&config.to_toml())?;
    for client in &lab.lan_clients {
        assert_eq!(transfer(&lab, client)?, Outcome::Complete, "{client}");
        let route = client.run("ip", &["route", "get", &lab.balancer.address().to_string()])?;
        assert!(route.contains("mtu 1400"), "{client}: {route}");
    }
    let reasons = xlb.stats()?.reasons;
    assert!(reasons["icmp_to_client"] > 0 && reasons["icmp_to_server"] == 0, "{reasons:?}");
    Ok(())
}

/// Bytes that go to a server and come back.
fn amount() -> usize {
    size::count(10_000_000, 200_000_000)
}

/// Sends bytes to a server and gets them back, or sees that one of them does not get rid of them.
fn transfer(lab: &Lab, client: &Host) -> Result<Outcome> {
    let frontend = SocketAddr::new(lab.balancer.address().into(), ECHO_PORT);
    let mut connection = client.inside(|| Client::open(frontend, 1)).expect("a SYN fits any link");
    let stream = connection.stream().expect("a socket can be had twice");
    thread::scope(|scope| {
        let exchange = scope.spawn(move || connection.exchange(amount()).and_then(|()| connection.finish()));
        let is_stuck = wait::until("the bytes to come back, or to be given up", || {
            if exchange.is_finished() {
                return Some(Ok(false));
            }
            is_hopeless(lab).map(|hopeless| hopeless.then_some(true)).transpose()
        })??;
        if is_stuck {
            // Ends the exchange, which would wait for longer.
            stream.shutdown(Shutdown::Both).expect("a connection can be ended");
        }
        let outcome: io::Result<()> = exchange.join().expect("a client does not panic");
        match outcome {
            Ok(()) => Ok(Outcome::Complete),
            Err(_) if is_stuck => Ok(Outcome::Stuck),
            Err(error) => panic!("{client}: {error}"),
        }
    })
}

/// Whether an end of a connection sends the same again and again.
fn is_hopeless(lab: &Lab) -> Result<bool> {
    let port = format!(":{ECHO_PORT}");
    let ends = ["(", "sport", "=", &port, "or", "dport", "=", &port, ")"];
    for host in lab.servers.iter().chain(lab.clients()) {
        let sockets = host.run("ss", &[&["-tinH", "state", "established"], &ends[..]].concat())?;
        let mut backoffs = sockets.split_whitespace().filter_map(|word| word.strip_prefix("backoff:"));
        if backoffs.any(|backoff| backoff.parse().is_ok_and(|times: u32| times >= HOPELESS)) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn large_frames_are_not_asked_for_in_native_mode() -> Result<()> {
    large_frames_are_not_asked_for("native")
}

#[test]
fn large_frames_are_not_asked_for_in_generic_mode() -> Result<()> {
    large_frames_are_not_asked_for("generic")
}

#[test]
fn large_frames_are_not_asked_for_in_tc() -> Result<()> {
    large_frames_are_not_asked_for("tc")
}

fn large_frames_are_not_asked_for(mode: &str) -> Result<()> {
    let stage = Stage::set(JUMBO, mode)?;
    for client in stage.lab.clients() {
        for _ in &stage.lab.servers {
            assert_eq!(transfer(&stage.lab, client)?, Outcome::Complete, "{client}");
        }
    }
    Ok(())
}
