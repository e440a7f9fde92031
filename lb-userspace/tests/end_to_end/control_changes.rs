//! What is changed by HAProxy's words takes effect, and a restart of the agent keeps it.

use lb_lab::config::Config;
use lb_lab::curl::Answers;
use lb_lab::idle::{EndKind, Idle};
use lb_lab::{Nginx, Result, Topology, curl, talk, wait};

use crate::stage::{Stage, WEB, WEB_PORT, assert_shares, lab};

/// Whole turns of all weights here.
const REQUESTS: usize = 60;

/// Clients that wait in `read`: one on each server.
const IDLE: usize = 3;

fn ask(stage: &Stage, line: &str) -> Result<String> {
    talk::ask(&stage.lab.balancer, &stage.balancer().xlb.socket(), line)
}

/// Asks for a change, of which nothing is said.
fn change(stage: &Stage, line: &str) -> Result<()> {
    assert_eq!(ask(stage, line)?, "\n", "{line}");
    Ok(())
}

fn shares(stage: &Stage) -> Result<Answers> {
    Ok(curl::tally(curl::fetch(&stage.lab.lan_clients[0], stage.web(), REQUESTS)?))
}

/// A server's status, as `show stat` has it.
fn status(stage: &Stage, name: &str) -> Result<String> {
    const STATUS: usize = 17;
    let table = ask(stage, "show stat -1 4 -1")?;
    let row = table.lines().find(|line| line.split(',').nth(1) == Some(name));
    Ok(row.and_then(|row| row.split(',').nth(STATUS)).unwrap_or_default().to_owned())
}

fn await_status(stage: &Stage, name: &str, wanted: &str) -> Result<()> {
    wait::until(&format!("{name} to be {wanted}"), || {
        status(stage, name).map(|status| (status == wanted).then_some(())).transpose()
    })?
}

#[test]
fn servers_follow_haproxys_words() -> Result<()> {
    let lab = lab(Topology::default());
    let config = Config::new("native").serve(WEB, WEB_PORT, &lab).weights(&[4, 4, 4]);
    let mut stage = Stage::set_in(lab, &config)?;
    let idle = Idle::open_many(&stage.lab.lan_clients[0], stage.web(), IDLE)?;
    let [bettley, fenn] = ["bettley", "fenn"]
        .map(|name| idle.iter().find(|idle| idle.server() == name).expect("each server has one"));

    change(&stage, "set server k8s-api-server/fenn weight 50%")?;
    assert_eq!(ask(&stage, "get weight k8s-api-server/fenn")?, "2 (initial 4)\n\n");
    assert_shares(&shares(&stage)?, &[("bettley", 2), ("fenn", 1), ("gardener", 2)]);
    change(&stage, "set weight k8s-api-server/fenn 4")?;

    change(&stage, "set server k8s-api-server/bettley state drain")?;
    assert_eq!(status(&stage, "bettley")?, "DRAIN");
    assert_shares(&shares(&stage)?, &[("fenn", 1), ("gardener", 1)]);
    change(&stage, "enable server k8s-api-server/bettley")?;

    // By the operator's word only: the checks pass.
    await_status(&stage, "fenn", "UP")?;
    change(&stage, "disable health k8s-api-server/fenn")?;
    assert_eq!(status(&stage, "fenn")?, "no check");
    change(&stage, "set server k8s-api-server/fenn health down")?;
    assert_shares(&shares(&stage)?, &[("bettley", 1), ("gardener", 1)]);
    stage.restart(&config.to_toml())?;
    // Three rounds of checks, of which two would bring fenn back.
    stage.web[2].take().expect("it is stopped once").stop()?;
    await_status(&stage, "gardener", "DOWN")?;
    assert_eq!(status(&stage, "fenn")?, "DOWN");
    stage.web[2] = Some(Nginx::start(&stage.lab.servers[2], WEB_PORT)?);
    await_status(&stage, "gardener", "UP")?;
    assert_shares(&shares(&stage)?, &[("bettley", 1), ("gardener", 1)]);
    change(&stage, "set server k8s-api-server/fenn health up")?;
    assert_eq!(status(&stage, "fenn")?, "no check");
    change(&stage, "set server k8s-api-server/fenn health down")?;
    change(&stage, "enable health k8s-api-server/fenn")?;
    await_status(&stage, "fenn", "UP")?;
    assert_eq!(fenn.end(), None, "health alone ends no connection");

    // While it is checked, its checks have the last word.
    change(&stage, "set server k8s-api-server/fenn health down")?;
    await_status(&stage, "fenn", "UP")?;
    assert_shares(&shares(&stage)?, &[("bettley", 1), ("fenn", 1), ("gardener", 1)]);

    change(&stage, "shutdown sessions server k8s-api-server/bettley")?;
    assert_eq!(bettley.wait_for_end()?.kind, EndKind::Reset);
    assert_eq!(fenn.end(), None);
    assert_eq!(status(&stage, "bettley")?, "UP");
    Ok(())
}
