//! How counters move from look to look.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use lb_common::reason::Reason;

use crate::stats::{Snapshot, Whose, per_second};

/// So many looks are remembered: as many as a wide terminal has room for.
const REMEMBERED: usize = 120;

/// An outcome counts as growing for so long after its last packet.
const GROWING: Duration = Duration::from_secs(30);

/// What was seen over many looks.
#[derive(Clone, Debug, Default)]
pub struct Trends {
    moving: BTreeMap<Whose, Trend>,
    outcomes: BTreeMap<String, Outcome>,
    looked_at: Option<Duration>,
}

/// What was seen of a frontend or a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trend {
    /// Between the last two looks.
    pub rates: Rates,
    /// The same between earlier ones, the oldest first.
    pub history: VecDeque<Rates>,
    counted: Counted,
}

/// What came each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// New connections.
    pub connections: u64,
    /// TCP payload bytes to the servers.
    pub bytes_in: u64,
    /// TCP payload bytes to the clients.
    pub bytes_out: u64,
}

/// An outcome of packets other than plain forwarding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growing<'t> {
    /// Its name.
    pub name: &'t str,
    /// Packets a second, between the last two looks.
    pub rate: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    connections: u64,
    bytes_in: u64,
    bytes_out: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    counted: u64,
    rate: u64,
    grew_at: Option<Duration>,
}

impl Trends {
    /// Takes in a look at `now`, a time of `CLOCK_MONOTONIC`.
    pub fn look(&mut self, snapshot: &Snapshot, now: Duration) {
        let elapsed = self.looked_at.map(|at| now.saturating_sub(at));
        let counted = counted(snapshot);
        self.moving.retain(|whose, _| counted.contains_key(whose));
        for (whose, counted) in counted {
            self.moving.entry(whose).or_default().follow(counted, elapsed);
        }
        for reason in snapshot.reasons.iter().filter(|reason| !is_of_others(&reason.name)) {
            self.outcomes.entry(reason.name.clone()).or_default().follow(reason.count, elapsed, now);
        }
        self.looked_at = Some(now);
    }

    /// What was seen of one of them; nothing of what is not there.
    #[must_use]
    pub fn of(&self, whose: &Whose) -> Trend {
        self.moving.get(whose).cloned().unwrap_or_default()
    }

    /// What all frontends' rates come to.
    #[must_use]
    pub fn total(&self) -> Rates {
        let frontends = self.moving.iter().filter(|(whose, _)| matches!(whose, Whose::Frontend(_)));
        frontends.fold(Rates::default(), |sum, (_, trend)| sum.and(trend.rates))
    }

    /// The outcomes that have had packets lately, those with the most first.
    #[must_use]
    pub fn growing(&self) -> Vec<Growing<'_>> {
        let now = self.looked_at.unwrap_or_default();
        let is_recent =
            |outcome: &Outcome| outcome.grew_at.is_some_and(|at| now.saturating_sub(at) <= GROWING);
        let outcomes = self.outcomes.iter().filter(|(_, outcome)| is_recent(outcome));
        let mut growing: Vec<_> =
            outcomes.map(|(name, outcome)| Growing { name, rate: outcome.rate }).collect();
        growing.sort_by(|a, b| b.rate.cmp(&a.rate).then(a.name.cmp(b.name)));
        growing
    }
}

impl Trend {
    /// Takes in the counters; nobody knows when what was counted before the first look came.
    fn follow(&mut self, counted: Counted, elapsed: Option<Duration>) {
        let before = std::mem::replace(&mut self.counted, counted);
        let Some(elapsed) = elapsed else { return };
        self.rates = Rates {
            connections: per_second(before.connections, counted.connections, elapsed),
            bytes_in: per_second(before.bytes_in, counted.bytes_in, elapsed),
            bytes_out: per_second(before.bytes_out, counted.bytes_out, elapsed),
        };
        self.history.push_back(self.rates);
        if self.history.len() > REMEMBERED {
            self.history.pop_front();
        }
    }
}

