//! What the whole data plane knows of its host.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::index::HashKey;
use crate::net::Mac;
use crate::time::Ticks;

/// What the packet path has to know of the host.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Settings {
    /// The MAC address of the interface; frames to others are not ours.
    pub mac: Mac,
    /// The largest MSS that fits the interface's MTU.
    pub mss: u16,
    /// The first port of the NAT range.
    pub nat_first: u16,
    /// How many ports the NAT range has, and so how many slots a server has.
    pub nat_ports: u16,
    /// How many buckets the connection index has.
    pub buckets: u32,
    /// The key of the connection index, random for each data plane.
    pub hash_key: HashKey,
    /// [`crate::LAYOUT_VERSION`] of the agent that made the maps.
    pub layout_version: u32,
    /// How many servers there are slots for.
    pub max_servers: u32,
    /// A SYN that comes again after so long, and was not answered, goes to another server.
    pub redispatch_after: Ticks,
    /// Zero: to the end of the cache line.
    pub padding: [u32; 3],
}

impl Settings {
    /// How many connection slots there are.
    #[inline(always)]
    #[must_use]
    pub const fn slots(&self) -> u32 {
        self.max_servers.wrapping_mul(self.nat_ports as u32)
    }
}

/// The range of NAT ports.
///
/// It stays below the default `ip_local_port_range` (32768–60999), so that the host's own outbound
/// connections never meet it.
pub const DEFAULT_NAT_PORTS: (u16, u16) = (10_240, 32_767);
