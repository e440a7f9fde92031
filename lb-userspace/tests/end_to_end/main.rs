//! `xlb` in a network of real hosts, with real programs as clients and servers.
//!
//! The network consists of namespaces, so these tests need root: `cargo xtask test` runs them.

mod agent;
mod browser;
mod confirmation;
mod control_abuse;
mod control_changes;
mod control_socket;
mod control_tools;
mod doctor;
mod every_client;
mod failover;
mod filter;
mod flood;
mod health;
mod https;
mod limits;
mod listing;
mod local_clients;
mod logs;
mod many_idle;
mod memory;
mod migration;
mod mtu;
mod nat;
mod offloads;
mod other_traffic;
mod page;
mod privileges;
mod prometheus;
mod rates;
mod resets;
mod runtime;
mod selftest;
mod servers;
mod service_manager;
mod short_connections;
mod stage;
mod statistics;
mod survival;
mod switch_reboot;
mod terminal;
mod trace;
mod transfers;
mod weights;
mod why;
