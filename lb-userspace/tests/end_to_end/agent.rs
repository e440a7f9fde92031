//! The agent may die without harm, and when it ends in order it leaves nothing behind.

use std::io;
use std::sync::Barrier;
use std::thread;

use lb_lab::echo::Client;
use lb_lab::{Host, Lab, Result, Topology, curl};

use crate::stage::{EQUAL, Stage, assert_shares, config, lab};

/// Connections that transfer when the agent is killed.
const TRANSFERS: usize = 200;
/// How much each has sent before the kill at least, and how much it sends from then on.
const BEFORE: usize = 100_000;
const AFTER: usize = 500_000;
/// New connections after an event.
const CONNECTIONS: usize = 60;
/// Exit code for an environment that the agent cannot work in.
const WRONG_ENVIRONMENT: i32 = 3;

#[test]
fn connections_go_on_when_the_agent_is_killed() -> Result<()> {
    let mut stage = Stage::set(Topology::default(), "native")?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    let halfway = Barrier::new(TRANSFERS + 1);
    let failures: Vec<_> = thread::scope(|scope| {
        let start = |(seed, client)| {
            let (stage, halfway) = (&stage, &halfway);
            scope.spawn(move || transfer(stage, client, seed, halfway))
        };
        let transfers: Vec<_> = (0..).zip(stage.lab.clients().cycle()).take(TRANSFERS).map(start).collect();
        halfway.wait();
        agent.kill()?;
        let ends = transfers.into_iter().map(|transfer| transfer.join().expect("a client does not panic"));
        Ok(ends.filter_map(io::Result::err).collect())
    })?;
    assert!(failures.is_empty(), "{} of {TRANSFERS} failed: {:?}", failures.len(), failures[0]);

    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    let counted: u64 = xlb.stats()?.frontends.iter().map(|frontend| frontend.connections).sum();
    assert_eq!(counted, (TRANSFERS + CONNECTIONS) as u64);
    Ok(())
}

/// Transfers in two parts, with all others at the halfway mark in between.
fn transfer(stage: &Stage, client: &Host, seed: u64, halfway: &Barrier) -> io::Result<()> {
    let first_part = begin(stage, client, seed);
    // The others wait for this one, whatever became of it.
    halfway.wait();
    let mut connection = first_part?;
    connection.exchange(AFTER)?;
    connection.finish()
}

fn begin(stage: &Stage, client: &Host, seed: u64) -> io::Result<Client> {
    let mut connection = client.inside(|| Client::open(stage.echo(), seed))?;
    connection.exchange(BEFORE)?;
    Ok(connection)
}

#[test]
fn leftovers_of_a_killed_agent_are_refused_and_can_be_detached() -> Result<()> {
    let lab = lab(Topology::default());
    let config = config(&lab, "native");
    let mut stage = Stage::set_in(lab, &config)?;
    let agent = stage.take_balancer();
    let xlb = agent.xlb.clone();
    agent.kill()?;

    let refused = xlb.agent(&config.to_toml())?.output().expect("xlb can be started");
    assert_eq!(refused.status.code(), Some(WRONG_ENVIRONMENT));
    let message = String::from_utf8_lossy(&refused.stderr);
    assert!(message.contains("xlb detach"), "{message}");
    assert!(has_traces(&stage.lab)?, "a refused agent changes nothing");

    xlb.output(["detach"])?;
    assert!(!has_traces(&stage.lab)?);
    let _balancer = xlb.start(&config.to_toml())?;
    let answers = curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?);
    assert_shares(&answers, &EQUAL);
    Ok(())
}

#[test]
fn an_agent_that_is_asked_to_end_leaves_nothing_in_native_mode() -> Result<()> {
    an_agent_that_is_asked_to_end_leaves_nothing("native")
}

#[test]
fn an_agent_that_is_asked_to_end_leaves_nothing_in_generic_mode() -> Result<()> {
    an_agent_that_is_asked_to_end_leaves_nothing("generic")
}

fn an_agent_that_is_asked_to_end_leaves_nothing(mode: &str) -> Result<()> {
    let mut stage = Stage::set(Topology::default(), mode)?;
    assert!(has_traces(&stage.lab)?);
    let status = stage.take_balancer().stop()?;
    assert!(status.success(), "{status}");
    assert!(!has_traces(&stage.lab)?);
    Ok(())
}

/// Whether there is anything of the product on the balancer: a program, a pin, a neighbour.
fn has_traces(lab: &Lab) -> Result<bool> {
    let link = lab.balancer.run("ip", &["link", "show", "dev", "eth0"])?;
    let neighbours = lab.balancer.run("ip", &["neighbour", "show"])?;
    let pins = crate::stage::xlb(lab).pins();
    let has_pins = lab.balancer.sandbox().inside(|| pins.exists());
    Ok(link.contains("xdp") || neighbours.contains("managed") || has_pins)
}
