//! Load, transfers and idle connections notice what happens to them, and say so.

mod support;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use lb_lab::echo::Echo;
use lb_lab::idle::{EndKind, Idle};
use lb_lab::load::{Load, Plan, Tally};
use lb_lab::transfers::{self, Transfers};
use lb_lab::{HaProxy, Host, Lab, Nginx, Result, Topology, wait};
use support::lab;

const PORT: u16 = 6443;
const TOPOLOGY: Topology = Topology::DEFAULT;
/// Connections a second.
const RATE: u32 = 200;

fn at(host: &Host) -> SocketAddr {
    SocketAddr::new(host.address().into(), PORT)
}

#[test]
fn load_keeps_its_pace_and_counts_every_answer() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let _nginx = Nginx::start(&lab.servers[0], PORT)?;
    let tally = Load::run(lab.clients(), Plan::new(at(&lab.servers[0]), RATE).connections(300))?;
    assert_eq!((tally.made, tally.failed(), tally.served["bettley"]), (300, 0, 300), "{tally}");
    assert_eq!(tally.retransmitted(1), 0, "{tally}");
    Ok(())
}

#[test]
fn load_tells_refused_connections_from_those_without_an_answer() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let plan = Plan::new(at(&lab.servers[0]), RATE).connections(50);
    let refused = Load::run(lab.clients(), plan)?;
    assert_eq!(refused.not_connected[&io::ErrorKind::ConnectionRefused], 50, "{refused}");

    let _silent = Echo::start(&lab.servers[0], PORT)?;
    let not_http = Load::run(lab.clients(), plan.patience(Duration::from_secs(2)))?;
    assert_eq!((not_http.not_answered.values().sum(), not_http.failed()), (50_u64, 50), "{not_http}");
    Ok(())
}

#[test]
fn load_goes_on_and_counts_retransmissions_while_nobody_answers() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let nobody = SocketAddr::new([198, 18, 0, 99].into(), PORT);
    let resolved = ["neighbour", "add", "198.18.0.99", "lladdr", "02:00:00:00:00:63", "dev", "eth0"];
    lab.lan_clients[0].run("ip", &resolved)?;
    let plan = Plan::new(nobody, RATE).patience(Duration::from_secs(4));
    let load = Load::start(&lab.lan_clients[..1], plan)?;
    load.wait_for(50)?;
    let tally = Tally::of(&load.stop());
    assert_eq!(tally.not_connected[&io::ErrorKind::TimedOut], tally.made, "{tally}");
    assert_eq!(tally.retransmitted(1), tally.made, "{tally}");
    Ok(())
}

#[test]
fn transfers_go_on_until_one_is_broken() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let echo = Echo::start(&lab.servers[0], PORT)?;
    let plan = transfers::Plan::new(at(&lab.servers[0]), 20);
    let going_on = Transfers::start(lab.clients(), plan)?;
    going_on.wait_for_progress()?;
    assert!(going_on.bytes() >= 2 * 20 * plan.chunk as u64);
    assert!(going_on.stop().is_empty());

    let broken = Transfers::start(lab.clients(), plan)?;
    drop(echo);
    wait::until("all to break", || (broken.broken().len() == 20).then_some(()))?;
    assert!(broken.wait_for_progress().is_err());
    Ok(())
}

#[test]
fn an_idle_client_notices_the_end_and_says_which() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let nginx = Nginx::start(&lab.servers[0], PORT)?;
    let idle = Idle::open_many(&lab.lan_clients[0], at(&lab.servers[0]), 3)?;
    assert!(idle.iter().all(|idle| idle.server() == "bettley" && idle.end().is_none()));
    // As the kernel answers for a program that has vanished.
    let port = idle[0].client().port().to_string();
    lab.servers[0].run("ss", &["--kill", "state", "established", "dport", "=", &port])?;
    assert_eq!(idle[0].wait_for_end()?.kind, EndKind::Reset);
    assert!(idle[1].end().is_none());
    nginx.stop()?;
    assert_eq!(idle[1].wait_for_end()?.kind, EndKind::Closed);
    Ok(())
}

#[test]
fn haproxy_stands_in_front_of_servers_and_tells_when_one_is_down() -> Result<()> {
    let lab = lab(TOPOLOGY);
    let nginx = Nginx::start(&lab.servers[0], PORT)?;
    let frontend = at(&lab.balancer);
    let haproxy = HaProxy::start(&lab.balancer, &haproxy_configuration(&lab), frontend)?;
    let tally = Load::run(lab.clients(), Plan::new(frontend, RATE).connections(60))?;
    assert_eq!(tally.served["bettley"], 60, "{tally}");
    nginx.stop()?;
    haproxy.log().wait_for_line(&["web/bettley", "is DOWN"])?;
    haproxy.stop()
}

fn haproxy_configuration(lab: &Lab) -> String {
    format!(
        "global
           log stderr format raw local0 notice
         defaults
           mode tcp
           log global
           timeout connect 10s
           timeout client 1h
           timeout server 1h
         listen web
           bind {}
           server bettley {} check inter 200ms
        ",
        at(&lab.balancer),
        at(&lab.servers[0])
    )
}
