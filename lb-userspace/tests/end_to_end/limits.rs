//! Who may connect, how many at once, and how fast.

use std::fs;
use std::time::{Duration, Instant};

use lb_lab::config::{Config, Frontend};
use lb_lab::flood::{self, Flood};
use lb_lab::idle::Idle;
use lb_lab::load::{Load, Plan, Tally};
use lb_lab::{Host, Result, Topology, wait};

use crate::stage::{Stage, WEB_PORT, config, lab};

const TOPOLOGY: Topology = Topology { lan_clients: 3, routed_clients: 1, ..Topology::DEFAULT };
/// The most connections at once.
const MOST: u32 = 10;
/// Half-open connections, which do not count.
const HALF_OPEN: u32 = 50;
/// New connections a second that one client may make, and tries to make.
const ALLOWED_RATE: u32 = 5;
const RATE: u32 = 50;

/// Sets the stage with a limit on the HTTP frontend.
fn stage(limit: impl FnOnce(&mut Frontend)) -> Result<Stage> {
    let lab = lab(TOPOLOGY);
    let limited = |config: &mut Config| limit(&mut config.frontend[0]);
    let config = config(&lab, "native").with(limited);
    Stage::set_in(lab, &config)
}

/// How many SYNs a host has sent again so far.
fn syn_retransmissions(host: &Host) -> u64 {
    let table = host.inside(|| fs::read_to_string("/proc/thread-self/net/netstat")).expect("it can be read");
    let mut rows = table.lines().filter_map(|line| line.strip_prefix("TcpExt: ")).map(str::split_whitespace);
    let (names, values) = (rows.next().expect("names"), rows.next().expect("values"));
    let mut columns = names.zip(values);
    let (_, value) = columns.find(|(name, _)| *name == "TCPSynRetrans").expect("the kernel counts it");
    value.parse().expect("a count is a number")
}

#[test]
fn beyond_the_limit_a_connection_waits_for_another_to_end() -> Result<()> {
    let stage = stage(|frontend| frontend.max_connections = Some(MOST))?;
    let client = &stage.lab.lan_clients[0];
    let target = format!("{}:{WEB_PORT}", stage.lab.balancer.address()).parse().expect("an address");
    let plan =
        flood::Plan { targets: vec![target], mac: stage.lab.balancer.mac(), count: HALF_OPEN, rate: 1000 };
    Flood::start(&stage.lab.lan_clients[1], plan)?.finish()?;
    let mut open = Idle::open_many(client, stage.web(), MOST as usize)?;
    assert_eq!(syn_retransmissions(client), 0, "half-open connections do not count");

    let plan = Plan::new(stage.web(), 1).connections(1).patience(wait::PATIENCE);
    let load = Load::start([client], plan)?;
    wait::until("the SYN to be sent again", || (syn_retransmissions(client) > 0).then_some(()))?;
    assert_eq!(load.tally().made, 0, "the connection waits");
    drop(open.pop());
    let tally = Tally::of(&load.finish());
    assert_eq!((tally.failed(), tally.retransmitted(1)), (0, 1), "{tally}");
    assert!(open.iter().all(|idle| idle.end().is_none()));
    Ok(())
}

#[test]
fn only_those_on_the_list_may_connect() -> Result<()> {
    let stage = stage(|frontend| {
        frontend.allow = vec!["198.18.0.101/32".to_owned(), "198.18.16.0/24".to_owned()];
    })?;
    let connect = |host| {
        let plan = Plan::new(stage.web(), RATE).connections(10).patience(Duration::from_secs(3));
        Load::run([host], plan)
    };
    for allowed in [&stage.lab.lan_clients[0], &stage.lab.routed_clients[0]] {
        let tally = connect(allowed)?;
        assert_eq!(tally.answered(), 10, "{allowed}: {tally}");
    }
    let tally = connect(&stage.lab.lan_clients[1])?;
    assert_eq!(tally.not_connected.values().sum::<u64>(), 10, "{tally}");
    // Other frontends are everybody's.
    let other = stage.lab.lan_clients[1].inside(|| lb_lab::echo::transfer(stage.echo(), 1000, 1));
    assert!(other.is_ok(), "{other:?}");
    Ok(())
}

#[test]
fn one_client_that_connects_too_fast_slows_down_nobody_else() -> Result<()> {
    let stage = stage(|frontend| frontend.source_rate = Some(format!("{ALLOWED_RATE}/s")))?;
    let [fast, slow, ..] = &stage.lab.lan_clients[..] else { panic!("there are clients") };
    let began = Instant::now();
    let plan = Plan::new(stage.web(), RATE).patience(Duration::from_secs(2));
    let load = Load::start([fast], plan)?;
    load.wait_for((RATE * 2).into())?;
    // At half of what is allowed.
    let others = Load::run([slow], Plan::new(stage.web(), ALLOWED_RATE / 2).connections(4))?;
    let tally = Tally::of(&load.stop());
    println!("too fast: {tally}; within the limit: {others}");

    let most = u64::from(ALLOWED_RATE) * (began.elapsed().as_secs() + 1) + u64::from(ALLOWED_RATE);
    assert!(tally.answered() > 0 && tally.answered() <= most, "more than {most}: {tally}");
    assert!(tally.failed() > 0, "{tally}");
    assert_eq!((others.answered(), others.retransmitted(1)), (4, 0), "{others}");
    Ok(())
}
