//! The agent and the command line of `xlb`, a layer-4 TCP load balancer that forwards in the kernel.

pub mod config;
pub mod health;
pub mod neighbours;
pub mod stats;
