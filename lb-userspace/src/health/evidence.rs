//! Whether a server that is DOWN is dead, or only out of our sight.
//!
//! The connections of a dead server are reset at once, so that clients need not wait for a timeout.
//! That would be wrong where the fault is on our side of the network: after a switch has rebooted,
//! all its servers would be UP again, and with them all connections that nobody had ended. So a
//! server A counts as dead only when another server B shows that the network works, in this order:
//!
//! 1. A fails a check;
//! 2. a later check of B, which passes, and all of B's from then on pass;
//! 3. a check of A that began after that one of B had ended fails, too.
//!
//! A check counts from its beginning, because what is sent in the first moment decides about it, and
//! until its end, because only then is anything known. While everything fails there is no B; and once
//! the network is back, B's check passes and then A's does.
//!
//! Pure: it neither makes checks nor resets connections, and [`Evidence::verdict`] says what is due.

use std::collections::BTreeMap;
use std::time::Instant;

use super::CheckResult;

/// What the latest checks say about all servers. Servers go by the numbers of their events.
#[derive(Clone, Debug, Default)]
pub struct Evidence {
    servers: BTreeMap<usize, Record>,
}

/// What is to be done about the connections of a server that is DOWN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is dead: reset them.
    Reset,
    /// A check of each of these servers would tell.
    CheckNow(Vec<usize>),
    /// Nothing but time will tell.
    Wait,
}

/// A server's checks.
#[derive(Clone, Debug)]
struct Record {
    latest: Check,
    /// Since it began to fail; none while it passes.
    failing: Option<Failing>,
}

#[derive(Clone, Copy, Debug)]
struct Check {
    started: Instant,
    ended: Instant,
}

/// A server that fails one check after another.
#[derive(Clone, Debug)]
struct Failing {
    first: Check,
    /// Since when each other server has passed its checks, counted from the first that began after
    /// the first failure.
    passing: BTreeMap<usize, Instant>,
}

impl Evidence {
    /// Takes in a result of a server.
    pub fn record(&mut self, server: usize, result: &CheckResult) {
        let check = Check { started: result.started(), ended: result.at };
        if result.passed() {
            self.servers.insert(server, Record { latest: check, failing: None });
        } else {
            let before = self.servers.get_mut(&server).and_then(|record| record.failing.take());
            let failing = before.unwrap_or(Failing { first: check, passing: BTreeMap::new() });
            self.servers.insert(server, Record { latest: check, failing: Some(failing) });
        }
        for failing in self.servers.values_mut().filter_map(|record| record.failing.as_mut()) {
            if !result.passed() {
                failing.passing.remove(&server);
            } else if check.started >= failing.first.ended {
                failing.passing.entry(server).or_insert(check.ended);
            }
        }
    }

    /// Forgets a server, as one that is removed or given another address.
    pub fn forget(&mut self, server: usize) {
        self.servers.remove(&server);
        for failing in self.servers.values_mut().filter_map(|record| record.failing.as_mut()) {
            failing.passing.remove(&server);
        }
    }

    /// Forgets everything, as after the checks were suspended.
    pub fn clear(&mut self) {
        self.servers.clear();
    }

    /// What is to be done about the connections of `server`, which is DOWN, where `others` are the
    /// servers of its backend that new connections can go to.
    ///
    /// To be asked after each result of one of them, until it says [`Verdict::Reset`] or the server
    /// is UP again.
    #[must_use]
    pub fn verdict(&self, server: usize, others: impl IntoIterator<Item = usize>) -> Verdict {
        let Some(Record { latest, failing: Some(failing) }) = self.servers.get(&server) else {
            return Verdict::Wait;
        };
        let mut unknown = Vec::new();
        let mut earliest: Option<Instant> = None;
        for other in others.into_iter().filter(|other| *other != server) {
            match failing.passing.get(&other) {
                Some(since) => earliest = Some(earliest.map_or(*since, |earliest| earliest.min(*since))),
                None if self.has_nothing_since(other, failing.first.ended) => unknown.push(other),
                None => {}
            }
        }
        match earliest {
            Some(since) if latest.started >= since => Verdict::Reset,
            Some(_) => Verdict::CheckNow(vec![server]),
            None if unknown.is_empty() => Verdict::Wait,
            None => Verdict::CheckNow(unknown),
        }
    }

