//! What there is to show.

use std::time::Duration;

use super::Trends;
use crate::stats::{Agent, Gauges, Outages, Snapshot};

/// The data plane as it was last seen, and what was seen before.
#[derive(Clone, Debug)]
pub struct Model {
    /// The last look that succeeded.
    pub snapshot: Snapshot,
    /// Why the latest did not.
    pub trouble: Option<String>,
    /// When it was, in `CLOCK_MONOTONIC`.
    pub at: Duration,
    /// How counters have moved.
    pub trends: Trends,
    /// The highest values.
    pub gauges: Gauges,
    /// When backends had no server.
    pub outages: Outages,
}

impl Model {
    /// Begins with a first look, at `now`.
    #[must_use]
    pub fn new(snapshot: Snapshot, now: Duration) -> Self {
        let mut model = Self {
            snapshot: snapshot.clone(),
            trouble: None,
            at: now,
            trends: Trends::default(),
            gauges: Gauges::default(),
            outages: Outages::default(),
        };
        model.look(Ok(snapshot), now);
        model
    }

    /// Takes in the look whose turn it is.
    pub fn look(&mut self, seen: Result<Snapshot, String>, now: Duration) {
        if let Ok(snapshot) = &seen {
            self.trends.look(snapshot, now);
            self.gauges.look(snapshot, now);
        }
        self.glance(seen, now);
    }

    /// Takes in a look between two turns: what there is now, but no rates.
    pub fn glance(&mut self, seen: Result<Snapshot, String>, now: Duration) {
        match seen {
            Ok(snapshot) => {
                self.outages.look(&snapshot, now);
                (self.snapshot, self.at, self.trouble) = (snapshot, now, None);
            }
            Err(trouble) => self.trouble = Some(trouble),
        }
    }

    /// Whether there is an agent to ask.
    #[must_use]
    pub fn has_agent(&self) -> bool {
        self.trouble.is_none() && matches!(self.snapshot.agent, Agent::Running { .. })
    }
}
