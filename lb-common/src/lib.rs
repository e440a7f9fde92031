//! What the eBPF program and the agent share: the memory layout of every map, and the logic that
//! needs neither a kernel nor an allocator to be right.
//!
//! Everything here is `no_std`, free of I/O and tested on the host. Layouts are `repr(C)` with
//! explicit padding; zerocopy's derives refuse to compile a hidden one.
#![no_std]

#[cfg(test)]
extern crate std;

pub mod admission;
pub mod bench;
pub mod checksum;
pub mod counters;
pub mod ending;
pub mod endpoint;
pub mod event;
pub mod frontend;
pub mod index;
pub mod local;
pub mod nat;
pub mod net;
pub mod reason;
pub mod reuse;
pub mod ring;
pub mod server;
pub mod settings;
pub mod setup;
pub mod slot;
pub mod syn;
pub mod tcp;
pub mod time;
pub mod trace;

/// The version of all layouts in this crate together. A data plane that was pinned with another
/// version cannot be adopted or read.
pub const LAYOUT_VERSION: u32 = 7;
