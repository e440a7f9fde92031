//! Restarts, kills and reloads of the agent, under load: nothing is lost.

use std::collections::BTreeSet;
use std::time::Instant;

use lb_lab::config::Config;
use lb_lab::load::{self, Attempt, Load, Tally};
use lb_lab::transfers::{self, Transfers};
use lb_lab::{Balancer, Result, Topology, Xlb, size};

use crate::stage::{ECHO, EQUAL, Stage, WEB, assert_shares, config, lab};

const TOPOLOGY: Topology = Topology { lan_clients: 4, routed_clients: 2, ..Topology::DEFAULT };
/// Connections in each round, before the agent ends and after it is back.
const IN_BETWEEN: u64 = 20;
/// Connections with the same weights, besides.
const SPELL: u64 = 120;

/// How often the agent ends or reloads.
fn rounds() -> usize {
    size::choose(3, 20)
}

/// New connections a second.
fn rate() -> u32 {
    size::count(100, 500)
}

/// Long transfers at once.
fn long_transfers() -> usize {
    size::count(20, 100)
}

#[test]
fn nothing_is_lost_when_the_agent_is_restarted() -> Result<()> {
    let attempts = under_load("native", |xlb, config, agent, load| {
        assert!(agent.stop()?.success());
        load.wait_for(IN_BETWEEN)?;
        start(xlb, config)
    })?;
    assert_turns(&attempts);
    Ok(())
}

#[test]
fn nothing_is_lost_when_the_agent_is_killed() -> Result<()> {
    let attempts = under_load("native", |xlb, config, agent, load| {
        agent.kill()?;
        load.wait_for(IN_BETWEEN)?;
        start(xlb, config)
    })?;
    assert_turns(&attempts);
    Ok(())
}

#[test]
fn nothing_is_lost_when_weights_are_reloaded() -> Result<()> {
    let mut spells = Vec::new();
    let attempts = under_load("native", |xlb, config, agent, load| {
        let weights = if spells.len() % 2 == 0 { [3, 2, 1] } else { [1, 1, 1] };
        xlb.configure(&config.clone().weights(&weights).to_toml())?;
        let before = Instant::now();
        xlb.output(["reload"])?;
        spells.push(Spell { weights, before, after: Instant::now() });
        let shown: Vec<_> = xlb.stats()?.servers_of(WEB).map(|server| server.weight).collect();
        assert_eq!(shown, weights.map(u32::from));
        load.wait_for(SPELL)?;
        Ok(agent)
    })?;
    for (number, spell) in spells.iter().enumerate() {
        let next = spells.get(number + 1).map(|next| next.before);
        assert_shares_in(spell, next, &attempts);
    }
    Ok(())
}

/// The time in which weights are in force, from one reload to the next.
struct Spell {
    weights: [u16; 3],
    /// Before and after the reload that brought them.
    before: Instant,
    after: Instant,
}

/// Asserts that the servers of a spell had the shares of its weights. A connection that was being made when
/// it began or ended may count or not.
fn assert_shares_in(spell: &Spell, end: Option<Instant>, attempts: &[Attempt]) {
    let made = |attempt: &Attempt| attempt.began + attempt.connect_time;
    let may_count =
        |attempt: &&Attempt| made(attempt) >= spell.before && end.is_none_or(|end| attempt.began <= end);
    let counts =
        |attempt: &&Attempt| attempt.began >= spell.after && end.is_none_or(|end| made(attempt) <= end);
    let counted = Tally::of(attempts.iter().filter(counts));
    let uncertain = attempts.iter().filter(may_count).count() as u64 - counted.made;
    println!("{:?}: {:?}, and {uncertain} at the edges", spell.weights, counted.served);
    let parts: u64 = spell.weights.iter().map(|weight| u64::from(*weight)).sum();
    for ((name, _), weight) in EQUAL.iter().zip(spell.weights) {
        let share = counted.served.get(*name).copied().unwrap_or_default() as u64;
        let difference = (share * parts).abs_diff(counted.made * u64::from(weight));
        assert!(difference <= (1 + uncertain) * parts, "{name} should have {weight} parts of {parts}");
    }
}

