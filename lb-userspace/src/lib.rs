//! The agent and the command line of `xlb`, a layer-4 TCP load balancer that forwards in the kernel.
//!
//! [`config`] says what is wanted; [`plan`] and [`control`] turn it into the contents of the maps;
//! [`dataplane`] is the kernel's side; [`health`] and [`neighbours`] watch the servers; [`local`] serves the
//! clients on the balancer's own host; [`agent`] runs them together. [`observe`] reads a data plane, with or
//! without an agent, [`stats`] shows it, [`top`] shows it as it changes, [`why`] explains its connections,
//! [`trace`] follows its packets, [`monitor`] keeps an eye on it, `web` serves that, and [`selftest`] tries
//! it. [`doctor`] says what a host lacks, and [`preflight`] refuses by it. [`socket`] is how others talk to a
//! running agent. [`reset`] ends the connections of dead servers, [`sweep`] forgets those that expired,
//! [`log`] writes a line for each.

pub mod agent;
mod census;
pub mod cli;
pub mod clock;
mod compatibility;
pub mod config;
pub mod control;
pub mod dataplane;
pub mod doctor;
pub mod health;
pub mod kind;
pub mod local;
pub mod log;
pub mod monitor;
pub mod neighbours;
mod netlink;
pub mod numbering;
pub mod observe;
mod os_error;
pub mod plan;
pub mod preflight;
mod privileges;
pub mod process;
mod pulse;
pub mod reset;
pub mod roster;
pub mod selftest;
mod service_manager;
pub mod socket;
pub mod stats;
pub mod sweep;
pub mod top;
pub mod trace;
mod web;
pub mod why;
