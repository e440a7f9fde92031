//! How many connections, and what they are spread over.

use std::fmt;

use serde::Serialize;

/// A size.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Case {
    /// Connections that are established at once.
    pub connections: u32,
    pub servers: u8,
    /// The balancer's addresses towards servers.
    pub nat_addresses: u8,
    /// The ports of each of them.
    pub nat_ports: u16,
}

/// The ports that xlb takes by default.
const DEFAULT: u16 = 22_528;

/// The most that a packet may cost, in floors: where the connections' memory still finds room in caches,
/// and where it does not.
const FEW: (u32, f64) = (65_536, 7.0);
const MANY: f64 = 12.0;

/// The same for the SYN of a new connection.
pub const NEW_BOUND: f64 = 12.0;

impl Case {
    pub const QUICK: &[Self] = &[Self::new(1_000, 3, 1, 360), Self::new(10_000, 64, 1, 170)];

    /// A million fits three servers with the ports of sixteen addresses, or 64 servers with those of one.
    pub const FULL: &[Self] = &[
        Self::new(1_000, 3, 1, 360),
        Self::new(10_000, 3, 1, 3_600),
        Self::new(10_000, 64, 1, 170),
        Self::new(100_000, 3, 2, 18_000),
        Self::new(100_000, 64, 1, 1_700),
        Self::new(1_000_000, 3, 16, DEFAULT),
        Self::new(1_000_000, 64, 1, DEFAULT),
    ];

    const fn new(connections: u32, servers: u8, nat_addresses: u8, nat_ports: u16) -> Self {
        Self { connections, servers, nat_addresses, nat_ports }
    }

    /// The most that a packet of an established connection may cost, in floors.
    pub const fn packet_bound(self) -> f64 {
        if self.connections <= FEW.0 { FEW.1 } else { MANY }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, servers, nat_addresses, nat_ports } = self;
        write!(
            f,
            "{connections} connections, {servers} servers, {nat_addresses} NAT addresses of {nat_ports} ports"
        )
    }
}
