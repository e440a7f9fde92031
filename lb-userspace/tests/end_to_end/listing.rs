//! `xlb connections` lists the connections that clients have, whether or not an agent runs.

use std::collections::BTreeSet;

use lb_lab::http::Session;
use lb_lab::stats::Connection;
use lb_lab::{Host, Result, Topology, Xlb};

use crate::stage::{ECHO, Stage, WEB};

/// Connections that each client keeps open.
const HELD: usize = 5;

#[test]
fn open_connections_are_listed_with_and_without_an_agent() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    let mut sessions: Vec<_> = stage.lab.clients().flat_map(|client| open(&stage, client)).collect();

    assert_listed(&xlb, &mut sessions)?;
    agent.kill()?;
    assert_listed(&xlb, &mut sessions)
}

fn open(stage: &Stage, client: &Host) -> Vec<Session> {
    let open = || Session::open(stage.web()).expect("a connection is made");
    client.inside(|| (0..HELD).map(|_| open()).collect())
}

/// Asserts that each connection is listed once, with the server that really answers it.
fn assert_listed(xlb: &Xlb, sessions: &mut [Session]) -> Result<()> {
    let answers: Vec<_> =
        sessions.iter_mut().map(|session| session.ask().expect("a server answers")).collect();
    let listed = xlb.connections()?;
    for (session, answer) in sessions.iter().zip(answers) {
        let client = session.client().expect("a connection has an address");
        let rows: Vec<_> = listed.iter().filter(|connection| connection.client == client).collect();
        assert!(
            matches!(rows[..], [row] if row.server.ends_with(&answer) && row.frontend == WEB),
            "{client} is served by {answer}, but listed: {rows:?}"
        );
    }
    assert_filtered(xlb, &listed)
}

/// Which connections a filter is to leave.
type Wanted<'w> = &'w dyn Fn(&Connection) -> bool;

/// Asserts that each filter leaves those that it names, and only them.
fn assert_filtered(xlb: &Xlb, listed: &[Connection]) -> Result<()> {
    let listed: Vec<_> = listed.iter().filter(|connection| connection.state == "ESTAB").collect();
    let first = listed.first().expect("there are connections");
    let (endpoint, address) = (first.client.to_string(), first.client.ip().to_string());
    let filters: [(&[&str], Wanted); 7] = [
        (&["--client", &endpoint], &|connection| connection.client == first.client),
        (&["--client", &address], &|connection| connection.client.ip() == first.client.ip()),
        (&["--server", &first.server], &|connection| connection.server == first.server),
        (&["--frontend", WEB], &|connection| connection.frontend == WEB),
        (&["--frontend", ECHO], &|connection| connection.frontend == ECHO),
        (&["--server", "nobody"], &|_| false),
        (&["--server", &first.server, "--client", &address], &|connection| {
            connection.server == first.server && connection.client.ip() == first.client.ip()
        }),
    ];
    for (filter, wanted) in filters {
        let arguments = [&["--state", "estab"], filter].concat();
        let found = xlb.connections_where(&arguments)?;
        let found: BTreeSet<_> = found.iter().map(|connection| connection.client).collect();
        let expected = listed.iter().filter(|connection| wanted(connection));
        let expected: BTreeSet<_> = expected.map(|connection| connection.client).collect();
        assert_eq!(found, expected, "{arguments:?}");
    }
    Ok(())
}