impl Outcome {
    fn follow(&mut self, count: u64, elapsed: Option<Duration>, now: Duration) {
        let before = std::mem::replace(&mut self.counted, count);
        let Some(elapsed) = elapsed else { return };
        self.rate = per_second(before, count, elapsed);
        if count > before {
            self.grew_at = Some(now);
        }
    }
}

impl Rates {
    /// Bytes both ways.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes_in.saturating_add(self.bytes_out)
    }

    const fn and(self, other: Self) -> Self {
        Self {
            connections: self.connections + other.connections,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
        }
    }
}

/// Whether an outcome is that of the host's own traffic, which always grows and tells nothing.
fn is_of_others(name: &str) -> bool {
    Reason::ALL.iter().any(|reason| reason.is_of_others() && reason.name() == name)
}

fn counted(snapshot: &Snapshot) -> BTreeMap<Whose, Counted> {
    let frontends = snapshot.frontends.iter().map(|frontend| {
        let connections = frontend.all_connections();
        (Whose::Frontend(frontend.name.clone()), (connections, frontend.traffic))
    });
    let servers = snapshot.servers.iter().map(|server| {
        let whose = Whose::Server(server.backend.clone(), server.name.clone());
        (whose, (server.all_connections(), server.traffic))
    });
    let counted = frontends.chain(servers).map(|(whose, (connections, traffic))| {
        (whose, Counted { connections, bytes_in: traffic.bytes_in, bytes_out: traffic.bytes_out })
    });
    counted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::table_tests::snapshot;

    const FENN: fn() -> Whose = || Whose::Server("k8s-api-server".into(), "fenn".into());

    /// Looks at connections, bytes to the client and one outcome's packets, at these milliseconds.
    fn looked(looks: &[(u64, [u64; 3])]) -> Trends {
        let mut trends = Trends::default();
        for (millis, [connections, bytes, packets]) in looks {
            let mut snapshot = snapshot();
            snapshot.servers[1].connections = *connections;
            snapshot.servers[1].traffic.bytes_out = *bytes;
            // Of `no_slot`, and of `not_tcp`, which is the host's own traffic.
            (snapshot.reasons[0].count, snapshot.reasons[1].count) = (*packets, 100 * packets);
            trends.look(&snapshot, Duration::from_millis(*millis));
        }
        trends
    }

    #[test]
    fn rates_are_those_of_a_second() {
        let trends = looked(&[(0, [1_000, 0, 0]), (2_000, [1_010, 4_096, 6])]);
        let trend = trends.of(&FENN());
        assert_eq!(trend.rates, Rates { connections: 5, bytes_in: 0, bytes_out: 2_048 });
        assert_eq!(trend.history, [trend.rates], "the first look is no rate");
        assert_eq!(trends.growing(), [Growing { name: "no_slot", rate: 3 }]);
    }

    #[test]
    fn a_counter_that_begins_anew_has_not_grown() {
        let trends = looked(&[(0, [1_000, 500, 9]), (1_000, [3, 0, 2])]);
        assert_eq!(trends.of(&FENN()).rates, Rates::default());
        assert_eq!(trends.growing(), []);
    }

    #[test]
    fn an_outcome_is_growing_for_a_while() {
        let grown = (1_000, [0, 0, 1]);
        assert_eq!(looked(&[(0, [0; 3]), grown, (31_000, [0, 0, 1])]).growing().len(), 1);
        assert_eq!(looked(&[(0, [0; 3]), grown, (31_001, [0, 0, 1])]).growing().len(), 0);
    }

    #[test]
    fn the_past_is_forgotten_and_so_is_who_is_gone() {
        let looks: Vec<_> = (0..2 * REMEMBERED as u64).map(|n| (n * 1_000, [n, 0, 0])).collect();
        let mut trends = looked(&looks);
        assert_eq!(trends.of(&FENN()).history.len(), REMEMBERED);
        let mut without = snapshot();
        without.servers.remove(1);
        trends.look(&without, Duration::from_secs(1_000));
        assert_eq!(trends.of(&FENN()), Trend::default());
    }
}
