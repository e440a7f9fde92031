//! A server dies, and its clients hardly notice: new connections succeed, and those that hang on the
//! dead one are reset as soon as it is known to be.

use std::time::{Duration, Instant};

use lb_lab::failure::{self, Silence};
use lb_lab::idle::{EndKind, Idle};
use lb_lab::load::{Attempt, Load, Outcome, Plan, Tally};
use lb_lab::{Result, Topology, size};

use crate::stage::{Stage, WEB};

const TOPOLOGY: Topology = Topology { lan_clients: 4, routed_clients: 2, ..Topology::DEFAULT };
/// The same where frames come longer than on a wire and with checksums that nobody has filled in.
const OFFLOADS: Topology = Topology { offloads: true, ..TOPOLOGY };
/// The server that dies, the first of the lab's, and what the log says of it then.
const DEAD: &str = "bettley";
/// Clients that wait in `read`: ten on each server.
const IDLE: usize = 30;

/// Connections a second, and the seconds before the failure and after its detection.
fn rate() -> u32 {
    size::count(200, 500)
}
fn seconds() -> u32 {
    size::choose(2, 10)
}

/// What became of everybody.
struct Outcomes {
    attempts: Vec<Attempt>,
    /// When the failure was complete.
    failed: Instant,
    /// When the log said so.
    down: Instant,
    /// Those that the dead server served, and the others.
    on_dead: Vec<Idle>,
    on_others: Vec<Idle>,
    /// While it is set, the other servers keep their connections.
    _stage: Stage,
}

/// Lets a server die, in one way or another, under load. What `fail` returns lasts until the end.
fn run<T>(
    (topology, mode): (Topology, &str),
    fail: impl FnOnce(&mut Stage) -> Result<T>,
) -> Result<Outcomes> {
    let mut stage = Stage::set(topology, mode)?;
    let idle = Idle::open_many(&stage.lab.lan_clients[0], stage.web(), IDLE)?;
    let (on_dead, on_others): (Vec<_>, _) = idle.into_iter().partition(|idle| idle.server() == DEAD);
    let load = Load::start(stage.lab.clients(), Plan::new(stage.web(), rate()))?;
    load.wait_for((rate() * seconds()).into())?;

    let failure = fail(&mut stage)?;
    let failed = Instant::now();
    let down = stage.balancer().log().wait_for_line(&[&format!("{WEB}/{DEAD}"), "is DOWN"])?.at;
    load.wait_for((rate() * seconds()).into())?;
    let told = on_dead.iter().try_for_each(|idle| idle.wait_for_end().map(drop));
    let outcomes = Outcomes { attempts: load.stop(), failed, down, on_dead, on_others, _stage: stage };
    outcomes.print();
    drop(failure);
    told.map(|()| outcomes)
}

impl Outcomes {
    fn begun_after_failure(&self) -> Tally {
        Tally::of(self.attempts.iter().filter(|attempt| attempt.began >= self.failed))
    }

    /// When the idle clients of the dead server knew, counted from the line in the log.
    fn noticed(&self) -> impl Iterator<Item = Duration> {
        let ends = self.on_dead.iter().filter_map(Idle::end);
        ends.map(|end| end.at.saturating_duration_since(self.down))
    }

    fn print(&self) {
        let detection = self.down - self.failed;
        println!("all: {}", Tally::of(&self.attempts));
        println!("begun after the failure: {}", self.begun_after_failure());
        let noticed = self.noticed().max().unwrap_or_default();
        println!("DOWN {detection:.1?} after the failure; idle clients noticed within {noticed:.1?} of that");
    }

    /// Asserts that every attempt to connect succeeded, and that whatever was begun after the failure
    /// was answered too. A request under way to a server when it dies is lost with it.
    fn assert_all_connected(&self) {
        let all = Tally::of(&self.attempts);
        assert!(all.not_connected.is_empty(), "{all}");
        let after = self.begun_after_failure();
        assert_eq!(after.failed(), 0, "{after}");
        let last = self.attempts.iter().filter(|attempt| attempt.began > self.down);
        let from_dead = last.filter(|attempt| attempt.outcome == Outcome::Answered(DEAD.to_owned()));
        assert_eq!(from_dead.count(), 0, "the dead server answered");
    }

