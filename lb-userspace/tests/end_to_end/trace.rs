//! `xlb trace` follows packets, tells both sides of their rewrite, and ends with its tracer.

use std::net::SocketAddr;
use std::thread;

use lb_common::time::Tick;
use lb_lab::{Balancer, Error, Process, Result, Topology, Xlb, curl, wait};
use serde_json::Value;

use crate::stage::{Stage, in_maps, xlb};

/// Packets of a request at the least: both SYNs, the ACK, the request, the answer, both FINs.
const REQUEST: usize = 7;

fn start(xlb: &Xlb, arguments: &[&str]) -> Result<Process> {
    let tracer = Process::spawn(&mut xlb.command([&["trace"], arguments].concat()))?;
    tracer.log().wait_for("tracing; ")?;
    Ok(tracer)
}

/// Traces while requests are made, until there were enough packets.
fn traced(stage: &Stage, arguments: &[&str]) -> Result<Vec<Value>> {
    let xlb = xlb(&stage.lab);
    let arguments: Vec<String> =
        ["trace", "--json"].iter().chain(arguments).map(|&word| word.into()).collect();
    let tracing = thread::spawn(move || xlb.output(arguments));
    wait::until("enough packets", || {
        curl::fetch(&stage.lab.lan_clients[0], stage.web(), 1).ok()?;
        tracing.is_finished().then_some(())
    })?;
    let text = tracing.join().expect("it does not panic")?;
    let packet = |line| serde_json::from_str(line).map_err(|error| Error::malformed("`xlb trace`", &error));
    text.lines().map(packet).collect()
}

#[test]
fn both_sides_of_a_request_are_shown() -> Result<()> {
    for mode in ["native", "tc"] {
        let stage = Stage::set(Topology { routed_clients: 0, ..Topology::default() }, mode)?;
        let client = stage.lab.lan_clients[0].address().to_string();
        let packets = traced(&stage, &["--client", &client, "--count", "40"])?;
        assert_eq!(packets.len(), 40);
        let web = stage.web().to_string();
        let is = |packet: &Value, side: &str, end: &str, text: &str| {
            packet[side][end].as_str().is_some_and(|address| address.starts_with(text))
        };
        let to_server = packets.iter().filter(|packet| {
            is(packet, "came", "source", &client) && is(packet, "came", "destination", &web)
        });
        let to_client = packets.iter().filter(|packet| {
            is(packet, "left", "source", &web) && is(packet, "left", "destination", &client)
        });
        assert!(to_server.clone().count() >= REQUEST && to_client.clone().count() >= REQUEST, "{packets:?}");
        // One connection is at one server and in one slot, both ways.
        for packet in to_server {
            let client = &packet["came"]["source"];
            let same = to_client.clone().filter(|answer| answer["left"]["destination"] == *client);
            assert!(packet["verdict"] == "forwarded" && packet["slot"].is_u64(), "{packet}");
            assert!(same.clone().all(|answer| answer["slot"] == packet["slot"]), "{packet}");
            assert!(same.clone().all(|answer| answer["came"]["source"] == packet["left"]["destination"]));
        }
    }
    Ok(())
}

#[test]
fn a_capture_is_read_by_tcpdump_and_one_tracer_is_enough() -> Result<()> {
    let mut stage = Stage::set(Topology { routed_clients: 0, ..Topology::default() }, "native")?;
    let xlb = xlb(&stage.lab);
    let file = xlb.host().sandbox().file("trace.pcapng");
    let file = file.to_str().expect("a plain path");
    let tracer = start(&xlb, &["--pcap", file, "--frontend", "k8s-api-server"])?;
    let busy = xlb.output(["trace"]).expect_err("there is one");
    assert!(busy.to_string().contains(&format!("process {} is tracing already", tracer.id())), "{busy}");

    let client = &stage.lab.lan_clients[0];
    let server = curl::fetch(client, stage.web(), 1)?.remove(0);
    let _others = curl::fetch(client, stage.echo(), 1);
    tracer.stop()?;
    let read = client.run("tcpdump", &["-n", "-r", file])?;
    let host = stage.lab.servers.iter().find(|host| host.name() == server).expect("a server answered");
    let dotted = |address: SocketAddr| format!("{}.{}", address.ip(), address.port());
    let [web, server] = [stage.web(), SocketAddr::new(host.address().into(), stage.web().port())].map(dotted);
    for (from, to) in [
        (format!("IP {}.", client.address()), format!("> {web}: Flags [S]")),
        (format!("IP {}.", stage.lab.balancer.address()), format!("> {server}: Flags [S]")),
        (format!("IP {server} "), "Flags [S.]".to_owned()),
        (format!("IP {web} "), "Flags [S.]".to_owned()),
    ] {
        assert!(
            read.lines().any(|line| line.contains(&from) && line.contains(&to)),
            "{from}{to} in:\n{read}"
        );
    }
    assert!(!read.contains(&dotted(stage.echo())), "only what was wanted:\n{read}");

    a_killed_tracer_ends(&xlb, &stage)?;
    let agent: Balancer = stage.take_balancer();
    agent.kill()?;
    assert_eq!(traced(&stage, &["--count", "5", "--reason", "forwarded"])?.len(), 5, "without an agent too");
    Ok(())
}

/// Its lease runs out, and the next packet turns tracing off.
fn a_killed_tracer_ends(xlb: &Xlb, stage: &Stage) -> Result<()> {
    let until = || in_maps(xlb, |maps| maps.setup.trace_until());
    assert_eq!(until(), Tick(0), "the other has ended as it should");
    start(xlb, &[])?.kill()?;
    assert_ne!(until(), Tick(0));
    wait::until("tracing to end", || {
        curl::fetch(&stage.lab.lan_clients[0], stage.web(), 1).ok()?;
        (until() == Tick(0)).then_some(())
    })
}
