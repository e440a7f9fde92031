//! What the program counts, for each CPU.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::frontend::MAX_FRONTENDS;
use crate::server::MAX_SERVERS;

/// Traffic between one frontend and one server: an element of the `PATHS` map.
///
/// Counted by pair, so that both a frontend's and a server's totals are sums over it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PathCounters {
    /// Packets forwarded to the server and to the client.
    pub packets: [u64; 2],
    /// TCP payload bytes forwarded to the server and to the client.
    pub bytes: [u64; 2],
    /// Connections that were given to the server.
    pub connections: u64,
    /// Connections whose handshake was completed.
    pub established: u64,
    /// Connections that the server refused.
    pub refused: u64,
    /// Connections that were given to another server after this one did not take them.
    pub redispatched: u64,
}

const _: () = assert!(size_of::<PathCounters>() == 64);

/// Elements of the `PATHS` map.
pub const PATHS: u32 = MAX_FRONTENDS * MAX_SERVERS;

/// The element for a frontend and a server.
#[inline(always)]
#[must_use]
pub const fn path(frontend: u16, server: u16) -> u32 {
    frontend as u32 * MAX_SERVERS + server as u32
}

impl PathCounters {
    /// Adds another CPU's or another pair's counts.
    pub fn add(&mut self, other: &Self) {
        for i in 0..2 {
            self.packets[i] += other.packets[i];
            self.bytes[i] += other.bytes[i];
        }
        self.connections += other.connections;
        self.established += other.established;
        self.refused += other.refused;
        self.redispatched += other.redispatched;
    }
}
