//! The tests of what the bench computes. A bench has no test runner, so they have a target of their own.

#[path = "../figure.rs"]
mod figure;
#[path = "../mode.rs"]
mod mode;
#[path = "../report.rs"]
mod report;
#[path = "../snmp.rs"]
mod snmp;
#[path = "../statistics.rs"]
mod statistics;

mod counters;
mod intervals;
mod reports;
mod verdicts;
