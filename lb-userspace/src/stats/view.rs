//! All that a running agent shows of itself.

use std::time::{Duration, SystemTime};

use super::{Activity, Gauges, Outages, Snapshot, Timeline};

/// The balancer at one moment, with what was seen before.
#[derive(Clone, Debug)]
pub struct View {
    /// The moment, in `CLOCK_MONOTONIC`.
    pub at: Duration,
    /// What there is.
    pub snapshot: Snapshot,
    /// What was seen over time.
    pub gauges: Gauges,
    /// When backends had no server.
    pub outages: Outages,
    /// What the agent has done and seen.
    pub activity: Activity,
    /// The last minutes.
    pub timeline: Timeline,
    /// The agent that shows it.
    pub process: Process,
}

/// The agent's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// When it started.
    pub started: SystemTime,
    /// How long ago that was.
    pub uptime: Duration,
    /// The host's name.
    pub node: String,
    /// How many lines of its log were dropped.
    pub dropped_logs: u64,
    /// How many tasks it has.
    pub tasks: u64,
    /// How many percent of the last second it had nothing to do.
    pub idle_percent: u32,
    /// How many files it may have open, sockets too.
    pub max_files: u64,
}