    /// Asserts that at most one retransmission of a SYN was needed, for any connection.
    fn assert_one_retransmission_at_most(&self) {
        let all = Tally::of(&self.attempts);
        assert_eq!(all.retransmitted(2), 0, "{all}");
    }

    /// Asserts that the dead server's clients were told so before its next check was due, and nobody else.
    /// That is counted in connections of the load, which is as slow as the machine is.
    fn assert_idle_were_reset(&self) {
        const CHECKS_A_SECOND: usize = 2;
        let last = self.on_dead.iter().filter_map(Idle::end).map(|end| end.at).max();
        let meanwhile = |attempt: &&Attempt| attempt.began > self.down && Some(attempt.began) < last;
        let meanwhile = self.attempts.iter().filter(meanwhile).count();
        println!("{meanwhile} connections begun before the last idle client was told");
        assert!(meanwhile < rate() as usize / CHECKS_A_SECOND, "{meanwhile} connections");
        assert!(!self.on_dead.is_empty() && !self.on_others.is_empty());
        for idle in &self.on_dead {
            assert_eq!(idle.end().map(|end| end.kind), Some(EndKind::Reset), "{idle:?}");
        }
        self.assert_others_go_on();
    }

    fn assert_others_go_on(&self) {
        for idle in &self.on_others {
            assert_eq!(idle.end(), None, "{idle:?}");
        }
    }
}

#[test]
fn a_server_that_refuses_costs_no_connection_in_native_mode() -> Result<()> {
    a_server_that_refuses_costs_no_connection((TOPOLOGY, "native"))
}

#[test]
fn a_server_that_refuses_costs_no_connection_in_tc() -> Result<()> {
    a_server_that_refuses_costs_no_connection((TOPOLOGY, "tc"))
}

#[test]
fn a_server_that_refuses_costs_no_connection_with_offloads() -> Result<()> {
    a_server_that_refuses_costs_no_connection((OFFLOADS, "tc"))
}

fn a_server_that_refuses_costs_no_connection(how: (Topology, &str)) -> Result<()> {
    let outcomes = run(how, |stage| stage.web[0].take().expect("it was started").kill())?;
    outcomes.assert_all_connected();
    outcomes.assert_others_go_on();
    let all = Tally::of(&outcomes.attempts);
    assert_eq!(all.retransmitted(1), 0, "a refusal is answered at once by another server: {all}");
    Ok(())
}

#[test]
fn a_silent_server_costs_one_retransmission_at_most_in_native_mode() -> Result<()> {
    a_silent_server_costs_one_retransmission_at_most((TOPOLOGY, "native"))
}

#[test]
fn a_silent_server_costs_one_retransmission_at_most_in_tc() -> Result<()> {
    a_silent_server_costs_one_retransmission_at_most((TOPOLOGY, "tc"))
}

#[test]
fn a_silent_server_costs_one_retransmission_at_most_with_offloads() -> Result<()> {
    a_silent_server_costs_one_retransmission_at_most((OFFLOADS, "tc"))
}

fn a_silent_server_costs_one_retransmission_at_most(how: (Topology, &str)) -> Result<()> {
    let outcomes = run(how, |stage| Silence::begin(&stage.lab, &stage.lab.servers[0]))?;
    outcomes.assert_all_connected();
    outcomes.assert_one_retransmission_at_most();
    outcomes.assert_idle_were_reset();
    Ok(())
}

#[test]
fn a_pulled_cable_costs_one_retransmission_at_most() -> Result<()> {
    let outcomes = run((TOPOLOGY, "native"), |stage| failure::unplug(&stage.lab, &stage.lab.servers[0]))?;
    outcomes.assert_all_connected();
    outcomes.assert_one_retransmission_at_most();
    outcomes.assert_idle_were_reset();
    Ok(())
}
