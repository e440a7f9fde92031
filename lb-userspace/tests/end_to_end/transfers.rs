//! Connections are balanced evenly and arrive whole, from the LAN and from behind a router.

use std::net::IpAddr;
use std::thread;

use lb_lab::capture::{Capture, Frame};
use lb_lab::curl::{self, Answers};
use lb_lab::host::Mac;
use lb_lab::{Host, Lab, Result, Topology, echo, size};

use crate::stage::{EQUAL, Stage, assert_shares};

const TOPOLOGY: Topology = Topology { lan_clients: 4, routed_clients: 2, ..Topology::DEFAULT };
const TRANSFERS: usize = 4;
/// As much of a transfer as is captured.
const SAMPLE: usize = 500_000;

fn connections_per_client() -> usize {
    size::or_less(500)
}

/// Bytes of each transfer.
fn transfer() -> usize {
    size::or_less(50_000_000)
}

#[test]
fn connections_are_balanced_and_whole_in_native_mode() -> Result<()> {
    connections_are_balanced_and_whole("native")
}

#[test]
fn connections_are_balanced_and_whole_in_generic_mode() -> Result<()> {
    connections_are_balanced_and_whole("generic")
}

#[test]
fn connections_are_balanced_and_whole_in_tc() -> Result<()> {
    connections_are_balanced_and_whole("tc")
}

fn connections_are_balanced_and_whole(mode: &str) -> Result<()> {
    let stage = Stage::set(TOPOLOGY, mode)?;
    let capture = Capture::start(&stage.lab.switch, &stage.lab.balancer, "port 6443 or port 7000")?;
    let answers = fetch_from_everywhere(&stage)?;
    transfer_at_once(&stage, stage.lab.clients(), SAMPLE);
    let frames = capture.stop()?;

    assert_eq!(answers.values().sum::<usize>(), stage.lab.clients().count() * connections_per_client());
    assert_shares(&answers, &EQUAL);
    assert_counted(&stage, &answers)?;
    assert_addressed(&stage.lab, &frames);

    // Two clients of the LAN and both routed ones.
    transfer_at_once(&stage, stage.lab.clients().skip(2).take(TRANSFERS), transfer());
    Ok(())
}

/// Makes many short connections from all clients at once.
fn fetch_from_everywhere(stage: &Stage) -> Result<Answers> {
    let fetch = |client| curl::fetch(client, stage.web(), connections_per_client());
    let names: Result<Vec<_>> = thread::scope(|scope| {
        let clients: Vec<_> = stage.lab.clients().map(|client| scope.spawn(move || fetch(client))).collect();
        clients.into_iter().map(|client| client.join().expect("curl's caller does not panic")).collect()
    });
    Ok(curl::tally(names?.into_iter().flatten()))
}

/// Sends as many bytes from each client at once, and gets them back.
fn transfer_at_once<'a>(stage: &Stage, clients: impl Iterator<Item = &'a Host>, length: usize) {
    thread::scope(|scope| {
        for (client, seed) in clients.zip(1..) {
            scope.spawn(move || {
                let transfer = client.inside(|| echo::transfer(stage.echo(), length, seed));
                transfer.unwrap_or_else(|error| panic!("{client} did not get its bytes back: {error}"));
            });
        }
    });
}

/// Asserts that the balancer counted the same connections as the clients.
fn assert_counted(stage: &Stage, answers: &Answers) -> Result<()> {
    for (name, connections) in answers {
        let server = stage.server(name)?;
        assert_eq!(server.connections, *connections as u64, "{server:?}");
        assert_eq!(server.established, *connections as u64, "{server:?}");
    }
    Ok(())
}

/// Asserts that every frame is correct, and goes to where its address belongs.
fn assert_addressed(lab: &Lab, frames: &[Frame]) {
    let wrong: Vec<_> = frames.iter().filter(|frame| !frame.checksums_valid).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} frames have wrong checksums: {:?}",
        wrong.len(),
        frames.len(),
        wrong[0]
    );

    let sent: Vec<_> = frames.iter().filter(|frame| frame.source_mac == lab.balancer.mac()).collect();
    for host in lab.clients().chain(&lab.servers) {
        let mut received = sent.iter().filter(|frame| *frame.destination.ip() == host.address()).peekable();
        assert!(received.peek().is_some(), "no frame for {host}");
        for frame in received {
            assert_eq!(frame.destination_mac, next_hop(lab, host), "for {host}: {frame:?}");
            assert_eq!(IpAddr::V4(*frame.source.ip()), lab.balancer.address(), "for {host}: {frame:?}");
        }
    }
}

/// Whose hardware address a frame for a host carries on the LAN.
fn next_hop(lab: &Lab, host: &Host) -> Mac {
    let is_routed = lab.routed_clients.iter().any(|client| client.name() == host.name());
    if is_routed { lab.router.mac() } else { host.mac() }
}