#[test]
fn nothing_is_lost_when_the_program_is_replaced_by_another_in_native_mode() -> Result<()> {
    nothing_is_lost_when_the_program_is_replaced_by_another("native")
}

#[test]
fn nothing_is_lost_when_the_program_is_replaced_by_another_in_tc() -> Result<()> {
    nothing_is_lost_when_the_program_is_replaced_by_another("tc")
}

/// The product and one with a changed program, each in the other's place, with one restart and with a
/// kill in turns.
fn nothing_is_lost_when_the_program_is_replaced_by_another(mode: &str) -> Result<()> {
    let mut round = 0;
    let mut programs = BTreeSet::new();
    let attempts = under_load(mode, |xlb, config, agent, load| {
        round += 1;
        programs.extend(crate::stage::programs(xlb.host()));
        if round % 2 == 0 {
            agent.kill()?;
        } else {
            agent.stop()?;
        }
        load.wait_for(IN_BETWEEN)?;
        let builds = [env!("CARGO_BIN_EXE_xlb"), env!("CARGO_BIN_EXE_xlb-changed")];
        start(&Xlb::new(builds[round % 2], xlb.host()), config)
    })?;
    assert_eq!(programs.len(), 2, "two programs were at work: {programs:?}");
    assert_turns(&attempts);
    Ok(())
}

fn start(xlb: &Xlb, config: &Config) -> Result<Balancer> {
    xlb.start_with(&config.to_toml(), &["--on-stop", "keep"])
}

/// Does something to the agent again and again, while connections come and transfers go on.
/// Returns what became of the connections.
fn under_load(
    mode: &str,
    mut act: impl FnMut(&Xlb, &Config, Balancer, &Load) -> Result<Balancer>,
) -> Result<Vec<Attempt>> {
    let lab = lab(TOPOLOGY);
    let config = config(&lab, mode);
    let mut stage = Stage::set_in(lab, &config)?;
    let xlb = stage.take_balancer().xlb.clone();
    let mut agent = start(&xlb, &config)?;

    let plan = transfers::Plan::new(stage.echo(), long_transfers());
    let transfers = Transfers::start(stage.lab.clients(), plan)?;
    let load = Load::start(stage.lab.clients(), load::Plan::new(stage.web(), rate()))?;
    load.wait_for(IN_BETWEEN)?;
    let mut counted = 0;
    for round in 0..rounds() {
        agent = act(&xlb, &config, agent, &load)?;
        transfers.wait_for_progress()?;
        load.wait_for(IN_BETWEEN)?;
        let now = connections(&xlb, WEB)?;
        assert!(now > counted, "round {round}: {now} connections after {counted}");
        counted = now;
    }
    let attempts = load.stop();
    let tally = Tally::of(&attempts);
    let broken = transfers.stop();

    println!("{} rounds; {tally}", rounds());
    assert_eq!(tally.failed(), 0, "{tally}");
    assert_eq!(broken.len(), 0, "{}", broken[0]);
    assert_eq!(connections(&xlb, WEB)?, tally.made);
    assert_eq!(connections(&xlb, ECHO)?, long_transfers() as u64);
    Ok(attempts)
}

/// Asserts that the turns went on all the time. Had an agent begun them anew, the first server would have more.
fn assert_turns(attempts: &[Attempt]) {
    assert_shares(&Tally::of(attempts).served, &EQUAL);
}

fn connections(xlb: &Xlb, frontend: &str) -> Result<u64> {
    let stats = xlb.stats()?;
    let found = stats.frontends.iter().find(|found| found.name == frontend);
    Ok(found.map_or(0, |frontend| frontend.connections))
}
