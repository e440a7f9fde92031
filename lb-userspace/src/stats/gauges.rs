//! What no single look at the counters tells: rates, and the most that there ever was.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Snapshot, per_second};

/// Whose gauge it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// That of all frontends together.
    Everybody,
    /// A frontend's, by name.
    Frontend(String),
    /// A backend's, by name.
    Backend(String),
    /// A server's, by backend and name.
    Server(String, String),
}

/// What was seen of one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// New connections a second, lately.
    pub rate: u64,
    /// The most that there were.
    pub highest_rate: u64,
    /// The most open connections at once.
    pub highest_open: u64,
    /// When a connection was last counted, in `CLOCK_MONOTONIC`.
    pub last_connection: Option<Duration>,
    /// Bytes to clients a second, lately.
    pub bytes_out_rate: u64,
    /// How many connections there were then.
    counted: u64,
    /// How many bytes to clients.
    counted_bytes: u64,
}

/// What was seen of all of them, over many looks.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    gauges: BTreeMap<Whose, Gauge>,
    rated_at: Option<Duration>,
}

/// What one look finds.
#[derive(Default)]
struct Sight {
    connections: u64,
    open: u64,
    bytes_out: u64,
}

/// A rate is that of a second, however often somebody looks.
const SPAN: Duration = Duration::from_secs(1);

impl Gauges {
    /// Takes in a look at `now`, a time of `CLOCK_MONOTONIC`.
    pub fn look(&mut self, snapshot: &Snapshot, now: Duration) {
        let elapsed = self.rated_at.map(|at| now.saturating_sub(at));
        let is_due = elapsed.is_none_or(|elapsed| elapsed >= SPAN);
        let sights = sights(snapshot);
        self.gauges.retain(|whose, _| sights.contains_key(whose));
        for (whose, sight) in sights {
            let gauge = self.gauges.entry(whose).or_default();
            gauge.highest_open = gauge.highest_open.max(sight.open);
            if is_due {
                gauge.rate(&sight, elapsed, now);
            }
        }
        if is_due {
            self.rated_at = Some(now);
        }
    }

    /// Lets the highest values begin anew, from what there is at the next look.
    pub fn forget_highest(&mut self) {
        for gauge in self.gauges.values_mut() {
            (gauge.highest_rate, gauge.highest_open) = (0, 0);
        }
    }

    /// What was seen of one of them; nothing of what is not there.
    #[must_use]
    pub fn of(&self, whose: &Whose) -> Gauge {
        self.gauges.get(whose).copied().unwrap_or_default()
    }
}

impl Gauge {
    /// Takes in what has come since the last time; nothing the first time, when nobody knows since when.
    fn rate(&mut self, sight: &Sight, elapsed: Option<Duration>, now: Duration) {
        let before = std::mem::replace(&mut self.counted, sight.connections);
        let bytes_before = std::mem::replace(&mut self.counted_bytes, sight.bytes_out);
        let Some(elapsed) = elapsed else { return };
        self.rate = per_second(before, self.counted, elapsed);
        self.bytes_out_rate = per_second(bytes_before, self.counted_bytes, elapsed);
        self.highest_rate = self.highest_rate.max(self.rate);
        if self.counted > before {
            self.last_connection = Some(now);
        }
    }
}

fn sights(snapshot: &Snapshot) -> BTreeMap<Whose, Sight> {
    let mut sights = BTreeMap::new();
    let mut see = |whose, connections, open, bytes_out| {
        let sight = sights.entry(whose).or_insert_with(Sight::default);
        sight.connections += connections;
        sight.open += open;
        sight.bytes_out += bytes_out;
    };
    for frontend in &snapshot.frontends {
        let (connections, open) = (frontend.all_connections(), frontend.all_open());
        let bytes_out = frontend.traffic.bytes_out;
        see(Whose::Everybody, connections, open, bytes_out);
        see(Whose::Frontend(frontend.name.clone()), connections, open, bytes_out);
        see(Whose::Backend(frontend.backend.clone()), connections, open, bytes_out);
    }
    for server in &snapshot.servers {
        let whose = Whose::Server(server.backend.clone(), server.name.clone());
        see(whose, server.all_connections(), server.all_open(), server.traffic.bytes_out);
    }
    sights
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Local;
    use crate::stats::table_tests::snapshot;

    const SERVER: fn() -> Whose = || Whose::Server("k8s-api-server".into(), "fenn".into());

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn looked(looks: &[(u64, u64, u64)]) -> Gauges {
        let mut gauges = Gauges::default();
        for (millis, connections, open) in looks {
            let mut snapshot = snapshot();
            snapshot.servers[1].connections = *connections;
            snapshot.servers[1].open = *open;
            snapshot.servers[1].local = Local::default();
            gauges.look(&snapshot, Duration::from_millis(*millis));
        }
        gauges
    }

    #[test]
    fn what_was_there_before_the_first_look_is_no_rate() {
        let gauges = looked(&[(0, 1_000_000, 7)]);
        let gauge = gauges.of(&SERVER());
        assert_eq!((gauge.rate, gauge.highest_rate, gauge.highest_open), (0, 0, 7));
        assert_eq!(gauge.last_connection, None);
    }

    #[test]
    fn a_rate_is_that_of_a_second_however_often_somebody_looks() {
        let gauges = looked(&[(0, 100, 1), (400, 140, 9), (1_000, 200, 2)]);
        let gauge = gauges.of(&SERVER());
        assert_eq!((gauge.rate, gauge.highest_rate, gauge.highest_open), (100, 100, 9));
        let gauges = looked(&[(0, 100, 1), (2_000, 200, 2), (4_000, 200, 2)]);
        let gauge = gauges.of(&SERVER());
        assert_eq!((gauge.rate, gauge.highest_rate, gauge.last_connection), (0, 50, Some(second(2))));
    }

    #[test]
    fn bytes_have_a_rate_too() {
        let mut gauges = Gauges::default();
        for (at, bytes_out) in [(0, 1_000_000), (2, 1_000_500)] {
            let mut snapshot = snapshot();
            snapshot.frontends[0].traffic.bytes_out = bytes_out;
            gauges.look(&snapshot, second(at));
        }
        assert_eq!(gauges.of(&Whose::Everybody).bytes_out_rate, 250);
    }

    #[test]
    fn a_counter_that_begins_anew_is_no_rate() {
        let gauges = looked(&[(0, 100, 1), (1_000, 5, 1)]);
        assert_eq!(gauges.of(&SERVER()).highest_rate, 0);
    }

    #[test]
    fn the_highest_values_begin_anew() {
        let mut gauges = looked(&[(0, 100, 9), (1_000, 200, 2)]);
        gauges.forget_highest();
        let gauge = gauges.of(&SERVER());
        assert_eq!((gauge.rate, gauge.highest_rate, gauge.highest_open), (100, 0, 0));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut gauges = looked(&[(0, 0, 9)]);
        let mut without = snapshot();
        without.servers.remove(1);
        gauges.look(&without, second(1));
        assert_eq!(gauges.of(&SERVER()), Gauge::default());
    }
}
