//! When backends had no server.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Snapshot;

/// What was seen of all backends, by name, over many looks.
#[derive(Clone, Debug, Default)]
pub struct Outages(BTreeMap<String, Outage>);

/// What was seen of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outage {
    /// Whether a server of it takes connections.
    pub is_up: bool,
    /// Since when, in `CLOCK_MONOTONIC`; since the first look if it has always been so.
    pub since: Duration,
    /// How often it lost its last server.
    pub downs: u64,
    /// How long it had none altogether before that.
    down_for: Duration,
}

impl Outages {
    /// Takes in a look at `now`, a time of `CLOCK_MONOTONIC`.
    pub fn look(&mut self, snapshot: &Snapshot, now: Duration) {
        let mut usable = BTreeMap::<&str, bool>::new();
        for server in &snapshot.servers {
            *usable.entry(&server.backend).or_default() |= server.takes_connections();
        }
        self.0.retain(|backend, _| usable.contains_key(backend.as_str()));
        for (backend, is_up) in usable {
            let first = Outage { is_up, since: now, ..Outage::default() };
            self.0.entry(backend.to_owned()).or_insert(first).follow(is_up, now);
        }
    }

    /// What was seen of a backend; nothing of one that is not there.
    #[must_use]
    pub fn of(&self, backend: &str) -> Outage {
        self.0.get(backend).copied().unwrap_or_default()
    }
}

impl Outage {
    fn follow(&mut self, is_up: bool, now: Duration) {
        if is_up == self.is_up {
            return;
        }
        if is_up {
            self.down_for = self.down_for(now);
        } else {
            self.downs += 1;
        }
        (self.is_up, self.since) = (is_up, now);
    }

    /// How long it had no server altogether, by `now`.
    #[must_use]
    pub fn down_for(&self, now: Duration) -> Duration {
        let present = if self.is_up { Duration::ZERO } else { now.saturating_sub(self.since) };
        self.down_for + present
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::ServerState;
    use crate::stats::table_tests::snapshot;

    #[test]
    fn an_outage_begins_with_the_last_server_and_ends_with_the_first() {
        let mut outages = Outages::default();
        let mut look = |second, bettley, fenn| {
            let mut snapshot = snapshot();
            (snapshot.servers[0].state, snapshot.servers[1].state) = (bettley, fenn);
            outages.look(&snapshot, Duration::from_secs(second));
            let outage = outages.of("k8s-api-server");
            let down_for = outage.down_for(Duration::from_secs(second)).as_secs();
            (outage.is_up, outage.since.as_secs(), outage.downs, down_for)
        };
        assert_eq!(look(1, ServerState::Up, ServerState::Down), (true, 1, 0, 0));
        assert_eq!(look(2, ServerState::Drain, ServerState::Down), (false, 2, 1, 0));
        assert_eq!(look(5, ServerState::Maint, ServerState::Down), (false, 2, 1, 3));
        assert_eq!(look(7, ServerState::Maint, ServerState::Up), (true, 7, 1, 5));
        assert_eq!(look(9, ServerState::Up, ServerState::Up), (true, 7, 1, 5));
        assert_eq!(look(10, ServerState::Down, ServerState::Down), (false, 10, 2, 5));
        assert_eq!(look(11, ServerState::Down, ServerState::Down), (false, 10, 2, 6));
    }
}
