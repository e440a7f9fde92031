//! From HAProxy to the kernel and back, on one address, while connections come and go.

use std::net::SocketAddr;
use std::thread;

use lb_lab::http::Session;
use lb_lab::load::{self, Load};
use lb_lab::{HaProxy, Lab, Process, Result, Topology, Xlb, size, wait};
use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGTERM};
use xlb::dataplane::pins::Pins;

use crate::stage::{Stage, WEB, WEB_PORT, config, lab, web};

/// Connections through HAProxy that stay open all the time.
const HELD: usize = 50;
/// New connections in each phase.
const IN_BETWEEN: u64 = 60;

#[test]
fn haproxy_and_the_kernel_hand_over_without_a_failure() -> Result<()> {
    let lab = lab(Topology { lan_clients: 2, routed_clients: 1, ..Topology::DEFAULT });
    let servers = Stage::servers(&lab)?;
    let _haproxy = HaProxy::start(&lab.balancer, &haproxy(&lab), web(&lab))?;
    let mut through_haproxy = open(&lab, HELD);
    let load = Load::start(lab.clients(), load::Plan::new(web(&lab), size::count(100, 500)))?;
    load.wait_for(IN_BETWEEN)?;

    let xlb = crate::stage::xlb(&lab);
    let _agent = xlb.start(&config(&lab, "native").to_toml())?;
    load.wait_for(IN_BETWEEN)?;
    let through_kernel = connections(&xlb)?;
    assert!(through_kernel >= IN_BETWEEN / 2, "{through_kernel} connections through the kernel");
    all_go_on(&mut through_haproxy);
    let mut last = open(&lab, 1);

    // It waits for the one that is open, and meanwhile lets HAProxy have the new ones.
    let detaching = {
        let xlb = xlb.clone();
        thread::spawn(move || xlb.output(["detach", "--drain", "60s"]))
    };
    wait::until("new connections to pass to the host", || {
        xlb.stats().map(|stats| (stats.reasons["draining"] > 0).then_some(())).transpose()
    })??;
    load.wait_for(IN_BETWEEN)?;
    all_go_on(&mut last);
    assert!(!detaching.is_finished(), "detached under an open connection");
    drop(last);
    let said = detaching.join().expect("the caller of xlb does not panic")?;
    assert!(said.starts_with("detached") && !said.contains("cut"), "{said}");

    load.wait_for(IN_BETWEEN)?;
    all_go_on(&mut through_haproxy);
    let tally = load::Tally::of(&load.stop());
    println!("{tally}");
    assert_eq!(tally.failed(), 0, "{tally}");
    assert!(xlb.stats().is_err(), "there is no data plane any more");
    drop(servers);
    Ok(())
}

#[test]
fn an_open_connection_is_cut_when_its_time_is_over() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let stage = Stage::set_in(lab, &config)?;
    let mut open = open(&stage.lab, 1);
    all_go_on(&mut open);
    let said = crate::stage::xlb(&stage.lab).output(["detach", "--now"])?;
    assert!(said.contains("1 open connections were cut"), "{said}");
    open[0].ask().expect_err("it was cut");
    Ok(())
}

#[test]
fn a_detach_that_is_interrupted_or_fails_lets_new_connections_in_again() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let xlb = crate::stage::xlb(&stage.lab);
    let mut held = open(&stage.lab, 1);
    for (signal, name) in [(SIGINT, "SIGINT"), (SIGTERM, "SIGTERM"), (SIGHUP, "SIGHUP")] {
        let mut detaching = Process::spawn(&mut xlb.command(["detach", "--drain", "1d"]))?;
        let refused = || stage.lab.lan_clients[0].inside(|| Session::open(stage.web())).err();
        wait::until("new connections to pass to the host", refused)?;
        detaching.signal(signal)?;
        detaching.log().wait_for(&format!("{name}: nothing was taken down"))?;
        wait::until("the end of detach", || (!detaching.is_running()).then_some(()))?;
        open(&stage.lab, 1);
    }

    // Without its agent, somebody else may hold the pins.
    stage.take_balancer().kill()?;
    let pins = Pins::new(xlb.pins());
    let _claim = stage.lab.balancer.sandbox().inside(|| pins.claim().expect("the agent is gone"));
    let failed = xlb.output(["detach", "--now"]).expect_err("the pins are held").to_string();
    assert!(failed.contains("has an agent already"), "{failed}");
    open(&stage.lab, 1);
    all_go_on(&mut held);
    Ok(())
}

fn open(lab: &Lab, count: usize) -> Vec<Session> {
    let clients = lab.clients().cycle().take(count);
    let open = |client: &lb_lab::Host| client.inside(|| Session::open(web(lab)));
    let mut sessions: Vec<_> = clients.map(|client| open(client).expect("a connection is made")).collect();
    all_go_on(&mut sessions);
    sessions
}

fn all_go_on(sessions: &mut [Session]) {
    for session in sessions {
        session.ask().expect("an open connection goes on");
    }
}

fn connections(xlb: &Xlb) -> Result<u64> {
    let stats = xlb.stats()?;
    let found = stats.frontends.iter().find(|found| found.name == WEB);
    Ok(found.map_or(0, |frontend| frontend.connections))
}

/// HAProxy on the balancer's address, with the same servers.
fn haproxy(lab: &Lab) -> String {
    let server = |host: &lb_lab::Host| {
        let address = SocketAddr::new(host.address().into(), WEB_PORT);
        format!("    server {host} {address} check\n")
    };
    let servers: String = lab.servers.iter().map(server).collect();
    let bind = web(lab);
    format!(
        "defaults
    mode tcp
    timeout connect 10s
    timeout client 1d
    timeout server 1d
frontend k8s
    bind {bind}
    default_backend k8s
backend k8s
{servers}"
    )
}
