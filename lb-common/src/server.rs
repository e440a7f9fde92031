//! Servers as the packet path sees them.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::net::{Addr, Mac, Port};

/// How many servers a data plane can have at most; the maps are sized for the configured number.
pub const MAX_SERVERS: u32 = 64;

/// A server.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Server {
    /// Where it listens.
    pub addr: Addr,
    /// The address of ours that its connections come from.
    pub nat_addr: Addr,
    /// Where it listens.
    pub port: Port,
    /// The MAC address of its next hop, zero while unknown.
    pub next_hop: Mac,
    /// The number of its first slot; the slot of NAT port p is `first_slot + (p - nat_first)`.
    pub first_slot: u32,
    /// Zero.
    pub padding: u32,
}

/// A position that new connections advance: in a frontend's ring, or among a server's slots.
///
/// Alone on its cache line, because every CPU writes it.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Cursor {
    /// Counts up from a random start and does not wrap within a lifetime.
    pub position: u64,
    /// Zero.
    pub padding: [u64; 7],
}
