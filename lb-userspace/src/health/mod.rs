//! Active health checks: what HAProxy's `check inter … fall … rise …` does, in its words.
//!
//! [`Checker`] runs one task per server and reports every check as an [`Event`]; what a check
//! means for a server is decided in [`state`], and how it reads in the log in [`report`].

mod check;
mod checker;
pub mod report;
pub mod state;

use std::time::Duration;

pub use checker::{Checker, Event, Target};
pub use state::{CheckResult, Health, Status, Transition};

/// How a server is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// From the start of one check to the start of the next; not zero.
    pub interval: Duration,
    /// How long the server may take to answer.
    pub timeout: Duration,
    /// How many failures in a row take a server DOWN that has passed a check; at least 1.
    pub fall: u32,
    /// How many successes in a row bring a server that is DOWN back; at least 1.
    pub rise: u32,
}
