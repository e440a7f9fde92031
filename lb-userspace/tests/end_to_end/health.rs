//! A server that stops gets no connections until it is back, and the others' go on.

use lb_lab::curl;
use lb_lab::http::Session;
use lb_lab::{Nginx, Result, Topology, wait};

use crate::stage::{EQUAL, Stage, WEB_PORT, assert_shares};

/// Connections that stay open all the time: ten a server.
const HELD: usize = 30;
/// Connections in each phase of a server's failure.
const CONNECTIONS: usize = 60;

#[test]
fn a_stopped_server_gets_nothing_until_it_is_back() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let client = stage.lab.routed_clients[0].clone();
    let mut others = held_elsewhere(&stage, "bettley");

    stage.web[0].take().expect("it was started").stop()?;
    wait_for(&stage, "DOWN", &mut others)?;
    let before = stage.server("bettley")?.connections;
    let answers = curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL[1..]);
    assert_eq!(stage.server("bettley")?.connections, before);

    stage.web[0] = Some(Nginx::start(&stage.lab.servers[0], WEB_PORT)?);
    wait_for(&stage, "UP", &mut others)?;
    let answers = curl::tally(curl::fetch(&client, stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    Ok(())
}

/// Opens connections, and keeps those that are not served by `server`.
fn held_elsewhere(stage: &Stage, server: &str) -> Vec<(Session, String)> {
    let open = || {
        let mut session = Session::open(stage.web()).expect("a connection is made");
        let name = session.ask().expect("a server answers");
        (session, name)
    };
    let held: Vec<_> = stage.lab.lan_clients[0].inside(|| (0..HELD).map(|_| open()).collect());
    held.into_iter().filter(|(_, name)| name != server).collect()
}

/// Waits until a server is in this state, while the connections of the others are in use.
fn wait_for(stage: &Stage, health: &str, others: &mut [(Session, String)]) -> Result<()> {
    wait::until(&format!("bettley to be {health}"), || {
        for (session, name) in &mut *others {
            assert_eq!(session.ask().expect("a held connection goes on"), *name);
        }
        let is_there = stage.server("bettley").map(|server| server.state == health);
        is_there.map(|there| there.then_some(())).transpose()
    })?
}
