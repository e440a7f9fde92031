//! The last minutes, for charts.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Snapshot, per_second};

/// How far points are apart, and how many are kept: ten minutes.
const STEP: Duration = Duration::from_secs(5);
const POINTS: usize = 120;

/// What happened in a step, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Point {
    /// New connections.
    pub connections: u64,
    /// Bytes, both ways.
    pub bytes: u64,
    /// Connections that servers refused or that were given to another.
    pub failures: u64,
}

/// The points, from the oldest on.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    points: VecDeque<Point>,
    last: Option<(Duration, Totals)>,
}

/// What has been counted by some moment.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    connections: u64,
    bytes: u64,
    failures: u64,
}

impl Timeline {
    /// Takes in a look at `now`, a time of `CLOCK_MONOTONIC`.
    pub fn look(&mut self, snapshot: &Snapshot, now: Duration) {
        let totals = Totals::of(snapshot);
        let Some((at, before)) = self.last else {
            self.last = Some((now, totals));
            return;
        };
        let elapsed = now.saturating_sub(at);
        if elapsed < STEP {
            return;
        }
        let rate = |now: u64, before: u64| per_second(before, now, elapsed);
        self.points.push_back(Point {
            connections: rate(totals.connections, before.connections),
            bytes: rate(totals.bytes, before.bytes),
            failures: rate(totals.failures, before.failures),
        });
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        self.last = Some((now, totals));
    }

    /// The points, from the oldest on.
    pub fn points(&self) -> impl Iterator<Item = &Point> {
        self.points.iter()
    }
}

impl Totals {
    fn of(snapshot: &Snapshot) -> Self {
        let mut totals = Self::default();
        for frontend in &snapshot.frontends {
            totals.connections += frontend.all_connections();
            totals.bytes += frontend.traffic.bytes_in + frontend.traffic.bytes_out;
            totals.failures += frontend.refused + frontend.redispatched;
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::table_tests::snapshot;

    #[test]
    fn a_point_is_a_step_and_there_are_ten_minutes_of_them() {
        let mut timeline = Timeline::default();
        let mut snapshot = snapshot();
        for second in 0..=700 {
            snapshot.frontends[0].connections = 900 + second * 3;
            timeline.look(&snapshot, Duration::from_secs(second));
            if second == 4 {
                assert_eq!(timeline.points().count(), 0);
            }
        }
        let points: Vec<_> = timeline.points().collect();
        assert_eq!(points.len(), 120);
        assert!(points.iter().all(|point| **point == Point { connections: 3, bytes: 0, failures: 0 }));
    }
}
