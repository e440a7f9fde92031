//! Packet fixtures: frames through the program in the kernel, exact bytes out.
//!
//! The program is attached to nothing; `BPF_PROG_TEST_RUN` needs root all the same, so
//! `cargo xtask test` runs these.

mod admission;
mod answers;
mod arbitrary;
mod balance;
mod connection;
mod counters;
mod down;
mod endings;
mod entry;
mod events;
mod expiry;
mod frame;
mod frontends;
mod fuzz;
mod histories;
mod icmp;
mod index;
mod lifecycle;
mod long;
mod macs;
mod memory;
mod model;
mod mss;
mod nat;
mod plausibility;
mod pool;
mod race;
mod raw;
mod reasons;
mod refusal;
mod reopening;
mod reuse;
mod rewrites;
mod rig;
mod silence;
mod stale;
mod tracing;
mod windows;