    /// Whether no check of a server has begun since then.
    fn has_nothing_since(&self, server: usize, since: Instant) -> bool {
        self.servers.get(&server).is_none_or(|record| record.latest.started < since)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::health::Status;

    const A: usize = 0;
    const B: usize = 1;
    const C: usize = 2;

    /// A story, told in milliseconds.
    struct Story {
        begin: Instant,
        evidence: Evidence,
    }

    impl Story {
        fn new() -> Self {
            Self { begin: Instant::now(), evidence: Evidence::default() }
        }

        /// A check of `server` from `started` to `ended`.
        fn check(&mut self, server: usize, passed: bool, started: u64, ended: u64) {
            let status = if passed { Status::Connected } else { Status::ConnectionProblem("refused".into()) };
            let duration = Duration::from_millis(ended - started);
            let at = self.begin + Duration::from_millis(ended);
            self.evidence.record(server, &CheckResult { status, duration, at, certificate_expires: None });
        }

        fn verdict(&self) -> Verdict {
            self.evidence.verdict(A, [A, B, C])
        }
    }

    #[test]
    fn a_server_that_fails_alone_is_dead() {
        let mut story = Story::new();
        story.check(A, true, 0, 1);
        story.check(B, true, 600, 601);
        story.check(A, false, 2000, 2001);
        story.check(B, true, 2600, 2601);
        story.check(A, false, 4000, 4001);
        assert_eq!(story.verdict(), Verdict::Reset);
    }

    #[test]
    fn it_is_still_dead_when_its_checks_leave_no_gap() {
        let mut story = Story::new();
        story.check(A, false, 0, 2000);
        story.check(B, true, 2600, 2601);
        story.check(A, false, 2000, 4000);
        assert_eq!(story.verdict(), Verdict::CheckNow(vec![A]));
        // Each of B's checks falls into one of A's.
        story.check(B, true, 4600, 4601);
        story.check(A, false, 4000, 6000);
        assert_eq!(story.verdict(), Verdict::Reset);
    }

    #[test]
    fn the_evidence_that_is_missing_is_asked_for() {
        let mut story = Story::new();
        assert_eq!(story.verdict(), Verdict::Wait);
        story.check(B, true, 0, 1);
        story.check(A, false, 1000, 1001);
        assert_eq!(story.verdict(), Verdict::CheckNow(vec![B, C]));
        story.check(C, false, 1002, 1003);
        assert_eq!(story.verdict(), Verdict::CheckNow(vec![B]));
        story.check(B, true, 1004, 1005);
        assert_eq!(story.verdict(), Verdict::CheckNow(vec![A]));
        story.check(A, false, 1006, 1007);
        assert_eq!(story.verdict(), Verdict::Reset);
        assert_eq!(story.evidence.verdict(A, [C]), Verdict::Wait, "B is of no use to others' clients");
    }

    #[test]
    fn a_server_that_fails_with_it_proves_nothing() {
        let mut story = Story::new();
        story.check(A, false, 0, 1);
        story.check(B, false, 2, 3);
        story.check(C, false, 4, 5);
        assert_eq!(story.verdict(), Verdict::Wait);
        story.check(B, true, 6, 7);
        story.check(B, false, 8, 9);
        story.check(A, false, 10, 11);
        assert_eq!(story.verdict(), Verdict::Wait, "B's later failure takes its word back");
    }

    #[test]
    fn a_failure_that_began_before_the_network_was_back_proves_nothing() {
        let mut story = Story::new();
        story.check(A, false, 0, 300);
        // The switch is back at 700.
        story.check(B, true, 700, 701);
        story.check(A, false, 600, 900);
        assert_eq!(story.verdict(), Verdict::CheckNow(vec![A]));
        story.check(A, true, 901, 902);
        assert_eq!(story.verdict(), Verdict::Wait);
    }

    #[test]
    fn a_check_that_began_before_the_failure_proves_nothing() {
        let mut story = Story::new();
        // The network ends at 100, when B has its connection already.
        story.check(A, false, 150, 200);
        story.check(B, true, 50, 300);
        story.check(A, false, 350, 400);
        assert_eq!(story.verdict(), Verdict::CheckNow(vec![B, C]));
    }

    #[test]
    fn what_is_forgotten_proves_nothing() {
        let mut story = Story::new();
        story.check(A, false, 0, 1);
        story.check(B, true, 2, 3);
        story.evidence.forget(B);
        story.check(A, false, 4, 5);
        assert_eq!(story.verdict(), Verdict::CheckNow(vec![B, C]));
        story.evidence.clear();
        assert_eq!(story.verdict(), Verdict::Wait);
    }

    /// A check of one of three servers: the time since the last of all began, and how long it takes
    /// to fail.
    fn checks() -> impl Strategy<Value = Vec<(usize, u64, u64)>> {
        prop::collection::vec((0usize..3, 0u64..500, 1u64..3000), 1..60)
    }

    proptest! {
        /// One outage of the network, whenever it begins and however long it lasts, in which checks
        /// begin to fail, resets nobody.
        #[test]
        fn an_outage_of_the_network_resets_nobody(
            checks in checks(), from in 0u64..10_000, lasts in 0u64..10_000,
        ) {
            let mut story = Story::new();
            for (server, passed, started, ended) in performed(checks, |_, at| !(from..from + lasts).contains(&at)) {
                story.check(server, passed, started, ended);
                for server in [A, B, C] {
                    prop_assert_ne!(story.evidence.verdict(server, [A, B, C]), Verdict::Reset);
                }
            }
        }

        /// A reset is right: the server had failed, another passed, and it failed again after that.
        #[test]
        fn a_reset_has_its_reasons(checks in checks(), well: Vec<bool>) {
            let is_well = |server: usize, at: u64| well.get((at / 700) as usize * 3 + server).is_none_or(|well| *well);
            let (mut story, mut seen) = (Story::new(), Vec::new());
            for check in performed(checks, is_well) {
                let (server, passed, started, ended) = check;
                story.check(server, passed, started, ended);
                seen.push(check);
                if story.verdict() != Verdict::Reset {
                    continue;
                }
                let of_a = seen.iter().rev().filter(|check| check.0 == A);
                let streak: Vec<_> = of_a.take_while(|check| !check.1).collect();
                let (first, last) = (streak.last().expect("A fails"), streak.first().expect("A fails"));
                let proves = |check: &&(usize, bool, u64, u64)| {
                    check.0 != A && check.1 && check.2 >= first.3 && check.3 <= last.2
                };
                prop_assert!(seen.iter().any(|check| proves(&check)), "{:?}", seen);
            }
        }

        /// A dead server is found to be dead with at most one more check of each.
        #[test]
        fn a_dead_server_is_found_out(checks in checks(), dies in 0u64..5000) {
            let (mut story, mut now) = (Story::new(), 0);
            for (server, passed, started, ended) in performed(checks, |server, at| server != A || at < dies) {
                story.check(server, passed, started, ended);
                now = now.max(ended);
            }
            now = now.max(dies) + 1;
            story.check(A, false, now, now + 1);
            for _ in 0..3 {
                now += 2;
                match story.verdict() {
                    Verdict::Reset => return Ok(()),
                    Verdict::Wait => prop_assert!(false, "others are well"),
                    Verdict::CheckNow(servers) => {
                        for server in servers {
                            story.check(server, server != A, now, now + 1);
                            now += 2;
                        }
                    }
                }
            }
            prop_assert_eq!(story.verdict(), Verdict::Reset);
        }
    }

    /// What checks find, as server, result, start and end: what is so at the start decides, and the
    /// result takes its time. A server's checks do not overlap, and results come
    /// in the order in which they end.
    fn performed(
        checks: Vec<(usize, u64, u64)>,
        is_well: impl Fn(usize, u64) -> bool,
    ) -> Vec<(usize, bool, u64, u64)> {
        let (mut now, mut free) = (0, [0u64; 3]);
        let mut performed: Vec<_> = checks
            .into_iter()
            .map(|(server, pause, patience)| {
                now += pause;
                let started = now.max(free[server]);
                let passed = is_well(server, started);
                let ended = started + if passed { 1 + patience % 700 } else { patience };
                free[server] = ended;
                (server, passed, started, ended)
            })
            .collect();
        performed.sort_by_key(|check| check.3);
        performed
    }
}
