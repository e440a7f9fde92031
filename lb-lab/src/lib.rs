//! A laboratory for a TCP load balancer: hosts, a switch and a router made of network namespaces,
//! with real servers and clients on them.
//!
//! Everything that a [`Lab`] makes dies with the process that made it, even when that is killed:
//! namespaces and mounts are held by file descriptors alone, files live in the lab's own tmpfs, and
//! children receive a signal when their parent ends. (A [`Cgroup`] alone outlives a maker that is
//! killed, until the next one is made.) Nothing is ever attached to, or routed through,
//! the network of the machine itself.

mod error;
mod lock;
mod runtime;

pub mod balancer;
pub mod browser;
pub mod capture;
pub mod certificate;
pub mod cgroup;
pub mod config;
pub mod curl;
pub mod echo;
pub mod failure;
pub mod flood;
pub mod haproxy;
pub mod host;
pub mod http;
pub mod idle;
pub mod lab;
pub mod load;
pub mod log;
pub mod loopback;
pub mod nginx;
pub mod process;
pub mod sandbox;
pub mod size;
pub mod stats;
pub mod syslog;
pub mod talk;
pub mod terminal;
pub mod traffic;
pub mod transfers;
pub mod wait;
mod xdp;

pub use balancer::{Balancer, Xlb};
pub use browser::Browser;
pub use certificate::{Authority, Certified};
pub use cgroup::Cgroup;
pub use error::{Error, Result};
pub use haproxy::HaProxy;
pub use host::Host;
pub use lab::{Lab, Topology};
pub use nginx::Nginx;
pub use process::Process;
pub use terminal::Terminal;
